import { CodedError } from '../errors.ts';
import { deliveryOf, policyOf, type ExecutorContext, type Step } from './context.ts';
import { FIRST, LEFT, PROMOTED, onlyCommit, wasAsked } from './freight.ts';
import { stoppedBy } from './guards/stopping.ts';
import type { Rollback } from './record.ts';
import { moved, noted, short, sinceStep } from './transitions.ts';
import { abort } from './writing.ts';

const LOOK_MS = 5_000;
/** How long the tool may take until the bad content is gone from the branch. */
const WITHIN_MS = 900_000;

/**
 * Asks the tool, once, and waits until the content shows it. Whatever keeps it from that leads to a pull request.
 *
 * @param isGone whether the branch no longer holds the bad content
 * @throws CodedError of the delivery, retryable
 */
export async function askTool(
  context: ExecutorContext,
  rollback: Rollback,
  { isGone, head }: { isGone: boolean; head: string },
  signal: AbortSignal,
): Promise<Step> {
  const now = context.clock.now();
  const left = (why: string): Step => ({
    next: noted({ ...rollback, problem: null }, LEFT, `${why}; the revert is proposed`, now),
  });
  if (isGone && wasAsked(rollback)) {
    const done: Rollback = { ...rollback, revertCommit: head, revertRef: `refs/heads/${rollback.branch}` };
    const sentence = `the version before was promoted again: ${short(head)} on ${rollback.branch} no longer holds what ${short(rollback.badCommit)} brought`;
    return { next: moved(done, { state: 'pushed', code: 'pushed', sentence }, now) };
  }
  const delivery = deliveryOf(context, rollback);
  const commit = onlyCommit(rollback.plan);
  const policy = policyOf(context, rollback);
  const stop = stoppedBy(context.fleet, policy, await context.switches.stopping(policy));
  if (delivery.promotePrevious === undefined || commit === null || policy.mode !== 'rollback' || stop !== null) {
    return left(stop?.sentence ?? 'the configuration does not allow it any more');
  }
  if (sinceStep(rollback, [FIRST], now) > WITHIN_MS) return left('the promotion has not shown on the branch');
  // In the cluster first, as before any push.
  if (rollback.aborted === 'no') return abort(context, rollback, signal);
  try {
    const { outcome, sentence } = await delivery.promotePrevious({ commit, rollback: rollback.id }, signal);
    if (outcome === 'failed' || outcome === 'not_current') return left(sentence);
    const known = wasAsked(rollback);
    return { next: known ? rollback : noted({ ...rollback, problem: null }, PROMOTED, sentence, now), again: now + LOOK_MS };
  } catch (error) {
    if (!(error instanceof CodedError) || error.retryable || signal.aborted) throw error;
    return left(error.message);
  }
}
