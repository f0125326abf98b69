import type { Clock } from '../../clock.ts';
import { CodedError } from '../../errors.ts';
import type { EmbeddedDatabase } from '../../store/embedded/port.ts';
import { conditionOf, unavailableCondition } from '../condition.ts';
import type { Job, JobQueue } from '../port.ts';
import { QUEUE_TIMES, type Log, type QueueTimes } from '../times.ts';
import { KindWorker } from './worker.ts';

/**
 * The queue on the embedded database. Closing it closes its workers; the database is closed by who opened it, afterwards.
 *
 * A job is marked as running on the disk before its handler starts, so that a killed process shows in `attempt`.
 */
export function createEmbeddedQueue(
  database: EmbeddedDatabase,
  options: { clock: Clock; log?: Log; times?: Partial<QueueTimes> },
): JobQueue {
  const { clock, log } = options;
  const times = { ...QUEUE_TIMES, ...options.times };
  const workers = new Map<Job['kind'], KindWorker>();
  let closed = false;

  const request: EmbeddedDatabase['request'] = async (name, input) => {
    if (closed)
      throw new CodedError('queue_unavailable', 'The queue is closed. Try again when davylamp runs.', { retryable: true });
    try {
      return await database.request(name, input);
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'store_unavailable') throw error;
      throw new CodedError('queue_unavailable', error.message, { retryable: true, cause: error, details: error.details });
    }
  };

  return {
    async enqueue({ kind, key, notBefore = clock.now() }) {
      await request('job.enqueue', { kind, key, notBefore });
      workers.get(kind)?.wake(notBefore);
    },

    work(kind, { concurrency }, handler) {
      if (closed) throw new Error('The queue is closed.');
      if (workers.has(kind)) throw new Error(`Jobs of kind ${kind} have a handler already.`);
      const worker = new KindWorker({ database, kind, concurrency, handler, clock, times, log });
      workers.set(kind, worker);
      return {
        async close() {
          await worker.close();
          // A handler that did not stop still has its job: no other may take the kind over.
          if (worker.idle && workers.get(kind) === worker) workers.delete(kind);
        },
      };
    },

    async condition() {
      try {
        const oldest = await request('job.oldest', null);
        const consumption = [...workers].map(([kind, { takenAt }]) => ({ kind, oldest: oldest[kind] ?? null, takenAt }));
        return conditionOf(consumption, clock.now(), times.stalledMs);
      } catch (error) {
        return unavailableCondition(error);
      }
    },

    counts: () => request('job.counts', null),

    async close() {
      // New jobs are still stored while the running handlers end: their last act may be to enqueue the next step.
      await Promise.all([...workers.values()].map((worker) => worker.close()));
      closed = true;
    },
  };
}
