import { expect, it } from 'vitest';
import { NOW, POLICY, rollbackOf } from '../../test/support/guard-facts.ts';
import { Changes } from '../changes.ts';
import { CodedError } from '../errors.ts';
import type { Repository } from '../git/port.ts';
import type { Store } from '../store/port.ts';
import type { Rollback } from './record.ts';
import { ReturnWatch } from './returning.ts';

const NEVER = new AbortController().signal;

it('5.5 tells that the bad content is back, also when the first look at that head or the telling of it failed', async () => {
  const at = new Date(NOW).toISOString();
  let rollback = rollbackOf({
    state: 'recovered',
    revertCommit: 'c'.repeat(40),
    history: [{ at, step: 'pushed', sentence: '' }],
  });
  let away: 'git' | 'store' | null = 'git';
  const told: Rollback[] = [];
  const faults: unknown[] = [];
  const record = () => ({ id: rollback.id, version: 1, createdAt: NOW, value: rollback });
  const store = {
    list: async () => ({ records: [record()], next: null }),
    get: async () => record(),
    commit: async (writes: { value: unknown }[]) => {
      if (away === 'store') throw new CodedError('store_unavailable', 'away', { retryable: true });
      rollback = writes[0]?.value as Rollback;
    },
  } as unknown as Store;
  const repository = {
    refresh: async () => ({ head: 'd'.repeat(40) }),
    contentOf: async () => {
      if (away === 'git') throw new CodedError('git_timeout', 'away', { retryable: true });
      return 'bad';
    },
  } as unknown as Repository;
  const watch = new ReturnWatch({
    store,
    clock: { now: () => NOW + 60_000 },
    changes: new Changes(),
    policies: new Map([['shop', POLICY]]),
    repositories: new Map([['deploy', repository]]),
    onMoved: (one) => told.push(one),
    onFault: (_id, error) => faults.push(error),
  });
  await watch.run(NEVER);
  away = 'store';
  await watch.run(NEVER);
  expect(faults).toHaveLength(2);
  expect(told).toHaveLength(0);
  away = null;
  await watch.run(NEVER);
  await watch.run(NEVER);
  expect(told).toHaveLength(1);
  expect(rollback.returnedAt).not.toBeNull();
});
