import { createHash } from 'node:crypto';
import type { CommitFacts, PathChange, Repository, RevertResult, WriteOrder } from '../git/port.ts';
import { guiltyOf } from '../ledger/finding.ts';
import { MANIFEST, prunesOf, type FileText } from '../manifests/prunes.ts';
import { automationFor, type Tamed } from './automation.ts';
import { policyOf, repositoryOf, type ExecutorContext } from './context.ts';
import { revertMessage } from './message.ts';
import { narrowed } from './narrowing.ts';
import { outcomeOf } from './outcome.ts';
import { matchesGlob } from './glob.ts';
import { isWithin } from './paths.ts';
import type { Policy } from './policy.ts';
import type { Plan, Rollback, RollbackState } from './record.ts';
import { judgedSince } from './situation/judged.ts';
import { short } from './transitions.ts';

/** What would be written, and the commit object that does it, in the mirror only. */
export interface Draft {
  plan: Plan;
  commit: string;
  /** The guilty commit. */
  bad: CommitFacts;
  /** Everything that is taken back, newest first. */
  undone: CommitFacts[];
  /** What came after this revision was judged; null: only the bad one itself; undefined: not known yet. */
  since: string | null | undefined;
}

export type Drafted =
  | { kind: 'draft'; draft: Draft }
  /** It may be proposed to people, and no more. */
  | { kind: 'propose'; draft: Draft; code: string; sentence: string }
  /** There is nothing to write, or it cannot be written. */
  | { kind: 'done'; to: { state: RollbackState; code: string; sentence: string }; facts: Partial<Rollback> };

const NOBODY_ELSE = { joint: [], keptByOthers: [] };
const DIFF_LIMIT = 20_000;
const MOST_UNDONE = 100;
/** Manifests that are compared for what they delete; a larger plan is looked at by a person (guard `destructive_prune`). */
const MOST_MANIFESTS = 200;
const ARCHIVE = /\.tgz$/;

interface Work {
  context: ExecutorContext;
  rollback: Rollback;
  policy: Policy;
  repository: Repository;
  head: string;
  since: string | null | undefined;
  bad: CommitFacts;
  signal: AbortSignal;
}

/** A way of taking it back, and the result of trying it. */
interface Attempt {
  kind: Plan['kind'];
  result: RevertResult;
  good: string | null;
  undone: CommitFacts[];
  joint: string[];
  /** Paths that other owners of a joint plan never want back. */
  keptByOthers: string[];
  notes: string[];
  /** Why it may only be proposed; null where it may be pushed. */
  propose: { code: string; sentence: string } | null;
}

/**
 * Works out, on `head`, what takes the bad revision of an application out. Writes nothing but objects into the mirror,
 * and gives the same commit for the same head and rollback.
 *
 * @throws CodedError of git, `commit_unknown`, `commit_is_root`
 */
export async function draftOf(context: ExecutorContext, rollback: Rollback, head: string, signal: AbortSignal): Promise<Drafted> {
  const policy = policyOf(context, rollback);
  const repository = repositoryOf(context, rollback);
  const judged = await repository.commit(rollback.badCommit, signal);
  if (!judged.onBranch) {
    const sentence = `commit ${short(judged.sha)} is not part of branch ${rollback.branch}, so there is nothing to take out of it; check which revision was analysed`;
    return done('refused', 'commit_not_on_branch', sentence);
  }
  const since = rollback.judgedSince === undefined ? await judgedSince(context, rollback, judged, signal) : rollback.judgedSince;
  const guilty = await guiltyOf({ repository, paths: policy.paths, revision: judged, good: since ?? null }, signal);
  if (guilty.kind === 'none') return done('held', guilty.code, guilty.sentence);
  const [newest] = guilty.kind === 'one' ? [guilty.commit] : guilty.commits;
  if (newest === undefined) return done('held', 'nothing_in_git', 'no commit is known to have brought this revision');
  const work: Work = { context, rollback, policy, repository, head, since, bad: newest, signal };
  const [attempt, [own]] = await Promise.all([
    guilty.kind === 'one' ? attemptOf(work, []) : severalOf(work, guilty.commits),
    repository.ownCommits(judged.sha, rollback.id, signal),
  ]);
  if ('to' in attempt) return attempt;
  const outcome = outcomeOf(attempt.result, own, aboutOf(work));
  if (outcome.kind === 'done') return outcome;
  const tamed = await automationFor(
    context,
    rollback,
    { head, commit: outcome.commit, bad: newest, changed: outcome.changed },
    signal,
  );
  return drafted(work, tamed.edits.length === 0 ? attempt : await again(work, attempt, tamed), tamed);
}

function aboutOf({ rollback, policy }: Work): { rollback: Rollback; application: string } {
  return { rollback, application: policy.application };
}

function done(state: RollbackState, code: string, sentence: string): Drafted & { kind: 'done' } {
  return { kind: 'done', to: { state, code, sentence }, facts: {} };
}

/** The plan that the policy asks for, and what comes after it where git cannot do it. */
async function attemptOf(work: Work, edits: Tamed['edits']): Promise<Attempt | (Drafted & { kind: 'done' })> {
  const { policy, repository, bad, signal } = work;
  if (policy.plan === 'narrow') return narrowOf(work, edits);
  const order = orderOf(work, { kind: 'revert', good: null, undoes: [bad.sha], notes: [] }, edits);
  const result = await repository.revert({ ...order, badCommit: bad.sha }, signal);
  const plain: Attempt = { ...NOBODY_ELSE, kind: 'revert', result, good: null, undone: [bad], notes: [], propose: null };
  if (result.kind === 'conflict' && policy.onConflict === 'restore') return (await restoreOf(work, edits)) ?? plain;
  if (result.kind !== 'outside_paths') return plain;
  return jointOf(work, plain, result.paths, edits);
}

/** Half of a guilty commit is never reverted (design 5.4): whole with everybody's leave, or as a proposal. */
async function jointOf(work: Work, plain: Attempt, outside: readonly string[], edits: Tamed['edits']): Promise<Attempt> {
  const { context, policy, repository, bad, signal } = work;
  const owners = [...context.policies.values()].filter(
    (other) =>
      other.application !== policy.application &&
      other.repository === policy.repository &&
      other.branch === policy.branch &&
      outside.some((path) => isWithin(path, other.paths)),
  );
  const names = owners.map(({ application }) => application).sort();
  const unowned = outside.filter((path) => !owners.some((owner) => isWithin(path, owner.paths)));
  const unwilling = owners.filter((owner) => !owner.jointPlans || owner.mode !== 'rollback');
  const allowed = policy.jointPlans && unowned.length === 0 && unwilling.length === 0;
  const notes = [`It also changes ${listed(outside)}${names.length > 0 ? ` (${names.join(', ')})` : ''}.`];
  const keptByOthers = outside.filter((path) =>
    owners.some((owner) => isWithin(path, owner.paths) && owner.neverRestore.some((glob) => matchesGlob(path, glob))),
  );
  const order = orderOf(work, { kind: 'revert', good: null, undoes: [bad.sha], notes }, edits, keptByOthers);
  const result = await repository.revert({ ...order, paths: ['.'], badCommit: bad.sha }, signal);
  const who =
    unowned.length > 0 ? `${listed(unowned)} belongs to no application` : `jointPlans is not set for all of ${names.join(', ')}`;
  return {
    ...plain,
    result,
    joint: names,
    keptByOthers,
    notes,
    propose: allowed
      ? null
      : {
          code: 'reaches_outside',
          sentence: `commit ${short(bad.sha)} also changes ${listed(outside)}, outside of ${policy.application}, and ${who}; the whole revert is proposed to people`,
        },
  };
}

async function narrowOf(work: Work, edits: Tamed['edits']): Promise<Attempt | (Drafted & { kind: 'done' })> {
  const { policy, repository, head, bad, signal } = work;
  const parent = bad.parents[0];
  if (parent === undefined) return done('refused', 'commit_is_root', 'the first commit of a repository has no version before it');
  const texts = async (commit: string, path: string) => repository.readFile(commit, path, signal);
  const found = await narrowed(policy, {
    good: (path) => texts(parent, path),
    bad: (path) => texts(bad.sha, path),
    head: (path) => texts(head, path),
  });
  if (found.kind === 'fault') return done('held', found.code, found.sentence);
  const how = { kind: 'narrow' as const, good: parent, undoes: [bad.sha], notes: found.notes };
  const result = await repository.edit(orderOf(work, how, [...found.edits, ...edits]), signal);
  return { ...NOBODY_ELSE, kind: 'narrow', result, good: parent, undone: [bad], notes: found.notes, propose: null };
}

/** Several commits were judged together, and none of them alone is known to be guilty: what ran before is put back. */
async function severalOf(work: Work, commits: readonly CommitFacts[]): Promise<Attempt | (Drafted & { kind: 'done' })> {
  if (work.policy.onConflict === 'restore' && work.since !== null && work.since !== undefined)
    return restoreTo(work, work.since, []);
  const list = commits.slice(0, 5).map(({ sha, subject }) => `${short(sha)} ${subject.slice(0, 60)}`);
  const sentence = `${commits.length} commits made this revision (${list.join('; ')}), and it is not known which is guilty; revert it by hand, or allow onConflict: restore`;
  return done('held', 'several_commits', sentence);
}

/** @returns null where no revision before is known to be good enough */
async function restoreOf(work: Work, edits: Tamed['edits']): Promise<Attempt | null> {
  const { context, policy, repository, bad, signal } = work;
  const query = { before: bad.sha, lowest: policy.lastGood, repository };
  const good = (await context.ledger.lastGood(policy.application, query, signal))?.revision ?? null;
  return good === null ? null : restoreTo(work, good, edits);
}

async function restoreTo(work: Work, good: string, edits: Tamed['edits']): Promise<Attempt> {
  const { policy, repository, head, signal } = work;
  const undone = await repository.commitsTouching({ from: good, to: head, paths: policy.paths, limit: MOST_UNDONE }, signal);
  const how = { kind: 'restore' as const, good, undoes: undone.map(({ sha }) => sha), notes: [] };
  const result = await repository.restore({ ...orderOf(work, how, edits), good }, signal);
  return { ...NOBODY_ELSE, kind: 'restore', result, good, undone, notes: [], propose: null };
}

/** The same once more, with what keeps bots from undoing it. */
async function again(work: Work, attempt: Attempt, { edits }: Tamed): Promise<Attempt> {
  const { kind, joint, keptByOthers, notes, good, undone, propose } = attempt;
  if (joint.length > 0 || propose !== null) {
    const order = orderOf(work, { kind, good, undoes: undone.map(({ sha }) => sha), notes }, edits, keptByOthers);
    const result = await work.repository.revert({ ...order, paths: ['.'], badCommit: work.bad.sha }, work.signal);
    return { ...attempt, result };
  }
  if (kind === 'restore' && good !== null) return restoreTo(work, good, edits);
  const next = await attemptOf(work, edits);
  return 'to' in next ? attempt : next;
}

/** What the commit of a plan is made from. */
export function orderOf(
  { rollback, policy, bad, head }: Pick<Work, 'rollback' | 'policy' | 'bad' | 'head'>,
  how: { kind: Plan['kind']; good: string | null; undoes: readonly string[]; notes: readonly string[] },
  edits: Tamed['edits'],
  keptByOthers: readonly string[] = [],
): WriteOrder {
  const { id, application, verdictSentence, evidence } = rollback;
  const { repositoryUrl } = policy;
  return {
    message: revertMessage({ bad, how, rollback: id, application, verdictSentence, evidence, repositoryUrl }),
    at: Date.parse(rollback.decidedAt),
    paths: policy.paths,
    onto: head,
    keep: [...policy.neverRestore, ...keptByOthers],
    edits,
  };
}

async function drafted(work: Work, attempt: Attempt, tamed: Tamed): Promise<Drafted> {
  const { result, kind, good, undone, joint } = attempt;
  const { repository, head, since, bad, signal } = work;
  if (result.kind !== 'commit') {
    const outcome = outcomeOf(result, undefined, aboutOf(work));
    return outcome.kind === 'done'
      ? outcome
      : done('held', 'conflict', 'the plan changed while it was made; approve it to plan anew');
  }
  const { commit, changed, changes, effect, kept } = result;
  const [prunes, diff] = await Promise.all([prunedBy(work, commit, changes), repository.diff(commit, DIFF_LIMIT, signal)]);
  const plan: Plan = {
    kind,
    hash: hashOf(kind, bad, effect),
    head,
    good,
    undoes: undone.map(({ sha }) => sha),
    changed,
    kept,
    joint,
    prunes,
    automation: tamed.did,
    diff,
  };
  const draft: Draft = { plan, commit, bad, undone, since };
  const propose = attempt.propose ?? tamed.propose;
  return propose === null ? { kind: 'draft', draft } : { kind: 'propose', draft, ...propose };
}

/** The same wherever the same is done. */
export function hashOf(kind: Plan['kind'], bad: CommitFacts, effect: string): string {
  return createHash('sha256')
    .update(JSON.stringify([kind, bad.sha, effect]))
    .digest('hex');
}

/** Objects that hold data, declared at the head and no more after the commit. */
async function prunedBy(
  { repository, head, policy, signal }: Work,
  commit: string,
  changes: readonly PathChange[],
): Promise<string[]> {
  const manifests = changes.filter(({ path }) => MANIFEST.test(path));
  if (manifests.length > MOST_MANIFESTS) return [`more than ${MOST_MANIFESTS} manifests change; look through the diff`];
  // Of an archive it is enough to know whether it is there.
  const texts = async (at: string, missing: PathChange['change']): Promise<FileText[]> =>
    Promise.all(
      manifests.map(async ({ path, change }) => {
        if (!ARCHIVE.test(path)) return { path, text: await repository.readFile(at, path, signal) };
        return { path, text: change === missing ? null : '' };
      }),
    );
  const [before, after] = await Promise.all([texts(head, 'added'), texts(commit, 'deleted')]);
  // A bundle of 2 MiB, a link or a text in another encoding: what it declares is not known, and it may be much.
  const unread = before.flatMap(({ path, text }) => (text === null ? [path] : []));
  const there = unread.length === 0 ? [] : await repository.filesAt(head, unread, unread.length, signal);
  const unclear = there
    .filter((path) => !ARCHIVE.test(path))
    .map((path) => `what ${path} declares (it cannot be read; look through the diff)`);
  const kinds = { data: policy.dataKinds, stateless: policy.statelessKinds };
  return [...unclear, ...(await prunesOf(before, after, (path) => repository.readFile(head, path, signal), kinds))];
}

function listed(paths: readonly string[]): string {
  const more = paths.length - 3;
  return paths.slice(0, 3).join(', ') + (more > 0 ? ` and ${more} more` : '');
}
