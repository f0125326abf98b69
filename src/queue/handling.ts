import type { Clock } from '../clock.ts';
import { CodedError, codeOf, sentenceOf } from '../errors.ts';
import type { Job } from './port.ts';
import { backoff, type Log, type QueueTimes } from './times.ts';

export type Handler = (job: Job, signal: AbortSignal) => Promise<void | { again: number }>;

/** How a handler ended, as the queue has to note it; `at` in milliseconds since the epoch. */
export type HandlerEnd = { as: 'done' } | { as: 'again'; at: number } | { as: 'retry'; at: number };

/**
 * Runs a handler under its time limit and says what becomes of the job. A job is tried for ever, because giving up would
 * lose an analysis or a rollback that nobody watches; the back-off bounds what a broken one costs to one run in its
 * largest wait. Never rejects.
 *
 * @param stopping whether the worker closes: what it told to stop has not failed
 */
export async function handle(
  job: Job,
  controller: AbortController,
  context: { handler: Handler; clock: Clock; times: QueueTimes; log: Log | undefined; stopping: () => boolean },
): Promise<HandlerEnd> {
  const { handler, clock, times, log, stopping } = context;
  const timer = setTimeout(() => {
    const sentence = `${job.kind} ${job.key} ran for ${times.handlerTimeoutMs / 1000} s and was told to stop.`;
    log?.warn({ job }, sentence);
    controller.abort(new CodedError('job_timeout', sentence, { retryable: true }));
  }, times.handlerTimeoutMs);
  try {
    const result = await handler(job, controller.signal);
    if (result === undefined) return { as: 'done' };
    if (!Number.isFinite(result.again)) throw new RangeError(`again must be a time, not ${result.again}`);
    return { as: 'again', at: result.again };
  } catch (error) {
    // Stopped by us, not failed: nothing to back off from.
    const wait = stopping() && controller.signal.aborted ? 0 : backoff(job.attempt, times);
    log?.warn({ job, code: codeOf(error), err: error, waitMs: wait }, `${job.kind} ${job.key} failed: ${sentenceOf(error)}`);
    return { as: 'retry', at: clock.now() + wait };
  } finally {
    clearTimeout(timer);
  }
}
