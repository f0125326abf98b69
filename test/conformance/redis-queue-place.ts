import { randomBytes } from 'node:crypto';
import { systemClock } from '../../src/clock.ts';
import { createBullQueue } from '../../src/queue/bullmq/queue.ts';
import type { BullTimes } from '../../src/queue/bullmq/worker.ts';
import { openRedis } from '../../src/store/redis/connection.ts';
import type { RedisConnection } from '../../src/store/redis/port.ts';
import type { RedisServer } from '../support/redis.ts';
import { compiledChild } from './killed.ts';

/** A lost process is noticed in a second and not in a minute. */
const QUICK = { lockMs: 600, stalledCheckMs: 200 };

/** A prefix of its own on a Redis that the tests of a file share. */
export function redisQueuePlace(server: RedisServer) {
  const prefix = `t${randomBytes(6).toString('hex')}`;
  const settings = { url: server.url, prefix, acceptNotDurable: false, acceptUnverified: false };
  const connections = new Set<RedisConnection>();
  const connect = async () => {
    const connection = await openRedis(settings);
    connections.add(connection);
    return connection;
  };
  return {
    child: { adapter: compiledChild('redis-queue.js'), place: JSON.stringify(settings) },
    connect,
    async remove() {
      for (const connection of connections) await connection.close();
    },

    async openQueue(times: Partial<BullTimes>) {
      const connection = await connect();
      const queue = createBullQueue(connection, { clock: systemClock, times: { ...QUICK, ...times } });
      return {
        queue,
        async close() {
          await queue.close();
          await connection.close();
        },
      };
    },
  };
}
