import { afterAll, beforeAll } from 'vitest';
import { createRedisArchive } from '../../src/store/redis/archive.ts';
import { openRedis } from '../../src/store/redis/connection.ts';
import { createRedisStore } from '../../src/store/redis/store.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { describeArchive } from './archive.ts';
import { redisPlace } from './redis-place.ts';

const version = 'test';
let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
}, 400_000);
afterAll(() => server.stop());

describeArchive('redis', async () => {
  const { settings, remove } = await redisPlace(server);
  return {
    remove,
    async open() {
      const connection = await openRedis(settings);
      try {
        const store = await createRedisStore(connection, { version });
        return { store, archive: createRedisArchive(connection, { version }), close: () => connection.close() };
      } catch (error) {
        await connection.close();
        throw error;
      }
    },
    async openToRestore() {
      const connection = await openRedis(settings);
      return { archive: createRedisArchive(connection, { version }), close: () => connection.close() };
    },
  };
});
