import type { Analysis } from '../../analysis/record.ts';
import { CodedError } from '../../errors.ts';
import type { CommitFacts } from '../../git/port.ts';
import { deliveryOf, policyOf, repositoryOf, type ExecutorContext } from '../context.ts';
import { isWithin } from '../paths.ts';
import type { Rollback } from '../record.ts';

const ANALYSES = 100;

/**
 * The revision after which everything was judged with the bad one. An operator that went past a bad commit straight to the
 * next one ran both at once: to take the newest back would not heal. Only the cluster knows what ran before; what was found
 * good since is no part of it. A revision that changes nothing of the application is the head of a repository of many: what
 * it holds is suspect back to what is known to be good.
 *
 * @returns null where the commit itself is meant: a person names it, or nobody says what ran before it
 * @throws CodedError of git and of the store
 */
export async function judgedSince(
  context: ExecutorContext,
  rollback: Rollback,
  judged: CommitFacts,
  signal: AbortSignal,
): Promise<string | null> {
  const { application, paths, lastGood } = policyOf(context, rollback);
  const repository = repositoryOf(context, rollback);
  if (!judged.paths.some((path) => isWithin(path, paths))) {
    const query = { before: judged.sha, lowest: lastGood, repository };
    return rollback.good ?? (await context.ledger.lastGood(application, query, signal))?.revision ?? null;
  }
  if (rollback.trigger === 'manual') return null;
  const stable = await stableBeside(context, rollback, judged, signal);
  if (stable === null) return null;
  const others = [stable, ...(await provedIn(context, application))];
  return context.ledger.lastKnown(application, { before: judged.sha, others, repository }, signal);
}

/**
 * What runs beside the judged content, as the cluster says. Null where it runs neither or only one of them, as after the
 * promotion, and where it cannot say it now: the guards ask it again, and wait for it.
 */
async function stableBeside(
  context: ExecutorContext,
  rollback: Rollback,
  judged: CommitFacts,
  signal: AbortSignal,
): Promise<string | null> {
  const delivery = deliveryOf(context, rollback);
  const repository = repositoryOf(context, rollback);
  const { paths } = policyOf(context, rollback);
  if (!delivery.can.observe) return null;
  try {
    const { stable, canary } = await delivery.observe(signal);
    if (stable === null || canary === null || !(await repository.commit(stable, signal)).onBranch) return null;
    if (!(await repository.isAncestor(stable, judged.sha, signal))) return null;
    const [before, running, now] = await Promise.all(
      [stable, canary, judged.sha].map((one) => repository.contentOf(one, paths, signal)),
    );
    return running === now && before !== now ? stable : null;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof CodedError) return null;
    throw error;
  }
}

async function provedIn(context: ExecutorContext, application: string): Promise<string[]> {
  const { records } = await context.store.list('analysis', { application, limit: ANALYSES });
  return records
    .map(({ value }) => value as Analysis)
    .filter(({ kind, phase }) => kind !== 'recovery' && phase === 'Successful')
    .map(({ revision }) => revision);
}
