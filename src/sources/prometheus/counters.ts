import { hash } from 'node:crypto';
import { Type, type Static } from 'typebox';
import type { LabelSet, SampledSeries } from './answer.ts';

/** How far one counter query has been counted. */
export const CounterState = Type.Object({
  /** Milliseconds since the epoch: what lies before belongs to earlier ticks, or to the time before the analysis. */
  since: Type.Number(),
  /** Time of the last sample that was counted, in milliseconds, by target; null before the first count. */
  seen: Type.Union([Type.Record(Type.String(), Type.Number()), Type.Null()]),
});
export type CounterState = Static<typeof CounterState>;

/** What one series counted, or why that cannot be said. */
export interface SeriesCount {
  labels: LabelSet;
  /** `nothing`: no sample since the last count. `first`: one sample, and nothing that it could be compared with. */
  increase: number | 'nothing' | 'first' | 'not_a_number';
}

/** Whether a target was known by a time (milliseconds): some series of it had a sample then. */
export type KnownBy = (target: string, time: number) => boolean;

/**
 * What identifies the process that series come from. Prometheus gives each a label `instance`; series that were
 * brought in another way may have only the name of their pod.
 */
export function targetOf(labels: LabelSet): string {
  const { job = '', instance, pod = '' } = labels;
  return shortHash(JSON.stringify(instance === undefined ? [job, 'pod', pod] : [job, instance]));
}

/** The samples of a target have the same times; of series without one nothing like that is known. */
function placeOf(labels: LabelSet): string {
  return labels['instance'] === undefined
    ? shortHash(JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))))
    : targetOf(labels);
}

/** A scrape may show up this long after the time that it bears. */
const LATE_BY_MS = 15_000;

/**
 * Which targets were known by when: those that were counted before, and those that have a sample of that age in what was
 * read now.
 *
 * @param states of all counter queries of the analysis
 * @param all series that were read now
 */
export function knownTargets(states: Readonly<Record<string, CounterState>>, all: Iterable<SampledSeries>): KnownBy {
  const counted = new Set(Object.values(states).flatMap(({ seen }) => Object.keys(seen ?? {})));
  const earliest = new Map<string, number>();
  for (const { labels, times, histograms } of all) {
    const first = milliseconds(Math.min(times[0] ?? Infinity, histograms[0]?.time ?? Infinity));
    const target = targetOf(labels);
    earliest.set(target, Math.min(first, earliest.get(target) ?? Infinity));
  }
  // A target that was not counted although it was there by then can only have shown up late.
  const margin = counted.size > 0 ? LATE_BY_MS : 0;
  return (target, time) => counted.has(target) || (earliest.get(target) ?? Infinity) <= time - margin;
}

/**
 * Where counting goes on in a series: behind its last counted sample, whenever the samples after it arrived.
 *
 * - A base: the sample up to which it was counted.
 * - `from zero`: the series was born since, while its target was known before, so its first value counts.
 * - `from first`: nothing is known of the past of its target, so its first value may hold all of it.
 */
export function startOf(
  labels: LabelSet,
  times: { length: number; at: (index: number) => number },
  state: CounterState,
  knownBy: KnownBy,
): { base: number } | 'from zero' | 'from first' {
  const seen = state.seen?.[placeOf(labels)];
  // Counted before, and never seen: whatever is there has come since, even if its time lies before the last count.
  const counted = seen ?? (state.seen === null ? state.since : -Infinity);
  let base = -1;
  for (let at = 0; at < times.length && times.at(at) <= counted; at++) base = at;
  if (base >= 0) return { base };
  return knownBy(targetOf(labels), seen ?? state.since) ? 'from zero' : 'from first';
}

/**
 * Adds up what the series of one query counted since the last count. A counter that went down was reset, and its new
 * value counts. Series with the same key in `groupOf` are reset together: the buckets of one histogram.
 */
export function countSeries(
  all: readonly SampledSeries[],
  state: CounterState,
  knownBy: KnownBy,
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
    const start = startOf(labels, samples, state, knownBy);
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

export function milliseconds(time: number): number {
  return Math.round(time * 1_000);
}

/**
 * The state after a count.
 *
 * @param to end of the window, milliseconds since the epoch
 * @param forget places whose last sample is older take no part any more: it will not be read again
 */
export function counted(state: CounterState, all: readonly SampledSeries[], to: number, forget: number): CounterState {
  const seen: Record<string, number> = {};
  for (const [place, time] of Object.entries(state.seen ?? {})) if (time >= forget) seen[place] = time;
  for (const { labels, times, histograms } of all) {
    const last = milliseconds(Math.max(times.at(-1) ?? -Infinity, histograms.at(-1)?.time ?? -Infinity));
    const place = placeOf(labels);
    if (Number.isFinite(last)) seen[place] = Math.max(last, seen[place] ?? -Infinity);
  }
  return { since: to, seen };
}

/** 72 bits: enough that many thousand series do not meet by chance, few enough for a cursor that is stored every tick. */
export function shortHash(text: string): string {
  return hash('sha256', text, 'base64url').slice(0, 12);
}
