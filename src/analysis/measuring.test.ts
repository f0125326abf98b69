import { describe, expect, it } from 'vitest';
import type { SourceAnswer } from '../sources/port.ts';
import { noMeasurements, withTick } from './measuring.ts';
import { planOf } from './plan.ts';
import type { Template } from './template.ts';

const template: Template = {
  every: '1m',
  for: '10m',
  canary: { track: 'canary' },
  baseline: { track: 'stable' },
  metrics: {
    errors: { type: 'proportion', source: 's', total: { counter: 't' }, events: { counter: 'e' } },
    latency: { type: 'histogram', source: 's', buckets: { counter: 'b' } },
  },
};
const plan = planOf('t', template);
const count = (value: number): SourceAnswer => ({ kind: 'count', value });
const buckets = (bounds: number[], counts: number[]): SourceAnswer => ({ kind: 'buckets', bounds, counts });
const tick = (answers: Record<string, SourceAnswer>) =>
  withTick(noMeasurements(plan, true), new Map(Object.entries(answers)), { at: 60_000, warmup: 0 });

describe('measurements of a tick', () => {
  it('takes an absent series of events as 0 while the total is there', () => {
    const { measurements } = tick({ 'errors/canary/total': count(10), 'errors/canary/events': { kind: 'absent' } });
    expect(measurements.series['errors']).toMatchObject({ canary: { events: [0], total: [10] } });
  });

  it('takes an absent total as missing, never as 0', () => {
    const { measurements, missing } = tick({ 'errors/canary/total': { kind: 'absent' }, 'errors/canary/events': count(3) });
    expect(measurements.series['errors']).toMatchObject({ canary: { events: [null], total: [null] } });
    expect(missing.map(({ code }) => code)).toContain('absent');
  });

  it('takes events that could not be read as missing, not as 0', () => {
    const fault: SourceAnswer = { kind: 'missing', code: 'timeout', sentence: 'no answer' };
    const { measurements } = tick({ 'errors/canary/total': count(10), 'errors/canary/events': fault });
    expect(measurements.series['errors']).toMatchObject({ canary: { events: [null], total: [null] } });
  });

  it('takes more events than the total as missing, and says so', () => {
    const { measurements, missing } = tick({ 'errors/canary/total': count(100), 'errors/canary/events': count(5_060) });
    expect(measurements.series['errors']).toMatchObject({ canary: { events: [null], total: [null] } });
    expect(missing.map(({ code }) => code)).toContain('events_exceed_total');
    const all = tick({ 'errors/canary/total': count(100), 'errors/canary/events': count(100) });
    expect(all.measurements.series['errors']).toMatchObject({ canary: { events: [100], total: [100] } });
  });

  it('keeps the sides aligned when one of them is missing', () => {
    const { measurements } = tick({ 'errors/baseline/total': count(10), 'errors/baseline/events': count(1) });
    expect(measurements.series['errors']).toMatchObject({ canary: { total: [null] }, baseline: { events: [1], total: [10] } });
  });

  it('refuses buckets whose bounds differ between the sides', () => {
    const { measurements, missing } = tick({
      'latency/canary/buckets': buckets([1, 2], [1, 2, 3]),
      'latency/baseline/buckets': buckets([1, 3], [1, 2, 3]),
    });
    expect(measurements.series['latency']).toMatchObject({
      bounds: [1, 2],
      canary: { counts: [[1, 2, 3]] },
      baseline: { counts: [null] },
    });
    expect(missing.map(({ code }) => code)).toContain('bounds_differ');
  });

  it('leaves out the first count after a gap over the end of the warm-up, and only that one', () => {
    const read = new Map<string, SourceAnswer>([
      ['errors/canary/total', count(100)],
      ['errors/canary/events', count(50)],
    ]);
    const at = (values: ReturnType<typeof noMeasurements>, answers: Map<string, SourceAnswer>) =>
      withTick(values, answers, { at: 0, warmup: 2 }).measurements;
    let values = at(at(noMeasurements(plan, true), read), new Map());
    for (let tick = 0; tick < 3; tick += 1) values = at(values, tick === 0 ? new Map() : read);
    expect(values.series['errors']).toMatchObject({ canary: { total: [100, null, null, null, 100] } });
  });

  it('keeps a count that begins right at the end of the warm-up', () => {
    const read = new Map<string, SourceAnswer>([
      ['errors/canary/total', count(100)],
      ['errors/canary/events', count(50)],
    ]);
    let values = noMeasurements(plan, true);
    for (const answers of [read, read, new Map<string, SourceAnswer>(), read])
      values = withTick(values, answers, { at: 0, warmup: 2 }).measurements;
    expect(values.series['errors']).toMatchObject({ canary: { total: [100, 100, null, 100] } });
  });
});
