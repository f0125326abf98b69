import type { LabelSet, SampledSeries } from './answer.ts';
import { milliseconds, seriesName, targetOf } from './targets.ts';

/** What is known of the targets of an analysis: when they were scraped, and which of their series ended or were reset. */
export interface Coverage {
  /** As far back as samples are read before the time from which is counted, in milliseconds. */
  readonly lookbackMs: number;
  /** Whether a target was scraped lately, or counted before. */
  knows(target: string): boolean;
  /** Time of the last sample of a target in all that was read, in milliseconds; -Infinity without one. */
  lastOf(target: string): number;
  /** Time of the last sample at which a counter of the target had gone down; -Infinity without one. */
  lastReset(target: string): number;
  /**
   * Whether a series whose first sample that was read has this time (milliseconds) was born with it, and counts from 0:
   * its target was known by `since`, or had other series of the metric before; it had a sample shortly before; and no series
   * of the metric ended at that moment, as it does where a label is added, unless the process began anew.
   */
  wasBorn(labels: LabelSet, first: number, since: number): boolean;
}

/** A scrape may show up this long after the time that it bears. */
export const LATE_BY_MS = 15_000;
const NAME = '__name__';

/** Sample times of a series, oldest first, in milliseconds. */
interface Times {
  length: number;
  at: (index: number) => number;
}

export function timesOf({ times, histograms }: SampledSeries): Times {
  return histograms.length > 0
    ? { length: histograms.length, at: (index) => milliseconds(histograms[index]?.time ?? 0) }
    : { length: times.length, at: (index) => milliseconds(times[index] ?? 0) };
}

export function lastTime(series: SampledSeries): number {
  const times = timesOf(series);
  return times.length === 0 ? -Infinity : times.at(times.length - 1);
}

/** How many samples are not behind `time` (milliseconds). */
export function samplesUpTo(series: SampledSeries, time: number): number {
  const times = timesOf(series);
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times.at(middle) <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * @param states of all counter queries of the analysis
 * @param replies the series of each answer; answers of the same moment may be one scrape apart
 */
export function coverageOf(
  states: Readonly<Record<string, { seen: Readonly<Record<string, number>> | null }>>,
  replies: readonly (readonly SampledSeries[])[],
  lookbackMs: number,
): Coverage {
  const counted = new Map<string, number>();
  for (const { seen } of Object.values(states)) {
    for (const [place, time] of Object.entries(seen ?? {})) counted.set(place, Math.max(time, counted.get(place) ?? -Infinity));
  }
  const byTarget = new Map<string, SampledSeries[][]>();
  for (const [at, reply] of replies.entries()) {
    for (const series of reply) {
      const target = targetOf(series.labels);
      const lists = byTarget.get(target) ?? replies.map(() => []);
      byTarget.set(target, lists);
      lists[at]?.push(series);
    }
  }
  // A target that was not counted although it was there by then can only have shown up late.
  const margin = counted.size > 0 ? LATE_BY_MS : 0;
  const all = (target: string) => (byTarget.get(target) ?? []).flat();
  const earliest = remembered((target) => all(target).reduce((least, series) => Math.min(least, firstTime(series)), Infinity));
  const last = remembered((target) => all(target).reduce((most, series) => Math.max(most, lastTime(series)), -Infinity));
  const lastReset = remembered((target) => all(target).reduce((most, series) => Math.max(most, resetIn(series)), -Infinity));

  function wasKnown(labels: LabelSet, target: string, first: number, since: number): boolean {
    if (counted.has(target) || earliest(target) <= since - margin) return true;
    // The series of a scrape have the same times, so one that comes after others was not there with them.
    if (labels['instance'] === undefined) return false;
    return all(target).some((series) => series.labels[NAME] === labels[NAME] && firstTime(series) < first);
  }

  function begunAnew(target: string, name: string, first: number): boolean {
    const before = all(target).map((series) => timeBefore(series, first));
    const previous = before.reduce((most, time) => Math.max(most, time), counted.get(target) ?? -Infinity);
    if (first - previous > lookbackMs) return false;
    const ended = (byTarget.get(target) ?? []).some((reply) => {
      if (!reply.some((series) => lastTime(series) >= first)) return false;
      const same = reply.filter(({ labels }) => (labels[NAME] ?? '') === name);
      const latest = same.reduce((most, series) => Math.max(most, timeBefore(series, first)), -Infinity);
      return same.some((series) => lastTime(series) < first && lastTime(series) === latest);
    });
    return !ended || all(target).some((series) => resetIn(series, previous, first) > -Infinity);
  }
  const known = new Map<string, boolean>();

  return {
    lookbackMs,
    knows: (target) => counted.has(target) || byTarget.has(target),
    lastOf: last,
    lastReset,
    wasBorn(labels, first, since) {
      const target = targetOf(labels);
      const name = labels[NAME] ?? '';
      const key = `${target} ${name} ${first} ${since}`;
      const born = known.get(key) ?? (wasKnown(labels, target, first, since) && begunAnew(target, name, first));
      known.set(key, born);
      return born;
    },
  };
}

function remembered(compute: (target: string) => number): (target: string) => number {
  const known = new Map<string, number>();
  return (target) => {
    const value = known.get(target) ?? compute(target);
    known.set(target, value);
    return value;
  };
}

/** Time of the last sample behind `after` and up to `to` that was less than the one before it; -Infinity without one. */
function resetIn(series: SampledSeries, after = -Infinity, to = Infinity): number {
  const { histograms, values } = series;
  const valueAt = (at: number) => histograms[at]?.count ?? values[at] ?? NaN;
  for (let at = samplesUpTo(series, to) - 1; at > 0; at--) {
    const time = timesOf(series).at(at);
    if (time <= after) break;
    if (valueAt(at) < valueAt(at - 1)) return time;
  }
  return -Infinity;
}

function firstTime(series: SampledSeries): number {
  const times = timesOf(series);
  return times.length === 0 ? Infinity : times.at(0);
}

function timeBefore(series: SampledSeries, time: number): number {
  const count = samplesUpTo(series, time - 1);
  return count === 0 ? -Infinity : timesOf(series).at(count - 1);
}

/** Series that ended while their target goes on, and will not be read again: by target, with the time of their last sample. */
export type Gone = Record<string, Record<string, number>>;

/**
 * The series that ended while their target went on, without a restart that explains it. Should one come back, its value is
 * that of a long past.
 *
 * @param forget samples that are older will not be read again, in milliseconds
 */
export function goneAfter(
  before: Gone | undefined,
  series: readonly SampledSeries[],
  forget: number,
  coverage: Coverage,
): Gone | undefined {
  const gone: Gone = {};
  const keep = (target: string, name: string, time: number) => {
    if (coverage.lastReset(target) <= time) (gone[target] ??= {})[name] = time;
  };
  const here = new Set<string>();
  for (const one of series) {
    const target = targetOf(one.labels);
    const time = lastTime(one);
    const name = seriesName(one.labels);
    here.add(name);
    if (time < forget && time < coverage.lastOf(target)) keep(target, name, time);
  }
  for (const [target, names] of Object.entries(before ?? {})) {
    if (!coverage.knows(target)) continue;
    for (const [name, time] of Object.entries(names)) if (!here.has(name)) keep(target, name, time);
  }
  return Object.keys(gone).length === 0 ? undefined : gone;
}
