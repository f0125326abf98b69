import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parser } from '@prometheus-io/lezer-promql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../src/config/load.ts';
import { buildOpenApi } from '../src/http/openapi.ts';
import { createMetrics } from '../src/observability/metrics.ts';
import { buildContext, dockerfile, isCopy } from './support/dockerfile.ts';
import { programPath } from './support/programs.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const FETCH_TIMEOUT_MS = 400_000;

/** Names of the series that the real page has, with those that Prometheus adds. */
async function seriesNames(): Promise<Set<string>> {
  const metrics = createMetrics({ version: '1.2.3', applications: ['shop'], sources: ['prom'] });
  const names = new Set(['up']);
  for (const [, name = '', type] of (await metrics.page()).text.matchAll(/^# TYPE (\w+) (\w+)$/gm)) {
    names.add(name);
    if (type === 'histogram') for (const end of ['_bucket', '_sum', '_count']) names.add(name + end);
  }
  return names;
}

/** What stands in an expression, after what Grafana puts in was put in. @throws Error where it is not PromQL */
function metricsIn(expression: string): string[] {
  const text = expression.replaceAll('$__rate_interval', '5m').replaceAll(/\$\{?\w+\}?/g, 'x');
  const found: string[] = [];
  parser.parse(text).iterate({
    enter(node) {
      if (node.type.isError) throw new Error(`not PromQL near ${node.from}: ${text}`);
      if (node.name === 'VectorSelector') found.push(/^[a-zA-Z_:][\w:]*/.exec(text.slice(node.from, node.to))?.[0] ?? '');
    },
  });
  return found;
}

interface Panel {
  title: string;
  type: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { expr: string }[];
}
interface Dashboard {
  panels: Panel[];
  annotations: { list: { expr: string }[] };
  templating: { list: { type: string; query: string | { query: string } }[] };
}

describe('deploy/grafana/davylamp.json', () => {
  const dashboard = async () => JSON.parse(await readFile(join(root, 'deploy/grafana/davylamp.json'), 'utf8')) as Dashboard;

  it('asks for series that davylamp has, in PromQL', async () => {
    const names = await seriesNames();
    const { panels, annotations } = await dashboard();
    const expressions = [...panels.flatMap(({ targets = [] }) => targets), ...annotations.list].map(({ expr }) => expr);
    expect(expressions.length).toBeGreaterThan(30);
    const asked = expressions.flatMap(metricsIn);
    expect(asked.filter((name) => !names.has(name))).toEqual([]);
    // Whatever davylamp tells can be seen.
    const own = [...names].filter((name) => name.startsWith('davylamp_') && !/_(sum|count|bucket)$/.test(name));
    const shown = new Set(asked.map((name) => name.replace(/_(sum|count|bucket)$/, '')));
    expect(own.filter((name) => !shown.has(name)).sort()).toEqual(['davylamp_config_reload_success_timestamp_seconds']);
  });

  it('takes its variables from series that are there, and lays no panel on another', async () => {
    const names = await seriesNames();
    const { templating, panels } = await dashboard();
    for (const { type, query } of templating.list) {
      if (type !== 'query') continue;
      const text = typeof query === 'string' ? query : query.query;
      expect(names).toContain(/^label_values\((\w+), \w+\)$/.exec(text)?.[1]);
    }
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, at) => `${x + (at % w)},${y + Math.floor(at / w)}`),
    );
    expect(cells.length).toBe(new Set(cells).size);
  });
});

describe('deploy/prometheus', () => {
  it(
    'has rules that are correct and do what their tests say',
    async () => {
      const promtool = await programPath('promtool');
      const cwd = join(root, 'deploy/prometheus');
      expect((await run(promtool, ['check', 'rules', 'rules.yaml'], { cwd })).stdout).toContain('SUCCESS');
      expect((await run(promtool, ['test', 'rules', 'rules.test.yaml'], { cwd })).stdout).toContain('SUCCESS');
    },
    FETCH_TIMEOUT_MS,
  );

  it('has a test for every rule, and rules for series that davylamp has', async () => {
    const names = await seriesNames();
    const rules = parse(await readFile(join(root, 'deploy/prometheus/rules.yaml'), 'utf8')) as {
      groups: { rules: { alert: string; expr: string }[] }[];
    };
    const tests = await readFile(join(root, 'deploy/prometheus/rules.test.yaml'), 'utf8');
    const all = rules.groups.flatMap((group) => group.rules);
    expect(all.flatMap(({ expr }) => metricsIn(expr)).filter((name) => !names.has(name))).toEqual([]);
    // A test that expects it to fire, and one place where it does not.
    expect(all.filter(({ alert }) => !tests.includes(`alertname: ${alert}`)).map(({ alert }) => alert)).toEqual([]);
  });
});

describe('Dockerfile', () => {
  const instructions = dockerfile();
  const copies = instructions.filter(isCopy);
  const holds = (files: readonly string[], path: string) => files.some((file) => file === path || file.startsWith(`${path}/`));

  it('copies what is in Git and sent to the builder, with all that the compiler asks for', async () => {
    const { stdout } = await run('git', ['ls-files', '-z'], { cwd: root, maxBuffer: 10_000_000 });
    const context = buildContext(stdout.split('\0'));
    const sources = copies.filter(({ from }) => from === null).flatMap((copy) => copy.sources);
    expect(sources.length).toBeGreaterThan(6);
    expect(sources.filter((path) => !holds(context, path))).toEqual([]);
    const asked = ['src/tsconfig.json', 'src/tsconfig.numeric.json'].map(async (path) => {
      const { extends: base } = JSON.parse(await readFile(join(root, path), 'utf8')) as { extends: string };
      return join(dirname(path), base);
    });
    expect((await Promise.all(asked)).filter((path) => !sources.includes(path))).toEqual([]);
  });

  it('takes from the build what was made there, and leaves out nothing of the package but the link to its command', async () => {
    const built = copies.filter(({ from }) => from === 'build').flatMap((copy) => copy.sources);
    expect(built.toSorted()).toEqual(['/app/dist/src', '/app/node_modules', '/app/package.json']);
    const text = await readFile(join(root, 'package.json'), 'utf8');
    const { files, engines } = JSON.parse(text) as { files: string[]; engines: { node: string } };
    const last = Math.max(...instructions.map(({ stage }) => stage));
    const final = copies
      .filter(({ stage }) => stage === last)
      .flatMap((copy) => copy.sources.map((path) => path.replace('/app/', '')));
    expect(files.filter((path) => !final.includes(path))).toEqual(['bin']);
    const bases = instructions.flatMap((one) => (one.name === 'FROM' && 'text' in one ? [one.text.split(' ')[0]] : []));
    expect(new Set(bases)).toEqual(new Set([`node:${engines.node.replace('>=', '')}-bookworm-slim`]));
  });
});

interface Service {
  image: string;
  volumes?: string[];
  healthcheck?: { test: string[] };
  env_file?: string[];
  command?: string[];
}

describe('docker-compose.yml', () => {
  let secrets = '';
  let services: Record<string, Service> = {};
  beforeAll(async () => {
    secrets = await mkdtemp(join(tmpdir(), 'davylamp-compose-'));
    const compose = parse(await readFile(join(root, 'docker-compose.yml'), 'utf8')) as { services: Record<string, Service> };
    services = compose.services;
    await run('sh', [join(root, 'deploy/compose/secrets.sh'), secrets]);
  });
  afterAll(() => rm(secrets, { recursive: true }));

  it('runs the four services, each with a health check, and mounts files that are there', async () => {
    expect(Object.keys(services).sort()).toEqual(['alertmanager', 'davylamp', 'prometheus', 'redis']);
    for (const { healthcheck, volumes = [] } of Object.values(services)) {
      expect(healthcheck?.test.length).toBeGreaterThan(1);
      const mounted = volumes.map((volume) => volume.split(':')[0] ?? '').filter((path) => path.startsWith('.'));
      // The secrets are made on the machine.
      for (const path of mounted.filter((one) => !one.endsWith('/secrets'))) await stat(join(root, path));
    }
    const redis = services['redis']?.command?.join(' ');
    expect(redis).toContain('--appendonly yes');
    expect(redis).toContain('--maxmemory-policy noeviction');
  });

  it('gives davylamp a configuration that is valid with the secrets that were made, and refused without', async () => {
    const file = join(root, 'deploy/compose/davylamp.yaml');
    const lines = (await readFile(join(secrets, 'davylamp.env'), 'utf8')).trim().split('\n');
    const environment = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
    const { config, warnings } = await loadConfig({ file, environment });
    expect(warnings).toEqual([]);
    expect(config.server?.tokens?.[0]).toMatchObject({ name: 'operator', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(config.storage?.kind).toBe('redis');
    await expect(loadConfig({ file, environment: {} })).rejects.toMatchObject({ code: 'config_invalid' });
  });

  it('has an example in that configuration that is valid when it is uncommented', async () => {
    const text = await readFile(join(root, 'deploy/compose/davylamp.yaml'), 'utf8');
    const at = text.indexOf('#\n# repositories:');
    const example = text.slice(0, at) + text.slice(at + 2).replaceAll(/^# /gm, '');
    const environment = { DAVYLAMP__SERVER__LISTEN: '127.0.0.1:8080' };
    const { config } = await loadConfig({ file: 'example.yaml', environment, readFile: () => Promise.resolve(example) });
    expect(Object.keys(config.applications ?? {})).toEqual(['shop']);
  });

  it(
    'gives Prometheus and Alertmanager configurations that their own tools take',
    async () => {
      const promtool = await programPath('promtool');
      const file = join(root, 'deploy/compose/prometheus.yml');
      // The rules are mounted elsewhere; they have a test of their own.
      expect((await run(promtool, ['check', 'config', '--syntax-only', file])).stdout).toContain('SUCCESS');
      const amtool = join(dirname(await programPath('alertmanager')), 'amtool');
      const checked = await run(amtool, ['check-config', join(root, 'deploy/compose/alertmanager.yml')]);
      expect(checked.stdout).toContain('SUCCESS');
    },
    FETCH_TIMEOUT_MS,
  );

  it('lets Alertmanager call the address and with the name that davylamp knows', async () => {
    const text = await readFile(join(root, 'deploy/compose/alertmanager.yml'), 'utf8');
    const { receivers } = parse(text) as {
      receivers: { webhook_configs: { url: string; http_config: { basic_auth: { username: string } } }[] }[];
    };
    const [hook] = receivers[0]?.webhook_configs ?? [];
    expect(Object.keys((await buildOpenApi())['paths'] as object)).toContain(new URL(hook?.url ?? '').pathname);
    expect(await readFile(join(secrets, 'davylamp.env'), 'utf8')).toContain(`username: ${hook?.http_config.basic_auth.username}`);
  });
});
