import type { MetricSeries } from '../judges/series.ts';
import type { SourceAnswer } from '../sources/port.ts';
import { queryId, type AnalysisPlan, type Side } from './plan.ts';
import type { Measurements } from './record.ts';

type Answers = ReadonlyMap<string, SourceAnswer>;
const NEVER_ASKED: SourceAnswer = { kind: 'missing', code: 'not_read', sentence: 'the source was not read in this tick' };

export function noMeasurements(plan: AnalysisPlan, withBaseline: boolean): Measurements {
  const series: Measurements['series'] = {};
  for (const { name, spec } of plan.metrics) {
    switch (spec.type) {
      case 'proportion':
        series[name] = {
          type: 'proportion',
          canary: { events: [], total: [] },
          baseline: withBaseline ? { events: [], total: [] } : null,
        };
        break;
      case 'histogram':
        series[name] = { type: 'histogram', bounds: [], canary: { counts: [] }, baseline: withBaseline ? { counts: [] } : null };
        break;
      case 'gauge':
        series[name] = { type: 'gauge', canary: [], baseline: withBaseline ? [] : null };
        break;
    }
  }
  return { series, times: [], cursors: {} };
}

/**
 * The measurements with one more tick.
 *
 * @param answers what all sources said; a query without an answer is missing
 * @param at end of the tick's window, milliseconds since the epoch
 * @returns the new measurements and why something is missing, one sentence each
 */
export function withTick(
  before: Measurements,
  answers: Answers,
  at: number,
): { measurements: Measurements; missing: { code: string; sentence: string }[] } {
  const missing: { code: string; sentence: string }[] = [];
  const series: Measurements['series'] = {};
  for (const [name, known] of Object.entries(before.series)) {
    const complain = (side: Side, code: string, sentence: string) => {
      missing.push({ code, sentence: `${name}, ${side}: ${sentence}` });
      return null;
    };
    series[name] = extended(name, known, answers, complain);
  }
  return { measurements: { ...before, series, times: [...before.times, at] }, missing };
}

/** Ticks that were due while nobody looked: nothing is known of them, which is not the same as 0. */
export function withMissedTicks(before: Measurements, times: readonly number[]): Measurements {
  let after = before;
  for (const at of times) after = withTick(after, new Map(), at).measurements;
  return after;
}

type Complain = (side: Side, code: string, sentence: string) => null;

function extended(name: string, known: MetricSeries, answers: Answers, complain: Complain): MetricSeries {
  switch (known.type) {
    case 'proportion': {
      const add = (side: Side, to: { events: (number | null)[]; total: (number | null)[] }) => {
        const pair = proportionOf(name, side, answers, complain);
        return { events: [...to.events, pair?.events ?? null], total: [...to.total, pair?.total ?? null] };
      };
      return {
        ...known,
        canary: add('canary', known.canary),
        baseline: known.baseline === null ? null : add('baseline', known.baseline),
      };
    }
    case 'histogram': {
      let bounds = known.bounds;
      const add = (side: Side, to: { counts: (number[] | null)[] }) => {
        const answer = answers.get(queryId(name, side, 'buckets')) ?? NEVER_ASKED;
        let counts: number[] | null;
        if (answer.kind !== 'buckets') {
          counts = complain(side, ...reasonOf(answer));
        } else if (bounds.length === 0 || sameBounds(bounds, answer.bounds)) {
          bounds = answer.bounds;
          counts = answer.counts;
        } else {
          counts = complain(
            side,
            'bounds_differ',
            'the bounds of the buckets differ from those of the other side or of earlier ticks',
          );
        }
        return { counts: [...to.counts, counts] };
      };
      const canary = add('canary', known.canary);
      const baseline = known.baseline === null ? null : add('baseline', known.baseline);
      return { type: 'histogram', bounds, canary, baseline };
    }
    case 'gauge': {
      const add = (side: Side, to: (number | null)[]) => {
        const answer = answers.get(queryId(name, side, 'value')) ?? NEVER_ASKED;
        return [
          ...to,
          answer.kind === 'gauge' && Number.isFinite(answer.value) ? answer.value : complain(side, ...reasonOf(answer)),
        ];
      };
      return {
        ...known,
        canary: add('canary', known.canary),
        baseline: known.baseline === null ? null : add('baseline', known.baseline),
      };
    }
  }
}

/** The series of the events may be absent while the total is there: that is 0 events. An absent total is missing. */
function proportionOf(name: string, side: Side, answers: Answers, complain: Complain): { events: number; total: number } | null {
  const total = answers.get(queryId(name, side, 'total')) ?? NEVER_ASKED;
  const events = answers.get(queryId(name, side, 'events')) ?? NEVER_ASKED;
  if (total.kind !== 'count') return complain(side, ...reasonOf(total));
  if (events.kind === 'absent') return { events: 0, total: total.value };
  if (events.kind !== 'count') return complain(side, ...reasonOf(events));
  return { events: events.value, total: total.value };
}

function reasonOf(answer: SourceAnswer): [code: string, sentence: string] {
  switch (answer.kind) {
    case 'missing':
      return [answer.code, answer.sentence];
    case 'absent':
      return ['absent', 'the source has no series for the query'];
    default:
      return ['wrong_shape', `the source answered with a ${answer.kind}, which this metric cannot use`];
  }
}

function sameBounds(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((bound, index) => bound === other[index]);
}
