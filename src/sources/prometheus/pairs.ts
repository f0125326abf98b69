import type { QueryAnswer, SampledSeries } from './answer.ts';
import { LATE, PRIMING, missing, type Missing } from './answers.ts';
import { LATE_BY_MS, lastTime, samplesUpTo, timesOf, type Coverage } from './coverage.ts';
import type { Asked } from './questions.ts';
import { advanced, catchUp, lateOrGone, seriesOf, settledBy, type Reply, type Settled, type Tick } from './settling.ts';
import { targetOf } from './targets.ts';

/** One part of a proportion with what was answered to it. */
export interface Part {
  one: Asked;
  reply: Reply;
  /** Values at the end of the window, from which series that have ended are left out. */
  present: () => Promise<Reply>;
}

/** The two parts of a proportion, of one side. */
export interface Pair {
  total: Part;
  events: Part;
}

/** The pairs by metric, one for each side, and what is asked by itself. */
export function pairedUp(parts: readonly Part[]): { metrics: Pair[][]; single: Part[] } {
  const keyOf = ({ metric, side }: { metric: string; side: string }) => JSON.stringify([metric, side]);
  const events = new Map<string, Part>();
  for (const part of parts) {
    const { pair } = part.one.query;
    if (pair?.part === 'events') events.set(keyOf(pair), part);
  }
  const metrics = new Map<string, Pair[]>();
  const inPairs = new Set<Part>();
  for (const total of parts) {
    const { pair } = total.one.query;
    const other = pair?.part === 'total' ? events.get(keyOf(pair)) : undefined;
    if (pair === undefined || other === undefined) continue;
    metrics.set(pair.metric, [...(metrics.get(pair.metric) ?? []), { total, events: other }]);
    inPairs.add(total).add(other);
  }
  return { metrics: [...metrics.values()], single: parts.filter((part) => !inPairs.has(part)) };
}

/**
 * What the parts of a proportion are answered with, on all sides. Their counting goes on together or not at all: were the
 * total counted in one tick and its events in another one, the total would be lost with the tick and the events would
 * not. The same holds for the sides, which are only compared in ticks that both have.
 *
 * - On each target total and events are counted up to the last sample that both have. A target without series of events has
 *   none, as long as its total was scraped.
 * - When one of them cannot be counted now, all are missing and stay where they were; the next tick counts all from there.
 * - Where counting only begins, both parts begin, so that neither holds a time that the other does not.
 */
export async function settleTogether(pairs: readonly Pair[], tick: Tick, coverage: Coverage): Promise<[Asked, Settled][]> {
  const settled: { part: Part; result: Settled }[] = [];
  let reason: Missing | null = null;
  for (const { total, events } of pairs) {
    const common = commonEnd(seriesOf(total.one, total.reply), seriesOf(events.one, events.reply), tick.window.to);
    const base = await settledPart(total, common, tick, coverage);
    const some = await settledPart(events, common, tick, coverage, targetsOf(total));
    reason ??= whyNot(base, some);
    const begins = [base, some].find(isPriming)?.answer;
    for (const [part, { answer, state }] of [[total, base] as const, [events, some] as const]) {
      settled.push({ part, result: { answer: answer.kind === 'count' ? (begins ?? answer) : answer, state } });
    }
  }
  if (reason === null) return settled.map(({ part, result }) => [part.one, result]);
  const { code, sentence } = reason;
  const later = missing({ code, sentence: `counted later, with what is missing now: ${sentence}` });
  const skips = settled.some(({ part: { reply } }) => 'fault' in reply && reply.fault.code === 'body_too_large');
  return settled.map(({ part: { one }, result: { answer } }) => {
    const before = catchUp(one, tick);
    const state = skips && before !== null ? { ...before, since: tick.window.to } : before;
    return [one, { answer: answer.kind === 'count' ? later : answer, state }];
  });
}

/** Why the two parts of a side cannot be counted now, but later; null when they can, or never will. */
function whyNot(total: Settled, events: Settled): Missing | null {
  for (const settled of [total, events]) {
    if (settled.answer.kind === 'missing' && !isPriming(settled)) return settled.answer;
  }
  const without = total.answer.kind === 'absent' && events.answer.kind === 'count' && events.answer.value > 0;
  return without ? LATE : null;
}

/** @param covered of the events: targets whose total was read */
async function settledPart(
  { one, reply, present }: Part,
  common: ReadonlyMap<string, number>,
  tick: Tick,
  coverage: Coverage,
  covered: ReadonlySet<string> = new Set(),
): Promise<Settled> {
  if (one.selector === null || 'fault' in reply) {
    const settled = settledBy(one, reply, tick, coverage);
    return settled === 'silent' ? { answer: missing(LATE), state: catchUp(one, tick) } : settled;
  }
  const all = seriesOf(one, reply);
  const series = all.flatMap((each) => upTo(each, common.get(targetOf(each.labels)) ?? Infinity));
  const nothingLost = all.every(({ labels }) => covered.has(targetOf(labels)));
  if (series.length === 0 && all.length > 0 && !nothingLost) return { answer: missing(LATE), state: catchUp(one, tick) };
  const answer: QueryAnswer = { ...reply.answer, series };
  const settled = settledBy(one, { answer }, tick, coverage);
  if (settled !== 'silent' && !isPriming(settled)) return settled;
  if (all.length > 0 && nothingLost) return { answer: { kind: 'count', value: 0 }, state: advanced(one, series, tick, coverage) };
  return settled === 'silent' ? lateOrGone(one, { answer }, await present(), tick, coverage) : settled;
}

function isPriming({ answer }: Settled): boolean {
  return answer.kind === 'missing' && answer.code === PRIMING.code;
}

function targetsOf({ one, reply }: Part): Set<string> {
  return new Set(seriesOf(one, reply).map(({ labels }) => targetOf(labels)));
}

/**
 * Until when both parts are counted, by target, where one of them has samples that the other one may still get. A part
 * that has not got them for longer than a scrape may be late has ended, and holds the other one up no more.
 */
function commonEnd(total: readonly SampledSeries[], events: readonly SampledSeries[], to: number): ReadonlyMap<string, number> {
  const [totals, parts] = [byTarget(total), byTarget(events)];
  const ends = new Map<string, number>();
  for (const [target, series] of totals) {
    const others = parts.get(target);
    if (others === undefined) continue;
    const [one, other] = [endOf(series), endOf(others)];
    if (one === other) continue;
    const end = Math.min(one, other);
    const lacked = firstBehind(one > other ? series : others, end);
    if (lacked > to - LATE_BY_MS) ends.set(target, end);
  }
  return ends;
}

function byTarget(all: readonly SampledSeries[]): Map<string, SampledSeries[]> {
  const targets = new Map<string, SampledSeries[]>();
  for (const series of all) {
    const target = targetOf(series.labels);
    const known = targets.get(target);
    if (known === undefined) targets.set(target, [series]);
    else known.push(series);
  }
  return targets;
}

function endOf(all: readonly SampledSeries[]): number {
  return all.reduce((most, series) => Math.max(most, lastTime(series)), -Infinity);
}

function firstBehind(all: readonly SampledSeries[], time: number): number {
  return all.reduce((least, series) => {
    const times = timesOf(series);
    const next = samplesUpTo(series, time);
    return next < times.length ? Math.min(least, times.at(next)) : least;
  }, Infinity);
}

/** The series up to a time, in milliseconds; none when all of its samples are later. */
function upTo(series: SampledSeries, end: number): SampledSeries[] {
  if (end === Infinity) return [series];
  const { labels, times, values, histograms } = series;
  const count = samplesUpTo(series, end);
  if (count === 0) return [];
  return [{ labels, times: times.subarray(0, count), values: values.subarray(0, count), histograms: histograms.slice(0, count) }];
}
