import { Type, type Static } from 'typebox';
import type { SourceAnswer, SourceQuery } from '../port.ts';
import { aggregated } from '../aggregate.ts';
import { sameBounds, sumBuckets, type BucketCounts } from '../buckets.ts';
import type { Increase } from './counters.ts';

/**
 * What was counted for a query in ticks whose answer was missing, because another target of the side could not be read.
 * It is answered with the next tick that is whole, so that nothing is lost.
 */
export const Carried = Type.Union([
  Type.Object({ count: Type.Number() }),
  Type.Object({ bounds: Type.Array(Type.Number()), counts: Type.Array(Type.Number()) }),
]);
export type Carried = Static<typeof Carried>;

export interface Missing {
  code: string;
  sentence: string;
}

/** A matching series with what it counted. */
export interface Counted {
  increase: Increase;
  /** Which histogram it belongs to, over all targets; null when it is no bucket. */
  group: string | null;
  bound: number | null;
}

export interface Outcome {
  answer: SourceAnswer;
  carry: Carried | null;
  warnings: string[];
}

const MAX_BOUNDS = 500;
export const PRIMING: Missing = {
  code: 'priming',
  sentence: 'this was the first reading of a counter; its increase is known from the next one on',
};
const NOT_A_NUMBER: Missing = { code: 'not_a_number', sentence: 'a matching series is NaN, infinite or negative' };

/**
 * @param missing why the query cannot be answered in this tick whatever the series say; null when it can
 * @param carried of the ticks before
 */
export function countAnswer(series: readonly Counted[], missing: Missing | null, carried: Carried | null): Outcome {
  const reason = missing ?? reasonIn(series);
  let sum = carried !== null && 'count' in carried ? carried.count : 0;
  for (const { increase } of series) if (typeof increase === 'number') sum += increase;
  if (reason !== null) return { answer: { kind: 'missing', ...reason }, carry: sum > 0 ? { count: sum } : null, warnings: [] };
  if (series.length === 0 && sum === 0) return { answer: { kind: 'absent' }, carry: null, warnings: [] };
  return { answer: { kind: 'count', value: sum }, carry: null, warnings: [] };
}

/** As `countAnswer`, for buckets. */
export function bucketsAnswer(series: readonly Counted[], missing: Missing | null, carried: Carried | null): Outcome {
  const reason = missing ?? reasonIn(series);
  const unusable = ({ code, sentence }: Missing): Outcome => ({
    answer: { kind: 'missing', code, sentence },
    carry: carried,
    warnings: [],
  });
  const histograms = new Map<string, Map<number, number>>();
  const incomplete = new Set<string>();
  for (const { increase, group, bound } of series) {
    if (group === null || bound === null) {
      return unusable({
        code: 'not_buckets',
        sentence: 'a matching series has no bound (le); select the series that end in _bucket',
      });
    }
    const histogram = histograms.get(group) ?? new Map<number, number>();
    histograms.set(group, histogram);
    if (typeof increase === 'number') histogram.set(bound, increase);
    else incomplete.add(group);
  }
  for (const group of incomplete) histograms.delete(group);
  if (histograms.size === 0) {
    if (reason !== null) return unusable(reason);
    if (carried === null || !('bounds' in carried)) return { answer: { kind: 'absent' }, carry: null, warnings: [] };
    return { answer: { kind: 'buckets', ...carried }, carry: null, warnings: [] };
  }
  const sum = sumBuckets(histograms.values());
  if (sum.kind === 'fault') return unusable(reason ?? sum);
  if (sum.bounds.length > MAX_BOUNDS) {
    return unusable({ code: 'too_many_buckets', sentence: `a histogram has more than ${MAX_BOUNDS} buckets` });
  }
  const warnings = sum.clamped ? ['a histogram had fewer in a bucket than in the one below it; the count was raised'] : [];
  const total = plus({ bounds: sum.bounds, counts: sum.counts }, carried, warnings);
  if (reason !== null) return { answer: { kind: 'missing', ...reason }, carry: total, warnings };
  return { answer: { kind: 'buckets', ...total }, carry: null, warnings };
}

/** @param values of all matching series */
export function gaugeAnswer(
  values: readonly number[],
  missing: Missing | null,
  aggregate: SourceQuery['aggregate'],
): SourceAnswer {
  if (missing !== null) return { kind: 'missing', ...missing };
  if (values.length === 0) return { kind: 'absent' };
  const value = aggregated(values, aggregate);
  if (!Number.isFinite(value))
    return { kind: 'missing', code: NOT_A_NUMBER.code, sentence: 'a matching series is NaN or infinite' };
  return { kind: 'gauge', value };
}

/** Why the series themselves cannot be summed up now; null when they can. */
export function reasonIn(series: readonly Counted[]): Missing | null {
  if (series.some(({ increase }) => increase === 'not_a_number')) return NOT_A_NUMBER;
  return series.some(({ increase }) => increase === 'priming') ? PRIMING : null;
}

function plus(now: BucketCounts, carried: Carried | null, warnings: string[]): BucketCounts {
  if (carried === null || !('bounds' in carried)) return now;
  if (!sameBounds(now.bounds, carried.bounds)) {
    warnings.push('the bounds of a histogram changed; what was counted before in ticks without an answer is left out');
    return now;
  }
  return { bounds: now.bounds, counts: now.counts.map((count, at) => count + (carried.counts[at] ?? 0)) };
}
