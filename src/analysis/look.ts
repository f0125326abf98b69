import type { DeliveryState } from '../delivery/port.ts';
import { CodedError } from '../errors.ts';
import type { Judge, Judgement } from '../judges/judge.ts';
import type { Store } from '../store/port.ts';
import { measurementsIn, type AnalysedApplication } from './analyses.ts';
import { confirmedTicks, healthySide, judgeBeforeAfter, notOfThisRelease, windowsBefore } from './confirmation.ts';
import { noMeasurements, withTick } from './measuring.ts';
import type { Side } from './plan.ts';
import { forgetful, readTick, unlikeSides, type ReadingContext } from './reading.ts';
import type { Analysis, Confirmation, Measurements } from './record.ts';
import { anythingMeasured, recoverySentence, recoverySeries } from './recovery.ts';
import { sameCommit } from './revision.ts';
import { EARLY_MS, ended, judged, looked, merged, missedTicks, started, superseded, tickTime } from './run.ts';
import type { SideLabels, Template } from './template.ts';
import { undeployable, withTrouble } from './trouble.ts';

export interface LookContext extends ReadingContext {
  store: Store;
  applications: ReadonlyMap<string, AnalysedApplication>;
  judgeNamed(name: string): Judge | undefined;
  /** What the delivery runs; null when it cannot be asked. */
  stateOf(application: string, signal: AbortSignal): Promise<DeliveryState | null>;
  /** Whether the delivery of the application can say what it runs. */
  canObserve(application: string): boolean;
  /** Id of the rollback that a final analysis leads to or checks, known before it is made. */
  rollbackOf(analysis: Analysis): string | null;
}

/** An analysis after a look, with everything that was measured for it. */
export interface Looked {
  analysis: Analysis;
  measurements: Measurements;
}

/** So many ticks that nobody took are made up for in one look; the ones before stay missing. */
const MOST_MADE_UP = 240;

interface Asked {
  application: AnalysedApplication;
  analysis: Analysis;
  sides: { side: Side; labels: SideLabels }[];
}

/**
 * One look at an analysis: reads what is due, judges it, and says what the analysis is then. Nothing is stored here.
 *
 * @throws CodedError what no retry can mend is not retryable: `source_unknown`, `argument_unsafe`, `judge_unknown`, …
 */
export async function look(
  context: LookContext,
  analysis: Analysis,
  before: Measurements,
  now: number,
  signal: AbortSignal,
): Promise<Looked> {
  const application = context.applications.get(analysis.application);
  if (application === undefined || !isPlanOf(application, analysis)) {
    const sentence = `the configuration no longer has application "${analysis.application}" with template "${analysis.template}" as it was`;
    return {
      analysis: ended(analysis, { phase: 'Error', verdict: 'error', code: 'configuration_changed', sentence }, now),
      measurements: before,
    };
  }
  const asked = { application, analysis, sides: sidesOf(application.plan.template, analysis) };
  if (analysis.startedAt !== null) return judgedTick(context, asked, before, now, signal);
  if (analysis.confirmation === undefined) return primed(context, asked, before, now, signal);
  return confirmed(context, asked, analysis.confirmation, before, now, signal);
}

/**
 * The first look reads what knows only the present, so that its counters have something to be compared with. A metric
 * store is not asked: it will know of the first window, which is the same for all who began in this period.
 */
async function primed(
  context: LookContext,
  asked: Asked,
  before: Measurements,
  now: number,
  signal: AbortSignal,
): Promise<Looked> {
  const reading = await readTick(context, asked, before.cursors, { from: now, to: now }, 'forgetful', signal);
  const running = started(asked.analysis, now);
  return {
    analysis: { ...running, warnings: merged(running.warnings, reading.warnings) },
    measurements: { ...before, cursors: reading.cursors },
  };
}

/** A confirmation begins in the past where its sources remember it: what led to the alert has happened already. */
async function confirmed(
  context: LookContext,
  asked: Asked,
  confirmation: Confirmation,
  before: Measurements,
  now: number,
  signal: AbortSignal,
): Promise<Looked> {
  const { application, analysis } = asked;
  const { plan } = application;
  const inconclusive = (code: string, sentence: string): Looked => ({
    analysis: ended(analysis, { phase: 'Inconclusive', verdict: 'inconclusive', code, sentence }, now),
    measurements: before,
  });
  const excuse = notOfThisRelease(plan, confirmation);
  if (excuse !== null) return inconclusive(excuse.code, excuse.sentence);
  const without = forgetful(context, plan, analysis);
  const liveSince = Date.parse(confirmation.liveSince);
  if (without.length > 0) {
    if (confirmation.comparison === 'baseline') return primed(context, asked, before, now, signal);
    const sentence = `without a live baseline the time before is needed, and source ${without.join(', ')} knows only what is true now; use a metric store`;
    return inconclusive('no_history', sentence);
  }
  const { startedAt, planned } = confirmedTicks(plan, liveSince, now);
  const begun: Analysis = { ...started(analysis, startedAt), ticks: { ...analysis.ticks, planned } };
  const first = { ...asked, analysis: begun };
  if (confirmation.comparison === 'baseline') return judgedTick(context, first, before, now, signal);
  let past = noMeasurements(plan, plan.template.control !== undefined);
  for (const window of windowsBefore(plan, liveSince)) {
    const reading = await readTick(context, asked, {}, window, 'remembering', signal);
    past = withTick(past, reading.answers, { at: window.to, warmup: 0 }).measurements;
  }
  return judgedTick(context, first, { ...before, before: past.series }, now, signal);
}

/** Every tick that is due: those that nobody took are made up for where the sources remember them. */
async function judgedTick(
  context: LookContext,
  asked: Asked,
  before: Measurements,
  now: number,
  signal: AbortSignal,
): Promise<Looked> {
  const { analysis } = asked;
  const { warmup } = analysis.ticks;
  if (tickTime(analysis, 1) > now + EARLY_MS) return { analysis, measurements: before };
  const missed = missedTicks(analysis, now);
  let measurements = before;
  for (let at = 1; at <= missed; at++) {
    const number = analysis.ticks.done + at;
    const window = { from: tickTime(analysis, number - 1), to: tickTime(analysis, number) };
    const remembered = missed - at < MOST_MADE_UP;
    const reading = remembered
      ? await readTick(context, asked, measurements.cursors, window, 'remembering', signal)
      : { answers: new Map(), cursors: measurements.cursors };
    const tick = withTick(measurements, reading.answers, { at: window.to, warmup: remembered ? warmup : 0 });
    measurements = { ...tick.measurements, cursors: reading.cursors };
  }
  const done = analysis.ticks.done + missed + 1;
  const window = { from: tickTime(analysis, done - 1), to: tickTime(analysis, done) };
  const reading = await readTick(context, asked, measurements.cursors, window, 'all', signal);
  const tick = withTick({ ...measurements, cursors: reading.cursors }, reading.answers, { at: window.to, warmup });
  const state = await stateOf(context, analysis, done, signal);
  const other = supersededBy(analysis, state);
  if (other !== null) {
    const end = superseded(analysis, other);
    return { analysis: ended(looked(analysis, done, null, reading.warnings), end, now), measurements: tick.measurements };
  }
  const warnings = [
    ...reading.warnings,
    ...unlikeSides(reading.answers, analysis.warnings),
    ...tick.missing.map(({ sentence }) => sentence),
  ];
  const troubled = withTrouble(tick.measurements, analysis, state);
  const last = done >= analysis.ticks.planned;
  const measured = await judgementOf(context, asked.application, analysis, troubled, last);
  const judgement = undeployable(measured, troubled, state) ?? confirmedBy(context, analysis, state, measured, last);
  const after = looked(analysis, done, judgement, warnings);
  if (judgement.verdict === null) return { analysis: after, measurements: troubled };
  const final = judged(after, explained(judgement, troubled, tick.missing), judgement.verdict, context.clock.now());
  return { analysis: { ...final, rollback: context.rollbackOf(final) }, measurements: troubled };
}

/** What runs, once this revision should; the warm-up leaves the controller time to begin. */
async function stateOf(
  context: LookContext,
  analysis: Analysis,
  done: number,
  signal: AbortSignal,
): Promise<DeliveryState | null> {
  if (analysis.kind === 'recovery' || (analysis.confirmation === undefined && done <= analysis.ticks.warmup)) return null;
  return context.stateOf(analysis.application, signal);
}

async function judgementOf(
  context: LookContext,
  application: AnalysedApplication,
  analysis: Analysis,
  measurements: Measurements,
  last: boolean,
): Promise<Judgement> {
  const judge = context.judgeNamed(analysis.judge);
  if (judge === undefined)
    throw new CodedError('judge_unknown', `there is no judge "${analysis.judge}"; mend the template "${analysis.template}"`);
  const { metrics, falseRollbacks } = application.plan;
  const { planned, warmup } = analysis.ticks;
  const task = { metrics, falseRollbacks, warmup, planned, ended: last };
  const { confirmation } = analysis;
  if (confirmation?.comparison === 'before-after')
    return judgeBeforeAfter(judge, task, measurements, { ticks: analysis.ticks, confirmation });
  const withSeries = (series: Measurements['series']) =>
    metrics.flatMap((metric) => {
      const known = series[metric.name];
      return known === undefined ? [] : [{ ...metric, series: known }];
    });
  if (analysis.kind !== 'recovery') return judge.judge({ ...task, metrics: withSeries(measurements.series) });
  const series = recoverySeries(measurements, await healthyBefore(context, analysis));
  const judgement = judge.judge({ ...task, metrics: withSeries(series), warmup: 1, planned: planned + 1 });
  // A recovery check is one question asked at its end.
  return { ...judgement, sentence: recoverySentence(judgement), verdict: last ? judgement.verdict : null };
}

/** Measurements of the analysis that led to the rollback which a recovery check belongs to. */
async function healthyBefore(context: LookContext, recovery: Analysis): Promise<Measurements | null> {
  const rollback = recovery.rollback === null ? undefined : await context.store.get('rollback', recovery.rollback);
  const failed = rollback === undefined ? null : (rollback.value as { analysis: string | null }).analysis;
  const record = failed === null ? undefined : await context.store.get('measurements', failed);
  return record === undefined ? null : healthySide(measurementsIn(record));
}

/** Which series are asked for, and under which name of a side the answers come back. */
function sidesOf({ canary, baseline, control }: Template, { kind, confirmation }: Analysis): Asked['sides'] {
  // What serves everybody: after a rollback, and where a revision is compared with the time before it.
  const everybody = baseline ?? canary;
  if (kind === 'recovery') return [{ side: 'canary', labels: everybody }];
  const beforeAfter = confirmation?.comparison === 'before-after';
  const other = beforeAfter ? control : baseline;
  return [
    { side: 'canary', labels: beforeAfter ? everybody : canary },
    ...(other === undefined ? [] : [{ side: 'baseline' as const, labels: other }]),
  ];
}

/**
 * Another revision that runs as the canary, once this one should: what is measured then is not this release, so it
 * must neither fail nor pass for it (design 5.7).
 */
function supersededBy(analysis: Analysis, state: DeliveryState | null): string | null {
  const is = (commit: string | null) => commit !== null && sameCommit(commit, analysis.revision);
  const { canary, stable } = state ?? { canary: null, stable: null };
  if (is(canary)) return null;
  if (analysis.confirmation?.comparison !== 'before-after') return canary;
  // What serves everybody is measured, so it is this release only while it is the stable one.
  return is(stable) ? null : (stable ?? canary);
}

/** An alert is a hint: nothing fails because of it while the cluster cannot be asked what it runs (design 5.6). */
function confirmedBy(
  context: LookContext,
  analysis: Analysis,
  state: DeliveryState | null,
  judgement: Judgement,
  last: boolean,
): Judgement {
  const unseen = state === null && context.canObserve(analysis.application);
  if (analysis.confirmation === undefined || judgement.verdict !== 'fail' || !unseen) return judgement;
  const sentence = `${judgement.sentence}; but it cannot be asked whether the cluster still runs this revision`;
  return { ...judgement, verdict: last ? 'inconclusive' : null, code: 'delivery_unknown', sentence };
}

/** An end without any measurement names the cause instead of a statistic. */
function explained(judgement: Judgement, measurements: Measurements, missing: readonly { sentence: string }[]): Judgement {
  const [cause] = missing;
  if (judgement.verdict !== 'inconclusive' || cause === undefined || anythingMeasured(measurements)) return judgement;
  return {
    ...judgement,
    code: 'metrics_unavailable',
    sentence: `nothing could be measured, so nothing is rolled back: ${cause.sentence}`,
  };
}

/** Records of earlier versions do not name the content. */
function isPlanOf({ plan }: AnalysedApplication, { template, templateDigest = plan.digest }: Analysis): boolean {
  return plan.templateName === template && plan.digest === templateDigest;
}
