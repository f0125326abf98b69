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

export interface Delivery {
  readonly type: string;
  /** What the delivery can do; the executor leaves out the other steps and says so in the record. */
  readonly can: { observe: boolean; abort: boolean; annotate: boolean; sync: boolean };
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
  /** Asks the operator to apply `commit` now. */
  sync(order: { commit: string; rollback: string }, signal: AbortSignal): Promise<void>;
  /** Whether what it is allowed and needs is there (access rights, the object itself), without changing anything. */
  check?(signal: AbortSignal): Promise<readonly Finding[]>;
  /** Ends what it keeps open (watches, connections); left out by those that keep nothing. */
  close?(): Promise<void>;
}
