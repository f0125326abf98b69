import type { Finding } from '../finding.ts';

/** Port of deliveries: what runs the workload. Every call is idempotent; every act is conditional on the revision. */
export interface DeliveryState {
  /** Revision (commit) that is being released or runs as canary; null when none is. */
  canary: string | null;
  /** Revision (commit) that the stable workload runs; null when unknown. */
  stable: string | null;
  /** Head commit that the operator has applied last; null when unknown. */
  synced: string | null;
  phase: 'progressing' | 'healthy' | 'aborted' | 'degraded' | 'unknown';
  /** A sync that the operator is in the middle of; null or left out: none, or it does not say. */
  operation?: { revision: string | null; since: number } | null;
  /**
   * Positive evidence that exactly `revision` does not live (design 5.1): a crash loop of its own pods while the other
   * side has none, or its progress deadline exceeded. Null or left out: none. Silence is never evidence.
   */
  trouble?: { revision: string; code: 'crash_loop' | 'progress_deadline_exceeded' | 'not_reachable'; sentence: string } | null;
}

/** A time during which a revision took traffic; `to` is null while it does. Milliseconds since the epoch. */
export interface Liveness {
  revision: string;
  from: number;
  to: number | null;
  role: 'canary' | 'stable';
}

/** How the operator came from Git to what runs. */
export interface Located {
  /** Commit of the application's repository that made what is being released; null when the operator does not know. */
  revision: string | null;
  /** Where that was read, for a person: `Argo CD shop/recommender, status.history`. */
  how: string;
  /** What runs did not come from a commit (mutable tag, chart version, parameter override): what to do instead. */
  notInGit: { code: 'chart_version' | 'parameter_override' | 'mutable_tag' | 'other_repository'; sentence: string } | null;
  /**
   * Revisions that the operator deployed before and that were healthy, newest first, as far as it tells. `healthyFor`: for
   * how many milliseconds it saw that; left out: until the next one took its place.
   */
  good: readonly { revision: string; since: number; healthyFor?: number; how: string }[];
}

/** A program that writes the version into Git or the cluster by itself and would bring a bad one back. */
export interface Automation {
  type: 'flux-image-automation' | 'argocd-image-updater' | 'kargo' | 'gitops-promoter' | 'renovate';
  /** Object or annotation that says so, for a person. */
  name: string;
  /** Whether it writes the version past Git, so that a revert is useless. */
  pastGit: boolean;
}

/** What came of asking a promotion tool for what it promoted before. */
export interface Promoted {
  /** `already`: for this rollback it was asked before; `failed`: what it was asked for failed there; `not_current`: nothing was done. */
  outcome: 'promoted' | 'already' | 'failed' | 'not_current';
  sentence: string;
}

export interface Delivery {
  readonly type: string;
  /**
   * What the delivery can do; the executor leaves out the other steps and says so in the record. `banner`: a notice on
   * the operator's own page; `promote`: skip the canary steps of a revision that is known to be good.
   */
  readonly can: { observe: boolean; abort: boolean; annotate: boolean; sync: boolean; banner?: boolean; promote?: boolean };
  observe(signal: AbortSignal): Promise<DeliveryState>;
  /** What the cluster itself still knows of earlier revisions, in any order; left out by deliveries that know nothing. */
  history?(signal: AbortSignal): Promise<readonly Liveness[]>;
  /** Aborts only while `revision` is the canary and not completed. `not_running`: it was not, nothing was done. */
  abort(
    order: { revision: string; rollback: string; reason: string },
    signal: AbortSignal,
  ): Promise<'aborted' | 'already' | 'not_running'>;
  /** Leaves the values beside the workload; null takes one away. */
  annotate(
    note: { revision: string; rollback: string; values: Readonly<Record<string, string | null>> },
    signal: AbortSignal,
  ): Promise<void>;
  /** Asks the operator to apply `commit` now; ends a stuck operation before, where the configuration allows it. */
  sync(order: { commit: string; rollback: string }, signal: AbortSignal): Promise<void>;
  /** Where the operator took from what is being released; left out by deliveries without an operator. */
  locate?(signal: AbortSignal): Promise<Located>;
  /** Who else writes versions, as far as the cluster shows it. */
  automations?(signal: AbortSignal): Promise<readonly Automation[]>;
  /** Says on the operator's page what happened; null takes it away. */
  banner?(
    note: { content: string; severity: 'info' | 'warning' | 'critical'; url: string | null } | null,
    signal: AbortSignal,
  ): Promise<void>;
  /** Skips the canary steps, only while exactly `revision` is what is released. `not_running`: it was not, nothing was done. */
  promote?(order: { revision: string; rollback: string }, signal: AbortSignal): Promise<'promoted' | 'not_running'>;
  /**
   * Has the promotion tool that writes the versions bring back the one before, only while what it promoted last made exactly
   * `commit`. Left out: there is no such tool, or the configuration does not allow it.
   */
  promotePrevious?(order: { commit: string; rollback: string }, signal: AbortSignal): Promise<Promoted>;
  /** Whether what it is allowed and needs is there (access rights, the object itself), without changing anything. */
  check?(signal: AbortSignal): Promise<readonly Finding[]>;
  /** Ends what it keeps open (watches, connections); left out by those that keep nothing. */
  close?(): Promise<void>;
}
