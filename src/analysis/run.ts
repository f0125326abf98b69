import type { Judgement, Verdict } from '../judges/judge.ts';
import type { JournalEntry } from '../store/port.ts';
import type { Analysis, Phase } from './record.ts';

/**
 * The run's state machine: Pending -> Running -> Successful | Failed | Inconclusive | Error, or Cancelled from either.
 * Pure functions from an analysis to the next; the names of the phases are Argo Rollouts'.
 */

const iso = (at: number) => new Date(at).toISOString();

/** The first look: sources are read once, so that counters have something to be compared with. */
export function started(analysis: Analysis, at: number): Analysis {
  return {
    ...analysis,
    phase: 'Running',
    code: analysis.ticks.warmup > 0 ? 'warming_up' : 'measuring',
    sentence: 'the first measurement is on its way',
    startedAt: iso(at),
    nextTickAt: iso(tickTime({ ...analysis, startedAt: iso(at) }, 1)),
  };
}

/**
 * When tick `number` (1 is the first) ends its window, milliseconds since the epoch: a multiple of the period, so that
 * analyses with the same period ask their sources about the same windows and one answer serves them all. The first
 * window begins at the first multiple after the start, never before it: what was measured then may be another release.
 */
export function tickTime({ startedAt, createdAt, ticks: { everyMs } }: Analysis, number: number): number {
  return Math.ceil(Date.parse(startedAt ?? createdAt) / everyMs) * everyMs + number * everyMs;
}

/**
 * How many whole ticks passed unseen before the one that is taken now, because nobody ran; they count as missing,
 * so that tick n is always the n-th interval after the start.
 */
export function missedTicks(analysis: Analysis, now: number): number {
  const due = Math.floor((now + EARLY_MS - tickTime(analysis, 0)) / analysis.ticks.everyMs);
  return Math.max(0, Math.min(due, analysis.ticks.planned) - analysis.ticks.done - 1);
}

/** @param judgement null: the tick was not judged */
export function looked(analysis: Analysis, done: number, judgement: Judgement | null, warnings: readonly string[]): Analysis {
  const warming = done <= analysis.ticks.warmup;
  return {
    ...analysis,
    ticks: { ...analysis.ticks, done },
    code: warming ? 'warming_up' : 'measuring',
    sentence: warming
      ? `warming up: tick ${done} of ${analysis.ticks.warmup} is measured, not judged`
      : (judgement?.sentence ?? analysis.sentence),
    nextTickAt: iso(tickTime(analysis, done + 1)),
    judgement: judgement ?? analysis.judgement,
    warnings: merged(analysis.warnings, warnings),
  };
}

const PHASE_OF: Readonly<Record<Verdict, Phase>> = {
  pass: 'Successful',
  fail: 'Failed',
  marginal: 'Inconclusive',
  inconclusive: 'Inconclusive',
  error: 'Error',
};

export function judged(analysis: Analysis, judgement: Judgement, verdict: Verdict, at: number): Analysis {
  return ended(
    { ...analysis, judgement },
    { phase: PHASE_OF[verdict], verdict, code: judgement.code, sentence: judgement.sentence },
    at,
  );
}

export function ended(
  analysis: Analysis,
  end: { phase: Phase; verdict: Verdict | null; code: string; sentence: string },
  at: number,
): Analysis {
  return { ...analysis, ...end, endedAt: iso(at), nextTickAt: null };
}

const MAX_WARNINGS = 50;

/** Each warning once, the first ones kept. */
export function merged(known: readonly string[], more: readonly string[]): string[] {
  return [...new Set([...known, ...more])].slice(0, MAX_WARNINGS);
}

/** Timers may fire a little early; a tick that is due within this many milliseconds is taken. */
export const EARLY_MS = 5;

/** Milliseconds until the next tick. A clock that was set back must not make an analysis stand still. */
export function waitFor(analysis: Analysis, now: number): number {
  if (analysis.nextTickAt === null) return 0;
  const wait = Date.parse(analysis.nextTickAt) - now;
  return wait > MOST_TICKS_AHEAD * analysis.ticks.everyMs ? 0 : wait;
}

/** The first tick is due within two periods of the start, every other one within one of the one before. */
const MOST_TICKS_AHEAD = 2;

export function superseded(analysis: Analysis, other: string): Parameters<typeof ended>[1] {
  const sentence = `the cluster runs ${other.slice(0, 10)} as the canary, not ${analysis.revision.slice(0, 10)}: what is measured is not this release`;
  return { phase: 'Inconclusive', verdict: 'inconclusive', code: 'superseded', sentence };
}

/** What the journal keeps of an end; stored together with it. */
export function endEntry(analysis: Analysis, at: number): JournalEntry {
  const { application, id, code, sentence, kind, phase, verdict, revision, ticks } = analysis;
  const details = { kind, phase, verdict, revision, ticks: ticks.done };
  return { at, event: 'analysis.ended', application, subject: id, code, sentence, details };
}
