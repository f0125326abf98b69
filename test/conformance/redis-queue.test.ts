import { afterAll, beforeAll } from 'vitest';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { describeQueue } from './queue.ts';
import { redisQueuePlace } from './redis-queue-place.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
}, 300_000);
afterAll(() => server.stop());

describeQueue('BullMQ on Redis', async () => {
  const { child, remove, openQueue } = redisQueuePlace(server);
  return { child, remove, open: openQueue };
});
