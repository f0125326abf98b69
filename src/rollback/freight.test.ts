import { beforeEach, describe, expect, it } from 'vitest';
import { FLEET } from '../../test/support/guard-facts.ts';
import type { Delivery, Promoted } from '../delivery/port.ts';
import { CodedError } from '../errors.ts';
import { EXAMPLES } from '../http/examples.ts';
import type { ExecutorContext } from './context.ts';
import { mayAskTool, toolFirst, waitsForTool } from './freight.ts';
import type { Policy } from './policy.ts';
import { askTool } from './promoting.ts';
import type { Rollback } from './record.ts';
import type { Switch } from './switches.ts';

const NOW = Date.parse('2026-03-01T12:00:00Z');
const BAD = 'b'.repeat(40);
const HEAD = 'e'.repeat(40);
const never = new AbortController().signal;
const there = { isGone: false, head: HEAD };

describe('the tool that promotes versions', () => {
  let now: number;
  let answer: Promoted | Error;
  let calls: object[];
  let mode: Policy['mode'];
  let stopped: Switch[];
  beforeEach(() => {
    now = NOW;
    answer = { outcome: 'promoted', sentence: 'asked' };
    calls = [];
    mode = 'rollback';
    stopped = [];
  });

  const context = (): ExecutorContext => {
    const delivery: Partial<Delivery> = {
      type: 'deployment',
      can: { observe: true, abort: false, annotate: true, sync: false },
      promotePrevious(order) {
        calls.push(order);
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
      },
    };
    const policy: Partial<Policy> = { application: 'shop', repository: 'deploy', mode };
    const parts: Partial<ExecutorContext> = {
      clock: { now: () => now },
      policies: new Map([['shop', policy as Policy]]),
      deliveries: new Map([['shop', delivery as Delivery]]),
      fleet: FLEET,
      switches: { stopping: () => Promise.resolve(stopped) } as Partial<
        ExecutorContext['switches']
      > as ExecutorContext['switches'],
      reach: () => undefined,
    };
    return parts as ExecutorContext;
  };
  const example = EXAMPLES['Rollback'] as Rollback;
  const rollback: Rollback = {
    ...example,
    id: 'rb-1',
    application: 'shop',
    branch: 'main',
    badCommit: BAD,
    state: 'proposed',
    mode: 'propose',
    aborted: 'unsupported',
    plan: { ...(example.plan as NonNullable<Rollback['plan']>), undoes: [BAD] },
    proposal: null,
    problem: null,
    history: [],
  };
  const waiting = toolFirst(rollback, NOW);
  const ask = (about: Rollback = waiting, seen = there) => askTool(context(), about, seen, never);
  const lastStep = ({ history }: Rollback) => history.at(-1)?.step;

  it('is asked only where it alone keeps a revert of one commit from being pushed', () => {
    const several = { ...rollback, plan: { ...(rollback.plan as NonNullable<Rollback['plan']>), undoes: [BAD, HEAD] } };
    expect(mayAskTool(context(), rollback, 'automation_would_undo')).toBe(true);
    expect(mayAskTool(context(), rollback, 'reaches_outside')).toBe(false);
    expect(mayAskTool(context(), several, 'automation_would_undo')).toBe(false);
    expect(waitsForTool(rollback)).toBe(false);
    expect(waitsForTool(waiting)).toBe(true);
  });

  it('is asked after the abort, and remembered once', async () => {
    const aborted = await ask({ ...waiting, aborted: 'no' });
    expect(lastStep(aborted.next)).toBe('abort_unsupported');
    expect(calls).toEqual([]);
    const first = await ask(aborted.next);
    expect(calls).toEqual([{ commit: BAD, rollback: 'rb-1' }]);
    expect(lastStep(first.next)).toBe('freight_promoted');
    expect(first.again).toBeGreaterThan(NOW);
    answer = { outcome: 'already', sentence: 'running' };
    expect((await ask(first.next)).next).toBe(first.next);
  });

  it('counts as a push of the head once the bad content is gone', async () => {
    const { next } = await ask((await ask()).next, { isGone: true, head: HEAD });
    expect(next).toMatchObject({ state: 'pushed', revertCommit: HEAD, revertRef: 'refs/heads/main' });
  });

  it.each<[string, () => void]>([
    ['it failed there', () => void (answer = { outcome: 'failed', sentence: 'Promotion x is Failed' })],
    ['something else runs', () => void (answer = { outcome: 'not_current', sentence: 'another Freight' })],
    ['a right is missing', () => void (answer = new CodedError('cluster_forbidden', 'no'))],
    ['it takes too long', () => void (now += 901_000)],
    ['the application only proposes by now', () => void (mode = 'propose')],
    [
      'a kill switch was thrown',
      () => void (stopped = [{ scope: 'global', name: null, stopped: true, reason: 'x', by: 'ada', at: '2026-03-01T00:00:00Z' }]),
    ],
  ])('leads to a pull request where %s', async (_, happen) => {
    happen();
    const { next, again } = await ask();
    expect(lastStep(next)).toBe('freight_left');
    expect(waitsForTool(next)).toBe(false);
    expect(again).toBeUndefined();
  });

  it('is asked again where the cluster is only away', async () => {
    answer = new CodedError('cluster_unreachable', 'away', { retryable: true });
    await expect(ask()).rejects.toBe(answer);
  });
});
