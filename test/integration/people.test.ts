import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { rollbackId } from '../../src/rollback/identity.ts';
import type { Rollback } from '../../src/rollback/record.ts';
import { fleetWorld } from '../support/fleet-world.ts';
import { startService } from '../support/running-service.ts';
import { serviceWorld, type ServiceWorld } from '../support/service-world.ts';

type Service = Awaited<ReturnType<typeof startService>>;
interface Page {
  items: Rollback[];
}

const run = promisify(execFile);
const BAD = { errorShare: 0.3 };
const FILE = 'apps/shop/rollout.yaml';
const ROLLBACKS = '/api/v1/rollbacks';
const ENDED = ['recovered', 'not_recovered', 'refused', 'failed', 'held'];
const OURS = { name: 'davylamp', email: 'davylamp@localhost' };
const manifest = (version: string) => `version: ${version}\ncanary:\n  weight: 10\n`;

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

async function pushed(world: ServiceWorld, message: string, files: Record<string, string | null>): Promise<string> {
  await world.colleague.pull();
  const sha = await world.colleague.commit(message, files);
  await world.colleague.push();
  return sha;
}

const revertsOf = async (world: ServiceWorld) => (await world.commits()).filter(({ rollback }) => rollback !== '');

/** The release of a revision begins in the cluster, and its analysis comes to an end. */
async function released(world: ServiceWorld, service: Service, revision: string): Promise<void> {
  Object.assign(world.rollout.state, { canary: revision, synced: revision, phase: 'progressing' });
  world.rollout.calls.length = 0;
  await service.analyzed(revision);
}

async function ended(service: Service, revision: string): Promise<Rollback> {
  const isIt = (one: Rollback) => one.badCommit === revision && ENDED.includes(one.state);
  const { items } = await service.until<Page>(ROLLBACKS, (page) => page.items.some(isIt));
  const found = items.find(isIt);
  if (found === undefined) throw new Error('it was there a moment ago');
  return found;
}

describe('5.3 one commit that is bad for two applications', () => {
  async function both(more: string) {
    const world = await fleetWorld(2, { more });
    closing.push(() => world.close());
    const files = Object.fromEntries(world.names.map((name) => [`apps/${name}/app.yaml`, 'version: 3\n']));
    const sha = await world.colleague.commit('both 3', files);
    await world.colleague.push();
    const service = await startService(world.config);
    closing.push(() => service.close());
    world.pages.set('canary', BAD);
    for (const application of world.names) {
      expect((await service.call('POST', '/api/v1/analyses', { application, revision: sha })).status).toBe(202);
    }
    const all = async (settled: (one: Rollback) => boolean) => {
      const page = await service.until<Page>(ROLLBACKS, ({ items }) => items.length === 2 && items.every(settled), 40_000);
      return page.items;
    };
    return { world, sha, all };
  }

  it('is reverted once and whole where both allow it, and both records say what became of it', { timeout: 60_000 }, async () => {
    const { world, sha, all } = await both(', jointPlans: true');
    const items = await all(({ state, revertCommit }) => state === 'refused' || revertCommit !== null);
    expect(await world.reverts()).toEqual(['Revert "both 3"']);
    const first = items.find(({ revertCommit }) => revertCommit !== null);
    const second = items.find(({ revertCommit }) => revertCommit === null);
    expect(first?.plan?.undoes).toEqual([sha]);
    expect(first?.plan?.changed.toSorted()).toEqual(world.names.map((name) => `apps/${name}/app.yaml`));
    expect(second).toMatchObject({ state: 'refused', code: 'already_reverted', badCommit: sha, pushStarted: null });
    for (const name of world.names) {
      const text = await world.colleague.git('--git-dir', world.git.repository, 'show', `main:apps/${name}/app.yaml`);
      expect(text).toBe('version: 2');
    }
  });

  it('is proposed for each where they do not, and the branch stays as it is', { timeout: 60_000 }, async () => {
    const { world, sha, all } = await both('');
    const items = await all(({ state }) => state === 'proposed');
    expect(items.map(({ application }) => application).toSorted()).toEqual(world.names);
    for (const one of items) {
      expect(one).toMatchObject({ revertRef: `refs/heads/davylamp/${one.id}`, plan: { undoes: [sha] } });
    }
    expect(await world.reverts()).toEqual([]);
  });
});

describe('5.3 a forged trailer', () => {
  it.each([
    ['another name', { name: 'Eve', email: 'eve@example.com' }],
    ['our own name', OURS],
  ])('under %s is no revert while the content is there', async (_who, { name, email }) => {
    const { world, service } = await shop();
    const id = rollbackId({ repository: 'deploy', branch: 'main', application: 'shop', badCommit: world.bad });
    const trailers = `Davylamp-Rollback: ${id}\nDavylamp-Application: shop\nReverts: ${world.bad}\n`;
    const forged = await pushedAs(
      world,
      { name, email },
      `Revert "shop 1.2.0"\n\nThis reverts commit ${world.bad}.\n\n${trailers}`,
    );
    world.pages.set('canary', BAD);
    await service.analyzed(world.bad);
    const rollback = await service.rollback(...ENDED);
    expect(rollback).toMatchObject({ id, state: 'recovered' });
    expect(rollback.revertCommit).not.toBe(forged);
    expect(await revertsOf(world)).toMatchObject([{ sha: rollback.revertCommit }, { sha: forged }]);
    expect(await world.fileOnRemote(FILE)).toContain('1.1.0');
  });

  async function pushedAs(world: ServiceWorld, who: typeof OURS, message: string): Promise<string> {
    const { colleague } = world;
    await colleague.pull();
    await colleague.write({ 'docs/a.md': 'a\n' });
    await colleague.git('add', '--all');
    const identity = { GIT_AUTHOR_NAME: who.name, GIT_AUTHOR_EMAIL: who.email, GIT_COMMITTER_NAME: who.name };
    const env = { ...process.env, ...identity, GIT_COMMITTER_EMAIL: who.email };
    await run('git', ['-C', colleague.folder, 'commit', '--quiet', '-m', message], { env });
    await colleague.push();
    return colleague.git('rev-parse', 'HEAD');
  }
});

describe('5.3 a revert by people that was squashed', () => {
  const squash = (world: ServiceWorld) => pushed(world, 'Take 1.2.0 back for now (#12)', { [FILE]: manifest('1.1.0') });

  it('before the verdict leaves nothing to do: no abort, no second revert', async () => {
    const { world, service } = await shop();
    const { id } = await service.analyze(world.bad);
    const theirs = await squash(world);
    world.pages.set('canary', BAD);
    await service.until<{ endedAt: string | null }>(`/api/v1/analyses/${id}`, ({ endedAt }) => endedAt !== null);
    expect(await service.rollback(...ENDED)).toMatchObject({ state: 'refused', code: 'already_reverted', aborted: 'no' });
    expect(world.rollout.calls).toEqual([]);
    expect((await world.commits())[0]?.sha).toBe(theirs);
  });

  it('while ours cannot be pushed ends ours, too', async () => {
    const { world, service } = await shop();
    world.pages.set('canary', BAD);
    await world.git.refusePushes('frozen');
    await service.analyzed(world.bad);
    await service.rollback('held');
    world.git.fault('unavailable');
    await world.git.refusePushes(null);
    const theirs = await squash(world);
    world.git.fault(null);
    expect(await service.rollback('refused')).toMatchObject({ code: 'already_reverted', revertCommit: null });
    expect((await world.commits())[0]?.sha).toBe(theirs);
  });
});

describe('5.5 our revert that a person reverts', () => {
  it('stays reverted: what they brought back is held, and never taken out by itself again', async () => {
    const { world, service } = await shop();
    world.pages.set('canary', BAD);
    await service.analyzed(world.bad);
    const ours = await service.rollback('recovered');
    await world.colleague.pull();
    await world.colleague.git('revert', '--no-edit', ours.revertCommit ?? '');
    await world.colleague.push();
    const theirs = await world.colleague.git('rev-parse', 'HEAD');

    await released(world, service, theirs);
    expect(await ended(service, theirs)).toMatchObject({ state: 'held', code: 'reverts_a_revert' });
    // The same words once more, and the first revision once more: neither is decided anew.
    await released(world, service, theirs);
    await released(world, service, world.bad);
    expect((await ended(service, world.bad)).revertCommit).toBe(ours.revertCommit);
    expect(world.rollout.calls).toEqual([]);
    expect((await world.commits())[0]?.sha).toBe(theirs);
  });

  it('without saying so is known by the content', async () => {
    const { world, service } = await shop();
    world.pages.set('canary', BAD);
    await service.analyzed(world.bad);
    await service.rollback('recovered');
    const theirs = await pushed(world, 'shop 1.2.0 is fine', { [FILE]: manifest('1.2.0') });
    await released(world, service, theirs);
    expect(await ended(service, theirs)).toMatchObject({ state: 'held', code: 'cool_down' });
    expect(world.rollout.calls).toEqual([]);
    expect((await world.commits())[0]?.sha).toBe(theirs);
  });
});

describe('5.10 a plan that deletes a volume claim', () => {
  it('is held before the abort, and released by a person who has seen it', async () => {
    const { world, service } = await shop();
    // 1.2.0 was promoted; only 1.3.0 is looked at.
    world.rollout.state.stable = world.bad;
    const claim = 'apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: { name: carts, namespace: shop }\n';
    const bad = await pushed(world, 'shop 1.3.0', { [FILE]: manifest('1.3.0'), 'apps/shop/carts.yaml': claim });
    world.pages.set('canary', BAD);
    await released(world, service, bad);
    const held = await service.rollback('held');
    expect(held).toMatchObject({
      code: 'destructive_prune',
      aborted: 'no',
      plan: { prunes: ['PersistentVolumeClaim shop/carts (apps/shop/carts.yaml)'] },
    });
    expect(world.rollout.calls).toEqual([]);
    expect(await revertsOf(world)).toEqual([]);
    await service.call('POST', `${ROLLBACKS}/${held.id}/approve`, { plan: held.plan?.hash });
    await service.rollback('recovered');
    expect(await revertsOf(world)).toHaveLength(1);
  });
});
