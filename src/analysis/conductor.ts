import type { Changes } from '../changes.ts';
import type { Clock } from '../clock.ts';
import { CodedError } from '../errors.ts';
import type { Judge, Judgement } from '../judges/judge.ts';
import type { Job } from '../queue/port.ts';
import type { MetricSource, SourceAnswer } from '../sources/port.ts';
import type { Store, StoredRecord } from '../store/port.ts';
import { analysisIn, measurementsIn, writeOf, type AnalysedApplication } from './analyses.ts';
import { withMissedTicks, withTick } from './measuring.ts';
import { queriesOf, type Side } from './plan.ts';
import { isFinal, type Analysis, type Measurements } from './record.ts';
import { anythingMeasured, recoverySentence, recoverySeries } from './recovery.ts';
import { endEntry, ended, judged, looked, merged, missedTicks, started, superseded, tickTime, waitFor } from './run.ts';
import { sameCommit } from './revision.ts';

/** Where a process may die around a verdict, in the order of the way. */
export const CONDUCTOR_POINTS = ['verdict-decided', 'verdict-stored', 'verdict-acted-on'] as const;
export type ConductorPoint = (typeof CONDUCTOR_POINTS)[number];

export interface ConductorContext {
  store: Store;
  clock: Clock;
  changes: Changes;
  applications: ReadonlyMap<string, AnalysedApplication>;
  sources: ReadonlyMap<string, MetricSource>;
  judgeNamed(name: string): Judge | undefined;
  /** The revision that runs as the canary; null when none does or it cannot be asked. */
  canaryOf(application: string, signal: AbortSignal): Promise<string | null>;
  /** Id of the rollback that a final analysis leads to or checks, known before it is made. */
  rollbackOf(analysis: Analysis): string | null;
  /** What follows from a final phase (a rollback, the end of a recovery check). Called at least once; idempotent. */
  onEnded(analysis: Analysis): Promise<{ rollback: string | null }>;
  onTick(tick: { decided: boolean; seconds: number }): void;
  /** One read of one source: whether every query was answered, and how long it took. */
  onRead(read: { source: string; complete: boolean; seconds: number }): void;
  onSettled(analysis: Analysis): void;
  /** Named places at which tests end the process; nothing otherwise. */
  reach: (point: ConductorPoint) => void;
}

/** Timers may fire a little early; a tick that is due within this many milliseconds is taken. */
const EARLY_MS = 5;

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
    try {
      const next = await this.#lookOrEnd(analysis, measurementsIn(kept), now, signal);
      if (isFinal(next.analysis.phase)) this.#context.reach('verdict-decided');
      const writes = [
        writeOf(next.analysis, record.version, record.createdAt, true),
        {
          kind: 'measurements' as const,
          id: job.key,
          expect: kept.version,
          createdAt: kept.createdAt,
          index: kept.index,
          value: next.measurements,
        },
      ];
      const decided = isFinal(next.analysis.phase);
      await this.#context.store.commit(writes, decided ? [endEntry(next.analysis, now)] : []);
      this.#context.changes.announce(job.key);
      this.#context.onTick({ decided, seconds: (this.#context.clock.now() - now) / 1_000 });
      if (!decided) return { again: Date.parse(next.analysis.nextTickAt ?? new Date(now).toISOString()) };
      this.#context.reach('verdict-stored');
    } catch (error) {
      // Somebody else (a cancel, another process) was faster: its state counts, look again at once.
      if (error instanceof CodedError && error.code === 'conflict') return { again: now };
      throw error;
    }
    const stored = await this.#context.store.get('analysis', job.key);
    if (stored !== undefined) await this.#settle(stored);
  }

  /** A fault that no retry can mend (a query without its argument, say) ends the analysis as Error, never as a fail. */
  async #lookOrEnd(
    analysis: Analysis,
    before: Measurements,
    now: number,
    signal: AbortSignal,
  ): Promise<{ analysis: Analysis; measurements: Measurements }> {
    try {
      return await this.#look(analysis, before, now, signal);
    } catch (error) {
      if (!(error instanceof CodedError) || error.retryable) throw error;
      const end = { phase: 'Error', verdict: 'error', code: error.code, sentence: error.message } as const;
      return { analysis: ended(analysis, end, now), measurements: before };
    }
  }

  async #look(
    analysis: Analysis,
    before: Measurements,
    now: number,
    signal: AbortSignal,
  ): Promise<{ analysis: Analysis; measurements: Measurements }> {
    const application = this.#context.applications.get(analysis.application);
    if (application === undefined || application.plan.templateName !== analysis.template) {
      const sentence = `the configuration no longer has application "${analysis.application}" with template "${analysis.template}"`;
      return {
        analysis: ended(analysis, { phase: 'Error', verdict: 'error', code: 'configuration_changed', sentence }, now),
        measurements: before,
      };
    }
    const first = analysis.startedAt === null;
    const since = first ? now : tickTime(analysis, analysis.ticks.done);
    const reading = await this.#read(application, analysis, before, { from: since, to: now }, signal);
    if (first) {
      const running = started(analysis, now);
      return {
        analysis: { ...running, warnings: merged(running.warnings, reading.warnings) },
        measurements: { ...before, cursors: reading.cursors },
      };
    }
    const missed = missedTicks(analysis, now);
    const times = Array.from({ length: missed }, (_, at) => tickTime(analysis, analysis.ticks.done + at + 1));
    const { measurements, missing } = withTick({ ...withMissedTicks(before, times), cursors: reading.cursors }, reading.answers, {
      at: now,
      warmup: analysis.ticks.warmup,
    });
    const done = analysis.ticks.done + missed + 1;
    const other = await this.#supersededBy(analysis, done, signal);
    if (other !== null)
      return { analysis: ended(looked(analysis, done, null, reading.warnings), superseded(analysis, other), now), measurements };
    const last = done >= analysis.ticks.planned;
    const warnings = [...reading.warnings, ...missing.map(({ sentence }) => sentence)];
    const judgement = await this.#judge(application, analysis, measurements, last);
    const after = looked(analysis, done, judgement, warnings);
    if (judgement.verdict === null) return { analysis: after, measurements };
    const final = judged(after, this.#explained(judgement, measurements, missing), judgement.verdict, this.#context.clock.now());
    return { analysis: { ...final, rollback: this.#context.rollbackOf(final) }, measurements };
  }

  /**
   * Another revision that runs as the canary, once this one should: what is measured then is not this release, so it
   * must neither fail nor pass for it (design 5.7). The warm-up leaves the controller time to begin.
   */
  async #supersededBy(analysis: Analysis, done: number, signal: AbortSignal): Promise<string | null> {
    if (analysis.kind !== 'release' || done <= analysis.ticks.warmup) return null;
    const canary = await this.#context.canaryOf(analysis.application, signal);
    return canary === null || sameCommit(canary, analysis.revision) ? null : canary;
  }

  /** An end without any measurement names the cause instead of a statistic. */
  #explained(judgement: Judgement, measurements: Measurements, missing: readonly { sentence: string }[]): Judgement {
    const [cause] = missing;
    if (judgement.verdict !== 'inconclusive' || cause === undefined || anythingMeasured(measurements)) return judgement;
    return {
      ...judgement,
      code: 'metrics_unavailable',
      sentence: `nothing could be measured, so nothing is rolled back: ${cause.sentence}`,
    };
  }

  async #judge(
    application: AnalysedApplication,
    analysis: Analysis,
    measurements: Measurements,
    last: boolean,
  ): Promise<Judgement> {
    const judge = this.#context.judgeNamed(analysis.judge);
    if (judge === undefined)
      throw new CodedError('judge_unknown', `there is no judge "${analysis.judge}"; mend the template "${analysis.template}"`);
    const recovering = analysis.kind === 'recovery';
    const series = recovering ? recoverySeries(measurements, await this.#before(analysis)) : measurements.series;
    const judgement = judge.judge({
      metrics: application.plan.metrics.flatMap(({ name, parameters }) => {
        const known = series[name];
        return known === undefined ? [] : [{ name, parameters, series: known }];
      }),
      falseRollbacks: application.plan.falseRollbacks,
      warmup: recovering ? 1 : analysis.ticks.warmup,
      planned: analysis.ticks.planned + (recovering ? 1 : 0),
      ended: last,
    });
    // A recovery check is one question asked at its end.
    if (!recovering) return judgement;
    return { ...judgement, sentence: recoverySentence(judgement), verdict: last ? judgement.verdict : null };
  }

  /** Measurements of the analysis that led to the rollback which a recovery check belongs to. */
  async #before(recovery: Analysis): Promise<Measurements | null> {
    const rollback = recovery.rollback === null ? undefined : await this.#context.store.get('rollback', recovery.rollback);
    const failed = rollback === undefined ? null : (rollback.value as { analysis: string | null }).analysis;
    const record = failed === null ? undefined : await this.#context.store.get('measurements', failed);
    return record === undefined ? null : measurementsIn(record);
  }

  async #read(
    application: AnalysedApplication,
    analysis: Analysis,
    before: Measurements,
    window: { from: number; to: number },
    signal: AbortSignal,
  ): Promise<{ answers: Map<string, SourceAnswer>; cursors: Record<string, unknown>; warnings: string[] }> {
    const { template } = application.plan;
    const sides: { side: Side; labels: Readonly<Record<string, string>> }[] =
      analysis.kind === 'recovery'
        ? // After a rollback everybody is served by what was the healthy side.
          [{ side: 'canary', labels: template.baseline ?? template.canary }]
        : [
            { side: 'canary', labels: template.canary },
            ...(template.baseline === undefined ? [] : [{ side: 'baseline' as const, labels: template.baseline }]),
          ];
    const values = { ...analysis.arguments, application: analysis.application, revision: analysis.revision };
    const readings = await Promise.all(
      [...queriesOf(application.plan, values, sides)].map(async ([name, queries]) => {
        const source = this.#context.sources.get(name);
        if (source === undefined)
          throw new CodedError(
            'source_unknown',
            `template "${analysis.template}" names source "${name}", which is not configured`,
          );
        const since = this.#context.clock.now();
        const reading = await source.read(queries, window, before.cursors[name], signal);
        const complete = queries.every(({ id }) => reading.answers.get(id)?.kind !== 'missing');
        this.#context.onRead({ source: name, complete, seconds: (this.#context.clock.now() - since) / 1_000 });
        return { name, reading };
      }),
    );
    return {
      answers: new Map(readings.flatMap(({ reading }) => [...reading.answers])),
      cursors: Object.fromEntries(readings.map(({ name, reading }) => [name, reading.cursor])),
      warnings: readings.flatMap(({ name, reading }) => reading.warnings.map((warning) => `${name}: ${warning}`)),
    };
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
