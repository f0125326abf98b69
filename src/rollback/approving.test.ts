import { describe, expect, it } from 'vitest';
import { HASH, HOUR, NOW, OTHER_HASH, POLICY, rollbackOf } from '../../test/support/guard-facts.ts';
import { codeOf } from '../errors.ts';
import { approved, refused, type ApprovalRequest } from './approving.ts';
import type { Policy } from './policy.ts';
import type { Rollback } from './record.ts';

const held = (change: Partial<Rollback> = {}) =>
  rollbackOf({ state: 'held', code: 'destructive_prune', sentence: 'it would delete a volume', ...change });
const approve = (
  rollback: Rollback,
  about: { by?: string; policy?: Policy; now?: number; request?: ApprovalRequest } = {},
): Rollback => {
  const { by = 'bob', policy = POLICY, now = NOW, request = { plan: HASH } } = about;
  return approved(rollback, request, { policy, by, now });
};
const refusalOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return codeOf(error);
  }
  return 'none';
};

describe('an approval', () => {
  it('releases the plan that was seen, for a while', () => {
    const next = approve(held());
    expect(next).toMatchObject({ state: 'planned', code: 'approved', sentence: 'approved by bob' });
    expect(next.approvals).toEqual([
      {
        by: 'bob',
        at: new Date(NOW).toISOString(),
        plan: HASH,
        expiresAt: new Date(NOW + 4 * HOUR).toISOString(),
        about: expect.stringContaining('1 path: apps/shop/rollout.yaml'),
      },
    ]);
  });

  it.each<[string, Rollback, Parameters<typeof approve>[1], string]>([
    ['of what is not held', rollbackOf({ state: 'executing' }), {}, 'rollback_not_held'],
    ['that changes nothing', held({ code: 'conflict' }), {}, 'approval_useless'],
    ['without the plan', held(), { request: {} }, 'plan_required'],
    ['of another plan', held(), { request: { plan: OTHER_HASH } }, 'plan_changed'],
    ['of a plan where there is none', held({ plan: null }), {}, 'plan_changed'],
    [
      'by who asked for it, where two are needed',
      held({ trigger: 'manual', requestedBy: 'bob' }),
      { policy: { ...POLICY, approvals: 2 } },
      'approval_needs_another',
    ],
  ])('%s is refused', (_, rollback, about, code) => {
    expect(refusalOf(() => approve(rollback, about))).toBe(code);
  });

  it('of what has no plan yet needs none', () => {
    expect(approve(held({ plan: null }), { request: {} })).toMatchObject({ state: 'planned', approvals: [{ plan: '' }] });
  });

  it('by who asked for it is enough, where one is', () => {
    expect(approve(held({ trigger: 'manual', requestedBy: 'bob' })).state).toBe('planned');
  });

  it('of two people comes one by one, and the same one twice is one', () => {
    const policy = { ...POLICY, approvals: 2 };
    const once = approve(held(), { policy });
    expect(once).toMatchObject({ state: 'held', code: 'destructive_prune' });
    expect(once.history.at(-1)).toMatchObject({ step: 'approval', sentence: 'approved by bob; 1 more person has to' });
    const again = approve(once, { policy, now: NOW + HOUR });
    expect(again.state).toBe('held');
    expect(again.approvals).toHaveLength(1);
    const both = approve(again, { policy, by: 'eve', now: NOW + 2 * HOUR });
    expect(both).toMatchObject({ state: 'planned', sentence: 'approved by bob and eve' });
  });

  it('that expired before the second one came is none', () => {
    const policy = { ...POLICY, approvals: 2 };
    const late = approve(approve(held(), { policy }), { policy, by: 'eve', now: NOW + 4 * HOUR });
    expect(late.state).toBe('held');
    expect(late.approvals.map(({ by }) => by)).toEqual(['eve']);
  });
});

describe('a refusal', () => {
  const refuse = (change: Partial<Rollback>) => refused(rollbackOf(change), { by: 'bob', reason: 'a false alarm', now: NOW });

  it('ends what is not on the remote', () => {
    expect(refuse({ state: 'held' })).toMatchObject({ state: 'refused', sentence: 'refused by bob: a false alarm' });
  });

  it.each<[Partial<Rollback>, string]>([
    [{ state: 'executing', pushStarted: new Date(NOW).toISOString() }, 'push_unconfirmed'],
    [{ state: 'pushed', revertCommit: 'c'.repeat(40) }, 'rollback_final'],
    [{ state: 'refused' }, 'rollback_final'],
  ])('of %j comes too late', (change, code) => {
    expect(refusalOf(() => refuse(change))).toBe(code);
  });
});
