import { readFile, writeFile } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { Rollback } from '../../src/rollback/record.ts';
import type { RollbackPreview } from '../../src/rollback/preview.ts';
import { startService } from '../support/running-service.ts';
import { serviceWorld, type ServiceWorld } from '../support/service-world.ts';

type Service = Awaited<ReturnType<typeof startService>>;
let world: ServiceWorld;
let service: Service;
const ROLLBACKS = '/api/v1/rollbacks';
const manifest = (version: string) => `version: ${version}\ncanary:\n  weight: 10\n`;
const FILE = 'apps/shop/rollout.yaml';

async function begin(more: string, mode = 'rollback'): Promise<void> {
  world = await serviceWorld({ more, mode });
  service = await startService(world.config);
}

afterEach(async () => {
  await service.close();
  await world.close();
});

const ask = async (revision: string, dryRun = false) =>
  service.call<Rollback & RollbackPreview>('POST', ROLLBACKS, {
    application: 'shop',
    revision,
    reason: 'errors rose',
    ...(dryRun && { dryRun }),
  });
const push = async (message: string, files: Record<string, string | null>) => {
  await world.colleague.pull();
  const sha = await world.colleague.commit(message, files);
  await world.colleague.push();
  return sha;
};
const read = (path: string, ref = 'main') => world.colleague.git('--git-dir', world.git.repository, 'show', `${ref}:${path}`);
const head = () => world.colleague.git('--git-dir', world.git.repository, 'rev-parse', 'main');

describe('a narrow plan', () => {
  it('sets the version back and keeps what came after it in the same file', async () => {
    await begin(`    plan: narrow\n    versionFields: [{ type: yaml, file: ${FILE}, path: version }]`);
    await push('more canary', { [FILE]: manifest('1.2.0').replace('10', '20') });
    world.rollout.state.canary = null;
    const { body } = await ask(world.bad, true);
    expect(body.plan).toMatchObject({ kind: 'narrow', changed: [FILE] });
    const before = await head();
    expect(before).toBe(body.plan?.head);
    expect((await ask(world.bad)).status).toBe(202);
    await service.rollback('synced', 'recovered', 'not_recovered', 'pushed');
    expect(`${await read(FILE)}\n`).toBe(manifest('1.1.0').replace('10', '20'));
  });
});

describe('a guilty commit that cannot be reverted by itself', () => {
  it('is taken out by the last good state where everything that this undoes was judged', async () => {
    await begin('    onConflict: restore\n    lastGood: proved');
    world.rollout.state.canary = null;
    const second = await push('shop 1.2.1', { [FILE]: manifest('1.2.1') });
    const mark = `/api/v1/applications/shop/ledger/${world.good}/mark`;
    expect((await service.call('POST', mark, { standing: 'good', reason: 'it served for weeks' })).status).toBe(200);
    const { body } = await ask(world.bad, true);
    expect(body.plan).toMatchObject({ kind: 'restore', good: world.good, undoes: [second, world.bad] });
    // The second commit came after what was judged, so nothing is pushed without a person.
    expect(body.guards.map(({ code }) => code)).toContain('newer_commits');
    await ask(second);
    await service.rollback('synced', 'recovered', 'not_recovered', 'pushed');
    expect(`${await read(FILE)}\n`).toBe(manifest('1.2.0'));
  });
});

describe('a commit that is bad for one of two applications', () => {
  it('is proposed whole, and counts once a person has merged it', async () => {
    await begin('');
    world.rollout.state.canary = null;
    const both = await push('everything 2', { [FILE]: manifest('2.0.0'), 'apps/cart/rollout.yaml': 'version: 2\n' });
    const { body, status } = await ask(both);
    expect(status, JSON.stringify(body)).toBe(202);
    const proposed = await service.rollback('proposed');
    expect(proposed).toMatchObject({ mode: 'propose', plan: { kind: 'revert' } });
    expect(proposed.plan?.changed.toSorted()).toEqual(['apps/cart/rollout.yaml', FILE]);
    expect(await head()).toBe(both);
    await world.colleague.git('--git-dir', world.git.repository, 'update-ref', 'refs/heads/main', proposed.revertCommit ?? '');
    const after = await service.rollback('synced', 'recovered', 'not_recovered', 'pushed');
    expect(after.id).toBe(body.id);
    expect(after.revertCommit).toBe(proposed.revertCommit);
  });
});

describe('a mode that proposes', () => {
  it('pushes to a branch of its own and leaves that of production alone', async () => {
    await begin('', 'propose');
    world.rollout.state.canary = null;
    await ask(world.bad);
    const proposed = await service.rollback('proposed');
    expect(proposed.revertRef).toBe(`refs/heads/davylamp/${proposed.id}`);
    expect(await head()).toBe(world.bad);
  });
});

describe('an application without a mode', () => {
  it('5.12 is in shadow: it is judged and planned, and nothing is touched, the abort included', async () => {
    world = await serviceWorld({ mode: 'shadow' });
    await writeFile(world.config, (await readFile(world.config, 'utf8')).replace('    mode: shadow\n', ''));
    service = await startService(world.config);
    world.pages.set('canary', { errorShare: 0.3 });
    await service.analyzed(world.bad);
    const planned = await service.until<{ items: Rollback[] }>(ROLLBACKS, ({ items }) => items[0]?.code === 'shadow');
    expect(planned.items).toMatchObject([
      { mode: 'shadow', state: 'planned', aborted: 'no', revertCommit: null, plan: { undoes: [world.bad] } },
    ]);
    expect(world.rollout.calls).toEqual([]);
    expect(await head()).toBe(world.bad);
    expect((await world.commits('--all')).map(({ sha }) => sha)).toEqual([world.bad, world.good]);
  });
});

describe('a release that holds two commits', () => {
  it('5.4 is not healed by the newest one: the operator went past a bad one, and both are restored together', async () => {
    await begin('    onConflict: restore\n    lastGood: proved');
    const mark = `/api/v1/applications/shop/ledger/${world.good}/mark`;
    expect((await service.call('POST', mark, { standing: 'good', reason: 'it served for weeks' })).status).toBe(200);
    const harmless = await push('a label', { 'apps/shop/labels.yaml': 'team: shop\n' });
    world.rollout.state.canary = harmless;
    world.pages.set('canary', { errorShare: 0.3 });
    await service.analyzed(harmless);
    const done = await service.rollback('synced', 'recovered', 'not_recovered', 'pushed');
    expect(done).toMatchObject({
      badCommit: harmless,
      judgedSince: world.good,
      plan: { kind: 'restore', undoes: [harmless, world.bad] },
    });
    expect(`${await read(FILE)}\n`).toBe(manifest('1.1.0'));
  });
});
