import { aggregated } from '../aggregate.ts';
import { sumBuckets } from '../buckets.ts';
import type { SourceAnswer, SourceQuery } from '../port.ts';
import type { SampledSeries } from './answer.ts';
import { countSeries, type CounterState } from './counters.ts';
import type { Coverage } from './coverage.ts';
import { countNative, nativeBuckets, onBounds } from './native.ts';

export interface Missing {
  code: string;
  sentence: string;
}

/**
 * - `counted`: the answer stands, and what it counted is counted.
 * - `silent`: series are there, and none has a sample since the last count; whether they are late or gone is not known.
 * - `waiting`: nothing can be said now; what is there counts when something can.
 */
export type Outcome = { kind: 'counted'; answer: SourceAnswer } | { kind: 'silent' } | ({ kind: 'waiting' } & Missing);

export const MAX_BOUNDS = 500;
export const PRIMING: Missing = {
  code: 'priming',
  sentence: 'this was the first reading of a counter; its increase is known from the next one on',
};
export const LATE: Missing = {
  code: 'no_sample',
  sentence: 'no series has a new sample yet; what it counted comes with the next one',
};
const NOT_A_NUMBER: Missing = { code: 'not_a_number', sentence: 'a matching series is NaN, infinite or negative' };
const NOT_BUCKETS: Missing = {
  code: 'not_buckets',
  sentence: 'a matching series has no bound (le) and is no native histogram; select the series that end in _bucket',
};

export function missing({ code, sentence }: Missing): SourceAnswer {
  return { kind: 'missing', code, sentence };
}

/** What a counter query counted since its last count, summed over its series. */
export function countAnswer(series: readonly SampledSeries[], state: CounterState, coverage: Coverage): Outcome {
  if (series.length === 0) return { kind: 'counted', answer: { kind: 'absent' } };
  if (series.some(({ histograms }) => histograms.length > 0)) {
    return { kind: 'waiting', code: 'not_a_counter', sentence: 'a matching series is a native histogram; ask for it as buckets' };
  }
  const counts = countSeries(series, state, coverage, () => null);
  let sum = 0;
  let known = 0;
  for (const { increase } of counts) {
    if (increase === 'not_a_number') return { kind: 'waiting', ...NOT_A_NUMBER };
    if (typeof increase !== 'number') continue;
    sum += increase;
    known++;
  }
  if (known > 0) return { kind: 'counted', answer: { kind: 'count', value: sum, series: known } };
  const fresh = counts.some(({ increase }) => increase === 'first');
  return fresh ? { kind: 'counted', answer: missing(PRIMING) } : { kind: 'silent' };
}

/** As `countAnswer`, for classic (`le`) and native histograms. */
export function bucketsAnswer(series: readonly SampledSeries[], state: CounterState, coverage: Coverage): Outcome {
  if (series.length === 0) return { kind: 'counted', answer: { kind: 'absent' } };
  const native = series.filter(({ histograms }) => histograms.length > 0);
  if (native.length > 0 && native.length < series.length) {
    return {
      kind: 'waiting',
      code: 'histograms_differ',
      sentence: 'some matching series are native histograms and some are not; select one kind',
    };
  }
  return native.length > 0 ? nativeAnswer(native, state, coverage) : classicAnswer(series, state, coverage);
}

function classicAnswer(series: readonly SampledSeries[], state: CounterState, coverage: Coverage): Outcome {
  const histograms = new Map<string, Map<number, number>>();
  let fresh = false;
  for (const { labels, increase } of countSeries(series, state, coverage, histogramOf)) {
    const bound = boundOf(labels['le']);
    if (bound === null) return { kind: 'waiting', ...NOT_BUCKETS };
    if (increase === 'not_a_number') return { kind: 'waiting', ...NOT_A_NUMBER };
    if (increase === 'first') fresh = true;
    if (typeof increase !== 'number') continue;
    const key = histogramOf(labels);
    const histogram = histograms.get(key) ?? new Map<number, number>();
    histograms.set(key, histogram.set(bound, increase));
  }
  if (histograms.size > 0) return bucketSum(histograms.values(), histograms.size);
  return fresh ? { kind: 'counted', answer: missing(PRIMING) } : { kind: 'silent' };
}

function bucketSum(histograms: Iterable<Map<number, number>>, size: number): Outcome {
  const sum = sumBuckets(histograms);
  if (sum.kind === 'fault') return { kind: 'waiting', code: sum.code, sentence: sum.sentence };
  if (sum.bounds.length > MAX_BOUNDS) {
    return { kind: 'waiting', code: 'too_many_buckets', sentence: `a histogram has more than ${MAX_BOUNDS} buckets` };
  }
  return { kind: 'counted', answer: { kind: 'buckets', bounds: sum.bounds, counts: sum.counts, series: size } };
}

function nativeAnswer(series: readonly SampledSeries[], state: CounterState, coverage: Coverage): Outcome {
  let sum: Float64Array | null = null;
  let known = 0;
  let fresh = false;
  for (const one of series) {
    const count = countNative(one, state, coverage);
    if (count.kind === 'merged') {
      const sentence =
        'a native histogram merged its buckets, so what it counted meanwhile cannot be told; the next tick goes on';
      return { kind: 'counted', answer: missing({ code: 'bounds_changed', sentence }) };
    }
    if (count.kind === 'first') fresh = true;
    if (count.kind !== 'counts') continue;
    known++;
    sum = sum === null ? count.counts : sum.map((value, at) => value + (count.counts[at] ?? 0));
  }
  if (sum !== null) return { kind: 'counted', answer: { kind: 'buckets', ...nativeBuckets(sum), series: known } };
  return fresh ? { kind: 'counted', answer: missing(PRIMING) } : { kind: 'silent' };
}

/** Labels that the buckets of one histogram share. */
function histogramOf(labels: SampledSeries['labels']): string {
  return JSON.stringify(
    Object.entries(labels)
      .filter(([name]) => name !== 'le')
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function boundOf(text: string | undefined): number | null {
  if (text === undefined || text.trim() === '') return null;
  if (/^\+?Inf$/i.test(text)) return Infinity;
  const bound = Number(text);
  return Number.isFinite(bound) ? bound : null;
}

/** The present values of gauges, as one. */
export function gaugeAnswer(series: readonly SampledSeries[], aggregate: SourceQuery['aggregate']): SourceAnswer {
  if (series.length === 0) return { kind: 'absent' };
  if (series.some(({ histograms }) => histograms.length > 0)) {
    return missing({ code: 'not_a_gauge', sentence: 'a matching series is a native histogram; ask for it as buckets' });
  }
  const value = aggregated(
    series.map(({ values }) => values.at(-1) ?? NaN),
    aggregate,
  );
  if (!Number.isFinite(value)) return missing({ code: 'not_a_number', sentence: 'a matching series is NaN or infinite' });
  return { kind: 'gauge', value, series: series.length };
}

/** The result of a finished query, which has to be one value (or one histogram) in the end. */
export function finishedAnswer(
  query: SourceQuery,
  { resultType, series, scalar }: { resultType: string; series: readonly SampledSeries[]; scalar: number },
): SourceAnswer {
  if (resultType !== 'scalar' && resultType !== 'vector') {
    const sentence = `the query yields a ${resultType === 'matrix' ? 'range of samples' : resultType || 'result of no type'}; it has to yield one number`;
    return missing({ code: 'result_unsupported', sentence });
  }
  if (query.shape === 'buckets') return finishedBuckets(series);
  if (resultType === 'vector' && series.length === 0) return { kind: 'absent' };
  if (series.length > 1) {
    const sentence = `the query yields ${series.length} series; aggregate them into one, with sum() for example`;
    return missing({ code: 'several_series', sentence });
  }
  const value = resultType === 'scalar' ? scalar : (series[0]?.values.at(-1) ?? NaN);
  if (!Number.isFinite(value)) return missing({ code: 'not_a_number', sentence: 'the query yields NaN or infinity' });
  if (query.shape === 'gauge') return { kind: 'gauge', value };
  if (value < 0) return missing({ code: 'not_a_number', sentence: 'the query yields a negative number where a count is needed' });
  return { kind: 'count', value };
}

function finishedBuckets(series: readonly SampledSeries[]): SourceAnswer {
  if (series.length === 0) return { kind: 'absent' };
  const [first] = series;
  const histogram = first?.histograms.at(-1);
  if (histogram !== undefined && series.length === 1) return { kind: 'buckets', ...nativeBuckets(onBounds(histogram)) };
  const histograms = new Map<string, Map<number, number>>();
  for (const { labels, values } of series) {
    const bound = boundOf(labels['le']);
    const value = values.at(-1) ?? NaN;
    if (bound === null) return missing(NOT_BUCKETS);
    if (!Number.isFinite(value) || value < 0) return missing(NOT_A_NUMBER);
    const key = histogramOf(labels);
    const own = histograms.get(key) ?? new Map<number, number>();
    histograms.set(key, own.set(bound, value));
  }
  const outcome = bucketSum(histograms.values(), histograms.size);
  if (outcome.kind === 'counted') return outcome.answer;
  return missing(outcome.kind === 'waiting' ? outcome : NOT_BUCKETS);
}
