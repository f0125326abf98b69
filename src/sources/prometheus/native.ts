import type { BucketCounts } from '../buckets.ts';
import type { NativeSample, SampledSeries } from './answer.ts';
import { startOf, type CounterState } from './counters.ts';
import type { Coverage } from './coverage.ts';
import { milliseconds } from './targets.ts';

/** Bounds grow by 2^(1/4), about 19 %, from 2^-17 (8 millionths) to 2^33 (9 thousand millions). */
const STEPS_PER_DOUBLING = 4;
const LEAST_POWER = -17;
const GREATEST_POWER = 33;

/**
 * Native histograms choose their bounds as they go, and leave empty buckets out; two sides over many ticks can only be
 * compared on bounds that stay. Those are every fourth root of two, which is what native histograms of schema 2 have;
 * finer ones of schema 3 and up fit in exactly, and coarser ones count at their upper bound.
 */
export const NATIVE_BOUNDS: readonly number[] = Array.from(
  { length: (GREATEST_POWER - LEAST_POWER) * STEPS_PER_DOUBLING + 1 },
  (_, step) => 2 ** (LEAST_POWER + step / STEPS_PER_DOUBLING),
);
/** The server computes the same bounds in another way, so the last digits may differ. */
const TOLERANCE = 1e-9;

export type NativeCount =
  | { kind: 'counts'; counts: Float64Array }
  /** No sample since the last count; one sample and nothing to compare it with; the buckets were merged meanwhile. */
  | { kind: 'nothing' | 'first' | 'merged' };

export function nativeBuckets(counts: Float64Array): BucketCounts {
  return { bounds: [...NATIVE_BOUNDS], counts: [...counts] };
}

/** What is in the buckets of one sample. */
export function onBounds({ buckets }: NativeSample): Float64Array {
  const counts = new Float64Array(NATIVE_BOUNDS.length + 1);
  for (const { upper, count } of buckets) {
    const place = placeOfBound(upper);
    counts[place] = (counts[place] ?? 0) + count;
  }
  return counts;
}

function placeOfBound(upper: number): number {
  let low = 0;
  let high = NATIVE_BOUNDS.length;
  const least = upper - Math.abs(upper) * TOLERANCE;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((NATIVE_BOUNDS[middle] ?? Infinity) >= least) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** As `countSeries`, for one series of native histograms. */
export function countNative({ labels, histograms }: SampledSeries, state: CounterState, coverage: Coverage): NativeCount {
  const times = { length: histograms.length, at: (index: number) => milliseconds(histograms[index]?.time ?? 0) };
  const start = startOf(labels, times, state, coverage);
  const next = typeof start === 'object' ? start.base + 1 : start === 'from zero' ? 0 : 1;
  if (next >= histograms.length) return { kind: start === 'from first' ? 'first' : 'nothing' };
  const sum = new Float64Array(NATIVE_BOUNDS.length + 1);
  let before = next === 0 ? undefined : histograms[next - 1];
  for (const sample of histograms.slice(next)) {
    const reset = before === undefined || sample.count < before.count;
    const now = onBounds(sample);
    const then = reset || before === undefined ? null : onBounds(before);
    for (let at = 0; at < now.length; at++) {
      const increase = (now[at] ?? 0) - (then?.[at] ?? 0);
      if (increase < 0) return { kind: 'merged' };
      sum[at] = (sum[at] ?? 0) + increase;
    }
    before = sample;
  }
  return { kind: 'counts', counts: sum };
}
