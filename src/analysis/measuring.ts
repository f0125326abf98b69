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
  return { series, times: [], cursors: {}, resumed: [] };
}

/**
 * The measurements with one more tick.
 *
 * @param answers what all sources said; a query without an answer is missing
 * @param tick.at end of the tick's window, milliseconds since the epoch
 * @param tick.warmup leading ticks that are not judged; what was counted over their end cannot be taken apart, so the
 *   first count after a gap that began in the warm-up is missing, too
 * @returns the new measurements and why something is missing, one sentence each
 */
export function withTick(
  before: Measurements,
  answers: Answers,
  tick: { at: number; warmup: number },
): { measurements: Measurements; missing: { code: string; sentence: string }[] } {
  const missing: { code: string; sentence: string }[] = [];
  const resumed = [...before.resumed];
  const series: Measurements['series'] = {};
  for (const [name, known] of Object.entries(before.series)) {
    const complain: Complain = (side, code, sentence) => {
      missing.push({ code, sentence: `${name}, ${side}: ${sentence}` });
      return null;
    };
    const leaveOut = (side: Side, values: readonly unknown[]) => {
      const key = `${name}/${side}`;
      if (!spansWarmup(values, tick.warmup) || resumed.includes(key)) return false;
      resumed.push(key);
      return true;
    };
    series[name] = extended(name, known, answers, { complain, leaveOut });
  }
  return { measurements: { ...before, series, resumed, times: [...before.times, tick.at] }, missing };
}

type Complain = (side: Side, code: string, sentence: string) => null;
interface Rules {
  complain: Complain;
  /** Whether a count that was read must be left out because it reaches back into the warm-up. */
  leaveOut: (side: Side, values: readonly unknown[]) => boolean;
}

function extended(name: string, known: MetricSeries, answers: Answers, { complain, leaveOut }: Rules): MetricSeries {
  switch (known.type) {
    case 'proportion': {
      const add = (side: Side, to: { events: (number | null)[]; total: (number | null)[] }) => {
        const read = proportionOf(name, side, answers, complain);
        const pair = read !== null && leaveOut(side, to.total) ? complain(side, ...SPANS_WARMUP) : read;
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
        } else if (leaveOut(side, to.counts)) {
          counts = complain(side, ...SPANS_WARMUP);
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

const SPANS_WARMUP: [code: string, sentence: string] = [
  'spans_warmup',
  'nothing was read at the end of the warm-up, so this count holds some of it',
];

/** Whether a count that is read now reaches back into the warm-up: every tick since then was missing. */
function spansWarmup(values: readonly unknown[], warmup: number): boolean {
  if (values.length < warmup) return false;
  const last = values.findLastIndex((value) => value !== null);
  return last + 1 < warmup;
}

/**
 * The series of the events may be absent while the total is there: that is 0 events. An absent total is missing, and so are
 * more events than the total, which were not counted over the same requests.
 */
function proportionOf(name: string, side: Side, answers: Answers, complain: Complain): { events: number; total: number } | null {
  const total = answers.get(queryId(name, side, 'total')) ?? NEVER_ASKED;
  const events = answers.get(queryId(name, side, 'events')) ?? NEVER_ASKED;
  if (total.kind !== 'count') return complain(side, ...reasonOf(total));
  if (events.kind === 'absent') return { events: 0, total: total.value };
  if (events.kind !== 'count') return complain(side, ...reasonOf(events));
  if (events.value > total.value) {
    const sentence = `there are more events (${events.value}) than the total (${total.value}); let both select the same requests`;
    return complain(side, 'events_exceed_total', sentence);
  }
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
