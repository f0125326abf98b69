import type { Analysis } from '../analysis/record.ts';
import type { Clock } from '../clock.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { Rollback } from '../rollback/record.ts';

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
