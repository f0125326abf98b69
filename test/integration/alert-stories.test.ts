import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { startGitServer } from '../../examples/demo/git-server.ts';
import type { Analysis } from '../../src/analysis/record.ts';
import type { Rollback } from '../../src/rollback/record.ts';
import { Colleague } from '../git/colleague.ts';
import { recordedPrometheus, type Served } from '../support/recorded-metrics.ts';
import { startRollout } from '../support/rollout.ts';
import { startService } from '../support/running-service.ts';

/*
 * Five stories of an alert, on a real Prometheus that remembers them: what the customers saw before and after a release
 * that went live a quarter of an hour ago. Only a really bad release may be rolled back.
 */
const MINUTE = 60_000;
const WELL = 0.002;
const ILL = 0.08;

interface Story {
  /** Share of errors of those who ran before, and of the new release; minutes since the release. */
  others: (minute: number) => number;
  release: (minute: number) => number;
  traffic?: (minute: number) => number;
  /** When the alert began to fire, minutes since the release. */
  alert: number;
}

const STORIES: Record<string, Story> = {
  'an outage that began before the release': {
    others: (minute) => (minute < -6 ? WELL : ILL),
    release: () => ILL,
    alert: 1,
  },
  'an outage that began with the release': {
    others: (minute) => (minute < 0 ? WELL : ILL),
    release: () => ILL,
    alert: 1,
  },
  'an outage that began ten minutes after the release': {
    others: (minute) => (minute < 10 ? WELL : ILL),
    release: (minute) => (minute < 10 ? WELL : ILL),
    alert: 11,
  },
  'a step of the traffic': { others: () => WELL, release: () => WELL, traffic: (minute) => (minute < 0 ? 1 : 4), alert: 2 },
};
const BAD: Story = { others: () => WELL, release: () => ILL, alert: 2 };

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/**
 * @param kind canary: the release serves a tenth beside a live baseline; promoted: it serves everybody, and only the
 *   control series of another service can tell a shared fault
 */
async function told(story: Story, kind: 'canary' | 'promoted') {
  const folder = await mkdtemp(join(tmpdir(), 'davylamp-story-'));
  closers.push(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const now = Date.now();
  const live = Math.floor((now - 15 * MINUTE) / MINUTE) * MINUTE + 20_000;
  const since = (at: number) => (at - live) / MINUTE;
  const { traffic = () => 1 } = story;
  const pods = (labels: Record<string, string>, share: number, errors: (minute: number) => number, from = 0): Served => ({
    labels,
    from,
    rate: (at) => 100 * share * traffic(since(at)),
    errors: (at) => errors(since(at)),
  });
  const shop = { service: 'shop' };
  const served =
    kind === 'canary'
      ? [
          pods({ ...shop, track: 'stable', pod: 'a' }, 0.9, story.others),
          pods({ ...shop, track: 'canary', pod: 'b' }, 0.1, story.release, live),
        ]
      : [
          pods({ ...shop, track: 'all', pod: 'a' }, 1, (minute) => (minute < 0 ? story.others(minute) : story.release(minute))),
          pods({ service: 'other', track: 'control', pod: 'c' }, 1, story.others),
        ];
  const prometheus = await recordedPrometheus(folder, served, { from: now - 60 * MINUTE, to: now });
  closers.push(() => prometheus.close());
  const git = await startGitServer({ folder: join(folder, 'remote'), token: null });
  closers.push(() => git.close());
  const colleague = await Colleague.join(join(folder, 'colleague'), git.repository);
  const good = await colleague.commit('shop 1', { 'apps/shop/rollout.yaml': 'version: 1\n' });
  const release = await colleague.commit('shop 2', { 'apps/shop/rollout.yaml': 'version: 2\n' });
  await colleague.push();
  const rollout = await startRollout(kind === 'canary' ? { canary: release, stable: good } : { canary: null, stable: release });
  closers.push(() => rollout.close());
  const span = (revision: string, from: number, to: number | null, role: string) => ({
    revision,
    from: new Date(from).toISOString(),
    to: to === null ? null : new Date(to).toISOString(),
    role,
  });
  const role = kind === 'canary' ? 'canary' : 'stable';
  rollout.state['history'] = [
    span(good, live - 100 * MINUTE, kind === 'canary' ? null : live, 'stable'),
    span(release, live, null, role),
  ];
  const config = join(folder, 'davylamp.yaml');
  await writeFile(
    config,
    `
server: { listen: 127.0.0.1:0 }
storage: { path: ./data, kind: embedded }
sources: { prom: { type: prometheus, url: ${prometheus.url} } }
repositories: { deploy: { url: ${git.url} } }
applications:
  shop:
    repository: deploy
    paths: [apps/shop]
    delivery: { type: http, url: ${rollout.url} }
    template: shop
    mode: rollback
    onConfounded: rollback
    alerts: [{ matchers: ['service="shop"'] }]
templates:
  shop:
    every: 1m
    for: 30m
    canary: { track: ${kind === 'canary' ? 'canary' : 'all'} }
    ${kind === 'canary' ? 'baseline: { track: stable }' : 'control: { track: control }'}
    metrics:
      errors:
        type: proportion
        source: prom
        total: { counter: 'http_requests_total' }
        events: { counter: 'http_requests_total{code=~"5.."}' }
`,
  );
  const service = await startService(config);
  closers.push(() => service.close());
  const startsAt = new Date(live + story.alert * MINUTE).toISOString();
  const alert = {
    status: 'firing',
    labels: { alertname: 'HighErrorRate', service: 'shop' },
    annotations: {},
    startsAt,
    endsAt: '0001-01-01T00:00:00Z',
    fingerprint: 'c0ffee0123456789',
  };
  const webhook = {
    version: '4',
    status: 'firing',
    receiver: 'davylamp',
    groupKey: '{}:{}',
    truncatedAlerts: 0,
    alerts: [alert],
  };
  const answer = await service.call('POST', '/webhooks/alertmanager', webhook);
  expect(answer.status).toBe(202);
  const analysed = await service.until<{ items: Analysis[] }>('/api/v1/analyses', ({ items }) => {
    const [first] = items;
    // The time that passed is judged at the first look; what is undecided then waits for the minutes to come.
    return first !== undefined && (first.endedAt !== null || first.ticks.done > 0);
  });
  const { items: rollbacks } = (await service.call<{ items: Rollback[] }>('GET', '/api/v1/rollbacks')).body;
  const [analysis] = analysed.items;
  if (analysis === undefined) throw new Error('there is no analysis');
  return { analysis, analyses: analysed.items, rollbacks, service, release, good };
}

describe.each(['canary', 'promoted'] as const)('an alert about a release that is %s', (kind) => {
  it.each(Object.entries(STORIES))('is not put down to it: %s', async (_, story) => {
    const { analysis, rollbacks, release } = await told(story, kind);
    expect(analysis).toMatchObject({ kind: 'confirmation', revision: release });
    expect(analysis.ticks.done).toBeGreaterThan(10);
    expect(analysis.judgement?.metrics[0]?.traffic.canary.total).toBeGreaterThan(1_000);
    expect(analysis.verdict).not.toBe('fail');
    expect(rollbacks).toEqual([]);
  });

  it('leads to its rollback when it is really bad', async () => {
    const { analysis, analyses, service, release } = await told(BAD, kind);
    expect(analysis).toMatchObject({ kind: 'confirmation', revision: release, verdict: 'fail' });
    expect(analysis.judgement?.confounded).toBe(kind === 'promoted');
    expect(analyses).toHaveLength(1);
    const rollback = await service.rollback('pushed', 'synced', 'recovered');
    expect(rollback).toMatchObject({ badCommit: release, analysis: analysis.id });
  });
});
