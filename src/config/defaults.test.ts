import { describe, expect, it } from 'vitest';
import { parametersOf } from '../analysis/template.ts';
import { resolveDefaults } from './defaults.ts';
import type { Config } from './schema.ts';

const config: Config = {
  sources: { pages: { type: 'scrape', targets: [{ url: 'http://h' }] } },
  repositories: { deploy: { url: 'https://h/x' } },
  applications: {
    shop: {
      repository: 'deploy',
      paths: ['.'],
      template: 't',
      delivery: { type: 'http', url: 'http://h' },
      guards: { maxPerDay: 1 },
    },
  },
  templates: {
    t: {
      every: '1s',
      for: '1m',
      canary: {},
      metrics: {
        errors: { type: 'proportion', source: 'pages', total: { counter: 'a' }, events: { counter: 'b' }, tolerate: '0%' },
        load: { type: 'gauge', source: 'pages', value: { gauge: 'x' } },
        latency: { type: 'histogram', source: 'pages', buckets: { counter: 'c' } },
      },
    },
  },
};

describe('defaults', () => {
  it('of an empty configuration are a service on loopback with embedded storage and nothing to do', () => {
    expect(resolveDefaults({})).toEqual({
      server: {
        listen: '127.0.0.1:8080',
        tokens: [],
        basic: [],
        signers: [],
        oidc: [],
        clients: [],
        rates: { reads: 200, writes: 100, judgements: 20 },
        maxBodyBytes: 1_048_576,
        drainDelay: '1s',
      },
      storage: { kind: 'embedded', path: './data' },
      log: { level: 'info' },
      notify: { channels: {}, routes: [] },
      journal: { sink: 'none', path: './journal.jsonl' },
      rollbacks: {
        enabled: true,
        maxPerDay: 30,
        fleet: { enabled: true, applications: 3, share: '50%', within: '10m', settle: '5s' },
        freeze: { rollbacks: false, windows: [] },
      },
      workers: { ticks: 16, rollbacks: 16, webhooks: 4 },
      alerts: { window: '24h', maxBodyBytes: 10_485_760, labels: [] },
      retention: { analyses: '30d', rollbacks: '365d', alerts: '14d', keys: '2d', sightings: '90d' },
      sources: {},
      repositories: {},
      clusters: {},
      applications: {},
      templates: {},
    });
  });

  it('reach into lists, records and the branch that a type names', () => {
    const resolved = resolveDefaults(config);
    expect(resolved.sources['pages']).toEqual({
      type: 'scrape',
      targets: [{ url: 'http://h', labels: {} }],
      timeout: '5s',
      maxBytes: 10_485_760,
    });
    expect(resolved.repositories['deploy']).toMatchObject({
      branch: 'main',
      username: 'davylamp',
      forge: 'none',
      refreshEvery: '30s',
    });
    expect(resolved.applications['shop']).toMatchObject({
      mode: 'shadow',
      onConfounded: 'propose',
      onUndeployable: 'propose',
      arguments: {},
      requestArguments: [],
      alerts: [],
      delivery: { type: 'http', timeout: '5s' },
    });
    expect(resolved.templates['t']).toMatchObject({ warmup: '0s', falseRollbacks: '1%', judge: 'exact' });
    expect(resolved.templates['t']?.metrics['load']).toMatchObject({ value: { gauge: 'x', aggregate: 'avg' }, role: 'normal' });
  });

  it('never replace what was written, not even one key of a map', () => {
    const resolved = resolveDefaults(config);
    expect(resolved.applications['shop']?.guards).toEqual({
      maxPerDay: 1,
      maxAge: '24h',
      coolDown: '1h',
      approvalPaths: [],
      dataKinds: [],
      statelessKinds: [],
      approvals: 1,
      approvalFor: '4h',
    });
    expect(resolved.templates['t']?.metrics['errors']?.tolerate).toBe('0%');
    expect(resolved.templates['t']).not.toHaveProperty('baseline');
  });

  it('do not change the configuration, and are not shared between two of them', () => {
    const before = structuredClone(config);
    const first = resolveDefaults(config);
    first.server.tokens.push({ name: 'x', sha256: '0'.repeat(64), scopes: [] });
    expect(config).toEqual(before);
    expect(resolveDefaults(config).server.tokens).toEqual([]);
  });

  it('are the ones that the parameters of a judge fall back to', () => {
    const { metrics } = config.templates?.['t'] ?? {};
    const resolved = resolveDefaults(config).templates['t']?.metrics;
    for (const name of ['errors', 'load', 'latency']) {
      const bare = metrics?.[name];
      const filled = resolved?.[name];
      if (bare === undefined || filled === undefined) throw new Error(`no metric ${name}`);
      expect(parametersOf(filled)).toEqual(parametersOf(bare));
    }
  });
});
