import { isFinal, type Analysis } from '../../analysis/record.ts';
import type { ExecutorContext } from '../context.ts';
import type { Analysed, BadOne, Crowd } from '../guards/facts.ts';
import type { Rollback } from '../record.ts';
import { rollbackIn } from '../stored.ts';

const ROLLBACKS = 1_000;
const FAILED = 300;
const RUNNING = 500;
/** Odds against "no worse than the baseline" from which an undecided analysis counts as leaning. */
const LEANING_ODDS = 10;
const NOBODY: Crowd = { bad: [], analysed: [], incident: null };

/**
 * What turned bad around the decision of a rollback, and what is being analysed right now. Not read where too few
 * applications share anything for it to matter.
 */
export async function crowdOf(context: ExecutorContext, rollback: Rollback, now: number): Promise<Crowd> {
  const { breaker, shares } = context.fleet;
  if (!breaker.isEnabled || rollback.trigger === 'manual' || !isFleet(context)) return NOBODY;
  const decided = Date.parse(rollback.decidedAt);
  const isNear = (at: number) => at <= now && Math.abs(at - decided) <= breaker.within;
  const [rollbacks, failed, running] = await Promise.all([
    context.store.list('rollback', { since: decided - breaker.within, limit: ROLLBACKS }),
    context.store.list('analysis', { state: 'Failed', limit: FAILED }),
    context.store.list('analysis', { open: true, limit: RUNNING }),
  ]);
  const others = rollbacks.records.map(rollbackIn).filter((other) => isNear(Date.parse(other.decidedAt)));
  const decisions = others
    .filter(({ trigger, code }) => trigger !== 'manual' && code !== 'rebuilt')
    .map(({ application, badCommit, decidedAt }) => ({ application, commit: badCommit, at: Date.parse(decidedAt) }));
  const verdicts = failed.records.map(({ value }) => value as Analysis).flatMap(badOne);
  return {
    bad: [...verdicts.filter(({ at }) => isNear(at)), ...decisions],
    analysed: running.records
      .map(({ value }) => value as Analysis)
      .filter(({ kind, phase, application }) => kind !== 'recovery' && !isFinal(phase) && shares.has(application))
      .map(analysed),
    incident: others.find(({ incident }) => incident !== undefined)?.incident ?? null,
  };
}

/** Whether there are as many applications that share something as the breaker needs. */
function isFleet({ fleet }: ExecutorContext): boolean {
  const count = new Map<string, number>();
  for (const shared of fleet.shares.values()) {
    for (const one of shared) count.set(one, (count.get(one) ?? 0) + 1);
  }
  return Math.max(0, ...count.values()) >= Math.min(3, fleet.breaker.applications);
}

function badOne({ kind, verdict, endedAt, application, revision }: Analysis): BadOne[] {
  if (kind === 'recovery' || verdict !== 'fail' || endedAt === null) return [];
  return [{ application, commit: revision, at: Date.parse(endedAt) }];
}

function analysed({ application, judgement, nextTickAt, ticks }: Analysis): Analysed {
  const nextAt = nextTickAt === null ? null : Date.parse(nextTickAt);
  const leans =
    judgement?.metrics.some(({ verdict, eValue }) => verdict === 'fail' || (eValue.value ?? 0) >= LEANING_ODDS) === true;
  return { application, leans, nextAt, lastAt: nextAt === null || ticks.done === 0 ? null : nextAt - ticks.everyMs };
}
