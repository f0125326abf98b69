import type { JobQueue } from '../../../src/queue/port.ts';
import type { Store } from '../../../src/store/port.ts';
import { openRedis, type RedisSettings } from '../../../src/store/redis/connection.ts';
import { createRedisStore } from '../../../src/store/redis/store.ts';

const noQueue = (): never => {
  throw new Error('This process has a store only.');
};

/** The store on Redis, as a process opens it that will be killed. @param place the settings as JSON */
export async function open(place: string): Promise<{ store: Store; queue: JobQueue }> {
  const connection = await openRedis(JSON.parse(place) as RedisSettings);
  const queue: JobQueue = { enqueue: noQueue, work: noQueue, condition: noQueue, counts: noQueue, close: noQueue };
  return { store: await createRedisStore(connection, { version: 'test' }), queue };
}
