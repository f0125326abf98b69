import { readFile, writeFile } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { Analysis } from '../../src/analysis/record.ts';
import type { Rollback } from '../../src/rollback/record.ts';
import { startService } from '../support/running-service.ts';
import { serviceWorld, type ServiceWorld } from '../support/service-world.ts';

type Service = Awaited<ReturnType<typeof startService>>;
interface Page {
  items: Rollback[];
}
let world: ServiceWorld;
let service: Service;
const BAD = { errorShare: 0.3 };
const ROLLBACKS = '/api/v1/rollbacks';

async function begin(settings: Parameters<typeof serviceWorld>[0] = {}): Promise<void> {
  world = await serviceWorld(settings);
  service = await startService(world.config);
}

/** The same service with another configuration. */
async function restart(change: (config: string) => string): Promise<void> {
  await service.close();
  await writeFile(world.config, change(await readFile(world.config, 'utf8')));
  service = await startService(world.config);
}

afterEach(async () => {
  await service.close();
  await world.close();
});

const reverts = async () => (await world.commits()).filter(({ rollback }) => rollback !== '');
const manifest = (version: string) => `version: ${version}\ncanary:\n  weight: 10\n`;
const ended = (id: string) => service.until<Analysis>(`/api/v1/analyses/${id}`, ({ endedAt }) => endedAt !== null);

describe('a verdict about one revision', () => {
  it('is not made from the measurements of another one that runs as the canary', async () => {
    await begin();
    world.pages.set('canary', BAD);
    const analysis = await service.analyzed(world.good);
    expect(analysis).toMatchObject({ phase: 'Inconclusive', code: 'superseded', rollback: null });
    expect(await reverts()).toHaveLength(0);
  });

  it('does not take anything out when another revision took over before the push', async () => {
    await begin();
    world.pages.set('canary', BAD);
    await world.git.refusePushes('wait');
    await service.analyzed(world.bad);
    await service.until<Page>(ROLLBACKS, (page) => (page.items[0]?.problem ?? null) !== null);
    world.rollout.state.canary = 'c'.repeat(40);
    await world.git.refusePushes(null);
    await service.until<Page>(ROLLBACKS, (page) => page.items[0]?.code === 'another_revision_runs');
    expect(await service.rollback('held')).toMatchObject({ aborted: 'aborted', revertCommit: null, problem: null });
    expect(await reverts()).toHaveLength(0);
  });

  it('names its rollback in the very answer that says Failed', async () => {
    await begin();
    world.pages.set('canary', BAD);
    const { body } = await service.call<Analysis>(
      'POST',
      '/api/v1/analyses',
      { application: 'shop', revision: world.bad },
      { prefer: 'wait=20' },
    );
    expect(body.phase).toBe('Failed');
    expect(body.rollback).toBe((await service.rollback('recovered')).id);
  });

  it('does not stand still when the delivery abbreviates its commits', async () => {
    await begin();
    world.rollout.state.canary = world.bad.slice(0, 8);
    world.pages.set('canary', BAD);
    const { body } = await service.call<Analysis>('POST', '/api/v1/analyses', { application: 'shop' });
    expect(body.revision).toBe(world.bad);
    await ended(body.id);
    world.rollout.state.canary = world.bad;
    await service.rollback('recovered');
  });
});

describe('the recovery check', () => {
  it('does not call it recovered when nothing could be measured', async () => {
    await begin();
    world.pages.set('canary', BAD);
    const { id } = await service.analyze(world.bad);
    await ended(id);
    await service.rollback('synced', 'pushed', 'executing', 'planned');
    world.pages.set('stable', { requestsPerSecond: 0 });
    const rollback = await service.rollback('not_recovered', 'recovered');
    expect(rollback).toMatchObject({ state: 'not_recovered', code: 'recovery_unmeasured' });
  });

  it('says so when the errors stayed, and holds the next automatic rollback', async () => {
    await begin();
    world.pages.set('canary', BAD);
    const { id } = await service.analyze(world.bad);
    await ended(id);
    world.pages.set('stable', BAD);
    expect(await service.rollback('not_recovered')).toMatchObject({ code: 'still_bad' });
    world.pages.set('stable', { errorShare: 0.01 });
    const next = await world.colleague.commit('shop 1.3.0', { 'apps/shop/rollout.yaml': manifest('1.3.0') }).catch(() => null);
    expect(next).not.toBeNull();
    await world.colleague.pull();
    const again = await world.colleague.commit('shop 1.4.0', { 'apps/shop/rollout.yaml': manifest('1.4.0') });
    await world.colleague.push();
    world.rollout.state.canary = again;
    world.rollout.state.phase = 'progressing';
    await service.analyzed(again);
    const { items } = await service.until<Page>(ROLLBACKS, (page) => page.items[0]?.state === 'held');
    expect(items[0]).toMatchObject({ badCommit: again, code: 'last_rollback_did_not_help' });
  });
});

describe('the mode as it is now', () => {
  it('stops a rollback that was under way', async () => {
    await begin();
    world.pages.set('canary', BAD);
    await world.git.refusePushes('frozen');
    await service.analyzed(world.bad);
    await service.until<Page>(ROLLBACKS, (page) => (page.items[0]?.problem ?? null) !== null);
    await restart((config) => config.replace('mode: rollback', 'mode: shadow'));
    await world.git.refusePushes(null);
    const { items } = await service.until<Page>(ROLLBACKS, (page) => page.items[0]?.code === 'shadow');
    expect(items[0]?.mode).toBe('shadow');
    expect(await reverts()).toHaveLength(0);
    expect(world.rollout.calls.map(({ path }) => path)).toEqual(['/abort']);
  });

  it('lets a revision that was only judged in shadow be rolled back later', async () => {
    await begin({ mode: 'shadow' });
    world.pages.set('canary', BAD);
    await service.analyzed(world.bad);
    await service.until<Page>(ROLLBACKS, (page) => page.items[0]?.code === 'shadow');
    await restart((config) => config.replace('mode: shadow', 'mode: rollback'));
    await service.analyzed(world.bad);
    await service.rollback('recovered');
    expect(await reverts()).toHaveLength(1);
  });

  it('never pushes to another branch than the one that was decided on', async () => {
    await begin();
    world.pages.set('canary', BAD);
    await world.colleague.git('push', '--quiet', 'origin', 'HEAD:refs/heads/release');
    await world.git.refusePushes('frozen');
    await service.analyzed(world.bad);
    await service.until<Page>(ROLLBACKS, (page) => (page.items[0]?.problem ?? null) !== null);
    await restart((config) => config.replace('tokenFile: ./token', 'tokenFile: ./token, branch: release'));
    await world.git.refusePushes(null);
    await service.until<Page>(ROLLBACKS, (page) => page.items[0]?.problem?.code === 'configuration_changed');
    expect((await world.commits('release')).filter(({ rollback }) => rollback !== '')).toHaveLength(0);
  });
});

describe('a refusal', () => {
  it('while the branch is read stops the push', async () => {
    await begin();
    world.pages.set('canary', BAD);
    await world.git.down();
    const { id } = await service.analyze(world.bad);
    await ended(id);
    await service.until<Page>(ROLLBACKS, (page) => (page.items[0]?.problem ?? null) !== null);
    const { items } = (await service.call<Page>('GET', ROLLBACKS)).body;
    const refused = await service.call<Rollback>('POST', `${ROLLBACKS}/${items[0]?.id}/refuse`, { reason: 'known and accepted' });
    expect(refused.body.state).toBe('refused');
    await world.git.up();
    await service.call('POST', '/api/v1/analyses', { application: 'shop', revision: world.bad });
    expect((await service.call<Rollback>('GET', `${ROLLBACKS}/${items[0]?.id}`)).body.state).toBe('refused');
    expect(await reverts()).toHaveLength(0);
  });

  it('is not taken while a push may be on the remote, and the record tells the truth', async () => {
    await begin();
    world.pages.set('canary', BAD);
    const { id } = await service.analyze(world.bad);
    world.git.fault('lose_answer');
    await ended(id);
    const { items } = await service.until<Page>(ROLLBACKS, (page) => (page.items[0]?.problem ?? null) !== null);
    expect(items[0]?.pushStarted).not.toBeNull();
    world.git.fault('unavailable');
    const answer = await service.call<{ code: string }>('POST', `${ROLLBACKS}/${items[0]?.id}/refuse`, { reason: 'too late?' });
    expect(answer).toMatchObject({ status: 409, body: { code: 'push_unconfirmed' } });
    world.git.fault(null);
    await service.rollback('recovered');
    expect(await reverts()).toHaveLength(1);
  });
});

describe('guards', () => {
  it('count rollbacks that fail together', async () => {
    await begin({ more: '    guards: { maxPerDay: 1 }' });
    world.pages.set('canary', BAD);
    // Nobody is the canary, so that each of the three is judged; what ran before them was judged with none of them.
    world.rollout.state.canary = null;
    world.rollout.state.stable = world.bad;
    const commits = [];
    for (const name of ['a', 'b', 'c'])
      commits.push(await world.colleague.commit(`shop ${name}`, { [`apps/shop/${name}.yaml`]: name }));
    await world.colleague.push();
    await Promise.all(commits.map((commit) => service.analyzed(commit)));
    const settled = ({ items }: Page) =>
      items.length === 3 && items.every(({ state }) => ['held', 'recovered', 'not_recovered'].includes(state));
    const { items } = await service.until<Page>(ROLLBACKS, settled);
    expect(items.filter(({ code }) => code === 'limit_per_day')).toHaveLength(2);
    expect(await reverts()).toHaveLength(1);
  });

  it('do not let an approval change what only Git can', async () => {
    await begin();
    world.pages.set('canary', BAD);
    const { id } = await service.analyze(world.bad);
    await world.colleague.commit('shop 1.2.1', { 'apps/shop/rollout.yaml': manifest('1.2.1') });
    await world.colleague.push();
    await ended(id);
    const held = await service.rollback('held');
    const answer = await service.call<{ code: string }>('POST', `${ROLLBACKS}/${held.id}/approve`);
    expect(answer).toMatchObject({ status: 409, body: { code: 'approval_useless' } });
  });
});

describe('a controller that fails in changing ways', () => {
  it('does not keep Git waiting', async () => {
    await begin();
    world.pages.set('canary', BAD);
    const { id } = await service.analyze(world.bad);
    let status = 503;
    world.rollout.answerWith(status);
    const flip = setInterval(() => {
      status = status === 503 ? 200 : 503;
      world.rollout.answerWith(status);
    }, 200);
    try {
      await ended(id);
      await service.until<Page>(ROLLBACKS, (page) => (page.items[0]?.revertCommit ?? null) !== null, 40_000);
    } finally {
      clearInterval(flip);
    }
    world.rollout.answerWith(null);
    expect(await reverts()).toHaveLength(1);
  }, 60_000);
});

describe('an application that left the configuration', () => {
  it('ends its analysis and is not retried for ever', async () => {
    await begin({ for: '20s' });
    const { id } = await service.analyze(world.bad);
    await restart((config) =>
      config.replace('applications:\n  shop:', 'applications:\n  other:').replace('template: shop\n', 'template: shop\n'),
    );
    const analysis = await ended(id);
    expect(analysis).toMatchObject({ phase: 'Error', code: 'configuration_changed', rollback: null });
  });
});

describe('the arguments of a request', () => {
  const asking = (names: Record<string, string>) =>
    service.call<Analysis & { code: string; errors: unknown }>('POST', '/api/v1/analyses', {
      application: 'shop',
      revision: world.bad,
      arguments: names,
    });

  it('point an analysis at nothing else, built-in ones included', async () => {
    await begin();
    expect(await asking({ service: 'other', revision: 'x' })).toMatchObject({
      status: 422,
      body: {
        code: 'argument_refused',
        detail: expect.stringContaining('list service, revision in applications.shop.requestArguments'),
        errors: [{ path: '/arguments/service' }, { path: '/arguments/revision' }],
      },
    });
    expect((await service.call<Page>('GET', '/api/v1/analyses')).body.items).toEqual([]);
  });

  it('are taken where the application leaves them to a request', async () => {
    await begin();
    await restart((config) => config.replace('arguments: { service: shop }', '$&\n    requestArguments: [service]'));
    const { status, body } = await asking({ service: 'other' });
    expect({ status, arguments: body.arguments }).toEqual({ status: 202, arguments: { service: 'other' } });
    // There are no such series, so nothing can be judged.
    expect(await ended(body.id)).toMatchObject({ phase: 'Inconclusive', rollback: null });
  });
});
