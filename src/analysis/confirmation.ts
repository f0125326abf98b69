import type { Judge, Judgement, JudgeTask } from '../judges/judge.ts';
import type { MetricSeries } from '../judges/series.ts';
import { changeOfMean, changeOfRate } from '../statistics/change-point.ts';
import type { AnalysisPlan } from './plan.ts';
import type { Analysis, Confirmation, Measurements } from './record.ts';
import { recoverySeries } from './recovery.ts';

/**
 * Is the release to blame for an alert (design 5.2)? With a live baseline the two sides are compared from the moment
 * the revision went live. Without one its time is compared with the time before, which a shared fault confounds: the
 * change must then lie where the revision went live, and must not be shared by the control series.
 */

/** So much of the time before is read at most, in ticks. */
const MOST_TICKS_BEFORE = 60;
/** Ticks that are still to come when a confirmation begins, so that it can see whether a fault lasts. */
const LEAST_TICKS_TO_COME = 5;
/** A change belongs to a release when it comes within this time of it, … */
const BLAMED_MS = 300_000;
/** … within this many ticks of it, … */
const MOST_BLAMED_TICKS = 5;
/** … and within at least this many. */
const LEAST_BLAMED_TICKS = 2;

/** Milliseconds after a revision went live in which a change that begins is put down to it. */
export function blamedFor(everyMs: number): number {
  return Math.max(LEAST_BLAMED_TICKS * everyMs, Math.min(MOST_BLAMED_TICKS * everyMs, BLAMED_MS));
}

/**
 * Which ticks a confirmation has: from when the revision went live, or the last ones of a long life, up to now and some
 * to come. Milliseconds since the epoch.
 */
export function confirmedTicks(plan: AnalysisPlan, liveSince: number, now: number): { startedAt: number; planned: number } {
  const grid = (at: number) => Math.ceil(at / plan.everyMs) * plan.everyMs;
  const behind = Math.max(1, plan.planned - LEAST_TICKS_TO_COME);
  const startedAt = Math.max(grid(liveSince), grid(now) - behind * plan.everyMs);
  const past = Math.max(0, Math.ceil((now - startedAt) / plan.everyMs));
  return { startedAt, planned: Math.max(plan.planned, past + LEAST_TICKS_TO_COME) };
}

/** The windows of the time before, the last one ends when the revision went live at the latest. */
export function windowsBefore(plan: AnalysisPlan, liveSince: number): { from: number; to: number }[] {
  const end = Math.floor(liveSince / plan.everyMs) * plan.everyMs;
  const count = Math.min(plan.planned, MOST_TICKS_BEFORE);
  return Array.from({ length: count }, (_, at) => {
    const to = end - (count - 1 - at) * plan.everyMs;
    return { from: to - plan.everyMs, to };
  });
}

/** Null: the alert may have to do with the release. Otherwise why that cannot be said. */
export function notOfThisRelease(
  plan: AnalysisPlan,
  { comparison, liveSince, startKnown, alert }: Confirmation,
): { code: string; sentence: string } | null {
  if (comparison === 'baseline') return null;
  if (!startKnown) {
    const sentence =
      'the revision was there already when davylamp first looked, so nothing can be put down to its release; a delivery that tells its history, or a live baseline, would help';
    return { code: 'release_time_unknown', sentence };
  }
  const after = Date.parse(alert.startsAt) - Date.parse(liveSince);
  if (after <= plan.planned * plan.everyMs) return null;
  const sentence = `the alert began ${minutes(after)} after the revision went live, and there is no live baseline that could still tell whether the release is to blame`;
  return { code: 'not_at_release', sentence };
}

/**
 * The judgement without a live baseline, always marked as confounded.
 *
 * @param measurements the ticks since the revision went live, `baseline` being the control series where there are some;
 *   `before` the same of the time before
 */
export function judgeBeforeAfter(
  judge: Judge,
  task: Omit<JudgeTask, 'metrics'> & { metrics: readonly Omit<JudgeTask['metrics'][number], 'series'>[] },
  measurements: Measurements,
  analysis: Pick<Analysis, 'ticks'> & { confirmation: Confirmation },
): Judgement {
  const before = measurements.before ?? {};
  const { warmup } = analysis.ticks;
  const judged = (side: 'canary' | 'baseline') => {
    const series = recoverySeries(
      { ...measurements, series: withoutFirst(oneSided(measurements.series, side), warmup) },
      { ...measurements, series: asHealthy(before, side) },
    );
    const metrics = task.metrics.flatMap((metric) => {
      const known = series[metric.name];
      return known === undefined ? [] : [{ ...metric, series: known }];
    });
    // The first tick shows the judge the time before; it is no tick of the analysis. The warm-up is left out already.
    return judge.judge({ ...task, metrics, warmup: 1, planned: Math.max(1, task.planned - warmup) + 1 });
  };
  const found = judged('canary');
  const judgement = { ...found, sentence: `against the time before the release: ${found.sentence}`, confounded: true };
  if (judgement.verdict !== 'fail') return judgement;
  const decisive = judgement.decidedBy === null ? undefined : measurements.series[judgement.decidedBy];
  const earlier = judgement.decidedBy === null ? undefined : before[judgement.decidedBy];
  if (decisive === undefined || earlier === undefined) return judgement;
  const { liveSince } = analysis.confirmation;
  const { everyMs } = analysis.ticks;
  const changedAt = changeOf(earlier, decisive, measurements.times, Date.parse(liveSince), everyMs);
  const since = changedAt === null ? null : changedAt - Date.parse(liveSince);
  if (since === null || since < -everyMs || since > blamedFor(everyMs)) {
    const when =
      since === null ? 'at no moment that can be told' : since < 0 ? `${minutes(-since)} before` : `${minutes(since)} after`;
    return excused(
      judgement,
      'not_at_release',
      `${judgement.sentence}; but it changed ${when} the revision went live, so the release is not blamed for it`,
    );
  }
  const controlled = Object.values(measurements.series).some(({ baseline }) => baseline !== null);
  if (!controlled) return judgement;
  const control = judged('baseline');
  const same = control.metrics.find(({ name }) => name === judgement.decidedBy);
  if (control.verdict !== 'fail' && same !== undefined && (same.traffic.canary.total ?? 0) > 0) return judgement;
  if (control.verdict !== 'fail') {
    const sentence = `${judgement.sentence}; but the control series could not be measured, so a shared fault cannot be told from it`;
    return excused(judgement, 'control_missing', sentence);
  }
  return excused(
    judgement,
    'environment_unhealthy',
    `the control series became worse at the same time (${control.sentence}), so the release is not blamed: ${judgement.sentence}`,
  );
}

/** The series without their leading ticks. */
function withoutFirst(series: Measurements['series'], count: number): Measurements['series'] {
  return mapped(series, (metric) => {
    switch (metric.type) {
      case 'proportion':
        return {
          ...metric,
          canary: { events: metric.canary.events.slice(count), total: metric.canary.total.slice(count) },
        };
      case 'histogram':
        return { ...metric, canary: { counts: metric.canary.counts.slice(count) } };
      case 'gauge':
        return { ...metric, canary: metric.canary.slice(count) };
    }
  });
}

/** Where the healthy side of what failed is found: in the live baseline, or in the time before. */
export function healthySide(measurements: Measurements): Measurements {
  return measurements.before === undefined ? measurements : { ...measurements, series: asHealthy(measurements.before, 'canary') };
}

function excused(judgement: Judgement, code: string, sentence: string): Judgement {
  return { ...judgement, verdict: 'inconclusive', code, sentence };
}

/** One side alone, as if it were the canary. */
function oneSided(series: Measurements['series'], side: 'canary' | 'baseline'): Measurements['series'] {
  const alone = (metric: MetricSeries): MetricSeries | null => {
    switch (metric.type) {
      case 'proportion':
        return metric[side] === null ? null : { ...metric, canary: metric[side], baseline: null };
      case 'histogram':
        return metric[side] === null ? null : { ...metric, canary: metric[side], baseline: null };
      case 'gauge':
        return metric[side] === null ? null : { ...metric, canary: metric[side], baseline: null };
    }
  };
  return mapped(series, alone);
}

/** One side of the time before, where the comparison looks for the healthy side. */
function asHealthy(series: Measurements['series'], side: 'canary' | 'baseline'): Measurements['series'] {
  const healthy = (metric: MetricSeries): MetricSeries => {
    switch (metric.type) {
      case 'proportion':
        return { ...metric, baseline: metric[side] };
      case 'histogram':
        return { ...metric, baseline: metric[side] };
      case 'gauge':
        return { ...metric, baseline: metric[side] };
    }
  };
  return mapped(series, healthy);
}

function mapped(series: Measurements['series'], change: (metric: MetricSeries) => MetricSeries | null): Measurements['series'] {
  return Object.fromEntries(
    Object.entries(series).flatMap(([name, metric]) => {
      const changed = change(metric);
      return changed === null ? [] : [[name, changed]];
    }),
  );
}

/** When the metric changed, in milliseconds since the epoch: the begin of the first tick of the new regime. */
function changeOf(
  before: MetricSeries,
  after: MetricSeries,
  times: readonly number[],
  liveSince: number,
  everyMs: number,
): number | null {
  const end = Math.floor(liveSince / everyMs) * everyMs;
  const length = lengthOf(before);
  const ends = [...Array.from({ length }, (_, at) => end - (length - 1 - at) * everyMs), ...times];
  const found = changeIn(before, after);
  const at = found === null ? undefined : ends[found];
  return at === undefined ? null : at - everyMs;
}

function changeIn(before: MetricSeries, after: MetricSeries): number | null {
  if (before.type === 'proportion' && after.type === 'proportion') {
    const found = changeOfRate(
      [...before.canary.events, ...after.canary.events],
      [...before.canary.total, ...after.canary.total],
    );
    return found?.index ?? null;
  }
  if (before.type === 'gauge' && after.type === 'gauge') return changeOfMean([...before.canary, ...after.canary])?.index ?? null;
  if (before.type !== 'histogram' || after.type !== 'histogram') return null;
  const rows = [...before.canary.counts, ...after.canary.counts];
  const totals = rows.map((row) => row?.reduce((sum, count) => sum + count, 0) ?? null);
  const splits = after.bounds.map((_, bound) =>
    changeOfRate(
      rows.map((row) => row?.slice(bound + 1).reduce((sum, count) => sum + count, 0) ?? null),
      totals,
    ),
  );
  // The bound at which the change shows best.
  const best = splits.reduce((one, other) => ((other?.gain ?? -1) > (one?.gain ?? -1) ? other : one), null);
  return best?.index ?? null;
}

function lengthOf(series: MetricSeries): number {
  switch (series.type) {
    case 'proportion':
      return series.canary.total.length;
    case 'histogram':
      return series.canary.counts.length;
    case 'gauge':
      return series.canary.length;
  }
}

function minutes(ms: number): string {
  return ms < 120_000 ? `${Math.round(ms / 1_000)} s` : `${Math.round(ms / 60_000)} min`;
}
