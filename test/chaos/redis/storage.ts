import { systemClock } from '../../../src/clock.ts';
import { createBullQueue } from '../../../src/queue/bullmq/queue.ts';
import type { BullTimes } from '../../../src/queue/bullmq/worker.ts';
import type { JobQueue } from '../../../src/queue/port.ts';
import { openRedis, type RedisSettings } from '../../../src/store/redis/connection.ts';
import { createRedisStore } from '../../../src/store/redis/store.ts';
import type { Store } from '../../../src/store/port.ts';

export interface Place {
  settings: RedisSettings;
  times: Partial<BullTimes>;
}

/** Store and queue as one process has them. */
export async function openStorage(place: Place): Promise<{ store: Store; queue: JobQueue; close: () => Promise<void> }> {
  const connection = await openRedis(place.settings);
  const store = await createRedisStore(connection, { version: 'test' });
  const queue = createBullQueue(connection, { clock: systemClock, times: place.times });
  return {
    store,
    queue,
    async close() {
      await queue.close();
      await store.close();
      await connection.close();
    },
  };
}
