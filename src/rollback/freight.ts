import { deliveryOf, type ExecutorContext } from './context.ts';
import type { Plan, Rollback } from './record.ts';
import { noted } from './transitions.ts';

/**
 * The other way back where a promotion tool (Kargo) writes the versions: it is asked to promote again what it had verified
 * before, and writes that into Git itself. A commit of ours beside it would be overwritten, and the tool would go on believing
 * in the bad version. The revert lies ready on its own branch meanwhile, and is proposed where the tool does not get there.
 */

/** Steps of the history that this goes by. */
export const FIRST = 'freight_first';
export const PROMOTED = 'freight_promoted';
export const LEFT = 'freight_left';

/** The plan's only guilty commit; with several, one Freight did not make what is to be taken out. */
export function onlyCommit(plan: Plan | null): string | null {
  const [only, another] = plan?.undoes ?? [];
  return only === undefined || another !== undefined ? null : only;
}

/** Whether the delivery has a tool that may be asked, for a plan that only proposes because of that tool. */
export function mayAskTool(context: ExecutorContext, rollback: Rollback, code: string): boolean {
  const isThere = deliveryOf(context, rollback).promotePrevious !== undefined;
  return code === 'automation_would_undo' && isThere && onlyCommit(rollback.plan) !== null;
}

/** Remembers that the tool is asked before a pull request is opened. */
export function toolFirst(rollback: Rollback, now: number): Rollback {
  const sentence = 'all guards passed; the tool that promotes the versions is asked for the one before';
  return noted(rollback, FIRST, sentence, now);
}

export function waitsForTool({ history, proposal }: Rollback): boolean {
  const last = history.findLast(({ step }) => step === FIRST || step === LEFT);
  return last?.step === FIRST && proposal === null;
}

/** Whether it was the tool, on our word, that took the bad content out. */
export function wasAsked({ history }: Rollback): boolean {
  return history.some(({ step }) => step === PROMOTED);
}
