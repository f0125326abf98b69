import type { Analysis } from '../../analysis/record.ts';
import type { DeliveryState } from '../../delivery/port.ts';
import { CodedError, codeOf } from '../../errors.ts';
import type { CommitFacts, Repository } from '../../git/port.ts';
import { deliveryOf, policyOf, repositoryOf, type ExecutorContext } from '../context.ts';
import { isWithin } from '../paths.ts';
import type { Rollback } from '../record.ts';
import { sinceStep } from '../transitions.ts';
import { FIRST_STEPS, GRACE_MS } from './patience.ts';

const ANALYSES = 100;

/**
 * The revision after which everything was judged with the bad one. An operator that went past a bad commit straight to the
 * next one ran both at once: to take the newest back would not heal. Only the cluster knows what ran before; what was found
 * good since is no part of it. A revision that changes nothing of the application is the head of a repository of many: what
 * it holds is suspect back to what is known to be good.
 *
 * @returns null where the commit itself is meant: a person names it, or nobody says what ran before it; undefined where the
 *   cluster was silent for too long, so that it is to be asked again
 * @throws CodedError of git, of the store, and of the delivery while it is waited for
 */
export async function judgedSince(
  context: ExecutorContext,
  rollback: Rollback,
  judged: CommitFacts,
  signal: AbortSignal,
): Promise<string | null | undefined> {
  const { application, paths, lastGood } = policyOf(context, rollback);
  const repository = repositoryOf(context, rollback);
  if (!judged.paths.some((path) => isWithin(path, paths))) {
    const query = { before: judged.sha, lowest: lastGood, repository };
    return rollback.good ?? (await context.ledger.lastGood(application, query, signal))?.revision ?? null;
  }
  if (rollback.trigger === 'manual') return null;
  const stable = await stableBeside(context, rollback, judged, signal);
  if (stable === null || stable === undefined) return stable;
  const others = [stable, ...(await provedIn(context, application))];
  return context.ledger.lastKnown(application, { before: judged.sha, others, repository }, signal);
}

/**
 * What runs beside the judged content, as the cluster says; null where it runs neither or only one of them, as after the
 * promotion.
 *
 * @returns undefined when the cluster is silent for longer than the guards wait for it
 * @throws CodedError of the delivery, which is waited for
 */
async function stableBeside(
  context: ExecutorContext,
  rollback: Rollback,
  judged: CommitFacts,
  signal: AbortSignal,
): Promise<string | null | undefined> {
  const repository = repositoryOf(context, rollback);
  const { paths } = policyOf(context, rollback);
  const state = await askedFor(context, rollback, signal);
  if (state === undefined) return undefined;
  if (state === null || state.stable === null || state.canary === null) return null;
  const { stable, canary } = state;
  if (!(await isKnown(repository, stable, signal)) || !(await isKnown(repository, canary, signal))) return null;
  if (!(await repository.isAncestor(stable, judged.sha, signal))) return null;
  const [before, running, now] = await Promise.all(
    [stable, canary, judged.sha].map((one) => repository.contentOf(one, paths, signal)),
  );
  return running === now && before !== now ? stable : null;
}

async function askedFor(
  context: ExecutorContext,
  rollback: Rollback,
  signal: AbortSignal,
): Promise<DeliveryState | null | undefined> {
  const delivery = deliveryOf(context, rollback);
  if (!delivery.can.observe) return null;
  try {
    return await delivery.observe(signal);
  } catch (error) {
    signal.throwIfAborted();
    const waited = sinceStep(rollback, FIRST_STEPS, context.clock.now());
    if (!(error instanceof CodedError) || waited <= GRACE_MS) throw error;
    return undefined;
  }
}

/** Whether it is a commit of the branch; a controller may name one of another repository. */
async function isKnown(repository: Repository, revision: string, signal: AbortSignal): Promise<boolean> {
  try {
    return (await repository.commit(revision, signal)).onBranch;
  } catch (error) {
    if (codeOf(error) === 'commit_unknown') return false;
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
