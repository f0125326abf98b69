import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Analysis } from '../../src/analysis/record.ts';
import type { Rollback } from '../../src/rollback/record.ts';
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
    await rm(join(world.folder, 'data', name), { force: true });
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
