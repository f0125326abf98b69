import { afterEach, describe, expect, it } from 'vitest';
import type { Analysis } from '../../src/analysis/record.ts';
import type { Rollback } from '../../src/rollback/record.ts';
import { startService } from '../support/running-service.ts';
import { serviceWorld, type ServiceWorld } from '../support/service-world.ts';

let world: ServiceWorld;
let service: Awaited<ReturnType<typeof startService>>;

afterEach(async () => {
  await service.close();
  await world.close();
});

const iso = (at: number) => new Date(at).toISOString();
const webhook = (startsAt: number) => ({
  version: '4',
  status: 'firing',
  receiver: 'davylamp',
  groupKey: '{}',
  alerts: [
    {
      status: 'firing',
      labels: { alertname: 'Errors', service: 'shop' },
      annotations: {},
      startsAt: iso(startsAt),
      endsAt: '0001-01-01T00:00:00Z',
      fingerprint: 'c0ffee0123456789',
    },
  ],
});
const reverts = async () => (await world.commits()).filter(({ rollback }) => rollback !== '');
const rule = (then: string) => `    alerts: [{ matchers: ['service="shop"'], then: ${then} }]`;

describe('an alert', () => {
  it('rolls back no revision that was replaced by a newer one, however much its owner trusts it', async () => {
    world = await serviceWorld({ more: rule('rollback') });
    const now = Date.now();
    const mended = await world.colleague.commit('shop 1.2.1: mend it', { 'apps/shop/flags.yaml': 'newPath: off\n' });
    await world.colleague.push();
    Object.assign(world.rollout.state, { canary: null, stable: mended, synced: mended, phase: 'healthy' });
    world.rollout.state['history'] = [
      { revision: world.bad, from: iso(now - 600_000), to: iso(now - 120_000), role: 'stable' },
      { revision: mended, from: iso(now - 120_000), to: null, role: 'stable' },
    ];
    service = await startService(world.config);
    await service.call('POST', '/webhooks/alertmanager', webhook(now - 300_000));
    const held = await service.rollback('held', 'pushed', 'synced', 'recovered');
    expect(held).toMatchObject({ state: 'held', code: 'another_revision_runs', badCommit: world.bad });
    expect(await reverts()).toEqual([]);
  });

  it('waits while the cluster cannot be asked what ran, and blames nobody whom it saw before', async () => {
    world = await serviceWorld({ more: rule('analyze'), for: '3s' });
    Object.assign(world.rollout.state, { canary: null, stable: world.bad, synced: world.bad, phase: 'healthy' });
    service = await startService(world.config);
    await service.until<{ items: unknown[] }>('/api/v1/analyses', () => true);
    // Another canary is started that nobody sees, and it is bad.
    world.rollout.answerWith(503);
    world.pages.set('canary', { errorShare: 0.3 });
    await service.call('POST', '/webhooks/alertmanager', webhook(Date.now()));
    const page = async () => (await fetch(`${service.address}/metrics`)).text();
    await expect.poll(page, { timeout: 15_000 }).toMatch(/davylamp_errors_total\{code="delivery_failed"\} [1-9]/);
    const { items } = (await service.call<{ items: Analysis[] }>('GET', '/api/v1/analyses')).body;
    expect(items).toEqual([]);
    expect((await service.call<{ items: Rollback[] }>('GET', '/api/v1/rollbacks')).body.items).toEqual([]);
  });
});
