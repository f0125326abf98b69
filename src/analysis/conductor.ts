import type { Changes } from '../changes.ts';
import { committed } from '../commit.ts';
import { CodedError } from '../errors.ts';
import type { Job } from '../queue/port.ts';
import type { StoredRecord } from '../store/port.ts';
import { analysisIn, measurementsIn, writeOf } from './analyses.ts';
import { look, type LookContext, type Looked } from './look.ts';
import { isFinal, type Analysis, type Measurements } from './record.ts';
import { EARLY_MS, endEntry, ended, waitFor } from './run.ts';

/** Where a process may die around a verdict, in the order of the way. */
export const CONDUCTOR_POINTS = ['verdict-decided', 'verdict-stored', 'verdict-acted-on'] as const;
export type ConductorPoint = (typeof CONDUCTOR_POINTS)[number];

export interface ConductorContext extends LookContext {
  changes: Changes;
  /** What follows from a final phase (a rollback, the end of a recovery check). Called at least once; idempotent. */
  onEnded(analysis: Analysis): Promise<{ rollback: string | null }>;
  onTick(tick: { decided: boolean; seconds: number }): void;
  onSettled(analysis: Analysis): void;
  /** Named places at which tests end the process; nothing otherwise. */
  reach: (point: ConductorPoint) => void;
}

/**
 * Runs the ticks of analyses: read the sources, append the measurements, judge, store, and act on a final verdict.
 * Everything is stored before it is acted on, and every step may run twice: a process may die at any point.
 */
export class Conductor {
  readonly #context: ConductorContext;

  constructor(context: ConductorContext) {
    this.#context = context;
  }

  /** One run of the job of the analysis `job.key`. */
  async tick(job: Job, signal: AbortSignal): Promise<void | { again: number }> {
    const record = await this.#context.store.get('analysis', job.key);
    const kept = await this.#context.store.get('measurements', job.key);
    if (record === undefined || kept === undefined) return;
    const analysis = analysisIn(record);
    if (isFinal(analysis.phase)) {
      if (record.index.open !== false) await this.#settle(record);
      return;
    }
    const now = this.#context.clock.now();
    const wait = waitFor(analysis, now);
    if (wait > EARLY_MS) return { again: now + wait };
    const next = await this.#lookOrEnd(analysis, measurementsIn(kept), now, signal);
    const decided = isFinal(next.analysis.phase);
    if (decided) this.#context.reach('verdict-decided');
    const { version, createdAt, index } = kept;
    const writes = [
      writeOf(next.analysis, record.version, record.createdAt, true),
      { kind: 'measurements' as const, id: job.key, expect: version, createdAt, index, value: next.measurements },
    ];
    // Somebody else (a cancel, another process) was faster: its state counts, look again at once.
    if (!(await committed(this.#context.store, writes, decided ? [endEntry(next.analysis, now)] : []))) return { again: now };
    this.#context.changes.announce(job.key);
    this.#context.onTick({ decided, seconds: (this.#context.clock.now() - now) / 1_000 });
    if (!decided) return { again: Date.parse(next.analysis.nextTickAt ?? new Date(now).toISOString()) };
    this.#context.reach('verdict-stored');
    const stored = await this.#context.store.get('analysis', job.key);
    if (stored !== undefined) await this.#settle(stored);
  }

  /** A fault that no retry can mend (a query without its argument, say) ends the analysis as Error, never as a fail. */
  async #lookOrEnd(analysis: Analysis, before: Measurements, now: number, signal: AbortSignal): Promise<Looked> {
    try {
      return await look(this.#context, analysis, before, now, signal);
    } catch (error) {
      if (!(error instanceof CodedError) || error.retryable) throw error;
      const end = { phase: 'Error', verdict: 'error', code: error.code, sentence: error.message } as const;
      return { analysis: ended(analysis, end, now), measurements: before };
    }
  }

  /** Consequences, then the record is closed: in this order, so that a crash in between repeats and never skips. */
  async #settle(record: StoredRecord): Promise<void> {
    const analysis = analysisIn(record);
    const { rollback } = await this.#context.onEnded(analysis);
    this.#context.reach('verdict-acted-on');
    await this.#context.store.commit([writeOf({ ...analysis, rollback }, record.version, record.createdAt, false)]);
    this.#context.changes.announce(analysis.id);
    this.#context.onSettled(analysis);
  }
}
