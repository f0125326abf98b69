import { createHash } from 'node:crypto';
import { CodedError } from '../../src/errors.ts';
import type {
  CommitFacts,
  OwnRollback,
  PushResult,
  Repository,
  RestoreOrder,
  RevertOrder,
  Reverter,
  RevertResult,
  WriteOrder,
} from '../../src/git/port.ts';
import { matchesGlob } from '../../src/rollback/glob.ts';
import { isWithin } from '../../src/rollback/paths.ts';
import { MAIN, US, changedBetween, ownTrailer, trailerOf, undone, withFiles, type Commit, type Tree } from './remote.ts';
import type { Service } from './service.ts';
import type { World } from './world.ts';

const REVERTERS = 50;
/** Share of pushes that the remote refuses for their credential: an answer, and not a lost one. */
const EXPIRED = 0.01;
const unreachable = (): Error => new CodedError('git_unreachable', 'the remote did not answer', { retryable: true });

/** The mirror of one service: its head is as old as its last look at the remote. */
export class SimulatedRepository implements Repository {
  readonly name = 'shop';
  readonly branch = MAIN;
  readonly #world: World;
  readonly #service: Service;
  #head: string | null = null;
  #fetchedAt = -Infinity;

  constructor(world: World, service: Service) {
    this.#world = world;
    this.#service = service;
  }

  async refresh(signal: AbortSignal, recent = 0): Promise<{ head: string }> {
    const isLane = signal !== this.#service.jobSignal;
    const issuedAt = this.#world.scheduler.now;
    if (this.#head !== null && issuedAt - this.#fetchedAt < recent) {
      if (isLane) this.#service.fetchedInLane();
      return { head: this.#head };
    }
    return this.#call(
      'git fetch',
      () => {
        this.#head = this.#remote.head;
        this.#fetchedAt = issuedAt;
        if (isLane) this.#service.fetchedInLane();
        return { head: this.#head };
      },
      true,
    );
  }

  async commit(revision: string): Promise<CommitFacts> {
    return this.#call('git commit', () => this.#facts(this.#found(revision)));
  }

  async isAncestor(ancestor: string, descendant: string): Promise<boolean> {
    return this.#call('git isAncestor', () => {
      const [one, other] = [this.#remote.find(ancestor), this.#remote.find(descendant)];
      return one !== undefined && other !== undefined && this.#remote.isAncestor(one.sha, other.sha);
    });
  }

  async commitsTouching(range: {
    from: string | null;
    to: string;
    paths: readonly string[];
    limit: number;
  }): Promise<CommitFacts[]> {
    return this.#call('git commitsTouching', () => {
      const from = range.from === null ? null : this.#found(range.from);
      const found: CommitFacts[] = [];
      for (let at: Commit | undefined = this.#found(range.to); at !== undefined; at = this.#parent(at)) {
        if (found.length === range.limit || (from !== null && this.#remote.isAncestor(at.sha, from.sha))) break;
        if (at.paths.some((path) => isWithin(path, range.paths))) found.push(this.#facts(at));
      }
      return found;
    });
  }

  async contentOf(commit: string, paths: readonly string[]): Promise<string> {
    return this.#call('git contentOf', () => {
      const { tree } = this.#found(commit);
      const files = Object.keys(tree).sort();
      return JSON.stringify(files.filter((path) => isWithin(path, paths)).map((path) => [path, tree[path]]));
    });
  }

  async filesAt(commit: string, paths: readonly string[], limit: number): Promise<string[]> {
    return this.#call('git filesAt', () => {
      const files = Object.keys(this.#found(commit).tree).sort();
      return files.filter((path) => isWithin(path, paths)).slice(0, limit);
    });
  }

  async readFile(commit: string, path: string): Promise<string | null> {
    return this.#call('git readFile', () => this.#found(commit).tree[path] ?? null);
  }

  async ownCommits(since: string, rollback: string): Promise<string[]> {
    return this.#call('git ownCommits', () =>
      this.#between(this.#found(since).sha)
        .filter((commit) => ownTrailer(commit, 'Davylamp-Rollback') === rollback)
        .map(({ sha }) => sha),
    );
  }

  async ownRollbacks(limit: number): Promise<OwnRollback[]> {
    return this.#call(
      'git ownRollbacks',
      () => {
        this.#head = this.#remote.head;
        return this.#between(null)
          .flatMap((commit) => {
            const rollback = ownTrailer(commit, 'Davylamp-Rollback');
            const application = ownTrailer(commit, 'Davylamp-Application') ?? '';
            const reverts = ownTrailer(commit, 'Reverts') ?? '';
            return rollback === null ? [] : [{ commit: commit.sha, at: commit.at, rollback, application, reverts }];
          })
          .slice(0, limit);
      },
      true,
    );
  }

  async tipOf(branch: string): Promise<{ commit: string; rollback: string | null } | null> {
    return this.#call(
      'git tipOf',
      () => {
        const commit = this.#remote.branches.get(branch);
        return commit === undefined ? null : { commit, rollback: ownTrailer(this.#remote.commit(commit), 'Davylamp-Rollback') };
      },
      true,
    );
  }

  async reverters(bad: string): Promise<Reverter[]> {
    return this.#call('git reverters', () => {
      const commit = this.#found(bad);
      const found: Reverter[] = [];
      for (const one of this.#between(commit.sha)) {
        const named = trailerOf(one, 'Reverts') === commit.sha;
        const says = named || one.message.includes(`This reverts commit ${commit.sha}`);
        if (!says && one.subject !== `Revert "${commit.subject}"`) continue;
        const by = named && ownTrailer(one, 'Davylamp-Rollback') !== null ? 'us' : 'other';
        found.push({ commit: one.sha, by, author: one.author, at: one.at, subject: one.subject });
      }
      return found.slice(0, REVERTERS);
    });
  }

  async revert(order: RevertOrder): Promise<RevertResult> {
    return this.#call('git revert', () => {
      const bad = this.#found(order.badCommit);
      const parent = this.#parent(bad);
      if (parent === undefined) throw new CodedError('commit_is_root', 'the first commit cannot be reverted');
      const { tree: onto } = this.#onto(order);
      const { touched, wanted, conflicts } = undone(onto, bad.tree, parent.tree);
      return this.#made(order, { wanted, conflicts, involved: touched, editsOnly: false });
    });
  }

  async carry(
    order: WriteOrder & { onto: string },
    known: { commit: string; head: string; touched: readonly string[] },
  ): Promise<RevertResult | null> {
    return this.#call('git carry', () => {
      const [before, made, onto] = [this.#found(known.head), this.#found(known.commit), this.#found(order.onto)];
      if (!this.#remote.isAncestor(before.sha, onto.sha)) return null;
      const mine = changedBetween(before.tree, made.tree);
      const isEdit = (path: string, tree: Tree) => path in before.tree && path in tree;
      const since = changedBetween(before.tree, onto.tree);
      const isHarmless = (path: string) =>
        !known.touched.includes(path) && (isEdit(path, onto.tree) || !isWithin(path, order.paths));
      if (!mine.every((path) => isEdit(path, made.tree)) || !since.every(isHarmless)) return null;
      const wanted = mine.map((path): [string, string | undefined] => [path, made.tree[path]]);
      return this.#made(order, { wanted, conflicts: [], involved: [...known.touched], editsOnly: false });
    });
  }

  async restore(order: RestoreOrder): Promise<RevertResult> {
    return this.#call('git restore', () => {
      const { tree: good } = this.#found(order.good);
      const { tree: onto } = this.#onto(order);
      const changed = changedBetween(onto, good).filter((path) => isWithin(path, order.paths));
      const wanted = changed.map((path): [string, string | undefined] => [path, good[path]]);
      return this.#made(order, { wanted, conflicts: [], involved: [], editsOnly: false });
    });
  }

  async edit(order: WriteOrder): Promise<RevertResult> {
    return this.#call('git edit', () => this.#made(order, { wanted: [], conflicts: [], involved: [], editsOnly: true }));
  }

  async push(commit: string, ref: string | null, signal: AbortSignal): Promise<PushResult> {
    const branch = ref ?? MAIN;
    const isLane = signal !== this.#service.jobSignal;
    const issue = this.#service.issue('push', commit, branch);
    const effect = (): PushResult => {
      if (this.#world.scheduler.faultsOn && this.#world.random.chance(EXPIRED)) {
        throw new CodedError('git_auth_failed', 'the credential has expired', { retryable: true });
      }
      if (branch === MAIN && this.#remote.isProtected) {
        if (isLane) this.#service.pushedAgain = true;
        throw new CodedError('git_branch_protected', 'the branch takes no pushes');
      }
      if (branch === MAIN && this.#remote.hookRefuses) {
        if (isLane) this.#service.pushedAgain = true;
        throw new CodedError('git_push_refused', 'a hook says no');
      }
      const result = this.#remote.push(branch, this.#found(commit).sha, 'us');
      if (result === 'pushed') this.#world.pushed(issue, branch, commit);
      if (result === 'race' && isLane) this.#service.pushedAgain = true;
      if (branch === MAIN && result !== 'race') this.#head = commit;
      return result;
    };
    const failure = (): Error =>
      this.#world.random.chance(0.2) ? new CodedError('git_failed', 'git push failed', { retryable: true }) : unreachable();
    const name = `git push ${commit.slice(0, 7)} to ${branch}`;
    try {
      return await this.#world.scheduler.call(this.#service, name, effect, { failure, isRemote: true, isEffect: true });
    } catch (error) {
      for (const { id } of issue.for) this.#service.marks(id, false);
      throw error;
    }
  }

  async diff(commit: string, limit: number): Promise<string> {
    return this.#call('git diff', () => {
      const { tree, parents, paths } = this.#found(commit);
      const before = parents[0] === undefined ? {} : this.#remote.commit(parents[0]).tree;
      const lines = paths.flatMap((path) => [`--- a/${path}`, `+++ b/${path}`, `-${before[path] ?? ''}`, `+${tree[path] ?? ''}`]);
      return lines.join('\n').slice(0, limit);
    });
  }

  async close(): Promise<void> {
    return Promise.resolve();
  }

  get #remote(): World['remote'] {
    return this.#world.remote;
  }

  async #call<T>(name: string, effect: () => T, isRemote = false): Promise<T> {
    return this.#world.scheduler.call(this.#service, name, effect, isRemote ? { failure: unreachable, isRemote } : {});
  }

  #found(revision: string): Commit {
    const found = this.#remote.find(revision);
    if (found === undefined) throw new CodedError('commit_unknown', `there is no commit ${revision}`);
    return found;
  }

  #parent({ parents }: Commit): Commit | undefined {
    return parents[0] === undefined ? undefined : this.#remote.commit(parents[0]);
  }

  get #known(): string {
    this.#head ??= this.#remote.head;
    return this.#head;
  }

  /** Commits of `since..head`, newest first along the first parents, then what merges brought. */
  #between(since: string | null): Commit[] {
    const head = this.#remote.commit(this.#known);
    const all = [head.sha, ...head.ancestors].map((sha) => this.#remote.commit(sha));
    const wanted = since === null ? all : all.filter(({ sha }) => !this.#remote.isAncestor(sha, since));
    return wanted.sort((one, other) => other.ancestors.size - one.ancestors.size);
  }

  #facts({ sha, parents, subject, message, paths, author, at }: Commit): CommitFacts {
    const onBranch = this.#remote.isAncestor(sha, this.#known);
    return { sha, parents, subject, message, paths, onBranch, author, at };
  }

  #onto(order: WriteOrder): Commit {
    return order.onto === undefined ? this.#remote.commit(this.#known) : this.#found(order.onto);
  }

  #made(
    order: WriteOrder,
    draft: { wanted: [string, string | undefined][]; conflicts: string[]; involved: string[]; editsOnly: boolean },
  ): RevertResult {
    const { sha: head, tree } = this.#onto(order);
    if (draft.wanted.length === 0 && draft.conflicts.length === 0 && !draft.editsOnly) return { kind: 'nothing_to_revert', head };
    const all = [...draft.involved, ...draft.wanted.map(([path]) => path), ...draft.conflicts];
    const outside = [...new Set(all)].filter((path) => !isWithin(path, order.paths));
    if (outside.length > 0) return { kind: 'outside_paths', head, paths: outside };
    const isKept = (path: string): boolean => (order.keep ?? []).some((glob) => matchesGlob(path, glob));
    const open = draft.conflicts.filter((path) => !isKept(path));
    if (open.length > 0) return { kind: 'conflict', head, paths: open };
    const kept = draft.wanted.map(([path]) => path).filter(isKept);
    const wanted = draft.wanted.filter(([path]) => !isKept(path));
    if (wanted.length === 0 && !draft.editsOnly) return { kind: 'nothing_to_revert', head, kept };
    const edits = (order.edits ?? []).map(({ path, content }): [string, string | undefined] => [path, content ?? undefined]);
    const next = withFiles(tree, [...wanted, ...edits]);
    const changed = changedBetween(tree, next);
    if (changed.length === 0) return { kind: 'nothing_to_revert', head, kept };
    const at = Math.floor(order.at / 1_000) * 1_000;
    const commit = this.#remote.make({ parents: [head], tree: next, message: order.message, author: US, at });
    return {
      kind: 'commit',
      commit: commit.sha,
      head,
      changed,
      changes: changesOf(changed, tree, next),
      effect: effectOf(changed, tree, next),
      kept,
    };
  }
}

function changesOf(changed: readonly string[], before: Tree, after: Tree): (RevertResult & { kind: 'commit' })['changes'] {
  return changed.map((path) => {
    if (!(path in before)) return { path, change: 'added' };
    return { path, change: path in after ? 'modified' : 'deleted' };
  });
}

function effectOf(changed: readonly string[], before: Tree, after: Tree): string {
  const text = JSON.stringify(changed.map((path) => [path, before[path] ?? null, after[path] ?? null]));
  return createHash('sha256').update(text).digest('hex');
}
