import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { RollbackPreview } from '../../src/rollback/preview.ts';
import type { Rollback } from '../../src/rollback/record.ts';
import { fleetWorld } from '../support/fleet-world.ts';
import { startService } from '../support/running-service.ts';
import { GIT_TOKEN, serviceWorld, type ServiceWorld } from '../support/service-world.ts';

const BAD = { errorShare: 0.3 };
type Service = Awaited<ReturnType<typeof startService>>;
interface Problem {
  status: number;
  code: string;
  detail: string;
}

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function shop(more = ''): Promise<{ world: ServiceWorld; service: Service }> {
  const world = await serviceWorld({ more });
  closing.push(() => world.close());
  const service = await startService(world.config);
  closing.push(() => service.close());
  return { world, service };
}

const ask = <T = Problem>(service: Service, revision: string, more: object = {}) =>
  service.call<T>('POST', '/api/v1/rollbacks', { application: 'shop', revision, reason: 'it looks bad', ...more });

describe('5.2 a shared fault never rolls back a release', () => {
  it('40 applications that fail in the same minute: no push, one page', { timeout: 120_000 }, async () => {
    const world = await fleetWorld(40);
    closing.push(() => world.close());
    const service = await startService(world.config);
    closing.push(() => service.close());
    for (const [application, revision] of world.bad) {
      expect((await service.call('POST', '/api/v1/analyses', { application, revision })).status).toBe(202);
    }
    world.pages.set('canary', BAD);
    const page = await service.until<{ items: Rollback[] }>(
      '/api/v1/rollbacks?limit=100',
      ({ items }) => items.length === 40 && items.every(({ state }) => state !== 'planned'),
      90_000,
    );
    expect(new Set(page.items.map(({ state, code }) => `${state} ${code}`))).toEqual(new Set(['held fleet_breaker']));
    expect(new Set(page.items.map(({ incident }) => incident)).size).toBe(1);
    expect(await world.reverts()).toEqual([]);
    // What is told is told shortly after; a second page would be there by the time that the last notice is.
    const incident = page.items[0]?.incident;
    await expect.poll(() => world.told.filter(({ event }) => event === 'rollback.decided').length, { timeout: 20_000 }).toBe(40);
    expect(world.told.filter(({ urgency }) => urgency === 'page')).toMatchObject([{ code: 'fleet_breaker', incident }]);
  });

  it('one that a person asks for does not wait for the others', { timeout: 60_000 }, async () => {
    const world = await fleetWorld(5, { rollbacks: '{ fleet: { settle: 1h } }' });
    closing.push(() => world.close());
    const service = await startService(world.config);
    closing.push(() => service.close());
    for (const [application, revision] of world.bad) {
      if (application !== 'app-01') await service.call('POST', '/api/v1/analyses', { application, revision });
    }
    await ask(service, world.bad.get('app-01') ?? '', { application: 'app-01' });
    const { items } = await service.until<{ items: Rollback[] }>(
      '/api/v1/rollbacks',
      (one) => one.items[0]?.revertCommit !== null,
    );
    expect(items).toHaveLength(1);
    expect(await world.reverts()).toEqual(['Revert "app-01 2"']);
  });
});

describe('a kill switch', () => {
  it('stops the abort and the push, whoever asks, until it is released and a person goes on', async () => {
    const { world, service } = await shop();
    const set = (stopped: boolean) =>
      service.call('POST', '/api/v1/switches', { scope: 'application', name: 'shop', stopped, reason: 'we look into it' });
    expect(await set(true)).toMatchObject({ status: 200, body: { scope: 'application', name: 'shop', by: 'anonymous' } });
    world.pages.set('canary', BAD);
    await service.analyzed(world.bad);
    const held = await service.rollback('held');
    expect(held).toMatchObject({ code: 'stopped_application', aborted: 'no' });
    const approve = () => service.call<Problem>('POST', `/api/v1/rollbacks/${held.id}/approve`, { plan: held.plan?.hash });
    expect((await approve()).body).toMatchObject({ status: 409, code: 'rollbacks_stopped' });
    expect(world.rollout.calls).toEqual([]);
    await set(false);
    expect((await approve()).status).toBe(200);
    expect((await service.rollback('synced', 'recovered', 'not_recovered')).aborted).toBe('aborted');
    expect((await service.call('GET', '/api/v1/switches')).body).toMatchObject({ items: [{ name: 'shop', stopped: false }] });
  });
});

describe('an approval by two people', () => {
  it('is not given by the one who asked', async () => {
    const { world, service } = await shop('    guards: { approvals: 2, approvalPaths: ["apps/**"] }');
    const asked = await ask<Rollback>(service, world.bad);
    expect(asked.status).toBe(202);
    const held = await service.rollback('held');
    const answer = await service.call<Problem>('POST', `/api/v1/rollbacks/${held.id}/approve`, { plan: held.plan?.hash });
    expect(answer.body).toMatchObject({ status: 409, code: 'approval_needs_another' });
    expect((await service.rollback('held')).approvals).toEqual([]);
  });
});

describe('a dry run', () => {
  it('says what would be written and what would hold it, and stores nothing', async () => {
    const { world, service } = await shop('    guards: { approvalPaths: ["apps/**"] }');
    const { status, body } = await ask<RollbackPreview>(service, world.bad, { dryRun: true });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      badCommit: world.bad,
      mode: 'rollback',
      state: null,
      code: 'planned',
      plan: { kind: 'revert', changed: ['apps/shop/rollout.yaml'], undoes: [world.bad] },
      guards: [{ code: 'approval_needed', approvable: true }],
    });
    expect(body.plan?.diff).toContain('+version: 1.1.0');
    expect((await service.call('GET', '/api/v1/rollbacks')).body).toEqual({ items: [], next: null });
    expect(await world.commits()).toHaveLength(2);
    expect(world.rollout.calls).toEqual([]);
    const real = await ask<Rollback>(service, world.bad);
    expect(real.status).toBe(202);
    expect((await service.rollback('held')).plan?.hash).toBe(body.plan?.hash);
  });
});

describe('a request that cannot be carried out', () => {
  it('is refused with a code and a sentence, and nothing is changed anywhere', async () => {
    const { world, service } = await shop();
    const docs = await world.colleague.commit('docs', { 'docs/a.md': 'a\n' });
    const back = await world.colleague.commit('shop 1.1.0 again', {
      'apps/shop/rollout.yaml': 'version: 1.1.0\ncanary:\n  weight: 10\n',
    });
    await world.colleague.push();
    await world.colleague.git('checkout', '--quiet', '-b', 'feature');
    const aside = await world.colleague.commit('shop 2.0.0', { 'apps/shop/rollout.yaml': 'version: 2.0.0\n' });
    await world.colleague.git('push', '--quiet', 'origin', 'feature');
    const cases: [string, number, string][] = [
      ['f'.repeat(40), 422, 'commit_unknown'],
      [aside, 422, 'commit'],
      [docs, 422, 'commit_outside_application'],
      [world.bad, 409, 'already_reverted'],
      [world.good, 422, 'commit_is_root'],
    ];
    for (const [revision, status, code] of cases) {
      for (const dryRun of [true, false]) {
        const { body } = await ask(service, revision, { dryRun });
        expect(body.status, body.code).toBe(status);
        expect(body.code).toContain(code);
        expect(body.detail.length).toBeGreaterThan(20);
      }
    }
    const word = { standing: 'good', reason: 'it is what we want' };
    const mark = (standing: string) =>
      service.call('POST', `/api/v1/applications/shop/ledger/${back}/mark`, { ...word, standing });
    expect((await mark('good')).status).toBe(200);
    expect((await ask(service, back)).body).toMatchObject({ status: 409, code: 'marked_good' });
    expect((await mark('bad')).status).toBe(200);
    expect((await ask<RollbackPreview>(service, back, { dryRun: true })).status).toBe(200);
    await writeFile(join(world.folder, 'token'), 'a token that was revoked');
    expect((await ask(service, world.bad)).body).toMatchObject({ status: 409, code: 'git_auth_failed' });
    await writeFile(join(world.folder, 'token'), GIT_TOKEN);
    expect((await service.call('GET', '/api/v1/rollbacks')).body).toEqual({ items: [], next: null });
    expect((await world.commits())[0]?.sha).toBe(back);
    expect(world.rollout.calls).toEqual([]);
  });
});
