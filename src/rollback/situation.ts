import { CodedError } from '../errors.ts';
import type { CommitFacts } from '../git/port.ts';
import { policyOf, repositoryOf, type ExecutorContext } from './context.ts';
import { approvalPolicyOf, isReleased } from './guards/approval.ts';
import type { GuardFacts } from './guards/facts.ts';
import { fleetBreaker, settlesUntil } from './guards/fleet.ts';
import { allHolding, heldBy } from './guards/guards.ts';
import type { Held } from './guards/held.ts';
import { heldByRunning } from './guards/running.ts';
import { stoppedBy } from './guards/stopping.ts';
import { weaker, type Policy } from './policy.ts';
import type { Plan, Rollback } from './record.ts';
import { crowdOf } from './situation/crowd.ts';
import { pastOf } from './situation/past.ts';
import { FIRST_STEPS, GRACE_MS } from './situation/patience.ts';
import { revertsOf } from './situation/reverts.ts';
import { observed, type Observed } from './situation/running.ts';
import { notJudgedOf, sharingOf, standingOf } from './situation/standing.ts';
import type { Switch } from './switches.ts';
import { sinceStep } from './transitions.ts';

/** What the guards need to know of the world, read at the moments at which they are asked. */

/** What would be done. */
export interface Planned {
  /** The guilty commit. */
  bad: CommitFacts;
  plan: Plan;
  /** Everything that is taken back. */
  undone: readonly CommitFacts[];
  /** What came after it was judged, where the cluster does not say what ran before. */
  since?: string | null;
}

/**
 * A store that was emptied has forgotten limits, refusals and pushes: until it was reconciled from Git, nothing is
 * rolled back automatically. It waits and is tried again; a person who approves or asks has looked.
 *
 * @throws CodedError `state_lost` (retryable)
 */
export function demandReconciled(context: ExecutorContext, rollback: Rollback): void {
  if (isAsked(context, rollback, rollback.plan, 'any') || context.reconciled(rollback.repository)) return;
  const sentence = `the store is new or was emptied, and what Git knows of earlier rollbacks in repository ${rollback.repository} has not been read yet`;
  throw new CodedError('state_lost', sentence, { retryable: true });
}

/**
 * Whether a guard holds what was planned; asked again right before the push, since what failed together must not pass
 * together.
 *
 * @throws CodedError `state_lost`, `mode_changed`, `sync_running`, `fleet_settling` and what a controller or a forge says that is waited
 *   for (all retryable); `details.nextAt` says when to ask again, where that is known
 */
export async function guardPlan(
  context: ExecutorContext,
  rollback: Rollback,
  about: Planned,
  moment: 'plan' | 'push',
  signal: AbortSignal,
): Promise<Held | null> {
  demandReconciled(context, rollback);
  demandMode(policyOf(context, rollback), rollback);
  const facts = await factsOf(context, rollback, about, moment, signal);
  const held = heldBy(facts);
  if (held !== null || moment === 'push' || isAsked(context, rollback, about.plan)) return held;
  const nextAt = settlesUntil(facts);
  if (nextAt === null) return null;
  const sentence = 'other applications are being analysed beside it; waiting for a moment whether they turn bad, too';
  throw new CodedError('fleet_settling', sentence, { retryable: true, details: { nextAt } });
}

/** What is aborted: the head that the cluster runs with the content that was judged; or what forbids it. */
export interface AbortCleared {
  held: Held | null;
  revision: string;
}

/**
 * Whether something forbids the abort by now: a kill switch, another mode, a shared fault, or another revision that runs.
 * @throws CodedError `mode_changed` (retryable: it is planned anew)
 */
export async function guardAbort(context: ExecutorContext, rollback: Rollback, signal: AbortSignal): Promise<AbortCleared> {
  const { fleet, clock } = context;
  const { badCommit } = rollback;
  const policy = policyOf(context, rollback);
  const stop = stoppedBy(fleet, policy, await context.switches.stopping(policy));
  if (stop !== null) return { held: stop, revision: badCommit };
  demandMode(policy, rollback);
  const now = clock.now();
  const [{ state, running }, crowd] = await Promise.all([
    observed(context, rollback, 'go on', signal),
    crowdOf(context, rollback, now),
  ]);
  const held = isAsked(context, rollback, rollback.plan)
    ? null
    : (fleetBreaker({ now, rollback, fleet, crowd }) ?? heldByRunning(running, badCommit));
  // A head with other content is not what was judged, whoever asks: the delivery finds that it does not run this one.
  const isOther = running.kind === 'other';
  return { held, revision: isOther ? badCommit : (state?.canary ?? badCommit) };
}

/** A mode that allows less by now counts at once, also for what waits to be pushed: the next step plans it anew. */
function demandMode(policy: Policy, rollback: Rollback): void {
  if (weaker(policy.mode, rollback.mode) === rollback.mode) return;
  const sentence = `the application allows mode ${policy.mode} now; it is planned anew`;
  throw new CodedError('mode_changed', sentence, { retryable: true });
}

/** Every guard that would hold right now, for whoever only wants to know; nothing is waited for. */
export async function wouldHold(
  context: ExecutorContext,
  rollback: Rollback,
  about: Planned,
  signal: AbortSignal,
): Promise<Held[]> {
  return allHolding(await factsOf(context, rollback, about, 'push', signal));
}

async function factsOf(
  context: ExecutorContext,
  rollback: Rollback,
  { bad, plan, undone, since = null }: Planned,
  moment: 'plan' | 'push',
  signal: AbortSignal,
): Promise<GuardFacts> {
  const policy = policyOf(context, rollback);
  const repository = repositoryOf(context, rollback);
  const now = context.clock.now();
  const [stopped, past, reverts, cluster, standing, crowd, sharing] = await Promise.all([
    stoppingOf(context, policy, plan),
    pastOf(context, rollback, plan, now),
    revertsOf(context, rollback, { repository, bad, moment }, signal),
    clusterOf(context, rollback, plan, moment, signal),
    standingOf(context, rollback, bad),
    crowdOf(context, rollback, now),
    sharingOf(context, rollback, plan),
  ]);
  const stable = cluster.state?.stable ?? null;
  const notJudged = await notJudgedOf(rollback, { repository, undone, bad, stable, since }, signal);
  const { running } = cluster;
  return {
    now,
    rollback,
    policy: approvalPolicyOf(context.policies, policy, plan),
    fleet: context.fleet,
    bad,
    plan,
    undone,
    notJudged,
    stopped,
    past,
    reverts,
    running,
    ...standing,
    crowd,
    sharing,
  };
}

/** Kill switches of all whose files the plan changes, the application's own first. */
async function stoppingOf(context: ExecutorContext, policy: Policy, { joint }: Plan): Promise<Switch[]> {
  const asked = [policy.application, ...joint].map((application) =>
    context.switches.stopping({ application, repository: policy.repository }),
  );
  return (await Promise.all(asked)).flat();
}

/** A person who asks for a rollback or approves one has seen what runs. */
async function clusterOf(
  context: ExecutorContext,
  rollback: Rollback,
  plan: Plan,
  moment: 'plan' | 'push',
  signal: AbortSignal,
): Promise<Observed> {
  if (isAsked(context, rollback, plan)) return { state: null, running: { kind: 'judged' } };
  return observed(context, rollback, moment === 'plan' ? 'wait' : 'go on', signal);
}

/** Whether a person stands behind it: by asking for it, or by releasing this plan (`any`: whichever plan). */
function isAsked(context: ExecutorContext, rollback: Rollback, plan: Plan | null, which: 'this' | 'any' = 'this'): boolean {
  if (rollback.trigger === 'manual') return true;
  const policy = approvalPolicyOf(context.policies, policyOf(context, rollback), plan);
  return isReleased(rollback, which === 'any' ? null : (plan?.hash ?? null), policy, context.clock.now());
}

/** Whether a controller that keeps failing has had its time: since the decision, or since the revert was pushed. */
export function graceIsOver(rollback: Rollback, now: number): boolean {
  const steps = rollback.revertCommit === null ? FIRST_STEPS : ['pushed'];
  return rollback.problem !== null && sinceStep(rollback, steps, now) > GRACE_MS;
}
