import { short } from '../transitions.ts';
import type { Guard, Running } from './facts.ts';
import type { Held } from './held.ts';

/** design 5.6, 5.7: a verdict about one revision acts on no other, and not on one that nobody could look at. */
export const whatRuns: Guard = ({ running, rollback }) => heldByRunning(running, rollback.badCommit);

/** @param judged the revision that the verdict is about */
export function heldByRunning(running: Running, judged: string): Held | null {
  switch (running.kind) {
    case 'judged':
      return null;
    case 'other': {
      const sentence = `the cluster runs ${short(running.revision)} ${running.how}, not ${short(judged)}, which was judged; look at both, then approve or refuse`;
      return { code: 'another_revision_runs', sentence, approvable: true };
    }
    case 'syncing': {
      const sentence = `the operator is in the middle of applying ${short(running.revision)}, which holds something else than what was judged; look at it, then approve or refuse`;
      return { code: 'sync_running', sentence, approvable: true };
    }
    case 'unknown': {
      const sentence = `an alert led to this, and the cluster cannot be asked whether it runs the revision (${running.reason}); look at it, then approve or refuse`;
      return { code: 'delivery_unknown', sentence, approvable: true };
    }
  }
}
