import { sameCommit } from '../analysis/revision.ts';
import type { DeliveryState } from '../delivery/port.ts';
import { CodedError } from '../errors.ts';
import type { CommitFacts } from '../git/port.ts';
import { deliveryOf, policyOf, repositoryOf, type ExecutorContext } from './context.ts';
import { heldBy, type GuardFacts, type Held } from './guards.ts';
import { ALERT } from './opening.ts';
import { isOpen, type Rollback } from './record.ts';
import { rollbackIn } from './stored.ts';
import { short, sinceStep } from './transitions.ts';

/** What the guards need to know of the world, read when it is needed. */

const DAY_MS = 86_400_000;
const OTHERS_LIMIT = 200;
/** So long, in all, a controller that does not answer is waited for before Git goes on without it. */
const CONTROLLER_GRACE_MS = 10_000;
const FIRST_STEPS: readonly string[] = ['decided', 'approved', 'mode_changed'];

/**
 * A store that was emptied has forgotten limits, refusals and pushes: until it was reconciled from Git, nothing is
 * rolled back automatically. It waits and is tried again; a person who approves or asks has looked.
 *
 * @throws CodedError `state_lost` (retryable)
 */
export function demandReconciled(context: ExecutorContext, rollback: Rollback): void {
  if (rollback.trigger === 'manual' || rollback.approvedBy !== null || context.reconciled(rollback.repository)) return;
  const sentence = `the store is new or was emptied, and what Git knows of earlier rollbacks in repository ${rollback.repository} has not been read yet`;
  throw new CodedError('state_lost', sentence, { retryable: true });
}

/** Asked again right before the push: what failed together must not pass together. */
export async function guardAgain(
  context: ExecutorContext,
  rollback: Rollback,
  bad: CommitFacts,
  changed: readonly string[],
  signal: AbortSignal,
): Promise<Held | null> {
  demandReconciled(context, rollback);
  const other = await otherCanary(context, rollback, 'go on', signal);
  return other ?? heldBy(await factsOf(context, rollback, bad, changed, context.clock.now()));
}

/**
 * design 5.6, 5.7: a verdict about one revision acts on no other. A person who asks for a rollback or approves one has
 * seen what runs.
 *
 * @param silent what to do when the controller cannot be asked: wait for a while, or go on
 */
export async function otherCanary(
  context: ExecutorContext,
  rollback: Rollback,
  silent: 'wait' | 'go on',
  signal: AbortSignal,
): Promise<Held | null> {
  const delivery = deliveryOf(context, rollback);
  if (rollback.trigger === 'manual' || rollback.approvedBy !== null || !delivery.can.observe) return null;
  let state: DeliveryState;
  try {
    state = await delivery.observe(signal);
  } catch (error) {
    signal.throwIfAborted();
    const waited = sinceStep(rollback, FIRST_STEPS, context.clock.now());
    const overdue = silent === 'go on' || waited > CONTROLLER_GRACE_MS;
    if (!(error instanceof CodedError) || !overdue) throw error;
    // A controller that asked for the analysis runs this revision; of an alert's nobody has said so but the cluster.
    return rollback.requestedBy === ALERT ? silentCluster(error) : null;
  }
  const { canary, stable } = state;
  if (canary !== null) return sameCommit(canary, rollback.badCommit) ? null : otherRuns(rollback, canary, 'as the canary');
  if (stable === null || sameCommit(stable, rollback.badCommit)) return null;
  // An older stable revision is what an abort leaves; a newer one means that somebody fixed forward (design 5.7).
  const newer = await repositoryOf(context, rollback).isAncestor(rollback.badCommit, stable, signal);
  return newer ? otherRuns(rollback, stable, 'by now') : null;
}

function otherRuns({ badCommit }: Rollback, runs: string, how: string): Held {
  const sentence = `the cluster runs ${short(runs)} ${how}, not ${short(badCommit)}, which was judged; look at both, then approve or refuse`;
  return { code: 'another_revision_runs', sentence };
}

function silentCluster(error: CodedError): Held {
  const sentence = `an alert led to this, and the cluster cannot be asked whether it runs the revision (${error.message}); look at it, then approve or refuse`;
  return { code: 'delivery_unknown', sentence };
}

export async function factsOf(
  context: ExecutorContext,
  rollback: Rollback,
  bad: CommitFacts,
  changed: readonly string[],
  now: number,
): Promise<GuardFacts> {
  const { records } = await context.store.list('rollback', { application: rollback.application, limit: OTHERS_LIMIT });
  const others = records.map(rollbackIn).filter((other) => other.id !== rollback.id);
  const counted = others.filter(
    (other) =>
      Date.parse(other.decidedAt) > now - DAY_MS &&
      (other.revertCommit !== null || (isOpen(other) && other.mode !== 'shadow' && isEarlier(other, rollback))),
  );
  const lastEnded = others.find((other) => other.state === 'recovered' || other.state === 'not_recovered');
  const diff = rollback.plan?.diff ?? null;
  return {
    rollback,
    policy: policyOf(context, rollback),
    badCommit: bad,
    changed,
    pushedToday: counted.length,
    sameContent: others.filter((other) => other.revertCommit !== null && other.plan !== null && other.plan.diff === diff).length,
    unhelpful: lastEnded?.code === 'still_bad' ? lastEnded.id : null,
  };
}

function isEarlier(one: Rollback, other: Rollback): boolean {
  return one.decidedAt === other.decidedAt ? one.id < other.id : one.decidedAt < other.decidedAt;
}

/** Whether a controller that keeps failing has had its time: since the decision, or since the revert was pushed. */
export function graceIsOver(rollback: Rollback, now: number): boolean {
  const steps = rollback.revertCommit === null ? FIRST_STEPS : ['pushed'];
  return rollback.problem !== null && sinceStep(rollback, steps, now) > CONTROLLER_GRACE_MS;
}
