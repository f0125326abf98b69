import { Queue } from 'bullmq';
import type { Clock } from '../../clock.ts';
import { CodedError } from '../../errors.ts';
import type { RedisConnection } from '../../store/redis/port.ts';
import { conditionOf, unavailableCondition, type Consumption } from '../condition.ts';
import type { Job, JobQueue } from '../port.ts';
import { QUEUE_TIMES, type Log } from '../times.ts';
import { Adding } from './adding.ts';
import { queueScripts, type JobData, type QueueScripts } from './scripts.ts';
import { KindWorker, type BullTimes } from './worker.ts';

export const BULL_TIMES: BullTimes = { ...QUEUE_TIMES, lockMs: 15_000, stalledCheckMs: 5_000, rebuildMs: 20_000 };

const KINDS = ['tick', 'rollback', 'webhook'] as const satisfies readonly Job['kind'][];
/** The library writes a stream of events that nobody here reads. */
const MOST_EVENTS = 100;
/** Longer keys would bloat the memory of Redis; ids are shorter by far. */
const MOST_KEY_LENGTH = 1_000;

interface KindQueue {
  bull: Queue<JobData>;
  adding: Adding;
  scripts: QueueScripts;
}

/**
 * The queue on Redis, by BullMQ, one of its queues for each kind. Jobs carry their key and nothing else; what they are
 * about stands in the store. Any number of processes share it. The connection is closed by who opened it, afterwards.
 *
 * A job whose process dies is handed out again after its lock has ended (`lockMs`) and two checks (`stalledCheckMs`).
 */
export function createBullQueue(
  connection: RedisConnection,
  options: { clock: Clock; log?: Log; times?: Partial<BullTimes> },
): JobQueue {
  const { clock, log } = options;
  const times = { ...BULL_TIMES, ...options.times };
  const queues = new Map(KINDS.map((kind) => [kind, openKind(connection, kind, clock)] as const));
  const workers = new Map<Job['kind'], KindWorker>();
  let closed = false;

  const queueOf = (kind: Job['kind']): KindQueue => {
    const queue = queues.get(kind);
    if (queue === undefined) throw new TypeError(`there is no queue for jobs of kind ${String(kind)}`);
    return queue;
  };
  /** Names what went wrong; never waits for a Redis that is away. */
  const guarded = async <T>(task: () => Promise<T>): Promise<T> => {
    if (closed)
      throw new CodedError('queue_unavailable', 'The queue is closed. Try again when davylamp runs.', { retryable: true });
    try {
      return await task();
    } catch (error) {
      throw connection.explain(error, 'queue_unavailable') ?? error;
    }
  };
  const consumption = (): Promise<Consumption[]> =>
    guarded(() =>
      Promise.all(
        [...workers].map(async ([kind, { takenAt }]) => ({ kind, oldest: await queueOf(kind).scripts.oldest(), takenAt })),
      ),
    );

  const watch = setInterval(() => void rebuildStalled(), Math.max(1, times.rebuildMs / 4));
  watch.unref();
  const rebuildStalled = async () => {
    try {
      for (const each of await consumption()) {
        const { ok, sentence } = conditionOf([each], clock.now(), times.rebuildMs);
        const worker = workers.get(each.kind);
        if (!ok && worker?.hasRoom === true) worker.rebuild(sentence);
      }
    } catch (error) {
      // While Redis is away, which the condition tells, nothing can be said of the workers.
      if (!(error instanceof CodedError)) log?.warn({ err: error }, 'The workers of the queue could not be looked at.');
    }
  };

  return {
    enqueue({ kind, key, notBefore }) {
      return guarded(() => {
        if (key === '' || key.length > MOST_KEY_LENGTH) throw new RangeError(`a key has 1 to ${MOST_KEY_LENGTH} characters`);
        if (notBefore !== undefined && !Number.isFinite(notBefore)) throw new RangeError('notBefore must be a time');
        return queueOf(kind).adding.add(key, Math.max(0, Math.ceil(notBefore ?? clock.now())), notBefore !== undefined);
      });
    },

    work(kind, { concurrency }, handler) {
      if (closed) throw new Error('The queue is closed.');
      if (workers.has(kind)) throw new Error(`Jobs of kind ${kind} have a handler already.`);
      const worker = new KindWorker({ connection, kind, concurrency, handler, clock, times, log });
      workers.set(kind, worker);
      return {
        async close() {
          await worker.close();
          // A handler that did not stop still runs: no other may take the kind over.
          if (worker.idle && workers.get(kind) === worker) workers.delete(kind);
        },
      };
    },

    async condition() {
      try {
        const stalled = conditionOf(await consumption(), clock.now(), times.stalledMs);
        if (!stalled.ok) return stalled;
        const { ok, code, sentence } = connection.condition();
        return code === 'ok' ? stalled : { ok, code, sentence };
      } catch (error) {
        const { code, sentence } = connection.condition();
        // A fault that has a name is more of use than that there is one.
        if (!closed && code.startsWith('redis_') && code !== 'redis_unavailable') return { ok: false, code, sentence };
        return unavailableCondition(error);
      }
    },

    counts() {
      return guarded(async () => {
        const of = async (kind: Job['kind']) => {
          const { wait = 0, delayed = 0, active = 0 } = await queueOf(kind).bull.getJobCounts('wait', 'delayed', 'active');
          return { waiting: wait + delayed, running: active };
        };
        const [tick, rollback, webhook] = await Promise.all([of('tick'), of('rollback'), of('webhook')]);
        return { tick, rollback, webhook };
      });
    },

    async close() {
      // New jobs are still stored while the running handlers end: their last act may be to enqueue the next step.
      await Promise.all([...workers.values()].map((worker) => worker.close()));
      closed = true;
      clearInterval(watch);
      await Promise.all([...queues.values()].map(({ bull }) => bull.close()));
    },
  };
}

function openKind(connection: RedisConnection, kind: Job['kind'], clock: Clock): KindQueue {
  const bull = new Queue<JobData>(kind, {
    connection: connection.client,
    prefix: connection.keyPrefix,
    skipVersionCheck: !connection.inspectable,
    streams: { events: { maxLen: MOST_EVENTS } },
  });
  // The connection tells its faults itself; without a listener the library prints them.
  bull.on('error', () => undefined);
  const scripts = queueScripts(connection.client, connection.keyPrefix, kind);
  return { bull, scripts, adding: new Adding(bull, scripts, () => clock.now()) };
}
