import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Analysis } from '../../src/analysis/record.ts';
import type { Rollback } from '../../src/rollback/record.ts';
import { pushGate } from '../support/push-gate.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { startService } from '../support/running-service.ts';
import { serviceWorld, type ServiceWorld } from '../support/service-world.ts';

let world: ServiceWorld;
let service: Awaited<ReturnType<typeof startService>> | undefined;

beforeEach(async () => {
  world = await serviceWorld({ more: '    guards: { maxPerDay: 1 }' });
});

afterEach(async () => {
  await service?.close();
  service = undefined;
  await world.close();
});

async function start() {
  service = await startService(world.config);
  return service;
}

/** The store is gone, as an emptied Redis or a lost volume would be; the mirror may stay. */
async function loseStore(): Promise<void> {
  await service?.close();
  service = undefined;
  for (const name of ['davylamp.db', 'davylamp.db-wal', 'davylamp.db-shm']) {
    await rm(path.join(world.folder, 'data', name), { force: true });
  }
}

describe('a store that was lost', () => {
  it('learns its rollbacks from Git, and their limits hold again', async () => {
    world.pages.set('canary', { errorShare: 0.3 });
    const first = await start();
    await first.analyzed(world.bad);
    const before = await first.rollback('recovered');
    await loseStore();

    const second = await start();
    const known = await second.until<{ items: Rollback[] }>('/api/v1/rollbacks', ({ items }) => items.length === 1);
    expect(known.items[0]).toMatchObject({
      id: before.id,
      code: 'rebuilt',
      badCommit: world.bad,
      revertCommit: before.revertCommit,
    });
    await world.colleague.pull();
    const worse = await world.colleague.commit('shop 1.3.0', { 'apps/shop/rollout.yaml': 'version: 1.3.0\n' });
    await world.colleague.push();
    Object.assign(world.rollout.state, { canary: worse, phase: 'progressing' });
    const analysis = await second.analyzed(worse);
    const held = await second.until<Rollback>(`/api/v1/rollbacks/${analysis.rollback ?? ''}`, ({ state }) => state === 'held');
    expect(held.code).toBe('limit_per_day');
    expect((await world.commits()).filter(({ rollback }) => rollback !== '')).toHaveLength(1);
  });

  it('rolls nothing back automatically before Git could be read, and goes on by itself afterwards', async () => {
    world.pages.set('canary', { errorShare: 0.3 });
    world.git.fault('unavailable');
    const running = await start();
    const { id } = await running.analyze(world.bad);
    const { rollback } = await running.until<Analysis>(`/api/v1/analyses/${id}`, ({ endedAt }) => endedAt !== null);
    await running.until<Rollback>(`/api/v1/rollbacks/${rollback ?? ''}`, ({ problem }) => problem !== null);
    expect(world.rollout.calls).toEqual([]);
    world.git.fault(null);
    await running.rollback('recovered');
  });
});

const REDIS_TIMEOUT_MS = 400_000;
/** The lock of a job is gone with the store; its process notices that when it renews it. */
const NOTICED_MS = 60_000;

describe('a Redis that is emptied while a push is under way', () => {
  let redis: RedisServer;
  let admin: Redis;
  let services: Awaited<ReturnType<typeof startService>>[];
  beforeEach(async () => {
    redis = await startRedis();
    admin = new Redis(redis.url);
    services = [];
  }, REDIS_TIMEOUT_MS);
  afterEach(async () => {
    await Promise.all(services.map((each) => each.close()));
    admin.disconnect();
    await redis.stop();
  });

  async function join(name: string) {
    const file = path.join(world.folder, `${name}.yaml`);
    const storage = `kind: redis, url: ${redis.url}, path: ./${name}`;
    const text = await readFile(world.config, 'utf8');
    await writeFile(file, text.replace('kind: embedded, path: ./data', storage).replace('for: 1200ms', 'for: 20s'));
    const joined = await startService(file);
    services.push(joined);
    return joined;
  }

  const lines = (words: string) => services.flatMap(({ log }) => log).filter((line) => line.includes(words)).length;
  // Whether a busy machine could measure the recovery is not what is asked here.
  const isOver = ({ state }: Rollback) => state === 'recovered' || state === 'not_recovered';
  const isKnown = ({ items }: { items: Rollback[] }) => items.length === 1;

  /** A controller that asks again is answered with the same rollback, and nothing is pushed a second time. */
  async function goesOnOnce(running: Awaited<ReturnType<typeof startService>>, id: string): Promise<void> {
    const again = await running.analyzed(world.bad);
    expect(again.rollback).toBe(id);
    const ended = await running.until<Rollback>(`/api/v1/rollbacks/${id}`, isOver, NOTICED_MS);
    const reverts = (await world.commits()).filter(({ rollback }) => rollback !== '');
    expect(reverts).toEqual([expect.objectContaining({ sha: ended.revertCommit, rollback: id })]);
  }

  it(
    'has a push on record that was stopped with its job and arrives later',
    async () => {
      world.pages.set('canary', { errorShare: 0.3 });
      const running = await join('one');
      const held = await (await pushGate(world.git.repository)).hold('update');
      await running.analyze(world.bad);
      await held.arrived();
      await admin.flushall();
      const { items } = await running.until<{ items: Rollback[] }>('/api/v1/rollbacks', isKnown, NOTICED_MS);
      expect(items[0]?.history.at(-1)).toMatchObject({ step: 'rebuilt' });
      expect(items[0]).toMatchObject({ state: 'executing', revertCommit: null, pushStarted: expect.any(String) });
      await held.release();
      await goesOnOnce(running, items[0]?.id ?? '');
    },
    REDIS_TIMEOUT_MS,
  );

  it(
    'has a push on record that came through after another process had read Git',
    async () => {
      world.pages.set('canary', { errorShare: 0.3 });
      const running = await join('one');
      await join('other');
      const held = await (await pushGate(world.git.repository)).hold('update');
      await running.analyze(world.bad);
      await held.arrived();
      const readBefore = lines('the store agrees with Git');
      await admin.flushall();
      // Both work with the new data set; the one that does not push has read Git, the other one waits for its own push.
      await running.untilLogged(() => lines('the store was emptied') === 2 && lines('the store agrees with Git') > readBefore);
      await held.release();
      const { items } = await running.until<{ items: Rollback[] }>('/api/v1/rollbacks', isKnown, NOTICED_MS);
      expect(items[0]?.badCommit).toBe(world.bad);
      await goesOnOnce(running, items[0]?.id ?? '');
    },
    REDIS_TIMEOUT_MS,
  );
});
