import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Analysis } from '../../src/analysis/record.ts';
import type { Rollback } from '../../src/rollback/record.ts';
import { startService } from '../support/running-service.ts';
import { GIT_TOKEN, serviceWorld, type ServiceWorld } from '../support/service-world.ts';

type Service = Awaited<ReturnType<typeof startService>>;
let world: ServiceWorld;
let service: Service;
const BAD = { errorShare: 0.3 };

async function begin(settings: Parameters<typeof serviceWorld>[0] = {}): Promise<void> {
  world = await serviceWorld(settings);
  service = await startService(world.config);
}

afterEach(async () => {
  await service.close();
  await world.close();
});

const reverts = async () => (await world.commits()).filter(({ rollback }) => rollback !== '');

describe('a bad release', () => {
  beforeEach(() => begin());

  it('is failed, aborted, reverted with one commit, and the recovery is checked', async () => {
    world.pages.set('canary', BAD);
    const analysis = await service.analyzed(world.bad);
    expect(analysis).toMatchObject({ phase: 'Failed', verdict: 'fail', code: 'worse_than_baseline' });

    const pushed = await service.rollback('synced', 'pushed');
    world.pages.set('canary', { errorShare: 0.01 });
    const rollback = await service.rollback('recovered');
    expect(rollback).toMatchObject({ aborted: 'aborted', badCommit: world.bad, code: 'recovered' });
    expect(rollback.revertCommit).toBe(pushed.revertCommit);

    expect((await world.commits())[0]).toMatchObject({
      sha: rollback.revertCommit,
      subject: 'Revert "shop 1.2.0"',
      rollback: rollback.id,
    });
    expect(await reverts()).toHaveLength(1);
    expect(await world.fileOnRemote('apps/shop/rollout.yaml')).toContain('1.1.0');
    expect(world.rollout.calls.map(({ path }) => path)).toEqual(['/abort', '/annotate', '/sync']);
  });

  it('leaves a journal that tells every decision before its effect', async () => {
    world.pages.set('canary', BAD);
    await service.analyzed(world.bad);
    const { id } = await service.rollback('recovered');
    const { body } = await service.call<{ items: { event: string; hash: string }[] }>('GET', `/api/v1/rollbacks/${id}/journal`);
    expect(body.items.map(({ event }) => event)).toEqual([
      'rollback.decided',
      'rollback.executing',
      'rollback.pushed',
      'rollback.synced',
      'rollback.recovered',
    ]);
    const [commit] = await world.commits();
    const message = await world.colleague.git('--git-dir', world.git.repository, 'show', '-s', '--format=%B', commit?.sha ?? '');
    expect(message).toContain(`Davylamp-Evidence: ${body.items[0]?.hash}`);
  });

  it('has one rollback however often it is analysed and asked for', async () => {
    world.pages.set('canary', BAD);
    await Promise.all([service.analyzed(world.bad), service.analyzed(world.bad)]);
    await service.rollback('recovered');
    await service.call('POST', '/api/v1/rollbacks', { application: 'shop', revision: world.bad, reason: 'to be sure' });
    await service.rollback('recovered');
    expect(await reverts()).toHaveLength(1);
  });

  it('is reverted on top of what others push meanwhile', async () => {
    world.pages.set('canary', BAD);
    const { id } = await service.analyze(world.bad);
    await world.colleague.commit('docs', { 'docs/readme.md': 'hello\n' });
    await world.colleague.push();
    await service.until<Analysis>(`/api/v1/analyses/${id}`, ({ endedAt }) => endedAt !== null);
    await service.rollback('recovered');
    expect((await world.commits()).map(({ subject }) => subject)).toEqual([
      'Revert "shop 1.2.0"',
      'docs',
      'shop 1.2.0',
      'shop 1.1.0',
    ]);
  });

  it('is held, with the reason, when a later commit changed the same line', async () => {
    world.pages.set('canary', BAD);
    const { id } = await service.analyze(world.bad);
    await world.colleague.commit('shop 1.2.1', { 'apps/shop/rollout.yaml': 'version: 1.2.1\ncanary:\n  weight: 10\n' });
    await world.colleague.push();
    await service.until<Analysis>(`/api/v1/analyses/${id}`, ({ endedAt }) => endedAt !== null);
    const rollback = await service.rollback('held');
    expect(rollback.code).toBe('conflict');
    expect(await reverts()).toHaveLength(0);
  });

  it('still reverts in Git when the cluster does not take the abort', async () => {
    world.pages.set('canary', BAD);
    world.rollout.answerWith(503);
    await service.analyzed(world.bad);
    const rollback = await service.rollback('pushed');
    expect(rollback.aborted).toBe('unsupported');
    expect(await reverts()).toHaveLength(1);
    world.rollout.answerWith(null);
    await service.rollback('recovered');
  });
});

describe('what must not lead to a rollback', () => {
  beforeEach(() => begin());

  it('a healthy release', async () => {
    const analysis = await service.analyzed(world.bad);
    expect(analysis).toMatchObject({ phase: 'Successful', verdict: 'pass', rollback: null });
    expect((await service.call<{ items: Rollback[] }>('GET', '/api/v1/rollbacks')).body.items).toEqual([]);
  });

  it('metrics that cannot be read', async () => {
    world.pages.set('canary', BAD);
    world.pages.answer('canary', 503);
    const analysis = await service.analyzed(world.bad);
    expect(['Inconclusive', 'Error']).toContain(analysis.phase);
    expect(analysis.rollback).toBeNull();
  });

  it('a baseline that cannot be read', async () => {
    world.pages.set('canary', BAD);
    world.pages.answer('stable', 500);
    expect((await service.analyzed(world.bad)).phase).not.toBe('Failed');
  });

  it('an outage of both sides, above the limit', async () => {
    world.pages.set('canary', { errorShare: 0.4 });
    world.pages.set('stable', { errorShare: 0.4 });
    const analysis = await service.analyzed(world.bad);
    expect(analysis).toMatchObject({ phase: 'Inconclusive', rollback: null });
    expect(analysis.judgement?.metrics[0]?.code).toBe('environment_unhealthy');
  });

  it('a cancelled analysis', async () => {
    world.pages.set('canary', BAD);
    const { id } = await service.analyze(world.bad);
    const cancelled = await service.call<Analysis>('POST', `/api/v1/analyses/${id}/cancel`);
    expect(cancelled.body.phase).toBe('Cancelled');
    expect((await service.call<{ items: Rollback[] }>('GET', '/api/v1/rollbacks')).body.items).toEqual([]);
    expect((await service.call('POST', `/api/v1/analyses/${id}/cancel`)).status).toBe(409);
  });
});

describe('a remote that does not take the revert', () => {
  beforeEach(() => begin());

  it('keeps the rollback visible with the reason, and it resumes by itself', async () => {
    world.pages.set('canary', BAD);
    const { id } = await service.analyze(world.bad);
    await world.git.down();
    await service.until<Analysis>(`/api/v1/analyses/${id}`, ({ endedAt }) => endedAt !== null);
    const { items } = await service.until<{ items: Rollback[] }>(
      '/api/v1/rollbacks',
      (page) => (page.items[0]?.problem?.attempts ?? 0) >= 2,
    );
    expect(items[0]?.problem).toMatchObject({ code: 'git_unreachable' });
    expect(items[0]?.problem?.nextAt).not.toBeNull();
    await world.git.up();
    await service.rollback('recovered');
    expect(await reverts()).toHaveLength(1);
  });

  it('is asked again when a hook refused', async () => {
    world.pages.set('canary', BAD);
    await world.git.refusePushes('releases are frozen');
    await service.analyzed(world.bad);
    const { items } = await service.until<{ items: Rollback[] }>(
      '/api/v1/rollbacks',
      (page) => (page.items[0]?.problem ?? null) !== null,
    );
    expect(items[0]).toMatchObject({ state: 'held', code: 'git_push_refused', problem: { code: 'git_push_refused' } });
    expect(items[0]?.sentence).toContain('releases are frozen');
    await world.git.refusePushes(null);
    await service.rollback('recovered');
    expect(await reverts()).toHaveLength(1);
  });

  it('never shows its token, in the API or in the log', async () => {
    world.pages.set('canary', BAD);
    await world.git.refusePushes(`no, not with ${GIT_TOKEN}`);
    await service.analyzed(world.bad);
    await service.until<{ items: Rollback[] }>('/api/v1/rollbacks', (page) => (page.items[0]?.problem ?? null) !== null);
    const seen = [...service.log, JSON.stringify((await service.call('GET', '/api/v1/rollbacks')).body)].join('\n');
    expect(seen).not.toContain(GIT_TOKEN);
    expect(seen).not.toContain(Buffer.from(`davylamp:${GIT_TOKEN}`).toString('base64'));
  });
});

describe('mode', () => {
  it('shadow shows the plan and touches nothing', async () => {
    await begin({ mode: 'shadow' });
    world.pages.set('canary', BAD);
    await service.analyzed(world.bad);
    const { items } = await service.until<{ items: Rollback[] }>('/api/v1/rollbacks', (page) => page.items[0]?.code === 'shadow');
    expect(items[0]).toMatchObject({ state: 'planned', revertCommit: null, plan: { changed: ['apps/shop/rollout.yaml'] } });
    expect(items[0]?.plan?.diff).toContain('-version: 1.2.0');
    expect(world.rollout.calls).toEqual([]);
    expect(await world.commits()).toHaveLength(2);
  });

  it('propose writes a branch of its own and nothing else', async () => {
    await begin({ mode: 'propose' });
    world.pages.set('canary', BAD);
    await service.analyzed(world.bad);
    const rollback = await service.rollback('proposed');
    expect(rollback.revertRef).toBe(`refs/heads/davylamp/${rollback.id}`);
    expect((await world.commits(`davylamp/${rollback.id}`))[0]?.sha).toBe(rollback.revertCommit);
    expect(await world.commits()).toHaveLength(2);
    expect(world.rollout.calls).toEqual([]);
  });
});

describe('a person', () => {
  it('can ask for a rollback, which is refused for commits that are not its business', async () => {
    await begin();
    const ask = (revision: string) =>
      service.call<{ code: string; status: number }>('POST', '/api/v1/rollbacks', {
        application: 'shop',
        revision,
        reason: 'looks bad',
      });
    expect((await ask('f'.repeat(40))).body).toMatchObject({ status: 422, code: 'commit_unknown' });
    const docs = await world.colleague.commit('docs', { 'docs/a.md': 'a\n' });
    await world.colleague.push();
    expect((await ask(docs)).body).toMatchObject({ status: 422, code: 'commit_outside_application' });
    const asked = await ask(world.bad);
    expect(asked.status).toBe(202);
    expect((await service.rollback('recovered')).trigger).toBe('manual');
    expect(await reverts()).toHaveLength(1);
  });

  it('approves what a guard holds', async () => {
    await begin({ more: '    guards: { approvalPaths: ["apps/**"] }' });
    world.pages.set('canary', BAD);
    await service.analyzed(world.bad);
    const held = await service.rollback('held');
    expect(held.code).toBe('approval_needed');
    expect(world.rollout.calls).toEqual([]);
    const approve = (body?: object) => service.call<{ code: string }>('POST', `/api/v1/rollbacks/${held.id}/approve`, body);
    expect(await approve()).toMatchObject({ status: 422, body: { code: 'plan_required' } });
    expect(await approve({ plan: 'f'.repeat(64) })).toMatchObject({ status: 409, body: { code: 'plan_changed' } });
    expect((await approve({ plan: held.plan?.hash })).status).toBe(200);
    const rollback = await service.rollback('recovered');
    expect(rollback.history.map(({ sentence }) => sentence)).toContain('approved by anonymous');
    // It is used up by the push.
    expect(rollback.approvals).toEqual([]);
    expect((await approve({ plan: held.plan?.hash })).body).toMatchObject({ status: 409, code: 'rollback_not_held' });
  });

  it('refuses, and that stays', async () => {
    await begin({ more: '    guards: { maxPerDay: 0 }' });
    world.pages.set('canary', BAD);
    await service.analyzed(world.bad);
    const held = await service.rollback('held');
    expect(held.code).toBe('limit_per_day');
    await service.call('POST', `/api/v1/rollbacks/${held.id}/refuse`, { reason: 'known and accepted' });
    await service.analyzed(world.bad);
    expect(await service.rollback('refused')).toMatchObject({ code: 'refused' });
    expect(await reverts()).toHaveLength(0);
  });
});

describe('requests', () => {
  beforeEach(() => begin());

  it('for an unknown application are answered with the nearest name', async () => {
    const answer = await service.call<{ code: string; detail: string }>('POST', '/api/v1/analyses', { application: 'shoop' });
    expect(answer.status).toBe(404);
    expect(answer.body).toMatchObject({ code: 'application_unknown', nearest: 'shop' });
  });

  it('without a revision mean the one that is being released', async () => {
    const { body } = await service.call<Analysis>('POST', '/api/v1/analyses', { application: 'shop' });
    expect(body.revision).toBe(world.bad);
    await service.call('POST', `/api/v1/analyses/${body.id}/cancel`);
  });

  it('may abbreviate the revision', async () => {
    const { body } = await service.call<Analysis>('POST', '/api/v1/analyses', {
      application: 'shop',
      revision: world.bad.slice(0, 8),
    });
    expect(body.revision).toBe(world.bad);
    await service.call('POST', `/api/v1/analyses/${body.id}/cancel`);
  });

  it('with the same Idempotency-Key start one analysis, also when they come at once', async () => {
    const ask = (application: string) =>
      service.call<Analysis>('POST', '/api/v1/analyses', { application, revision: world.bad }, { 'idempotency-key': 'k-1' });
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask('shop')));
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    const other = await service.call<{ code: string }>(
      'POST',
      '/api/v1/analyses',
      { application: 'shop', revision: world.good },
      { 'idempotency-key': 'k-1' },
    );
    expect(other.body.code).toBe('idempotency_mismatch');
  });
});
