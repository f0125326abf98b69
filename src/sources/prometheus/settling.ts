import type { SourceAnswer } from '../port.ts';
import type { QueryAnswer } from './answer.ts';
import { LATE, bucketsAnswer, countAnswer, finishedAnswer, gaugeAnswer, missing, type Missing } from './answers.ts';
import { counted, type CounterState, type KnownBy } from './counters.ts';
import { belongs, type Asked, type Group } from './questions.ts';

export type Reply = { answer: QueryAnswer } | { fault: Missing };

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
export function settledBy(one: Asked, reply: Reply, tick: Tick, knownBy: KnownBy): Settled | 'silent' {
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
  const series = reply.answer.series.filter(({ labels }) => belongs(labels, one));
  if (state === null) return { answer: gaugeAnswer(series, query.aggregate), state };
  const outcome = query.shape === 'buckets' ? bucketsAnswer(series, state, knownBy) : countAnswer(series, state, knownBy);
  switch (outcome.kind) {
    case 'silent':
      return 'silent';
    case 'waiting':
      return { answer: missing(outcome), state };
    case 'counted':
      return { answer: outcome.answer, state: counted(state, series, tick.window.to, tick.window.to - tick.lookbackMs) };
  }
}

/**
 * What a query is answered with whose series were silent.
 *
 * @param reply raw samples, none of them new
 * @param present values at the end of the window, from which series that have ended are left out
 */
export function lateOrGone(one: Asked, reply: Reply, present: Reply, tick: Tick): Settled {
  const state = catchUp(one, tick);
  if ('fault' in present) return { answer: missing(present.fault), state };
  if (present.answer.series.some(({ labels }) => belongs(labels, one))) return { answer: missing(LATE), state };
  const series = 'answer' in reply ? reply.answer.series.filter(({ labels }) => belongs(labels, one)) : [];
  const { window, lookbackMs } = tick;
  return { answer: { kind: 'absent' }, state: state === null ? null : counted(state, series, window.to, window.to - lookbackMs) };
}
