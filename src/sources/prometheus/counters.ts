import { Type, type Static } from 'typebox';
import type { LabelSet, SampledSeries } from './answer.ts';
import { goneAfter, lastTime, type Coverage } from './coverage.ts';
import { milliseconds, placeOf, seriesName, targetOf } from './targets.ts';

/** How far one counter query has been counted. */
export const CounterState = Type.Object({
  /** Milliseconds since the epoch: what lies before belongs to earlier ticks, or to the time before the analysis. */
  since: Type.Number(),
  /** Time of the last sample that was counted, in milliseconds, by target; null before the first count. */
  seen: Type.Union([Type.Record(Type.String(), Type.Number()), Type.Null()]),
  /** Series that ended while their target went on, by target, with the time of their last sample. */
  gone: Type.Optional(Type.Record(Type.String(), Type.Record(Type.String(), Type.Number()))),
});
export type CounterState = Static<typeof CounterState>;

/** What one series counted, or why that cannot be said. */
export interface SeriesCount {
  labels: LabelSet;
  /** `nothing`: no sample since the last count. `first`: one sample, and nothing that it could be compared with. */
  increase: number | 'nothing' | 'first' | 'not_a_number';
}

/**
 * Where counting goes on in a series: behind its last counted sample, whenever the samples after it arrived.
 *
 * - A base: the sample up to which it was counted.
 * - `from zero`: the series was born since, while its target was scraped all the time, so its first value counts.
 * - `from first`: its past is not known, and its first value may hold all of it: its target is new, was not read for
 *   longer than samples are kept track of, or the series was there before under other labels or ended meanwhile.
 */
export function startOf(
  labels: LabelSet,
  times: { length: number; at: (index: number) => number },
  state: CounterState,
  coverage: Coverage,
): { base: number } | 'from zero' | 'from first' {
  const seen = state.seen?.[placeOf(labels)];
  // Counted before, and never seen: whatever is there has come since, even if its time lies before the last count.
  const counted = seen ?? (state.seen === null ? state.since : -Infinity);
  let base = -1;
  for (let at = 0; at < times.length && times.at(at) <= counted; at++) base = at;
  if (base >= 0) return { base };
  if (times.length === 0) return 'from zero';
  const outOfReach = seen !== undefined && seen < state.since - coverage.lookbackMs;
  const wasThere = state.gone?.[targetOf(labels)]?.[seriesName(labels)] !== undefined;
  if (outOfReach || wasThere) return 'from first';
  return coverage.wasBorn(labels, times.at(0), seen ?? state.since) ? 'from zero' : 'from first';
}

/**
 * Adds up what the series of one query counted since the last count. A counter that went down was reset, and its new
 * value counts. Series with the same key in `groupOf` are reset together: the buckets of one histogram.
 */
export function countSeries(
  all: readonly SampledSeries[],
  state: CounterState,
  coverage: Coverage,
  groupOf: (labels: LabelSet) => string | null,
): SeriesCount[] {
  const usable = all.map(finiteSamples);
  const resets = new Map<string, Set<number>>();
  for (const [index, { labels }] of all.entries()) {
    const group = groupOf(labels);
    const samples = usable[index];
    if (group === null || samples === undefined) continue;
    const times = resets.get(group) ?? new Set();
    resets.set(group, times);
    for (let at = 1; at < samples.length; at++) if (samples.value(at) < samples.value(at - 1)) times.add(samples.at(at));
  }
  return all.map(({ labels }, index): SeriesCount => {
    const samples = usable[index];
    if (samples === undefined) return { labels, increase: 'not_a_number' };
    const start = startOf(labels, samples, state, coverage);
    const reset = resets.get(groupOf(labels) ?? '');
    let at = typeof start === 'object' ? start.base + 1 : 0;
    if (at >= samples.length) return { labels, increase: samples.strangeEnd ? 'not_a_number' : 'nothing' };
    let sum = 0;
    if (typeof start === 'string') {
      if (start === 'from zero') sum = samples.value(0);
      else if (samples.length === 1) return { labels, increase: samples.strangeEnd ? 'not_a_number' : 'first' };
      at = 1;
    }
    for (; at < samples.length; at++) {
      const value = samples.value(at);
      const before = samples.value(at - 1);
      sum += value < before || reset?.has(samples.at(at)) === true ? value : value - before;
    }
    return { labels, increase: samples.strangeEnd ? 'not_a_number' : sum };
  });
}

interface Samples {
  length: number;
  /** Milliseconds since the epoch. */
  at: (index: number) => number;
  value: (index: number) => number;
  /** The last sample is no count: what was counted is not known now, and will be when a count follows. */
  strangeEnd: boolean;
}

function finiteSamples({ times, values }: SampledSeries): Samples {
  const kept: number[] = [];
  for (let at = 0; at < values.length; at++) if (isCount(values[at] ?? NaN)) kept.push(at);
  return {
    length: kept.length,
    at: (index) => milliseconds(times[kept[index] ?? 0] ?? 0),
    value: (index) => values[kept[index] ?? 0] ?? 0,
    strangeEnd: values.length > 0 && kept.at(-1) !== values.length - 1,
  };
}

function isCount(value: number): boolean {
  return Number.isFinite(value) && value >= 0;
}

/**
 * The state after a count.
 *
 * @param to end of the window, milliseconds since the epoch
 * @param forget places whose last sample is older take no part any more: it will not be read again
 */
export function counted(
  state: CounterState,
  all: readonly SampledSeries[],
  { to, forget }: { to: number; forget: number },
  coverage: Coverage,
): CounterState {
  const seen: Record<string, number> = {};
  for (const [place, time] of Object.entries(state.seen ?? {})) if (time >= forget) seen[place] = time;
  for (const series of all) {
    const last = lastTime(series);
    const place = placeOf(series.labels);
    if (Number.isFinite(last)) seen[place] = Math.max(last, seen[place] ?? -Infinity);
  }
  const gone = goneAfter(state.gone, all, forget, coverage);
  return { since: to, seen, ...(gone !== undefined && { gone }) };
}
