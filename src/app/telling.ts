import type { Analysis } from '../analysis/record.ts';
import type { Clock } from '../clock.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { Rollback } from '../rollback/record.ts';
import type { JournalEntry } from '../store/port.ts';

/** Answers that speak of the traffic and not of the source: they come and go while everything works. */
const OF_THE_TRAFFIC: ReadonlySet<string> = new Set([
  'priming',
  'no_sample',
  'no_documents',
  'not_a_number',
  'bounds_changed',
  'events_exceed_total',
]);
const TELL_AGAIN_MS = 10 * 60_000;
/** Where one query of several fails, good reads and bad ones take turns. */
const WELL_AFTER_MS = 60_000;

/** What everybody is told when a rollback enters a state: the log and the metrics. */
export function tellRollback(rollback: Rollback, log: Logger, metrics: Metrics, clock: Clock): void {
  const { id, application, state, code, badCommit, revertCommit } = rollback;
  metrics.rollback(application, state);
  const facts = { rollback: id, application, state, code, badCommit, revertCommit };
  if (state === 'pushed') metrics.rollbackPushed((clock.now() - Date.parse(rollback.decidedAt)) / 1_000);
  if (state === 'held') metrics.rollbackHeld(application, code);
  if (state === 'held' || state === 'not_recovered' || state === 'failed')
    log.error({ ...facts, reason: rollback.sentence }, 'rollback needs a person');
  else log.info(facts, 'rollback moved on');
}

/** The same for the end of an analysis. */
export function tellAnalysis({ id, application, phase, verdict, code }: Analysis, log: Logger, metrics: Metrics): void {
  metrics.analysisEnded(application, verdict ?? 'cancelled');
  log.info({ analysis: id, application, phase, verdict, code }, 'analysis ended');
}

/** A source that does not answer stands in the log: when that begins, now and then while it lasts, and when it is over. */
export function tellingReads(
  log: Logger,
  clock: Clock,
): (source: string, missing: readonly { code: string; sentence: string }[]) => void {
  const ill = new Map<string, { toldAt: number; seenAt: number }>();
  return (source, missing) => {
    const now = clock.now();
    const known = ill.get(source);
    const fault = missing.find(({ code }) => !OF_THE_TRAFFIC.has(code));
    if (fault === undefined) {
      if (known === undefined || missing.length > 0 || now - known.seenAt < WELL_AFTER_MS) return;
      ill.delete(source);
      log.info({ source }, 'the metric source answers again');
      return;
    }
    const isDue = known === undefined || now - known.toldAt >= TELL_AGAIN_MS;
    ill.set(source, { toldAt: isDue ? now : known.toldAt, seenAt: now });
    if (isDue) log.warn({ source, code: fault.code, reason: fault.sentence }, 'a metric source does not answer');
  };
}

/** What alerts led to: one line for each application and kind, because a storm brings thousands at once. */
export function tellAlerts(entries: readonly JournalEntry[], log: Logger): void {
  const kinds = new Map<string, { first: JournalEntry; alerts: number }>();
  for (const entry of entries) {
    const kind = `${entry.event} ${entry.application} ${entry.code}`;
    const known = kinds.get(kind);
    kinds.set(kind, { first: known?.first ?? entry, alerts: (known?.alerts ?? 0) + 1 });
  }
  for (const { first, alerts } of kinds.values()) {
    const { event, application, code, subject, sentence } = first;
    const facts = { application, code, alert: subject, alerts, reason: sentence };
    if (event === 'alert.revision_unknown' || event === 'alert.failed') log.warn(facts, 'an alert led to nothing');
    else if (event === 'alert.analysis' || event === 'alert.rollback') log.info(facts, 'an alert is acted on');
  }
}
