import type { Analysis } from '../../analysis/record.ts';
import type { CommitFacts, Repository } from '../../git/port.ts';
import type { LedgerEntry } from '../../ledger/record.ts';
import { isPerson } from '../../ledger/rules.ts';
import { policyOf, type ExecutorContext } from '../context.ts';
import type { GuardFacts } from '../guards/facts.ts';
import { rollbackId } from '../identity.ts';
import { ALERT } from '../opening.ts';
import { isWithin } from '../paths.ts';
import type { Plan, Rollback } from '../record.ts';
import { rollbackIn } from '../stored.ts';

/**
 * What is known of the bad revision and of the commit that brought it, which is an older one where the revision is the head
 * of a repository of many applications; and since when it is live as far as anybody knows.
 */
export async function standingOf(
  context: ExecutorContext,
  rollback: Rollback,
  bad: CommitFacts,
): Promise<Pick<GuardFacts, 'known' | 'liveSince'>> {
  const { application, badCommit } = rollback;
  const [judged, brought, analysis] = await Promise.all([
    context.ledger.entry(application, badCommit),
    bad.sha === badCommit ? null : context.ledger.entry(application, bad.sha),
    rollback.analysis === null ? undefined : context.store.get('analysis', rollback.analysis),
  ]);
  // What a person has said of the commit that would be reverted counts as what was said of the revision does.
  const known = brought !== null && (brought.standing === 'suspect' || isPerson(brought.by)) ? brought : judged;
  const liveSince = liveSinceOf(judged, analysis?.value as Analysis | undefined, rollback, bad);
  const before = brought?.firstLiveAt ?? null;
  return { known, liveSince: before === null ? liveSince : Math.min(liveSince ?? Infinity, Date.parse(before)) };
}

function liveSinceOf(
  known: LedgerEntry | null,
  analysis: Analysis | undefined,
  { requestedBy }: Rollback,
  bad: CommitFacts,
): number | null {
  const told = known?.firstLiveAt ?? analysis?.confirmation?.liveSince;
  if (told !== undefined) return Date.parse(told);
  // Who asks for an analysis releases right now. An alert may be about anything, however long it runs already.
  return requestedBy === ALERT && analysis === undefined ? bad.at : null;
}

/**
 * Commits that the plan takes back and that were not part of what was judged: what lies between the revision that ran
 * before and the bad one was.
 *
 * @param about.stable what the cluster says ran before; null when it does not say
 * @param about.since the same as far as the ledger knows it
 */
export async function notJudgedOf(
  rollback: Rollback,
  about: {
    repository: Repository;
    undone: readonly CommitFacts[];
    bad: CommitFacts;
    stable: string | null;
    since: string | null;
  },
  signal: AbortSignal,
): Promise<CommitFacts[]> {
  const { repository, undone, bad, stable, since } = about;
  const judged = rollback.badCommit;
  const before = stable !== null && (await repository.isAncestor(stable, judged, signal)) ? stable : (since ?? rollback.good);
  const others: CommitFacts[] = [];
  for (const commit of undone) {
    if (commit.sha === judged || commit.sha === bad.sha) continue;
    const isPart =
      (await repository.isAncestor(commit.sha, judged, signal)) &&
      !(before !== null && (await repository.isAncestor(commit.sha, before, signal)));
    if (!isPart) others.push(commit);
  }
  return others;
}

/** Other applications that deploy what the plan changes, have not agreed to it, and were not found bad themselves. */
export async function sharingOf(context: ExecutorContext, rollback: Rollback, plan: Plan): Promise<string[]> {
  const { paths, repository, branch } = policyOf(context, rollback);
  const own = plan.changed.filter((path) => isWithin(path, paths));
  const others = [...context.policies.values()].filter(
    (other) =>
      other.application !== rollback.application &&
      other.repository === repository &&
      other.branch === branch &&
      !plan.joint.includes(other.application) &&
      own.some((path) => isWithin(path, other.paths)),
  );
  if (others.length === 0) return [];
  const { badCommit } = rollback;
  const ids = others.slice(0, MOST_SHARING).map((other) => rollbackId({ ...other, badCommit }));
  const found = await context.store.getMany('rollback', ids);
  return others
    .filter((_, at) => {
      const record = found[at];
      return record === undefined || rollbackIn(record).trigger === 'manual';
    })
    .map(({ application }) => application)
    .sort();
}

const MOST_SHARING = 1_000;
