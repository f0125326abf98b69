import type { Delivery } from '../delivery/port.ts';
import { CodedError, codeOf } from '../errors.ts';
import type { CommitFacts, Repository } from '../git/port.ts';
import { isWithin } from '../rollback/paths.ts';

/** The commits that made a bad revision what it is. */
export type Guilty =
  | { kind: 'one'; commit: CommitFacts }
  /** Newest first. `more`: these are not all of them. */
  | { kind: 'several'; commits: CommitFacts[]; more: boolean }
  | { kind: 'none'; code: 'nothing_in_git'; sentence: string };

/** More than a plan may undo. */
const MOST_COMMITS = 101;
const REFERENCE_TRAILER = /^Argocd-reference-commit-sha:[ \t]*([0-9a-f]{7,64})[ \t]*$/gim;
const COMMIT_ID = /^[0-9a-f]{7,64}$/;

/**
 * The commits to take out because a revision is bad: those that changed the application after the last good revision.
 * What a cluster runs is often the head of a repository of many applications and changes nothing of this one; then the
 * newest commit at or before it that did is meant. What was changed and changed back in between counts for nothing.
 *
 * @param from.revision what was judged; on the branch
 * @param from.good the last good revision, an ancestor; null when none is known: then only the newest change is named
 * @throws CodedError `commit_unknown`, and those of git
 */
export async function guiltyOf(
  from: { repository: Repository; paths: readonly string[]; revision: CommitFacts; good: string | null },
  signal: AbortSignal,
): Promise<Guilty> {
  const { repository, paths, revision, good } = from;
  if (good === null) {
    if (revision.paths.some((path) => isWithin(path, paths))) return { kind: 'one', commit: revision };
    const [commit] = await repository.commitsTouching({ from: null, to: revision.sha, paths, limit: 1 }, signal);
    return commit === undefined ? nothing(from) : { kind: 'one', commit };
  }
  const found = await repository.commitsTouching({ from: good, to: revision.sha, paths, limit: MOST_COMMITS }, signal);
  const [newest, ...older] = found;
  if (newest === undefined) return nothing(from);
  if (older.length === 0) return { kind: 'one', commit: newest };
  const goodContent = await repository.contentOf(good, paths, signal);
  if ((await repository.contentOf(newest.sha, paths, signal)) === goodContent) return nothing(from);
  const commits = [newest];
  for (const commit of older) {
    // Here the application was as the last good revision has it, so what came before was taken back already.
    if ((await repository.contentOf(commit.sha, paths, signal)) === goodContent) break;
    commits.push(commit);
  }
  if (commits.length === 1) return { kind: 'one', commit: newest };
  const more = commits.length === MOST_COMMITS;
  return { kind: 'several', commits: more ? commits.slice(0, -1) : commits, more };
}

function nothing({ repository, paths, revision, good }: Parameters<typeof guiltyOf>[0]): Guilty {
  const since = good === null ? '' : ` since the last good revision ${short(good)}`;
  const sentence =
    `no commit of ${repository.name} up to ${short(revision.sha)} changes ${paths.join(', ')}${since}, so there is nothing to revert; ` +
    'look for a tag that was pushed again, a chart version, a parameter override or another repository, and set that back where it is declared';
  return { kind: 'none', code: 'nothing_in_git', sentence };
}

/** The commit that is meant, and where that is known from. */
export type Found =
  | { kind: 'found'; revision: CommitFacts; how: string }
  /** Nothing in Git made it, or nobody can tell which commit did. */
  | { kind: 'none'; code: string; sentence: string };

export interface FindOrder {
  application: string;
  paths: readonly string[];
  repository: Repository;
  delivery: Delivery | undefined;
  /** What a request or an alert names: a commit, perhaps of another repository; null when it names nothing. */
  named: string | null;
  /** A person named it and means exactly that: no commit of the branch is an error, and nothing else is looked for. */
  exactly: boolean;
  /** The newest revision before this one that is known to be good. */
  lastGood: (before: string, signal: AbortSignal) => Promise<string | null>;
}

/**
 * Which commit of the branch brought what is released now: what the request names, else what the GitOps operator says,
 * else what stands at the workload, else what Git alone tells: what touched the application since it was known to be good.
 *
 * @throws CodedError `commit_unknown`, `commit_not_on_branch` where exactly the named one is meant; those of git and of
 *   the delivery when they cannot be asked
 */
export async function findRevision(order: FindOrder, signal: AbortSignal): Promise<Found> {
  const { repository, delivery, named, exactly } = order;
  if (named !== null) {
    const commit = await onBranch(repository, named, exactly, signal);
    if (commit !== null) return { kind: 'found', revision: commit, how: 'named by the request' };
  }
  const located = await delivery?.locate?.(signal);
  if (located?.notInGit) return { kind: 'none', ...located.notInGit };
  if (located !== undefined && located.revision !== null) {
    const commit = await onBranch(repository, located.revision, false, signal);
    if (commit !== null) return { kind: 'found', revision: commit, how: located.how };
  }
  if (delivery?.can.observe === true) {
    const { canary, stable } = await delivery.observe(signal);
    const running = canary ?? stable;
    const commit = running === null ? null : await onBranch(repository, running, false, signal);
    if (commit !== null) return { kind: 'found', revision: commit, how: 'as the workload says' };
  }
  return fromGitAlone(order, signal);
}

async function fromGitAlone({ application, paths, repository, named, lastGood }: FindOrder, signal: AbortSignal): Promise<Found> {
  const { head } = await repository.refresh(signal);
  const good = await lastGood(head, signal);
  if (good === null) {
    const sentence = `which commit brought what runs of ${application} is not known: nothing names it, and no revision before the head of ${repository.branch} is known to be good; name the commit, or mark a good one with davylamp mark-good`;
    return { kind: 'none', code: 'revision_unknown', sentence };
  }
  const commits = await repository.commitsTouching({ from: good, to: head, paths, limit: MOST_COMMITS }, signal);
  const referring = commits.filter(({ message }) => named !== null && refersTo(message, named));
  const [newest] = referring.length === 1 ? referring : commits;
  if (newest === undefined) {
    const sentence = `nothing of ${application} changed in ${repository.name} since the last good revision ${short(good)}, so there is nothing to revert there`;
    return { kind: 'none', code: 'nothing_in_git', sentence };
  }
  const how =
    referring.length === 1 ? 'its message names the commit' : `the newest change since the good revision ${short(good)}`;
  return { kind: 'found', revision: newest, how };
}

/** A commit on the branch; null when it is none, unless exactly this one is meant. */
async function onBranch(
  repository: Repository,
  named: string,
  exactly: boolean,
  signal: AbortSignal,
): Promise<CommitFacts | null> {
  if (!COMMIT_ID.test(named) && !exactly) return null;
  try {
    const commit = await repository.commit(named, signal);
    if (commit.onBranch) return commit;
    if (!exactly) return null;
  } catch (error) {
    if (codeOf(error) === 'commit_unknown' && !exactly) return null;
    throw error;
  }
  throw new CodedError(
    'commit_not_on_branch',
    `commit ${named} is not part of branch ${repository.branch}; name the commit that brought the bad version there`,
  );
}

/** Deployment tools name the commit of the code in a trailer that Argo CD reads, too (source hydrator, commit trailers). */
function refersTo(message: string, named: string): boolean {
  return [...message.matchAll(REFERENCE_TRAILER)].some(([, sha = '']) => sha.startsWith(named) || named.startsWith(sha));
}

function short(revision: string): string {
  return revision.slice(0, 12);
}
