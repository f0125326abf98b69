import { isPerson } from '../../ledger/rules.ts';
import { short } from '../transitions.ts';
import type { Guard } from './facts.ts';
import { durationText } from './words.ts';

/** What turns bad long after it went live is seldom its own fault. */
export const tooOld: Guard = ({ now, policy, bad, liveSince }) =>
  liveSince === null || now - liveSince <= policy.maxAge
    ? null
    : {
        code: 'too_old',
        sentence: `${short(bad.sha)} is live since ${durationText(now - liveSince)} and guards.maxAge is ${durationText(policy.maxAge)}, so the cause is probably another one; look for it, then approve or refuse`,
        approvable: true,
      };

/** design 5.5: that a rollback of this very revision did not help says that it is not to blame. */
export const suspect: Guard = ({ known, bad }) =>
  known?.standing === 'suspect'
    ? {
        code: 'suspect_revision',
        sentence: `a rollback of ${short(bad.sha)} did not help before (${known.reason}); find the cause, then approve this one or mark the revision`,
        approvable: true,
      }
    : null;

/** A person has said that it is good. */
export const markedGood: Guard = ({ known, bad }) =>
  known?.standing === 'good' && isPerson(known.by)
    ? {
        code: 'marked_good',
        sentence: `${known.by} marked ${short(bad.sha)} as good (${known.reason}); ask, then approve or refuse`,
        approvable: true,
      }
    : null;
