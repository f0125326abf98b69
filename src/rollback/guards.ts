import { matchesGlob } from './glob.ts';
import type { Policy } from './policy.ts';
import type { Rollback } from './record.ts';

/** What the guards look at; gathered by the executor, judged here without I/O. */
export interface GuardFacts {
  rollback: Rollback;
  policy: Policy;
  badCommit: { subject: string; message: string };
  /** Paths that the revert changes. */
  changed: readonly string[];
  /**
   * Other rollbacks of the application that were pushed within the last 24 hours, and those under way that were decided
   * before this one: several that fail together count each other.
   */
  pushedToday: number;
  /** Rollbacks of the application that took the very same content out before. */
  sameContent: number;
  /** The last rollback of the application that ran to its end, if it did not help. */
  unhelpful: string | null;
}

/** A guard lets pass (null) or holds with a reason as data. */
export interface Held {
  code: string;
  sentence: string;
}

type Guard = (facts: GuardFacts) => Held | null;

/** design 5.5: our own revert and anybody's revert are never reverted without a person. */
const neverRevertARevert: Guard = ({ badCommit }) =>
  badCommit.subject.startsWith('Revert "') ||
  /^(Reverts|Davylamp-Rollback): /m.test(badCommit.message) ||
  /^This reverts commit [0-9a-f]{7,}/m.test(badCommit.message)
    ? {
        code: 'reverts_a_revert',
        sentence: `the bad commit is itself a revert ("${badCommit.subject.slice(0, 120)}"); reverting it would bring back what was taken out: approve it, or fix forward`,
      }
    : null;

/** design 5.5: when the last rollback did not help, the fault is probably not in the release. */
const lastOneDidNotHelp: Guard = ({ unhelpful }) =>
  unhelpful === null
    ? null
    : {
        code: 'last_rollback_did_not_help',
        sentence: `the last rollback (${unhelpful}) did not bring the metrics back, so the cause may lie elsewhere; approve this one to go on`,
      };

/** design 5.5: the same content that keeps coming back is a loop; one repeat is taken out, the next one waits. */
const loop: Guard = ({ sameContent }) =>
  sameContent < 2
    ? null
    : {
        code: 'loop',
        sentence: `the same content was taken out ${sameContent} times before and keeps coming back; find out who brings it, then approve this one`,
      };

const limitPerDay: Guard = ({ policy, pushedToday }) =>
  pushedToday < policy.maxPerDay
    ? null
    : {
        code: 'limit_per_day',
        sentence: `${pushedToday} rollbacks of ${policy.application} were pushed in the last 24 hours and guards.maxPerDay is ${policy.maxPerDay}; approve it to go on`,
      };

const approvalPaths: Guard = ({ policy, changed }) => {
  const touched = changed.filter((path) => policy.approvalPaths.some((glob) => matchesGlob(path, glob)));
  return touched.length === 0
    ? null
    : {
        code: 'approval_needed',
        sentence: `the revert changes ${touched.slice(0, 3).join(', ')}${touched.length > 3 ? ` and ${touched.length - 3} more` : ''}, which guards.approvalPaths names; approve it to go on`,
      };
};

const GUARDS: readonly Guard[] = [neverRevertARevert, lastOneDidNotHelp, loop, approvalPaths, limitPerDay];

/** The first guard that holds, or null. A person's approval releases them all: it was given for this plan. */
export function heldBy(facts: GuardFacts): Held | null {
  if (facts.rollback.approvedBy !== null) return null;
  for (const guard of GUARDS) {
    const held = guard(facts);
    if (held !== null) return held;
  }
  return null;
}

/**
 * design 5.2: without a live baseline a fail proposes at most; design 5.1: so does a release that does not live. Either
 * goes further only where the application opted in.
 */
export function modeFor(policy: Policy, cause: { confounded: boolean; undeployable?: boolean }): Policy['mode'] {
  if (policy.mode !== 'rollback') return policy.mode;
  if (cause.confounded && policy.onConfounded === 'propose') return 'propose';
  if (cause.undeployable === true && policy.onUndeployable === 'propose') return 'propose';
  return policy.mode;
}
