/** Port of a repository that davylamp may write to. The real git stands behind it; a simulated one behind the tests. */
export interface CommitFacts {
  /** Full id. */
  sha: string;
  parents: string[];
  subject: string;
  message: string;
  /** Paths that the commit changed against its first parent (both names of a rename). */
  paths: string[];
  /** Whether it is an ancestor of, or is, the branch head. */
  onBranch: boolean;
  author: { name: string; email: string };
  /** Committer date, milliseconds since the epoch. */
  at: number;
}

/** A commit of ours on the branch, as its trailers tell. */
export interface OwnRollback {
  commit: string;
  /** Committer date, milliseconds since the epoch. */
  at: number;
  rollback: string;
  application: string;
  /** The commit that it took out. */
  reverts: string;
}

/** Somebody's commit that says of itself that it takes another one out; says nothing of the content at the head. */
export interface Reverter {
  commit: string;
  /** `us`: our identity and our trailer; `other`: everybody else, forged trailers included. */
  by: 'us' | 'other';
  author: { name: string; email: string };
  at: number;
  subject: string;
}

/** A whole new content of one file; null takes it away. The mode of a file that is there already stays. */
export interface FileEdit {
  path: string;
  content: string | null;
}

/** What every commit of ours is made from. */
export interface WriteOrder {
  /** Whole commit message, trailers included. */
  message: string;
  /** Author and committer date, milliseconds since the epoch: the same order gives the same commit. */
  at: number;
  /** Folders or files that may be changed; a commit that would change anything else is refused. */
  paths: readonly string[];
  /** Commit to build on instead of the fetched head: a proposal stays on the head of its plan, a chain on the commit before. */
  onto?: string;
  /** Globs of paths that keep the content of the head, whatever was reverted or restored (`neverRestore`). */
  keep?: readonly string[];
  /**
   * Goes into the same commit, on top of the rest; where there is nothing to revert or restore, no commit is made for them
   * alone. Callers have checked the paths; they need not be within `paths`.
   */
  edits?: readonly FileEdit[];
}

export interface RevertOrder extends WriteOrder {
  badCommit: string;
}

export interface RestoreOrder extends WriteOrder {
  /** Commit whose content of `paths` is put back, file for file. */
  good: string;
}

/** One path that a commit of ours changes against the commit that it is built on. */
export interface PathChange {
  path: string;
  change: 'added' | 'deleted' | 'modified';
}

export type RevertResult =
  /** The commit object is in the mirror, not on the remote. */
  | {
      kind: 'commit';
      commit: string;
      /** What it is built on. */
      head: string;
      changed: string[];
      changes: PathChange[];
      /** Hash over every changed path with its content before and after: equal where the same is done on another head. */
      effect: string;
      /** Paths that `keep` left as they are at the head although they would have changed. */
      kept: string[];
    }
  /** The head no longer holds what the bad commit brought, or all that it still holds is in `kept`: nothing to do. */
  | { kind: 'nothing_to_revert'; head: string; kept?: string[] }
  | { kind: 'conflict'; head: string; paths: string[] }
  | { kind: 'outside_paths'; head: string; paths: string[] };

/** `race`: the branch moved; fetch and decide again. Everything else that fails is thrown as a CodedError. */
export type PushResult = 'pushed' | 'up_to_date' | 'race';

export interface Repository {
  readonly name: string;
  readonly branch: string;
  /**
   * Makes or repairs the mirror and fetches; safe to call at any time.
   *
   * @param recent milliseconds; a head that was fetched, or pushed by ourselves, so short a time ago is good enough
   */
  refresh(signal: AbortSignal, recent?: number): Promise<{ head: string }>;
  /** @throws CodedError `commit_unknown` when the (fetched) repository does not have it */
  commit(revision: string, signal: AbortSignal): Promise<CommitFacts>;
  /** Whether `ancestor` is, or is an ancestor of, `descendant`; false when either is unknown after a fetch. */
  isAncestor(ancestor: string, descendant: string, signal: AbortSignal): Promise<boolean>;
  /**
   * Commits of `from..to` (first parents only) that change one of `paths`, newest first, at most `limit`; a merge counts
   * as what it brought. `from` null: from the beginning.
   */
  commitsTouching(
    range: { from: string | null; to: string; paths: readonly string[]; limit: number },
    signal: AbortSignal,
  ): Promise<CommitFacts[]>;
  /** One id of everything that `paths` hold at a commit: two commits with the same id hold the same, file for file. */
  contentOf(commit: string, paths: readonly string[], signal: AbortSignal): Promise<string>;
  /** Paths of all files within `paths` at a commit, at most `limit`. */
  filesAt(commit: string, paths: readonly string[], limit: number, signal: AbortSignal): Promise<string[]>;
  /** Text of a file at a commit; null when there is none, when it is no regular file, no UTF-8 or larger than 1 MiB. */
  readFile(commit: string, path: string, signal: AbortSignal): Promise<string | null>;
  /**
   * Our own commits in `since..head` that carry the trailer `Davylamp-Rollback: <rollback>` and our identity.
   * The trailer is the index, never the proof: callers check the content, too.
   */
  ownCommits(since: string, rollback: string, signal: AbortSignal): Promise<string[]>;
  /**
   * All of our own rollbacks among the last commits of the branch, newest first, at most `limit`: what Git still knows
   * when the store was lost. Forged trailers (another identity) are left out.
   */
  ownRollbacks(limit: number, signal: AbortSignal): Promise<OwnRollback[]>;
  /**
   * Commits of `bad..head` that say that they revert `bad`: git's own sentence, a trailer `Reverts:`, or, for a squash, the
   * subject `Revert "<subject of bad>"`. Newest first, at most 50.
   */
  reverters(bad: string, signal: AbortSignal): Promise<Reverter[]>;
  /**
   * The last commit of another branch of the remote, read anew, and the rollback of ours that it is for: null for a commit
   * that is not by our identity or names none. Null for a branch that is not there.
   */
  tipOf(branch: string, signal: AbortSignal): Promise<{ commit: string; rollback: string | null } | null>;
  /** Computes the revert of `badCommit` on the fetched head as `git revert` would (mainline 1 for merges). */
  revert(order: RevertOrder, signal: AbortSignal): Promise<RevertResult>;
  /**
   * A revert of ours again, on `order.onto`, where nothing has come between the heads that could make another one of it:
   * much cheaper than to compute it. Null where that is not certain.
   *
   * @param known the commit as it was made before, what it was made on, and all paths that the reverted commit changed
   */
  carry(
    order: WriteOrder & { onto: string },
    known: { commit: string; head: string; touched: readonly string[] },
    signal: AbortSignal,
  ): Promise<RevertResult | null>;
  /** Puts the content of `paths` at the commit `good` back, on the fetched head. Never a conflict. */
  restore(order: RestoreOrder, signal: AbortSignal): Promise<RevertResult>;
  /** Only the edits of the order, on the fetched head. `nothing_to_revert` when they change nothing. */
  edit(order: WriteOrder, signal: AbortSignal): Promise<RevertResult>;
  /** Plain push without force of `commit` to the branch, or to `ref` when one is named. */
  push(commit: string, ref: string | null, signal: AbortSignal): Promise<PushResult>;
  /** Diff of a commit against its first parent, at most `limit` characters. */
  diff(commit: string, limit: number, signal: AbortSignal): Promise<string>;
  close(): Promise<void>;
}
