import { type Analysis, type Phase } from '../../analysis/record.ts';
import { CodedError } from '../../errors.ts';
import type { CommitFacts } from '../../git/port.ts';
import { deliveryOf, policyOf, repositoryOf, type ExecutorContext } from '../context.ts';
import { isWithin } from '../paths.ts';
import type { Rollback } from '../record.ts';
import { rollbackIn } from '../stored.ts';

const ANALYSES = 100;
/** Analyses that say something of a revision, or are about to. */
const JUDGES: ReadonlySet<Phase> = new Set(['Pending', 'Running', 'Successful', 'Failed']);

/**
 * The revision after which everything was judged with the bad one. An operator that went past a bad commit straight to the
 * next one ran both at once: to take the newest back would not heal. What ran before is asked of the cluster, and what was
 * judged by itself of the ledger and the analyses.
 *
 * @returns null where the revision itself is meant: a person names it, or nothing before it is known
 * @throws CodedError of git and of the store
 */
export async function judgedSince(
  context: ExecutorContext,
  rollback: Rollback,
  judged: CommitFacts,
  signal: AbortSignal,
): Promise<string | null> {
  const { application, paths } = policyOf(context, rollback);
  if (rollback.trigger === 'manual' && judged.paths.some((path) => isWithin(path, paths))) return null;
  const [stable, analysed] = await Promise.all([stableIn(context, rollback, signal), analysedIn(context, application)]);
  const others = [...(stable === null ? [] : [stable]), ...analysed];
  const repository = repositoryOf(context, rollback);
  return context.ledger.lastKnown(application, { before: judged.sha, others, repository }, signal);
}

/** Null where the cluster cannot say it now: the guards ask it again, and wait for it. */
async function stableIn(context: ExecutorContext, rollback: Rollback, signal: AbortSignal): Promise<string | null> {
  const delivery = deliveryOf(context, rollback);
  if (!delivery.can.observe) return null;
  try {
    return (await delivery.observe(signal)).stable;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof CodedError) return null;
    throw error;
  }
}

async function analysedIn(context: ExecutorContext, application: string): Promise<string[]> {
  const [analyses, rollbacks] = await Promise.all([
    context.store.list('analysis', { application, limit: ANALYSES }),
    context.store.list('rollback', { application, limit: ANALYSES }),
  ]);
  const analysed = analyses.records
    .map(({ value }) => value as Analysis)
    .filter(({ kind, phase }) => kind !== 'recovery' && JUDGES.has(phase))
    .map(({ revision }) => revision);
  // What an alert or a person called bad has a rollback of its own.
  return [...analysed, ...rollbacks.records.map((record) => rollbackIn(record).badCommit)];
}
