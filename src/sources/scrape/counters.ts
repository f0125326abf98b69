import { Type, type Static } from 'typebox';
import { CodedError } from '../../errors.ts';

/** Series of all targets together that one analysis may follow; the cursor is stored durably at every tick. */
export const MAX_CURSOR_SERIES = 20_000;
/** The clocks of a target and of this machine may differ by this much. */
const CLOCK_SKEW_MS = 60_000;
/** Some clients compute the start of the process anew at each scrape, from a clock that is slewed. */
const START_JITTER_SECONDS = 1.5;

const TargetState = Type.Object({
  /** When the page was read last, milliseconds since the epoch. */
  readAt: Type.Number(),
  /** process_start_time_seconds of the page. */
  started: Type.Union([Type.Number(), Type.Null()]),
  /** Which selectors the series were chosen by. */
  selectors: Type.String(),
  /** Value by series; null: the series is there, but its value is no count. */
  series: Type.Record(Type.String(), Type.Union([Type.Number(), Type.Null()])),
  /** Created time in seconds by series, for those that tell it. */
  born: Type.Record(Type.String(), Type.Number()),
});
type TargetState = Static<typeof TargetState>;
export const TargetStates = Type.Record(Type.String(), TargetState);
export type TargetStates = Static<typeof TargetStates>;

export interface CounterSeries {
  /** The same text for the same series at every tick. */
  key: string;
  /** Series that can only be reset together: the buckets of one histogram. */
  group: string | null;
  value: number;
  /** When the series was created, in seconds since the epoch, if the page tells it. */
  born: number | null;
}

export interface TargetReading {
  started: number | null;
  series: readonly CounterSeries[];
}

/** What a series counted since the last reading, or why that cannot be said. */
export type Increase = number | 'priming' | 'not_a_number';

export interface TargetIncreases {
  /** Nothing can be said of this target yet: it was not read before, or not this process, or with other selectors. */
  priming: boolean;
  series: ReadonlyMap<string, Increase>;
  /** The process behind the address is not the one of the last reading, and not a restart of it. */
  otherProcess: boolean;
}

/**
 * The difference of every counter between the last reading of its target and now.
 *
 * - A counter that went down was reset: its new value counts. The same when the series, its histogram or its process
 *   was created anew, even if the counter has already passed its old value.
 * - A series that was not on the page at the last reading was born since and counts from 0, because the series of a
 *   release's errors is born with the first error. It does not when it says that it is older than that reading.
 * - A series that vanishes keeps its value: when it comes back, only what was added meanwhile counts.
 * - A target that was not read now keeps everything, so that its increase comes with its next reading.
 *
 * @param before of the last reading of this analysis; null at the first
 * @param readings by target; only those whose page was read
 * @param known ids of all targets; what is remembered of others is dropped
 * @param at milliseconds since the epoch
 * @param selectors a text that differs when the series are chosen in another way
 * @throws CodedError `too_many_series`
 */
export function advance(
  before: TargetStates | null,
  readings: ReadonlyMap<string, TargetReading>,
  known: readonly string[],
  at: number,
  selectors: string,
): { states: TargetStates; increases: ReadonlyMap<string, TargetIncreases> } {
  const states: TargetStates = {};
  const increases = new Map<string, TargetIncreases>();
  let followed = 0;
  for (const id of known) {
    const old = before?.[id];
    const reading = readings.get(id);
    if (reading === undefined) {
      if (old !== undefined) states[id] = old;
    } else {
      const next = advanceTarget(old, reading, at, selectors);
      states[id] = next.state;
      increases.set(id, next.increases);
    }
    followed += Object.keys(states[id]?.series ?? {}).length;
    if (followed > MAX_CURSOR_SERIES) {
      throw new CodedError(
        'too_many_series',
        `the selectors match more than ${MAX_CURSOR_SERIES} series; narrow them, or count with fewer labels`,
        { details: { limit: MAX_CURSOR_SERIES } },
      );
    }
  }
  return { states, increases };
}

function advanceTarget(
  old: TargetState | undefined,
  reading: TargetReading,
  at: number,
  selectors: string,
): { state: TargetState; increases: TargetIncreases } {
  const comparable = old !== undefined && old.selectors === selectors ? old : null;
  const process = comparable === null ? 'same' : processSince(comparable, reading.started);
  const past = process === 'same' ? comparable : null;
  const priming = comparable === null || process === 'other';
  const state: TargetState = {
    readAt: at,
    started: reading.started ?? past?.started ?? null,
    selectors,
    series: { ...past?.series },
    born: { ...past?.born },
  };
  const series = new Map<string, Increase>();
  const reset = past === null ? new Set<string>() : resetGroups(past, reading.series);
  const spoiled = new Set(reading.series.filter((one) => !isCount(one.value)).map((one) => one.group ?? one.key));
  for (const one of reading.series) {
    // The buckets of a histogram advance together or not at all.
    const usable = !spoiled.has(one.group ?? one.key);
    if (!usable) series.set(one.key, 'not_a_number');
    else if (priming) series.set(one.key, 'priming');
    else if (past === null) series.set(one.key, one.value);
    else series.set(one.key, increaseOf(past, one, reset.has(one.group ?? one.key)));
    state.series[one.key] = usable ? one.value : (past?.series[one.key] ?? null);
    if (one.born !== null) state.born[one.key] = one.born;
  }
  return { state, increases: { priming, series, otherProcess: process === 'other' } };
}

/**
 * A restart begins after the last reading of the process before it. A process that had been running by then is another
 * one behind the same address, and the difference to it means nothing.
 */
function processSince(old: TargetState, started: number | null): 'same' | 'restarted' | 'other' {
  if (started === null || old.started === null || Math.abs(started - old.started) <= START_JITTER_SECONDS) return 'same';
  return started > old.started && started * 1_000 >= old.readAt - CLOCK_SKEW_MS ? 'restarted' : 'other';
}

function isCount(value: number): boolean {
  return Number.isFinite(value) && value >= 0;
}

function resetGroups(past: TargetState, series: readonly CounterSeries[]): Set<string> {
  const reset = new Set<string>();
  for (const { key, group, value, born } of series) {
    const was = past.series[key] ?? null;
    const wasBorn = past.born[key];
    const bornAgain = born !== null && wasBorn !== undefined && born > wasBorn + START_JITTER_SECONDS;
    if (bornAgain || (was !== null && value < was)) reset.add(group ?? key);
  }
  return reset;
}

function increaseOf(past: TargetState, one: CounterSeries, reset: boolean): Increase {
  const was = past.series[one.key];
  if (was === undefined) {
    const hidden = one.born !== null && one.born * 1_000 < past.readAt - CLOCK_SKEW_MS;
    return hidden ? 'priming' : one.value;
  }
  if (reset) return one.value;
  return was === null ? 'priming' : one.value - was;
}
