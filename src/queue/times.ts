/** Times of a queue, in milliseconds. */
export interface QueueTimes {
  /** Wait after the first failed run; doubles with each further one. */
  firstRetryMs: number;
  mostRetryMs: number;
  /** A handler that runs longer is told to stop. */
  handlerTimeoutMs: number;
  /** How long running handlers may go on when the worker closes, before they are told to stop. */
  closeGraceMs: number;
  /** How long a handler that was told to stop at the close is waited for. */
  stopGraceMs: number;
  /** Jobs that have been due for this long, while none of their kind was taken, mean that the queue is stalled. */
  stalledMs: number;
}

export const QUEUE_TIMES: QueueTimes = {
  firstRetryMs: 250,
  mostRetryMs: 30_000,
  handlerTimeoutMs: 600_000,
  closeGraceMs: 10_000,
  stopGraceMs: 2_000,
  stalledMs: 60_000,
};

export interface Log {
  warn(facts: object, sentence: string): void;
}

/** @returns the wait after that many failed runs, in milliseconds */
export function backoff(attempt: number, { firstRetryMs, mostRetryMs }: QueueTimes): number {
  return Math.min(mostRetryMs, firstRetryMs * 2 ** (attempt - 1));
}
