import { CodedError } from '../errors.ts';
import type { CommitFacts, Repository } from '../git/port.ts';
import type { MetricJudgement } from '../judges/judge.ts';
import type { Rollback } from '../rollback/record.ts';
import { proposalBody, proposalTitle } from './body.ts';
import { CODEOWNERS_PATHS, ownersOf, parseCodeowners } from './codeowners.ts';
import type { ProposalOrder } from './port.ts';
import { FORGE_DEFAULTS, type ForgeConfig } from './schema.ts';

const MOST_REVIEWERS = 15;
const MOST_UNDONE = 20;

/** What a pull request is composed from. */
export interface OrderingContext {
  repository: Pick<Repository, 'branch' | 'commit' | 'readFile'>;
  forge: ForgeConfig;
  /** The figures of the analysis behind it; none where a person asked. */
  metrics: readonly MetricJudgement[];
  /** Where a person looks at the rollback; null when no address is configured. */
  url: string | null;
}

/**
 * The whole order for the pull request of a rollback whose branch was pushed: the same for the same rollback.
 *
 * @throws CodedError of git
 */
export async function proposalOrder(rollback: Rollback, context: OrderingContext, signal: AbortSignal): Promise<ProposalOrder> {
  const { repository, forge, metrics, url } = context;
  const { plan, revertRef, id } = rollback;
  const settings = typeof forge === 'string' ? null : forge;
  const [guilty = rollback.badCommit, ...others] = plan?.undoes ?? [];
  const bad = await repository.commit(guilty, signal);
  const undone: Pick<CommitFacts, 'sha' | 'subject'>[] = [bad];
  for (const sha of others)
    undone.push(undone.length < MOST_UNDONE ? await facts(repository, sha, signal) : { sha, subject: '' });
  return {
    branch: revertRef?.replace(/^refs\/heads\//, '') ?? `davylamp/${id}`,
    base: repository.branch,
    title: proposalTitle({ bad }),
    body: proposalBody({ rollback, bad, undone, metrics, url }),
    labels: settings?.labels ?? [FORGE_DEFAULTS.label],
    reviewers: (await reviewers(rollback, context, signal)).slice(0, MOST_REVIEWERS),
    autoMerge: settings?.autoMerge ?? false,
  };
}

async function facts(
  repository: OrderingContext['repository'],
  sha: string,
  signal: AbortSignal,
): Promise<Pick<CommitFacts, 'sha' | 'subject'>> {
  try {
    return await repository.commit(sha, signal);
  } catch (error) {
    // A subject that is not known any more keeps nothing from being proposed.
    if (error instanceof CodedError && error.code === 'commit_unknown') return { sha, subject: '' };
    throw error;
  }
}

async function reviewers(
  { plan }: Rollback,
  { repository, forge }: OrderingContext,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const type = typeof forge === 'string' ? forge : forge.type;
  const wanted = (typeof forge === 'string' ? undefined : forge.reviewers) ?? 'codeowners';
  if (typeof wanted !== 'string') return wanted;
  // Gitea and Forgejo read their own kind of file, and ask whom it names by themselves.
  if (wanted === 'none' || plan === null || (type !== 'github' && type !== 'gitlab')) return [];
  for (const path of CODEOWNERS_PATHS[type]) {
    const text = await repository.readFile(plan.head, path, signal);
    if (text !== null) return ownersOf(parseCodeowners(text, type), plan.changed);
  }
  return [];
}
