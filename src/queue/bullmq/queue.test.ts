import { randomBytes } from 'node:crypto';
import { Queue as BullQueue, Worker as BullWorker } from 'bullmq';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startRedis, type RedisServer } from '../../../test/support/redis.ts';
import { systemClock } from '../../clock.ts';
import { openRedis, type RedisSettings, type RedisTimes } from '../../store/redis/connection.ts';
import type { JobQueue } from '../port.ts';
import { createBullQueue } from './queue.ts';
import type { BullTimes } from './worker.ts';

const QUICK: Partial<BullTimes> = { lockMs: 600, stalledCheckMs: 200, closeGraceMs: 500, stopGraceMs: 200 };
const KEYS_OF_A_QUEUE = 8;

let server: RedisServer;
let admin: Redis;
let prefix: string;
const closers: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  server = await startRedis();
  admin = new Redis(server.url);
  admin.on('error', () => undefined);
  prefix = `t${randomBytes(4).toString('hex')}`;
}, 300_000);
afterEach(async () => {
  for (const close of closers.toReversed()) await close();
  closers.length = 0;
  admin.disconnect();
  await server.stop();
  vi.restoreAllMocks();
});

interface Told {
  facts: object;
  sentence: string;
}

/** The queue as one of several processes has it: with connections of its own. */
async function openQueue(
  options: { times?: Partial<BullTimes>; redis?: Partial<RedisTimes>; url?: string; login?: Partial<RedisSettings> } = {},
) {
  const settings = { url: options.url ?? server.url, prefix, acceptNotDurable: false, acceptUnverified: false, ...options.login };
  const connection = await openRedis(settings, { times: { inspectMs: 50, ...options.redis } });
  const told: Told[] = [];
  const log = { warn: (facts: object, sentence: string) => void told.push({ facts, sentence }) };
  const queue = createBullQueue(connection, { clock: systemClock, log, times: { ...QUICK, ...options.times } });
  let closed: Promise<void> | undefined;
  const close = () =>
    (closed ??= (async () => {
      await queue.close();
      await connection.close();
    })());
  closers.push(close);
  return { queue, connection, told, close };
}

const tick = (queue: JobQueue, key: string, notBefore?: number) =>
  queue.enqueue({ kind: 'tick', key, ...(notBefore === undefined ? {} : { notBefore }) });

async function codeOfLate(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
  );
}

const settled = (queue: JobQueue) =>
  expect.poll(() => queue.counts(), { timeout: 15_000 }).toMatchObject({ tick: { waiting: 0, running: 0 } });

describe('the queue on Redis', () => {
  it('refuses a job at once while Redis is away, and runs every accepted one once after its return', async () => {
    const { queue } = await openQueue();
    const ran: string[] = [];
    queue.work('tick', { concurrency: 4 }, async ({ key }) => void ran.push(key));
    await tick(queue, 'before');
    await settled(queue);
    const accepted = ['before'];
    for (let n = 0; n < 100; n += 1) {
      accepted.push(`later${n}`);
      await tick(queue, `later${n}`, Date.now() + 300);
    }
    // An append-only file is written every second: what was accepted just before may be lost with the machine, not the process.
    await server.kill();
    await expect.poll(() => codeOfLate(tick(queue, 'lost'))).toBe('queue_unavailable');
    const from = performance.now();
    expect(await codeOfLate(tick(queue, 'lost'))).toBe('queue_unavailable');
    expect(performance.now() - from).toBeLessThan(100);
    expect(await queue.condition()).toMatchObject({ ok: false, code: 'queue_unavailable' });
    await server.start();
    const back = performance.now();
    await expect.poll(() => codeOfLate(tick(queue, 'after')), { timeout: 5_000 }).toBe('resolved');
    await expect.poll(() => ran, { timeout: 5_000 }).toContain('after');
    expect(performance.now() - back).toBeLessThan(3_000);
    await settled(queue);
    expect(ran.toSorted()).toEqual([...accepted, 'after'].toSorted());
    expect(await queue.condition()).toMatchObject({ ok: true });
  });

  it('runs a job again at once that lost its lock while Redis was away, without waiting for the next check', async () => {
    const { queue } = await openQueue({ times: { stalledCheckMs: 600_000 } });
    let runs = 0;
    let goOn = () => {};
    const isKilled = new Promise<void>((resolve) => (goOn = resolve));
    queue.work('tick', { concurrency: 1 }, async () => {
      runs += 1;
      if (runs > 1) return;
      await isKilled;
      throw new Error('the store is away');
    });
    await tick(queue, 'running');
    await expect.poll(() => runs).toBe(1);
    await server.kill();
    goOn();
    const until = Date.now() + 2 * (QUICK.lockMs ?? 0);
    await expect.poll(() => Date.now(), { timeout: 5_000 }).toBeGreaterThan(until);
    await server.start();
    await expect.poll(() => runs, { timeout: 15_000 }).toBe(2);
    await settled(queue);
  });

  it('goes on when Redis closes every connection', async () => {
    const { queue } = await openQueue();
    const ran: string[] = [];
    queue.work('tick', { concurrency: 1 }, async ({ key }) => void ran.push(key));
    await tick(queue, 'before');
    await settled(queue);
    await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await expect.poll(() => codeOfLate(tick(queue, 'after')), { timeout: 5_000 }).toBe('resolved');
    await expect.poll(() => ran, { timeout: 5_000 }).toEqual(['before', 'after']);
  });

  it('says queue_unavailable when Redis does not answer, and goes on when it does', async () => {
    const { queue } = await openQueue({ redis: { commandMs: 200 } });
    const ran: string[] = [];
    queue.work('tick', { concurrency: 1 }, async ({ key }) => void ran.push(key));
    await admin.client('PAUSE', 1_000);
    expect(await codeOfLate(tick(queue, 'a'))).toBe('queue_unavailable');
    expect(await queue.condition()).toMatchObject({ ok: false, code: 'queue_unavailable' });
    await expect.poll(() => codeOfLate(tick(queue, 'b')), { timeout: 5_000 }).toBe('resolved');
    await expect.poll(() => ran, { timeout: 5_000 }).toContain('b');
  });

  it('names a full Redis, and takes jobs again when there is room', async () => {
    const { queue } = await openQueue();
    const ran: string[] = [];
    queue.work('tick', { concurrency: 1 }, async ({ key }) => void ran.push(key));
    await tick(queue, 'before');
    await settled(queue);
    await admin.config('SET', 'maxmemory', '1mb');
    await expect(tick(queue, 'a')).rejects.toMatchObject({
      code: 'queue_unavailable',
      retryable: true,
      details: { redis: 'full' },
      message: expect.stringContaining('full'),
    });
    expect(await queue.condition()).toMatchObject({ ok: false, code: 'redis_full' });
    await admin.config('SET', 'maxmemory', '0');
    await expect.poll(() => codeOfLate(tick(queue, 'b')), { timeout: 5_000 }).toBe('resolved');
    await expect.poll(() => ran, { timeout: 5_000 }).toEqual(['before', 'b']);
    await expect.poll(() => queue.condition()).toMatchObject({ ok: true });
  });

  it('shares the jobs among processes, each job to one of them', async () => {
    const ran: string[] = [];
    const workers = new Set<number>();
    for (const number of [1, 2, 3]) {
      const { queue } = await openQueue();
      queue.work('tick', { concurrency: 2 }, async ({ key }) => {
        ran.push(key);
        workers.add(number);
        await new Promise((resolve) => setImmediate(resolve));
      });
    }
    const { queue } = await openQueue();
    const keys = Array.from({ length: 300 }, (_, n) => `n${n}`);
    await Promise.all(keys.map((key) => tick(queue, key)));
    await settled(queue);
    expect(ran.toSorted()).toEqual(keys.toSorted());
    expect(workers.size).toBe(3);
  });

  it('takes the earlier of the times that two processes ask for', async () => {
    const [one, other] = [await openQueue(), await openQueue()];
    const at = Date.now() + 200;
    await Promise.all([tick(one.queue, 'a', at + 60_000), tick(other.queue, 'a', at)]);
    const started = new Promise<number>((resolve) => {
      one.queue.work('tick', { concurrency: 1 }, async ({ notBefore }) => resolve(notBefore));
    });
    expect(await started).toBe(at);
  });

  it('tells a handler whose lock is lost to stop, and hands the job to another process', async () => {
    const one = await openQueue();
    let signalled: (reason: unknown) => void = () => {};
    const lost = new Promise<unknown>((resolve) => (signalled = resolve));
    one.queue.work('tick', { concurrency: 1 }, async (_, signal) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      signalled(signal.reason);
      return { again: Date.now() + 60_000 };
    });
    await tick(one.queue, 'a');
    await expect.poll(() => one.queue.counts()).toMatchObject({ tick: { running: 1 } });
    const other = await openQueue();
    const taken = new Promise<number>((resolve) => {
      other.queue.work('tick', { concurrency: 1 }, async ({ attempt }) => resolve(attempt));
    });
    for (const lock of await admin.keys(`{${prefix}}:tick:*:lock`)) await admin.set(lock, 'somebody else', 'PX', 300);
    expect(await lost).toMatchObject({ code: 'job_lost', retryable: true });
    expect(await taken).toBe(2);
    // What the first one returned does not bring the ended job back.
    await settled(other.queue);
  });

  it('builds a worker anew that takes nothing although jobs are due, and says so', async () => {
    // The library's loop hangs for ever, as it did after faults of Redis in several of its releases.
    vi.spyOn(BullWorker.prototype, 'run').mockReturnValueOnce(new Promise(() => {}));
    const { queue, told } = await openQueue({ times: { rebuildMs: 300 } });
    const ran: string[] = [];
    queue.work('tick', { concurrency: 1 }, async ({ key }) => void ran.push(key));
    await tick(queue, 'a');
    await expect.poll(() => ran, { timeout: 5_000 }).toEqual(['a']);
    expect(told.map(({ facts }) => facts)).toContainEqual({ kind: 'tick', code: 'queue_stalled' });
  });

  it('keeps nothing of a job that is done, and only its key and time of one that waits', async () => {
    const { queue } = await openQueue();
    queue.work('tick', { concurrency: 8 }, async ({ key, attempt }) => {
      if (key.endsWith('7') && attempt === 1) throw new Error('once');
    });
    await Promise.all(Array.from({ length: 300 }, (_, n) => tick(queue, `n${n}`)));
    await settled(queue);
    const left = await admin.keys('*');
    expect(left.length).toBeLessThanOrEqual(3 * KEYS_OF_A_QUEUE);
    expect(left.every((key) => key.startsWith(`{${prefix}}:`))).toBe(true);
    const at = Date.now() + 60_000;
    await tick(queue, 'waits', at);
    const [job] = (await admin.keys(`{${prefix}}:tick:*-*`)).filter((key) => !left.includes(key));
    expect(JSON.parse((await admin.hget(job ?? '', 'data')) ?? '')).toEqual({ key: 'waits', at, base: 0 });
  });

  it('adds what is asked for at the same time in one round trip', async () => {
    const { queue } = await openQueue();
    const addBulk = vi.spyOn(BullQueue.prototype, 'addBulk');
    await Promise.all(Array.from({ length: 100 }, (_, n) => tick(queue, `n${n % 50}`)));
    expect(addBulk.mock.calls.map(([jobs]) => jobs.length)).toEqual([50]);
    expect(await queue.counts()).toMatchObject({ tick: { waiting: 50, running: 0 } });
  });

  it('closes while Redis is away', async () => {
    const { queue, close } = await openQueue();
    const started = new Promise<void>((resolve) => {
      queue.work('tick', { concurrency: 1 }, async (_, signal) => {
        resolve();
        await new Promise((done) => signal.addEventListener('abort', done));
      });
    });
    await tick(queue, 'a');
    await started;
    await server.kill();
    const from = performance.now();
    await close();
    expect(performance.now() - from).toBeLessThan(3_000);
  });

  it('needs no more rights than its own keys and INFO, and without INFO the consent of the operator', async () => {
    const rights = (info: string) => `~{${prefix}}:* +@all -@admin -@dangerous ${info}`.split(' ');
    await admin.acl('SETUSER', 'davylamp', 'on', '>word', ...rights('+info'));
    await admin.acl('SETUSER', 'blind', 'on', '>word', ...rights('-info'));
    for (const username of ['davylamp', 'blind']) {
      const { queue } = await openQueue({
        login: { username, readPassword: async () => 'word', acceptUnverified: username === 'blind' },
      });
      const ran: number[] = [];
      queue.work('tick', { concurrency: 2 }, async ({ attempt }) => {
        ran.push(attempt);
        if (attempt === 1) throw new Error('once');
      });
      await tick(queue, 'a', Date.now() + 50);
      await tick(queue, 'a');
      await settled(queue);
      expect(ran).toEqual([1, 2]);
      await queue.close();
    }
  });

  it('works on a cluster', async () => {
    const node = await startRedis({ 'cluster-enabled': 'yes', 'cluster-announce-ip': '127.0.0.1' });
    closers.push(() => node.stop());
    const setup = new Redis(node.url);
    await setup.cluster('ADDSLOTSRANGE', 0, 16_383);
    await expect.poll(() => setup.cluster('INFO'), { timeout: 15_000 }).toContain('cluster_state:ok');
    setup.disconnect();
    const { queue } = await openQueue({ url: node.url });
    const ran: string[] = [];
    queue.work('tick', { concurrency: 2 }, async ({ key, attempt }) => {
      ran.push(`${key} ${attempt}`);
      if (attempt === 1) throw new Error('once');
    });
    await Promise.all([tick(queue, 'a'), tick(queue, 'b'), tick(queue, 'b', Date.now() - 1)]);
    await settled(queue);
    expect(ran.toSorted()).toEqual(['a 1', 'a 2', 'b 1', 'b 2']);
  });
});
