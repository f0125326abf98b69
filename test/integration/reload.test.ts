import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { Analysis } from '../../src/analysis/record.ts';
import { client } from '../support/running-service.ts';
import { serve, type LogLine, type ServiceProcess } from '../support/service-process.ts';
import { serviceWorld, type ServiceWorld } from '../support/service-world.ts';

const TEST_TIMEOUT_MS = 60_000;

let world: ServiceWorld | undefined;
let service: ServiceProcess | undefined;
afterEach(async () => {
  await service?.stop();
  await world?.close();
});

async function begin(settings: Parameters<typeof serviceWorld>[0] = {}) {
  world = await serviceWorld(settings);
  service = await serve(world.config);
  const { config } = world;
  const original = await readFile(config, 'utf8');
  const running = service;
  const { address, ...rest } = client(service.address);
  // The watch of the file tells of the same change once more, or first: what is waited for is told by its cause.
  const told = (cause: string, from: number, fits: (line: LogLine) => boolean = () => true) =>
    running.logged((line) => line.msg.startsWith('configuration ') && line['cause'] === cause && fits(line), from);
  return {
    ...rest,
    world,
    original,
    write: (text: string) => writeFile(config, text),
    /** Writes it, and waits until it was taken up for that. */
    async rewrite(text: string) {
      const from = running.log.length;
      await writeFile(config, text);
      return told('file', from, ({ result }) => result === 'taken');
    },
    /** Writes it and tells the process. @returns the line that says what came of it */
    async hangUp(text: string) {
      await writeFile(config, text);
      const from = running.log.length;
      running.signal('SIGHUP');
      return told('signal', from);
    },
    ready: async () => (await fetch(`${address}/readyz?verbose`)).text(),
    metrics: async () => (await fetch(`${address}/metrics`)).text(),
  };
}

const SEARCH = `  search:
    repository: deploy
    paths: [apps/search]
    delivery: { type: none }
    template: shop
    arguments: { service: shop }
`;
const withSearch = (text: string) => text.replace('\ntemplates:', `\n${SEARCH}templates:`);

describe('a changed configuration', () => {
  it(
    'is taken up when the file changes, without a signal',
    async () => {
      const { original, rewrite, call, metrics, world: shop } = await begin();
      const before = await call('POST', '/api/v1/analyses', { application: 'search', revision: shop.bad });
      expect(before.status).toBe(404);
      expect(await rewrite(withSearch(original))).toMatchObject({ msg: 'configuration reloaded' });
      const after = await call('POST', '/api/v1/analyses', { application: 'search', revision: shop.bad });
      expect(after.status).toBe(202);
      expect(await metrics()).toContain('davylamp_analyses_started_total{application="search"} 1');
    },
    TEST_TIMEOUT_MS,
  );

  it(
    'that is bad changes nothing and is told everywhere, until it is mended; analyses go on',
    async () => {
      const { original, hangUp, analyze, until, ready, metrics, world: shop } = await begin({ for: '4s' });
      const { id } = await analyze(shop.bad);
      const bad = original.replace('mode: rollback', 'mode: rolback');
      const line = bad.split('\n').findIndex((text) => text.includes('rolback')) + 1;
      const told = await hangUp(bad);
      expect(told).toMatchObject({ level: 'error', code: 'config_invalid' });
      expect(told['problems']).toEqual([
        expect.stringMatching(new RegExp(`davylamp\\.yaml:${line}:11 applications\\.shop\\.mode: `)),
      ]);
      expect(await metrics()).toMatch(/^davylamp_config_reload_success 0$/m);
      expect(await ready()).toMatch(/^\[!\]configuration: the old configuration runs on: .*\(config_invalid\)$[^]*^ok$/m);

      expect(await hangUp(withSearch(original))).toMatchObject({ msg: 'configuration reloaded' });
      expect(await metrics()).toMatch(/^davylamp_config_reload_success 1$/m);
      expect(await ready()).toMatch(/^\[\+\]configuration: /m);
      const ended = await until<Analysis>(`/api/v1/analyses/${id}`, ({ endedAt }) => endedAt !== null);
      expect(ended).toMatchObject({ phase: 'Successful', ticks: { planned: 40 } });
    },
    TEST_TIMEOUT_MS,
  );

  it(
    'that needs a restart is refused as a whole, with the keys',
    async () => {
      const { original, hangUp, call, world: shop } = await begin();
      const other = withSearch(original).replace('path: ./data', 'path: ./elsewhere');
      expect(await hangUp(other)).toMatchObject({
        level: 'error',
        code: 'reload_needs_restart',
        reason: expect.stringContaining('storage.path'),
      });
      const search = await call('POST', '/api/v1/analyses', { application: 'search', revision: shop.bad });
      expect(search.status).toBe(404);
    },
    TEST_TIMEOUT_MS,
  );

  it(
    'that was read while somebody wrote it anew, so that no application stands in it, changes nothing',
    async () => {
      const { original, hangUp, call, world: shop } = await begin();
      const emptied = original.replace(/\napplications:[^]*$/, '\n');
      expect(await hangUp(emptied)).toMatchObject({ level: 'error', code: 'config_invalid' });
      expect((await call('POST', '/api/v1/analyses', { application: 'shop', revision: shop.bad })).status).toBe(202);
    },
    TEST_TIMEOUT_MS,
  );

  it(
    'whose parts cannot be built leaves the old one whole',
    async () => {
      const { original, hangUp, analyze, until, world: shop } = await begin();
      // Two targets with the same address and labels pass the schema and not the source.
      const twice = withSearch(original).replace('/stable, labels: { track: stable }', '/canary, labels: { track: canary }');
      expect(await hangUp(twice)).toMatchObject({ level: 'error', code: 'source_invalid' });
      const { id } = await analyze(shop.bad);
      const ended = await until<Analysis>(`/api/v1/analyses/${id}`, ({ endedAt }) => endedAt !== null);
      expect(ended.phase).toBe('Successful');
    },
    TEST_TIMEOUT_MS,
  );

  it(
    'that gives a running analysis another template ends it without a verdict, and rolls nothing back',
    async () => {
      const { original, hangUp, analyze, until, call, world: shop } = await begin({ for: '30s' });
      const { id } = await analyze(shop.bad);
      await until<Analysis>(`/api/v1/analyses/${id}`, ({ ticks }) => ticks.done > 4);
      const strict = original
        .replace('template: shop', 'template: strict')
        .replace('\n  shop:\n    every', '\n  strict:\n    every');
      // What was fine is a fault by the new template.
      await hangUp(strict.replace('limit: 20%', 'limit: 0.0001%'));
      const ended = await until<Analysis>(`/api/v1/analyses/${id}`, ({ endedAt }) => endedAt !== null);
      expect(ended).toMatchObject({ phase: 'Error', verdict: 'error', code: 'configuration_changed', rollback: null });
      expect((await call<{ items: unknown[] }>('GET', '/api/v1/rollbacks')).body.items).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  it(
    'that makes the template of a running analysis stricter ends it without a verdict, and rolls nothing back',
    async () => {
      const { original, hangUp, analyze, until, call, world: shop } = await begin({ for: '30s' });
      const { id } = await analyze(shop.bad);
      await until<Analysis>(`/api/v1/analyses/${id}`, ({ ticks }) => ticks.done > 4);
      await hangUp(original.replace('limit: 20%', 'limit: 0.0001%'));
      const ended = await until<Analysis>(`/api/v1/analyses/${id}`, ({ endedAt }) => endedAt !== null);
      expect(ended).toMatchObject({ phase: 'Error', verdict: 'error', code: 'configuration_changed', rollback: null });
      expect((await call<{ items: unknown[] }>('GET', '/api/v1/rollbacks')).body.items).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  it(
    'knows the callers of the new one, and the removed ones no more',
    async () => {
      const { original, rewrite, hangUp, call } = await begin();
      const token = (name: string, text: string) => {
        const sha256 = createHash('sha256').update(text).digest('hex');
        return `{ name: ${name}, sha256: ${sha256}, scopes: ["analyses:read"] }`;
      };
      const with_ = (entry: string) => original.replace('listen: 127.0.0.1:0 }', `listen: 127.0.0.1:0, tokens: [${entry}] }`);
      const status = async (text: string) =>
        (await call('GET', '/api/v1/analyses', undefined, { authorization: `Bearer ${text}` })).status;
      await hangUp(with_(token('old', 'old-token-0000000000')));
      expect(await status('old-token-0000000000')).toBe(200);
      await rewrite(with_(token('new', 'new-token-0000000000')));
      expect(await status('new-token-0000000000')).toBe(200);
      expect(await status('old-token-0000000000')).toBe(401);
    },
    TEST_TIMEOUT_MS,
  );

  it(
    'of what is an old alert holds for the next alert',
    async () => {
      const { original, hangUp, call } = await begin({ mode: 'shadow', more: `    alerts: [{ matchers: ['service="shop"'] }]` });
      const startsAt = new Date(Date.now() - 600_000).toISOString();
      const told = async (fingerprint: string) => {
        const alert = { status: 'firing', labels: { alertname: 'Errors', service: 'shop' }, startsAt, fingerprint };
        return (await call('POST', '/webhooks/alertmanager', { version: '4', alerts: [alert] })).body;
      };
      expect(await told('1'.repeat(16))).toEqual({ accepted: 1, duplicate: 0, ignored: 0 });
      expect(await hangUp(`${original}\nalerts: { window: 1m }\n`)).toMatchObject({ msg: 'configuration reloaded' });
      expect(await told('2'.repeat(16))).toEqual({ accepted: 0, duplicate: 0, ignored: 1 });
    },
    TEST_TIMEOUT_MS,
  );

  it(
    'is asked for by the API, with an answer that has the places',
    async () => {
      const { original, write, call, world: shop } = await begin();
      const ask = () => call<{ result?: string; code?: string; errors?: { path: string }[] }>('POST', '/api/v1/admin/reload');
      expect((await ask()).body).toEqual({ result: 'unchanged' });
      await write(original.replace('mode: rollback', 'mode: rolback'));
      expect(await ask()).toMatchObject({
        status: 422,
        body: { code: 'config_invalid', errors: [{ path: 'applications.shop.mode' }] },
      });
      await write(`${original.replace('path: ./data', 'path: ./elsewhere')}\nworkers: { ticks: 3 }\n`);
      expect(await ask()).toMatchObject({
        status: 409,
        body: { code: 'reload_needs_restart', errors: [{ path: 'storage.path' }, { path: 'workers.ticks' }] },
      });
      await write(withSearch(original));
      // The watch of the file may be faster than the call.
      expect((await ask()).body.result).toMatch(/taken|unchanged/);
      const search = await call('POST', '/api/v1/analyses', { application: 'search', revision: shop.bad });
      expect(search.status).toBe(202);
    },
    TEST_TIMEOUT_MS,
  );

  it(
    'that moves a repository to another branch is worked with at once',
    async () => {
      const { original, hangUp, call, world: shop } = await begin({ mode: 'shadow' });
      await shop.colleague.git('push', 'origin', `${shop.good}:refs/heads/release`);
      await service?.logged(({ msg }) => msg === 'fetched the repository');
      await hangUp(original.replace('tokenFile: ./token }', 'tokenFile: ./token, branch: release }'));
      const asked = { application: 'shop', revision: shop.bad, reason: 'not on this branch' };
      const refused = await call<{ code: string; detail: string }>('POST', '/api/v1/rollbacks', asked);
      expect(refused.body).toMatchObject({ code: 'commit_not_on_branch', detail: expect.stringContaining('release') });
    },
    TEST_TIMEOUT_MS,
  );
});
