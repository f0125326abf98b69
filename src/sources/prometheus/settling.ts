import type { SourceAnswer } from '../port.ts';
import type { QueryAnswer, SampledSeries } from './answer.ts';
import { LATE, bucketsAnswer, countAnswer, finishedAnswer, gaugeAnswer, missing, type Missing } from './answers.ts';
import { counted, type CounterState } from './counters.ts';
import type { Coverage } from './coverage.ts';
import { belongs, type Asked, type Group } from './questions.ts';

/** `notes`: what the server said with a partial answer, which is a fault. */
export type Reply = { answer: QueryAnswer } | { fault: Missing; notes?: readonly string[] };

export interface Read {
  group: Group;
  reply: Reply;
}

export interface Tick {
  /** Milliseconds since the epoch. */
  window: { from: number; to: number };
  /** How far each counter query had been counted, by its key. */
  before: Readonly<Record<string, CounterState>>;
  lookbackMs: number;
}

export interface Settled {
  answer: SourceAnswer;
  /** How far the query has been counted now; null for what does not count. */
  state: CounterState | null;
}

/** What could not be counted for longer than this is left out: the samples of the time would be too many. */
const LONGEST_CATCH_UP_MS = 3_600_000;

/**
 * Where the counting of a query goes on; null for what does not count. Without a state, or with one from a later window,
 * the window is counted for itself.
 */
export function catchUp({ key, query }: Asked, { window, before }: Tick): CounterState | null {
  if (query.shape === 'gauge') return null;
  const state = before[key];
  if (state === undefined || state.since > window.from) return { since: window.from, seen: null };
  return { ...state, since: Math.max(state.since, window.to - LONGEST_CATCH_UP_MS) };
}

/** What one query is answered with; `silent` when its series have no sample since the last count. */
export function settledBy(one: Asked, reply: Reply, tick: Tick, coverage: Coverage): Settled | 'silent' {
  const { query } = one;
  const state = catchUp(one, tick);
  if ('fault' in reply) {
    // A time that is too long to be read must not be asked for again and again, longer each time.
    const skipped = reply.fault.code === 'body_too_large' && state !== null;
    return { answer: missing(reply.fault), state: skipped ? { ...state, since: tick.window.to } : state };
  }
  if (one.selector === null) {
    const answer = finishedAnswer(query, reply.answer);
    return { answer, state: state === null || answer.kind === 'missing' ? state : { since: tick.window.to, seen: null } };
  }
  const series = seriesOf(one, reply);
  if (state === null) return { answer: gaugeAnswer(series, query.aggregate), state };
  const outcome = query.shape === 'buckets' ? bucketsAnswer(series, state, coverage) : countAnswer(series, state, coverage);
  switch (outcome.kind) {
    case 'silent':
      return 'silent';
    case 'waiting':
      return { answer: missing(outcome), state };
    case 'counted':
      return { answer: outcome.answer, state: advanced(one, series, tick, coverage) };
  }
}

/**
 * What a query is answered with whose series were silent.
 *
 * @param reply raw samples, none of them new
 * @param present values at the end of the window, from which series that have ended are left out
 */
export function lateOrGone(one: Asked, reply: Reply, present: Reply, tick: Tick, coverage: Coverage): Settled {
  const state = catchUp(one, tick);
  if ('fault' in present) return { answer: missing(present.fault), state };
  if (present.answer.series.some(({ labels }) => belongs(labels, one))) return { answer: missing(LATE), state };
  return { answer: { kind: 'absent' }, state: advanced(one, seriesOf(one, reply), tick, coverage) };
}

/** The series of an answer that are those of a query. */
export function seriesOf(one: Asked, reply: Reply): SampledSeries[] {
  return 'answer' in reply ? reply.answer.series.filter(({ labels }) => belongs(labels, one)) : [];
}

/** How far a query has been counted once these series are. */
export function advanced(one: Asked, series: readonly SampledSeries[], tick: Tick, coverage: Coverage): CounterState | null {
  const { window, lookbackMs } = tick;
  const state = catchUp(one, tick);
  return state === null ? null : counted(state, series, { to: window.to, forget: window.to - lookbackMs }, coverage);
}
