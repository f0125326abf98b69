import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Analysis } from '../../src/analysis/record.ts';
import { client } from '../support/running-service.ts';
import { serve, type ServiceProcess } from '../support/service-process.ts';
import { serviceWorld, type ServiceWorld } from '../support/service-world.ts';

/** What issue and supervisor allow; measured with `npm run bench:drain`, here only as a deadline. */
const DRAIN_LIMIT_MS = 30_000;
const TEST_TIMEOUT_MS = 120_000;
const ANALYSES = 50;

const open: { stop(): Promise<void> }[] = [];
const worlds: ServiceWorld[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((process) => process.stop()));
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

async function world(settings: Parameters<typeof serviceWorld>[0] = {}): Promise<ServiceWorld> {
  const made = await serviceWorld(settings);
  worlds.push(made);
  return made;
}

async function started(config: string, environment: Record<string, string> = {}): Promise<ServiceProcess> {
  const process = await serve(config, environment);
  open.push(process);
  return process;
}

const isOver = ({ endedAt }: Analysis) => endedAt !== null;

describe('SIGTERM', () => {
  it(
    `with ${ANALYSES} analyses in flight and a source that hangs ends in time with 0, and nothing is lost`,
    async () => {
      const { config, pages, bad } = await world({ for: '3s', mode: 'shadow' });
      const first = await started(config, { DAVYLAMP__SERVER__DRAINDELAY: '300ms' });
      const { call } = client(first.address);
      const begun = await Promise.all(
        Array.from({ length: ANALYSES }, () =>
          call<Analysis>('POST', '/api/v1/analyses', { application: 'shop', revision: bad }),
        ),
      );
      const ids = begun.map(({ body }) => body.id);
      await client(first.address).until<Analysis>(`/api/v1/analyses/${ids[0]}`, ({ ticks }) => ticks.done > 0);
      pages.hang('canary');
      // Every worker is in the middle of a read that will not be answered.
      await client(first.address).until<Analysis>(`/api/v1/analyses/${ids.at(-1)}`, ({ phase }) => phase !== 'Pending');

      const since = Date.now();
      first.signal('SIGTERM');
      expect(await first.ended()).toEqual({ code: 0, signal: null, stderr: '' });
      expect(Date.now() - since).toBeLessThan(DRAIN_LIMIT_MS);
      expect(first.log.map(({ msg }) => msg)).toContain('no job runs any more; what is open stays in the queue');

      pages.answer('canary', 200);
      const second = await started(config);
      const after = client(second.address);
      const ended = await Promise.all(ids.map((id) => after.until<Analysis>(`/api/v1/analyses/${id}`, isOver, 60_000)));
      expect(ended.filter(({ ticks }) => ticks.done === 0)).toEqual([]);
      // Hanging and stopping are no evidence against a release.
      expect(ended.filter(({ verdict }) => verdict === 'fail' || verdict === 'error')).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  it('is told by /readyz before connections are refused, and answers who waits', async () => {
    const { config, bad } = await world({ for: '60s', mode: 'shadow' });
    const service = await started(config, { DAVYLAMP__SERVER__DRAINDELAY: '2s' });
    const { address, analyze, call } = client(service.address);
    const { id } = await analyze(bad);
    const waiting = call<Analysis>('POST', '/api/v1/analyses', { application: 'shop', revision: bad }, { prefer: 'wait=55' });
    await client(address).until<{ items: Analysis[] }>('/api/v1/analyses', ({ items }) => items.length === 2);

    service.signal('SIGTERM');
    await service.logged(({ msg }) => msg === 'stopping');
    const ready = await fetch(`${address}/readyz?verbose`);
    expect(ready.status).toBe(503);
    expect(await ready.text()).toContain('[-]running: davylamp stops');
    expect((await fetch(`${address}/livez`)).status).toBe(200);
    expect((await call<Analysis>('GET', `/api/v1/analyses/${id}`)).body.phase).toMatch(/Pending|Running/);
    const answered = await waiting;
    expect(answered.status).toBe(202);
    expect(isOver(answered.body)).toBe(false);
    expect(await service.ended()).toMatchObject({ code: 0 });
  });

  it(
    'lets a push that runs come to its end, and it is the only one',
    async () => {
      const shop = await world();
      // The remote takes its time with every push.
      const hook = join(shop.git.repository, 'hooks', 'pre-receive');
      await writeFile(hook, `#!/bin/sh\ntouch "$GIT_DIR/pushing" 2>/dev/null || touch pushing\nsleep 3\n`, { mode: 0o755 });
      shop.pages.set('canary', { errorShare: 0.3 });
      const first = await started(shop.config, { DAVYLAMP__SERVER__DRAINDELAY: '1ms' });
      await client(first.address).analyze(shop.bad);
      await client(first.address).until<{ items: { pushStarted: string | null }[] }>(
        '/api/v1/rollbacks',
        ({ items }) => (items[0]?.pushStarted ?? null) !== null,
      );
      first.signal('SIGTERM');
      expect(await first.ended()).toMatchObject({ code: 0 });
      const reverts = (await shop.commits()).filter(({ rollback }) => rollback !== '');
      expect(reverts).toHaveLength(1);

      const second = await started(shop.config);
      const rollback = await client(second.address).rollback('recovered');
      expect(rollback.revertCommit).toBe(reverts[0]?.sha);
      expect((await shop.commits()).filter((commit) => commit.rollback !== '')).toHaveLength(1);
    },
    TEST_TIMEOUT_MS,
  );

  it('for the second time ends the process at once', async () => {
    const { config } = await world({ mode: 'shadow' });
    const service = await started(config, { DAVYLAMP__SERVER__DRAINDELAY: '10s' });
    service.signal('SIGTERM');
    await service.logged(({ msg }) => msg === 'stopping');
    service.signal('SIGTERM');
    expect(await service.ended()).toMatchObject({ code: 143 });
  });
});
