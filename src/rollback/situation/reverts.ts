import { CodedError } from '../../errors.ts';
import type { Proposed } from '../../forge/port.ts';
import type { CommitFacts, Repository, Reverter } from '../../git/port.ts';
import { policyOf, type ExecutorContext } from '../context.ts';
import type { Reverts } from '../guards/facts.ts';
import { isWithin } from '../paths.ts';
import type { Rollback } from '../record.ts';
import { FIRST_STEPS, GRACE_MS } from './patience.ts';
import { sinceStep } from '../transitions.ts';

/** Messages that are read to see whether a commit only imitates ours. */
const READ_MESSAGES = 5;

/** What has been done about the bad commit already, on the branch and, while it is planned, at the forge. */
export async function revertsOf(
  context: ExecutorContext,
  rollback: Rollback,
  about: { repository: Repository; bad: CommitFacts; moment: 'plan' | 'push' },
  signal: AbortSignal,
): Promise<Reverts> {
  const { repository, bad, moment } = about;
  const [own, reverters, proposals] = await Promise.all([
    ownRevert(context, rollback, repository, signal),
    repository.reverters(bad.sha, signal),
    moment === 'plan' ? proposalsOf(context, rollback, bad, signal) : [],
  ]);
  return { own, byOthers: await genuine(repository, reverters, signal), proposals };
}

/** Our identity can be written into any commit: one that changes nothing of the application took nothing out. */
async function ownRevert(
  context: ExecutorContext,
  rollback: Rollback,
  repository: Repository,
  signal: AbortSignal,
): Promise<string | null> {
  const { paths } = policyOf(context, rollback);
  const commits = await repository.ownCommits(rollback.badCommit, rollback.id, signal);
  for (const commit of commits.slice(0, READ_MESSAGES)) {
    const facts = await repository.commit(commit, signal);
    if (facts.paths.some((path) => isWithin(path, paths))) return commit;
  }
  return null;
}

/** A trailer of ours under another name is a forgery and counts for nothing; the content says what is the case. */
async function genuine(repository: Repository, reverters: readonly Reverter[], signal: AbortSignal): Promise<Reverter[]> {
  const others = reverters.filter(({ by }) => by === 'other').slice(0, READ_MESSAGES);
  const messages = await Promise.all(others.map(({ commit }) => repository.commit(commit, signal)));
  return others.filter((_, at) => !/^Davylamp-Rollback: /m.test(messages[at]?.message ?? ''));
}

/** A forge that does not answer is waited for a while; then Git goes on without it. */
async function proposalsOf(
  context: ExecutorContext,
  rollback: Rollback,
  { sha, subject }: CommitFacts,
  signal: AbortSignal,
): Promise<readonly Proposed[]> {
  const forge = context.forgeOf(rollback.repository);
  if (forge === null) return [];
  try {
    return await forge.revertsOf({ sha, subject }, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof CodedError)) throw error;
    if (sinceStep(rollback, FIRST_STEPS, context.clock.now()) <= GRACE_MS && error.retryable) throw error;
    return [];
  }
}
