/** Port of the durable queue: at least once; handlers are idempotent. */
export interface Job {
  /** Jobs of one kind go to one handler. */
  kind: 'tick' | 'rollback' | 'webhook';
  /** While a job of this kind and key waits or runs, enqueueing it again changes nothing but an earlier time. */
  key: string;
  /** Earliest start, milliseconds since the epoch. */
  notBefore: number;
  /** Which attempt this is, 1 at the first. */
  attempt: number;
}

export interface Worker {
  /** Takes no further job and waits for the running ones. */
  close(): Promise<void>;
}

/** Whether due jobs are being consumed, told from consumption itself and not from what a connection says. */
export interface QueueCondition {
  ok: boolean;
  /** `ok`, `queue_unavailable`, `queue_stalled` */
  code: string;
  sentence: string;
}

export interface JobQueue {
  /** Resolves when the job is durable. @throws CodedError `queue_unavailable` (retryable) */
  enqueue(job: { kind: Job['kind']; key: string; notBefore?: number }): Promise<void>;
  /**
   * Runs `handler` for due jobs. A handler that returns ends the job; one that returns `{ again }` has it run anew at
   * that time (attempts start over); one that throws has it run again after a back-off that grows to a named limit.
   * A job that was enqueued again while it ran, runs once more.
   */
  work(
    kind: Job['kind'],
    options: { concurrency: number },
    handler: (job: Job, signal: AbortSignal) => Promise<void | { again: number }>,
  ): Worker;
  /** Never rejects. `queue_stalled`: jobs have been due for longer than a named limit and none was taken. */
  condition(): Promise<QueueCondition>;
  /** Waiting and running jobs by kind, for metrics and readiness. @throws CodedError `queue_unavailable` */
  counts(): Promise<Record<Job['kind'], { waiting: number; running: number }>>;
  close(): Promise<void>;
}
