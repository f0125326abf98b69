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

export interface RevertOrder {
  badCommit: string;
  /** Whole commit message, trailers included. */
  message: string;
  /** Author and committer date, milliseconds since the epoch: the same order gives the same commit. */
  at: number;
  /** Paths (folders or files) of the application; a revert that would change anything else is refused. */
  paths: readonly string[];
  /** Commit to build on instead of the fetched head. A proposal stays on the head of its plan, so that a rerun repeats it. */
  onto?: string;
}

export type RevertResult =
  /** The commit object is in the mirror, not on the remote. */
  | { kind: 'commit'; commit: string; head: string; changed: string[] }
  /** The head no longer holds what the bad commit brought: nothing to do. */
  | { kind: 'nothing_to_revert'; head: string }
  | { kind: 'conflict'; head: string; paths: string[] }
  | { kind: 'outside_paths'; head: string; paths: string[] };

/** `race`: the branch moved; fetch and decide again. Everything else that fails is thrown as a CodedError. */
export type PushResult = 'pushed' | 'up_to_date' | 'race';

export interface Repository {
  readonly name: string;
  readonly branch: string;
  /** Makes or repairs the mirror and fetches; safe to call at any time. */
  refresh(signal: AbortSignal): Promise<{ head: string }>;
  /** @throws CodedError `commit_unknown` when the (fetched) repository does not have it */
  commit(revision: string, signal: AbortSignal): Promise<CommitFacts>;
  /** Whether `ancestor` is, or is an ancestor of, `descendant`; false when either is unknown after a fetch. */
  isAncestor(ancestor: string, descendant: string, signal: AbortSignal): Promise<boolean>;
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
  /** Computes the revert of `badCommit` on the fetched head as `git revert` would (mainline 1 for merges). */
  revert(order: RevertOrder, signal: AbortSignal): Promise<RevertResult>;
  /** Plain push without force of `commit` to the branch, or to `ref` when one is named. */
  push(commit: string, ref: string | null, signal: AbortSignal): Promise<PushResult>;
  /** Diff of a commit against its first parent, at most `limit` characters. */
  diff(commit: string, limit: number, signal: AbortSignal): Promise<string>;
  close(): Promise<void>;
}
