import { createBullQueue } from '../../../src/queue/bullmq/queue.ts';
import type { JobQueue } from '../../../src/queue/port.ts';
import { openRedis, type RedisSettings } from '../../../src/store/redis/connection.ts';

const clock = { now: () => Date.now() };
/** As in redis-queue-place.ts: a lost process is noticed in a second. */
const QUICK = { lockMs: 600, stalledCheckMs: 200 };

/** The queue on Redis, as a process opens it that will be killed. */
export async function open(settings: string): Promise<{ queue: JobQueue }> {
  const connection = await openRedis(JSON.parse(settings) as RedisSettings);
  return { queue: createBullQueue(connection, { clock, times: QUICK }) };
}
