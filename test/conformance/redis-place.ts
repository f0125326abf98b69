import { randomBytes } from 'node:crypto';
import { openRedis } from '../../src/store/redis/connection.ts';
import { createRedisStore } from '../../src/store/redis/store.ts';
import type { RedisServer } from '../support/redis.ts';
import { compiledChild } from './killed.ts';

/** A prefix of its own on a Redis that the tests of a file share. */
export async function redisPlace(server: RedisServer) {
  const prefix = `t${randomBytes(6).toString('hex')}`;
  const settings = { url: server.url, prefix, acceptNotDurable: false, acceptUnverified: false };
  return {
    settings,
    child: { adapter: compiledChild('redis-store.js'), place: JSON.stringify(settings) },
    async remove() {},
    async openStore() {
      const connection = await openRedis(settings);
      const store = await createRedisStore(connection, { version: 'test' });
      return {
        store,
        async close() {
          await store.close();
          await connection.close();
        },
      };
    },
  };
}
