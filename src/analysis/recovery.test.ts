import { describe, expect, it } from 'vitest';
import { exactJudge } from '../judges/exact/exact.ts';
import type { MetricSeries } from '../judges/series.ts';
import type { Measurements } from './record.ts';
import { anythingMeasured, recoverySentence, recoverySeries } from './recovery.ts';

const TICKS = 5;
const kept = (series: Record<string, MetricSeries>): Measurements => ({ series, times: [], cursors: {}, resumed: [] });
const repeat = <T>(value: T, times = TICKS) => Array.from({ length: times }, () => value);

const before = kept({
  errors: {
    type: 'proportion',
    canary: { events: repeat(300, 4), total: repeat(1_000, 4) },
    baseline: { events: repeat(90, 4), total: repeat(9_000, 4) },
  },
  latency: {
    type: 'histogram',
    bounds: [0.1, 0.5],
    canary: { counts: repeat([10, 10, 980], 4) },
    baseline: { counts: repeat([8_000, 900, 100], 4) },
  },
});
const now = (events: number, counts: number[]) =>
  kept({
    errors: { type: 'proportion', canary: { events: repeat(events), total: repeat(10_000) }, baseline: null },
    latency: { type: 'histogram', bounds: [0.1, 0.5], canary: { counts: repeat(counts) }, baseline: null },
  });

function judge(measured: Measurements, then: Measurements | null) {
  const series = recoverySeries(measured, then);
  return exactJudge.judge({
    metrics: Object.entries(series).map(([name, one]) => ({
      name,
      series: one,
      parameters: { tolerate: 0.1, limit: null, quantileLimits: [], passBelow: 0.001, role: 'normal' },
    })),
    falseRollbacks: 0.01,
    warmup: 1,
    planned: TICKS + 1,
    ended: true,
  });
}

describe('the check whether the metrics came back', () => {
  it('says yes when everybody is served as the healthy side was', () => {
    const judgement = judge(now(100, [8_880, 1_000, 120]), before);
    expect(judgement.verdict).toBe('pass');
    expect(recoverySentence(judgement)).toContain('errors 1 % now, 1 % on the healthy side before');
  });

  it('says no when the errors are still there', () => {
    expect(judge(now(3_000, [8_880, 1_000, 120]), before)).toMatchObject({ verdict: 'fail', decidedBy: 'errors' });
  });

  it('says no when it is still slow', () => {
    expect(judge(now(100, [1_000, 1_000, 8_000]), before)).toMatchObject({ verdict: 'fail', decidedBy: 'latency' });
  });

  it('never says no where there is nothing to compare with', () => {
    expect(judge(now(3_000, [1_000, 1_000, 8_000]), null).verdict).not.toBe('fail');
  });

  it('compares no histograms whose bounds differ', () => {
    const other = kept({
      latency: { type: 'histogram', bounds: [1, 2], canary: { counts: [] }, baseline: { counts: [[1, 2, 3]] } },
    });
    expect(recoverySeries(now(1, [1, 1, 1]), other)['latency']?.baseline).toBeNull();
  });

  it('knows when nothing was measured', () => {
    const nothing: MetricSeries = { type: 'proportion', canary: { events: [null, null], total: [null, 0] }, baseline: null };
    expect(anythingMeasured(kept({ errors: nothing }))).toBe(false);
    expect(anythingMeasured(now(0, [1, 0, 0]))).toBe(true);
  });
});
