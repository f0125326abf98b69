/** Port of deliveries: what runs the workload. Every call is idempotent; every act is conditional on the revision. */
export interface DeliveryState {
  /** Revision (commit) that is being released or runs as canary; null when none is. */
  canary: string | null;
  /** Revision (commit) that the stable workload runs; null when unknown. */
  stable: string | null;
  /** Head commit that the operator has applied last; null when unknown. */
  synced: string | null;
  phase: 'progressing' | 'healthy' | 'aborted' | 'degraded' | 'unknown';
}

export interface Delivery {
  readonly type: string;
  /** What the delivery can do; the executor leaves out the other steps and says so in the record. */
  readonly can: { observe: boolean; abort: boolean; annotate: boolean; sync: boolean };
  observe(signal: AbortSignal): Promise<DeliveryState>;
  /** Aborts only while `revision` is the canary and not completed. `not_running`: it was not, nothing was done. */
  abort(
    order: { revision: string; rollback: string; reason: string },
    signal: AbortSignal,
  ): Promise<'aborted' | 'already' | 'not_running'>;
  annotate(
    note: { revision: string; rollback: string; values: Readonly<Record<string, string>> },
    signal: AbortSignal,
  ): Promise<void>;
  /** Asks the operator to apply `commit` now. */
  sync(order: { commit: string; rollback: string }, signal: AbortSignal): Promise<void>;
}
