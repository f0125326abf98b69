import { sentenceOf } from '../errors.ts';
import type { Job, QueueCondition } from './port.ts';

/** What is known of one kind of jobs that this process works on; times in milliseconds since the epoch. */
export interface Consumption {
  kind: Job['kind'];
  /** When the oldest job that waits was due, or will be. */
  oldest: number | null;
  /** When this process last took a job of the kind, or began to work on it. */
  takenAt: number;
}

/**
 * Tells from consumption whether the queue lives: a connection that looks well may deliver nothing.
 *
 * @param stalledMs how long jobs may be due while none is taken
 */
export function conditionOf(consumption: readonly Consumption[], now: number, stalledMs: number): QueueCondition {
  for (const { kind, oldest, takenAt } of consumption) {
    if (oldest === null) continue;
    const idleMs = now - Math.max(oldest, takenAt);
    if (idleMs <= stalledMs) continue;
    const sentence = `Jobs of kind ${kind} have been due for ${Math.round(idleMs / 1_000)} s and none was taken.`;
    return { ok: false, code: 'queue_stalled', sentence };
  }
  return { ok: true, code: 'ok', sentence: 'due jobs are taken' };
}

export function unavailableCondition(error: unknown): QueueCondition {
  return { ok: false, code: 'queue_unavailable', sentence: sentenceOf(error) };
}
