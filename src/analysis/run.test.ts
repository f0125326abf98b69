import { describe, expect, it } from 'vitest';
import type { Analysis } from './record.ts';
import { isFinal } from './record.ts';
import { merged, missedTicks, started, tickTime } from './run.ts';

const START = Date.parse('2026-01-01T00:00:00.000Z');
const pending: Analysis = {
  id: 'a',
  kind: 'release',
  application: 'shop',
  revision: 'a'.repeat(40),
  template: 't',
  judge: 'exact',
  arguments: {},
  phase: 'Pending',
  verdict: null,
  code: 'queued',
  sentence: '',
  ticks: { planned: 30, done: 0, warmup: 3, everyMs: 60_000 },
  createdAt: new Date(START - 5_000).toISOString(),
  startedAt: null,
  endedAt: null,
  nextTickAt: null,
  judgement: null,
  warnings: [],
  rollback: null,
};

describe('the run of an analysis', () => {
  it('counts ticks from the first look, not from the request', () => {
    const running = started(pending, START);
    expect(running.phase).toBe('Running');
    expect(tickTime(running, 3)).toBe(START + 180_000);
  });

  it('ends its windows at multiples of the period, the first one whole and after the start', () => {
    const running = started(pending, START + 12_345);
    expect(tickTime(running, 0)).toBe(START + 60_000);
    expect(running.nextTickAt).toBe(new Date(START + 120_000).toISOString());
    expect(missedTicks(running, START + 120_000)).toBe(0);
  });

  it('misses no tick when it looks in time or a little late', () => {
    const running = { ...started(pending, START), ticks: { ...pending.ticks, done: 4 } };
    expect(missedTicks(running, tickTime(running, 5))).toBe(0);
    expect(missedTicks(running, tickTime(running, 5) + 59_000)).toBe(0);
  });

  it('says how many ticks passed unseen', () => {
    const running = { ...started(pending, START), ticks: { ...pending.ticks, done: 4 } };
    expect(missedTicks(running, tickTime(running, 8) + 1_000)).toBe(3);
  });

  it('never counts past the end of the plan', () => {
    const running = { ...started(pending, START), ticks: { ...pending.ticks, done: 4 } };
    expect(missedTicks(running, tickTime(running, 500))).toBe(25);
  });

  it('keeps each warning once and not without end', () => {
    expect(merged(['a'], ['a', 'b'])).toEqual(['a', 'b']);
    expect(
      merged(
        [],
        Array.from({ length: 1_000 }, (_, at) => `w${at}`),
      ),
    ).toHaveLength(50);
  });

  it('knows which phases are final', () => {
    expect((['Pending', 'Running'] as const).map(isFinal)).toEqual([false, false]);
    expect((['Successful', 'Failed', 'Inconclusive', 'Error', 'Cancelled'] as const).every(isFinal)).toBe(true);
  });
});
