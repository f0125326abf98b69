import type { Finding } from '../finding.ts';

/** Port of forges: where pull requests are opened. Every call is idempotent; a forge that is away is asked again. */
export type ProposalState = 'open' | 'merged' | 'closed';

export interface Proposed {
  /** Address for a person. */
  url: string;
  number: number;
  state: ProposalState;
  /** Who closed or merged it, when that was not us; null while it is open or where the forge does not say. */
  endedBy: string | null;
  /** Commit that the merge left on the base branch; null until then. */
  mergeCommit: string | null;
  branch: string;
}

export interface ProposalOrder {
  /** Branch that holds our commit, on the remote already. Its name follows from the rollback: one branch, one proposal. */
  branch: string;
  base: string;
  title: string;
  /** Markdown: evidence, what is undone, how to refuse. */
  body: string;
  labels: readonly string[];
  /** User names or `org/team`, as CODEOWNERS writes them, without the `@`. */
  reviewers: readonly string[];
  /** Merge by itself when the forge's checks and reviews allow it, where the forge has such a thing. */
  autoMerge: boolean;
}

export interface CommitStatus {
  commit: string;
  state: 'pending' | 'success' | 'failure';
  /** At most 140 characters. */
  description: string;
  /** Address of the evidence; null without one. */
  url: string | null;
  /** Tells our statuses apart: `davylamp/<application>`. */
  context: string;
}

/** What a forge's webhook tells, after its signature was checked. A hint: the proposal itself is read before anything moves. */
export interface ForgeEvent {
  /** Stable across redeliveries where the forge gives one. */
  delivery: string;
  kind: 'proposal' | 'push' | 'other';
  /** Head branch of the proposal, or the branch that was pushed to. */
  branch: string | null;
}

export interface Forge {
  readonly type: string;
  /** Whether this adapter was ever run against the real thing; said in the documentation and at start. */
  readonly verified: boolean;
  readonly can: { propose: boolean; autoMerge: boolean; status: boolean; webhook: boolean };
  /** Opens the proposal of the branch, or finds it; labels and reviewers that the forge does not take are left out and named. */
  propose(order: ProposalOrder, signal: AbortSignal): Promise<Proposed & { leftOut: string[] }>;
  /** The newest proposal of a branch; null when there never was one. */
  proposalOf(branch: string, signal: AbortSignal): Promise<Proposed | null>;
  /** Proposals by anybody that name the commit as reverted (title or body), open or ended, newest first, at most 20. */
  revertsOf(commit: { sha: string; subject: string }, signal: AbortSignal): Promise<Proposed[]>;
  comment(proposal: number, text: string, signal: AbortSignal): Promise<void>;
  /** Closes a proposal of ours that is open, without a merge; left out by forges that have none. */
  close?(proposal: number, signal: AbortSignal): Promise<void>;
  setStatus(status: CommitStatus, signal: AbortSignal): Promise<void>;
  /**
   * Checks the signature over the raw body in constant time, then reads the event. The names of headers are in lower case.
   * @throws CodedError `webhook_signature_wrong`, `webhook_invalid`, `secret_unreadable` (retryable)
   */
  readWebhook(request: { headers: Readonly<Record<string, string | undefined>>; body: Buffer }): Promise<ForgeEvent>;
  /** What git itself may use where the repository has no token of its own; left out where the forge makes none. */
  gitCredential?(signal: AbortSignal): Promise<{ username: string; token: string }>;
  /** Whether the credential may do what it has to, without changing anything. */
  check(signal: AbortSignal): Promise<readonly Finding[]>;
}
