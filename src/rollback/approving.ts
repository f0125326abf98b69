import { Type, type Static } from 'typebox';
import { CodedError } from '../errors.ts';
import { approversOf, counts, isReleased, summaryOf } from './guards/approval.ts';
import type { Policy } from './policy.ts';
import type { Approval, Rollback } from './record.ts';
import { moved, noted } from './transitions.ts';

/** Releases what was seen, and nothing else. */
export const ApprovalRequest = Type.Object(
  {
    plan: Type.Optional(
      Type.String({
        pattern: '^[0-9a-f]{64}$',
        description: '`plan.hash` of the rollback, as it was seen. Left out only where it has no plan.',
      }),
    ),
  },
  {
    additionalProperties: false,
    $id: 'ApprovalRequest',
    examples: [{ plan: '1f0a7c5d9e2b4a6c8d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e' }],
  },
);
export type ApprovalRequest = Static<typeof ApprovalRequest>;

/** What no approval can change: Git itself cannot do it, or half of a commit would be reverted. */
const NOT_APPROVABLE: ReadonlySet<string> = new Set(['conflict', 'reaches_outside']);

/**
 * The record with one person's approval. It is planned anew when enough different people have approved the same plan;
 * else it stays held.
 *
 * @throws CodedError `rollback_not_held`, `approval_useless`, `plan_required`, `plan_changed`, `approval_needs_another`
 */
export function approved(
  rollback: Rollback,
  request: ApprovalRequest,
  about: { policy: Policy; by: string; now: number },
): Rollback {
  const { policy, by, now } = about;
  const { plan, state, code } = rollback;
  if (state !== 'held') {
    throw new CodedError('rollback_not_held', `the rollback is ${state} (${code}), there is nothing to approve`);
  }
  if (NOT_APPROVABLE.has(code)) {
    const sentence = `an approval cannot help here: ${rollback.sentence}; refuse this rollback when it is done`;
    throw new CodedError('approval_useless', sentence);
  }
  if (plan !== null && request.plan === undefined) {
    const sentence = `name the plan that you have seen: {"plan": "${plan.hash}"}, if it is ${summaryOf(plan)}`;
    throw new CodedError('plan_required', sentence);
  }
  if ((plan?.hash ?? '') !== (request.plan ?? '')) {
    const sentence = plan === null ? 'the rollback has no plan by now' : `the plan is another one by now, ${summaryOf(plan)}`;
    throw new CodedError('plan_changed', `${sentence}; look at it and approve it again`);
  }
  if (policy.approvals > 1 && rollback.trigger === 'manual' && by === rollback.requestedBy) {
    const sentence = `${by} asked for this rollback, and ${policy.approvals} other people have to approve it`;
    throw new CodedError('approval_needs_another', sentence);
  }
  const approval: Approval = {
    by,
    at: new Date(now).toISOString(),
    plan: plan?.hash ?? '',
    expiresAt: new Date(now + policy.approvalFor).toISOString(),
    ...(plan !== null && { about: summaryOf(plan) }),
  };
  const others = rollback.approvals.filter((one) => counts(one, now) && !(one.by === by && one.plan === approval.plan));
  const next: Rollback = { ...rollback, approvals: [...others, approval].slice(-MOST_APPROVALS) };
  if (isReleased(next, approval.plan, policy, now)) {
    const names = approversOf(next, approval.plan, policy, now).join(' and ');
    return moved(next, { state: 'planned', code: 'approved', sentence: `approved by ${names}` }, now);
  }
  const missing = policy.approvals - approversOf(next, approval.plan, policy, now).length;
  return noted(next, 'approval', `approved by ${by}; ${missing} more ${missing === 1 ? 'person has' : 'people have'} to`, now);
}

const MOST_APPROVALS = 10;

/**
 * A person's no is a no.
 * @throws CodedError `rollback_final` (pushed or ended already), `push_unconfirmed`
 */
export function refused(rollback: Rollback, about: { by: string; reason: string; now: number }): Rollback {
  const { by, reason, now } = about;
  if (rollback.pushStarted !== null) {
    const sentence = 'its push was begun and the branch was not read since, so it may be on the remote; look again in a moment';
    throw new CodedError('push_unconfirmed', sentence);
  }
  if (rollback.revertCommit !== null || !['planned', 'held', 'executing'].includes(rollback.state)) {
    throw new CodedError('rollback_final', `the rollback is ${rollback.state} already; to undo it, revert its commit in Git`);
  }
  return moved(rollback, { state: 'refused', code: 'refused', sentence: `refused by ${by}: ${reason}` }, now);
}
