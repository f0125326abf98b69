import { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { startRedis } from '../../test/support/redis.ts';
import { demoRedis, forgetIn, storageOf } from './redis-storage.ts';

it('takes credentials out of the address, so that the configuration holds none', () => {
  const redis = demoRedis('redis://me:hunter%202@127.0.0.1:6379/1');
  expect(redis).toMatchObject({ url: 'redis://127.0.0.1:6379/1', username: 'me', password: 'hunter 2' });
  expect(JSON.stringify(storageOf(redis))).not.toContain('hunter');
  expect(storageOf(redis)).toMatchObject({ kind: 'redis', username: 'me', passwordFile: './redis-password' });
  expect(storageOf(null)).toMatchObject({ kind: 'embedded' });
});

it.each(['http://127.0.0.1', 'redis:', 'redis://', '6379'])('does not take %s for a Redis', (text) => {
  expect(demoRedis(text)).toBeNull();
});

it('removes its own keys and no others', async () => {
  const server = await startRedis();
  const client = new Redis(server.url);
  try {
    const [one, other] = [demoRedis(server.url), demoRedis(server.url)];
    if (one === null || other === null) throw new Error('not an address');
    await client.mset(`{${one.prefix}}:a`, 1);
    await client.mset(`{${other.prefix}}:a`, 1);
    await forgetIn(one);
    expect(await client.keys('*')).toEqual([`{${other.prefix}}:a`]);
  } finally {
    client.disconnect();
    await server.stop();
  }
}, 300_000);
