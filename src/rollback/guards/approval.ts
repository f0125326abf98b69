import type { Policy } from '../policy.ts';
import type { Approval, Plan, Rollback } from '../record.ts';
import { short } from '../transitions.ts';
import { fewOf } from './words.ts';

const SHOWN_HASH = 12;

/** What the owners of a plan ask of its approval, all of them together: the most people, the shortest time, every path. */
export function approvalPolicyOf(
  policies: ReadonlyMap<string, Policy>,
  policy: Policy,
  plan: Pick<Plan, 'joint'> | null,
): Policy {
  const owners = [policy, ...(plan?.joint ?? []).flatMap((name) => policies.get(name) ?? [])];
  return {
    ...policy,
    approvals: Math.max(...owners.map(({ approvals }) => approvals)),
    approvalFor: Math.min(...owners.map(({ approvalFor }) => approvalFor)),
    approvalPaths: owners.flatMap(({ approvalPaths }) => approvalPaths),
  };
}

/**
 * Whether enough different people have released a plan, recently enough.
 *
 * @param planHash the plan that would be carried out; null: any approval that still counts
 * @param now milliseconds since the epoch
 */
export function isReleased(rollback: Rollback, planHash: string | null, policy: Policy, now: number): boolean {
  return approversOf(rollback, planHash, policy, now).length >= policy.approvals;
}

/** The different people whose approval of a plan counts. Who asked for it does not stand in for the second person. */
export function approversOf(rollback: Rollback, planHash: string | null, policy: Policy, now: number): string[] {
  const counting = rollback.approvals
    .filter((approval) => counts(approval, now) && (planHash === null || approval.plan === planHash))
    .filter(({ by }) => policy.approvals === 1 || rollback.trigger !== 'manual' || by !== rollback.requestedBy)
    .map(({ by }) => by);
  return [...new Set(counting)];
}

/** Whether an approval was not used up by time. */
export function counts({ expiresAt }: Approval, now: number): boolean {
  return Date.parse(expiresAt) > now;
}

/**
 * What to say when people released another plan than the one that the present head leads to; null when they did not.
 */
export function releasedOther(rollback: Rollback, plan: Plan, policy: Policy, now: number): string | null {
  const others = new Set(rollback.approvals.map((approval) => approval.plan).filter((hash) => hash !== plan.hash && hash !== ''));
  for (const hash of others) {
    if (!isReleased(rollback, hash, policy, now)) continue;
    const known = rollback.approvals.find((approval) => approval.plan === hash);
    const then = known?.about ?? `plan ${hash.slice(0, SHOWN_HASH)}`;
    return `what was approved (${then}) is not what the branch leads to now (${summaryOf(plan)}); look at it and approve it again`;
  }
  return null;
}

/** A plan in a few words. */
export function summaryOf({ kind, hash, undoes, changed }: Plan): string {
  const paths = `${changed.length} ${changed.length === 1 ? 'path' : 'paths'}`;
  return `plan ${hash.slice(0, SHOWN_HASH)}: ${kind} of ${fewOf(undoes.map(short))}, ${paths}: ${fewOf(changed)}`;
}
