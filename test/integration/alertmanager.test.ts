import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import type { Analysis } from '../../src/analysis/record.ts';
import { startAlertingStack } from '../support/alerting-stack.ts';
import { programPath } from '../support/programs.ts';
import { startService } from '../support/running-service.ts';
import { serviceWorld } from '../support/service-world.ts';

const DEADLINE_MS = 60_000;
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function metricOf(address: string, series: string): Promise<number> {
  const page = await (await fetch(`${address}/metrics`)).text();
  const line = page.split('\n').find((text) => text.startsWith(`${series} `));
  return line === undefined ? 0 : Number(line.slice(series.length + 1));
}

async function until(what: string, done: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + DEADLINE_MS;
  while (!(await done())) {
    if (Date.now() > end) throw new Error(`${what} did not come within ${DEADLINE_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe('a real Prometheus and a real Alertmanager', () => {
  it(
    'tell of a bad canary: it is analysed once and rolled back, repeats change nothing, the end is written down',
    { timeout: 180_000 },
    async () => {
      const world = await serviceWorld({ more: `    alerts: [{ matchers: ['service="shop", severity=~"critical|page"'] }]` });
      closers.push(() => world.close());
      const began = Date.now();
      const span = (revision: string, role: string, since: number) => ({
        revision,
        role,
        from: new Date(since).toISOString(),
        to: null,
      });
      world.rollout.state['history'] = [span(world.good, 'stable', began - 3_600_000), span(world.bad, 'canary', began - 5_000)];
      const service = await startService(world.config);
      closers.push(() => service.close());
      const stack = await startAlertingStack({
        folder: world.folder,
        pages: world.pages.url,
        webhook: `${service.address}/webhooks/alertmanager`,
      });
      closers.push(() => stack.close());
      world.pages.set('canary', { errorShare: 0.6 });

      const { items } = await service.until<{ items: Analysis[] }>(
        '/api/v1/analyses',
        (page) => page.items.some(({ kind, endedAt }) => kind === 'confirmation' && endedAt !== null),
        DEADLINE_MS,
      );
      const confirmation = items.find(({ kind }) => kind === 'confirmation');
      expect(confirmation).toMatchObject({
        application: 'shop',
        revision: world.bad,
        verdict: 'fail',
        confirmation: { comparison: 'baseline', alert: { name: 'CanaryErrors' } },
      });
      const rollback = await service.rollback('pushed', 'synced', 'recovered', 'not_recovered');
      expect(rollback).toMatchObject({ badCommit: world.bad, analysis: confirmation?.id });

      const webhooks = 'davylamp_webhooks_total{kind="alertmanager",result="repeated"}';
      await until('a repeat', async () => (await metricOf(service.address, webhooks)) > 0);
      world.pages.set('canary', { errorShare: 0.001 });
      const ended = 'davylamp_alerts_total{application="shop",outcome="resolved"}';
      await until('the end of the alert', async () => (await metricOf(service.address, ended)) > 0);
      const all = await service.call<{ items: Analysis[] }>('GET', '/api/v1/analyses');
      expect(all.body.items.filter(({ kind }) => kind === 'confirmation')).toHaveLength(1);
      expect((await world.commits()).filter(({ rollback: id }) => id !== '')).toHaveLength(1);
    },
  );
});

describe('the documented receiver', () => {
  it('is one that an Alertmanager takes', async () => {
    const page = await readFile(new URL('../../docs/reference/alertmanager.md', import.meta.url), 'utf8');
    const snippet = /```yaml\n(route:[\s\S]*?)```/.exec(page)?.[1] ?? '';
    const folder = await mkdtemp(join(tmpdir(), 'davylamp-amtool-'));
    closers.push(() => rm(folder, { recursive: true }));
    const file = join(folder, 'alertmanager.yaml');
    await writeFile(file, snippet);
    const amtool = join(dirname(await programPath('alertmanager')), 'amtool');
    const { stdout } = await promisify(execFile)(amtool, ['check-config', file]);
    expect(stdout).toContain('SUCCESS');
    expect(stdout).toContain('2 receivers');
  });
});
