import { afterAll, beforeAll } from 'vitest';
import { MAX_RECORD_BYTES } from '../../src/store/limits.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { redisPlace } from './redis-place.ts';
import { describeStore } from './store.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
}, 400_000);
afterAll(() => server.stop());

describeStore('redis', { maxRecordBytes: MAX_RECORD_BYTES }, async () => {
  const { child, remove, openStore } = await redisPlace(server);
  return { child, remove, open: openStore };
});
