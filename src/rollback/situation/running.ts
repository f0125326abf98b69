import type { DeliveryState } from '../../delivery/port.ts';
import { CodedError } from '../../errors.ts';
import { deliveryOf, repositoryOf, type ExecutorContext } from '../context.ts';
import type { Running } from '../guards/facts.ts';
import { ALERT } from '../opening.ts';
import type { Rollback } from '../record.ts';
import { short, sinceStep } from '../transitions.ts';
import { FIRST_STEPS, GRACE_MS } from './patience.ts';
import { holdsSame } from './sameness.ts';

const JUDGED: Running = { kind: 'judged' };

/** What the cluster said, or why it could not be asked. */
export interface Observed {
  state: DeliveryState | null;
  running: Running;
}

/**
 * What runs, read anew.
 *
 * @param silent what to do when the controller cannot be asked: wait for a while, or go on
 * @throws CodedError what the delivery says while it is waited for; `sync_running` (retryable)
 */
export async function observed(
  context: ExecutorContext,
  rollback: Rollback,
  silent: 'wait' | 'go on',
  signal: AbortSignal,
): Promise<Observed> {
  const delivery = deliveryOf(context, rollback);
  if (!delivery.can.observe) return { state: null, running: JUDGED };
  const waited = sinceStep(rollback, FIRST_STEPS, context.clock.now());
  let state: DeliveryState;
  try {
    state = await delivery.observe(signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof CodedError) || (silent === 'wait' && waited <= GRACE_MS)) throw error;
    // A controller that asked for the analysis runs this revision; of an alert's nobody has said so but the cluster.
    const running: Running = rollback.requestedBy === ALERT ? { kind: 'unknown', reason: error.message } : JUDGED;
    return { state: null, running };
  }
  const running = await runningOf(context, rollback, state, signal);
  if (running.kind === 'syncing' && silent === 'wait' && waited <= GRACE_MS) {
    const sentence = `the operator is in the middle of applying ${short(running.revision)}; waiting until it is done`;
    throw new CodedError('sync_running', sentence, { retryable: true });
  }
  return { state, running };
}

async function runningOf(
  context: ExecutorContext,
  rollback: Rollback,
  { canary, stable, operation = null }: DeliveryState,
  signal: AbortSignal,
): Promise<Running> {
  const judged = rollback.badCommit;
  const isJudged = async (revision: string) => holdsSame(context, rollback, revision, judged, signal);
  if (canary !== null && !(await isJudged(canary))) return { kind: 'other', revision: canary, how: 'as the canary' };
  const repository = repositoryOf(context, rollback);
  if (canary === null && stable !== null && !(await isJudged(stable))) {
    // An older stable revision is what an abort leaves; a newer one means that somebody fixed forward (design 5.7).
    const isNewer = await repository.isAncestor(judged, stable, signal);
    if (isNewer) return { kind: 'other', revision: stable, how: 'by now' };
  }
  // The operator applies heads of the branch: one that holds the same of this application is the one that was judged.
  const revision = operation?.revision ?? null;
  return revision === null || (await isJudged(revision)) ? JUDGED : { kind: 'syncing', revision };
}
