import { afterEach, describe, expect, it } from 'vitest';
import type { Rollback } from '../../src/rollback/record.ts';
import { startService } from '../support/running-service.ts';
import { serviceWorld, type ServiceWorld } from '../support/service-world.ts';

let world: ServiceWorld;
let service: Awaited<ReturnType<typeof startService>>;

afterEach(async () => {
  await service.close();
  await world.close();
});

async function begin(more?: string) {
  world = await serviceWorld(more === undefined ? {} : { more });
  // A release that does not live serves nobody: its page is there and counts nothing.
  world.pages.answer('canary', 503);
  world.rollout.state['trouble'] = { revision: world.bad, code: 'crash_loop', sentence: '2 of 2 pods of the release crash' };
  service = await startService(world.config);
}

describe('a release that its delivery shows to be dead', () => {
  it('fails without a single measurement, and is proposed at most', async () => {
    await begin();
    const analysis = await service.analyzed(world.bad);
    expect(analysis).toMatchObject({ phase: 'Failed', verdict: 'fail', code: 'crash_loop' });
    expect(analysis.judgement?.decidedBy).toBe('delivery');
    const rollback = await service.rollback('proposed');
    expect(rollback.verdictSentence).toContain('2 of 2 pods of the release crash');
    expect((await world.commits()).filter(({ rollback: id }) => id !== '')).toEqual([]);
  });

  it('is rolled back where the application says so', async () => {
    await begin('    onUndeployable: rollback');
    await service.analyzed(world.bad);
    const rollback = await service.rollback('pushed', 'synced', 'recovered', 'not_recovered');
    expect(rollback).toMatchObject({ badCommit: world.bad, mode: 'rollback' });
  });

  it('is not failed by the death of another revision, or by silence', async () => {
    await begin();
    world.rollout.state['trouble'] = { revision: world.good, code: 'crash_loop', sentence: 'the other one crashes' };
    const analysis = await service.analyzed(world.bad);
    expect(analysis.phase).toBe('Inconclusive');
    const { items } = (await service.call<{ items: Rollback[] }>('GET', '/api/v1/rollbacks')).body;
    expect(items).toEqual([]);
  });
});
