import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { codeOf } from '../errors.ts';
import { resolveDefaults } from './defaults.ts';
import { loadConfig, type LoadedConfig } from './load.ts';
import { problemsOf, problemText } from './problem.ts';

const designExample = new URL('../../test/fixtures/config/design-example.yaml', import.meta.url).pathname;
const defaultFile = new URL('../../config/default.yaml', import.meta.url).pathname;

const load = (text: string, environment: Record<string, string> = {}): Promise<LoadedConfig> =>
  loadConfig({ file: 'shop.yaml', environment, readFile: () => Promise.resolve(text) });

async function problems(text: string, environment: Record<string, string> = {}): Promise<string[]> {
  const error: unknown = await load(text, environment).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return problemsOf(error).map(problemText);
}

describe('loading a configuration', () => {
  it('takes the example of the design page, with the values of the page', async () => {
    const { config, warnings } = await loadConfig({ file: designExample, environment: {} });
    const { applications, templates, server } = resolveDefaults(config);
    expect(server.listen).toBe('127.0.0.1:8080');
    expect(applications['recommender']).toMatchObject({
      repository: 'shop',
      paths: ['apps/recommender'],
      delivery: { type: 'argo-rollouts', namespace: 'shop', name: 'recommender' },
      mode: 'shadow',
      guards: { maxPerDay: 3, approvalPaths: ['**/migrations/**'] },
    });
    expect(templates['http-service']).toMatchObject({ every: '1m', for: '30m', warmup: '3m', falseRollbacks: '1%' });
    expect(Object.keys(templates['http-service']?.metrics ?? {})).toEqual(['errors', 'latency']);
    expect(warnings).toEqual([]);
  });

  it('takes the configuration that is shipped to start from, without a warning', async () => {
    const { config, warnings, folder } = await loadConfig({ file: defaultFile, environment: {} });
    expect(warnings).toEqual([]);
    expect(folder).toBe(new URL('../../config', import.meta.url).pathname);
    expect(resolveDefaults(config).applications['shop']?.mode).toBe('shadow');
  });

  it('takes a file that holds comments only', async () => {
    expect((await load('# nothing yet\n')).config).toEqual({});
  });

  it('reports every problem of the file at once, by line and column', async () => {
    const text = [
      'server: { listen: 127.0.0.1:8080, prot: 1 }',
      'sources:',
      '  pages: { type: scrpe }',
      'repositories:',
      '  deploy: { url: https://git.example/x.git, refreshEvery: 30 }',
      'applications:',
      '  shop:',
      '    repository: deply',
      '    paths: [apps/shop]',
      '    template: http',
      '    delivery: { type: htp, url: http://127.0.0.1/x }',
    ].join('\n');
    expect(await problems(text)).toEqual([
      "shop.yaml:1:35 server.prot: unknown key 'prot'; known here: listen, tokens, basic, signers, oidc, clients, tls, probes, rates, publicUrl, maxBodyBytes, drainDelay",
      "shop.yaml:3:18 sources.pages.type: expected one of scrape, prometheus, elasticsearch; got 'scrpe'; did you mean scrape?",
      'shop.yaml:5:59 repositories.deploy.refreshEvery: expected a duration such as 500ms, 30s, 1h30m; got 30; did you mean 30s?',
      "shop.yaml:8:17 applications.shop.repository: there is no repository 'deply'; did you mean deploy?",
      "shop.yaml:10:15 applications.shop.template: there is no template 'http'; none is configured",
      "shop.yaml:11:23 applications.shop.delivery.type: expected one of http, none, argo-rollouts, flagger, deployment; got 'htp'; did you mean http?",
    ]);
  });

  it('names the line of a key that stands twice and of broken syntax', async () => {
    expect(await problems('log: { level: info }\nserver: {}\nlog: {}\n')).toEqual([
      'shop.yaml:3:1: not valid YAML: Map keys must be unique',
    ]);
    expect((await problems('server: { listen: "x\n'))[0]).toMatch(/^shop\.yaml:\d+:\d+: not valid YAML: /);
    expect((await problems('server: !!js/function x\n'))[0]).toMatch(/^shop\.yaml:1:9: not valid YAML: /);
    expect((await problems('{}\n---\n{}\n'))[0]).toMatch(/^shop\.yaml:2:1: not valid YAML: /);
  });

  it('refuses aliases that multiply instead of filling the memory with them', async () => {
    const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]'];
    for (const [last, next] of ['ab', 'bc', 'cd', 'de', 'ef', 'fg'].map((pair) => [pair[0], pair[1]] as const)) {
      bomb.push(`${next}: &${next} [${Array.from({ length: 9 }, () => `*${last}`).join(', ')}]`);
    }
    expect((await problems(bomb.join('\n')))[0]).toMatch(/^shop\.yaml:1:1: not valid YAML: Excessive alias count/);
  });

  it('follows an alias to the place that is wrong', async () => {
    const text = 'repositories:\n  a: &common { url: https://git.example/x.git, branch: 7 }\n  b: *common\n';
    expect(await problems(text)).toEqual([
      'shop.yaml:2:56 repositories.a.branch: expected a text; got 7',
      'shop.yaml:2:56 repositories.b.branch: expected a text; got 7',
    ]);
  });

  it('names the variable, not a line, for a value that the environment has set', async () => {
    expect(await problems('server: {}\n', { DAVYLAMP__SERVER__LISTEN: '0.0.0.0:80', DAVYLAMP__SERVER__LISTN: 'x' })).toEqual([
      expect.stringMatching(/^DAVYLAMP__SERVER__LISTEN server\.listen: 0\.0\.0\.0 can be reached from other machines/),
      "DAVYLAMP__SERVER__LISTN: 'LISTN' is no key of server; did you mean listen?",
    ]);
  });

  it('says which file it could not read, and refuses one that is far too large', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'davylamp-config-'));
    try {
      const absent = loadConfig({ file: join(folder, 'no.yaml'), environment: {} });
      await expect(absent).rejects.toMatchObject({ code: 'config_unreadable', message: expect.stringContaining('no.yaml') });
      await writeFile(join(folder, 'large.yaml'), '#'.repeat(4 * 1_048_576 + 1));
      const large: unknown = await loadConfig({ file: join(folder, 'large.yaml'), environment: {} }).catch(
        (error: unknown) => error,
      );
      expect(codeOf(large)).toBe('config_unreadable');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('never repeats a credential that stands in an address or in place of a digest', async () => {
    const text = [
      'server: { tokens: [{ name: ci, sha256: hunter2 }] }',
      'storage: { kind: redis, url: "http://me:hunter2@h:1" }',
      'sources: { a: { type: prometheus, url: "http://me:hunter2@h:1" }, b: { type: prometheus, url: "ftp://me:hunter2@h" } }',
      'repositories: { r: { url: "https://me:hunter2@h/x.git" }, s: { url: "ssh://me:hunter2@h/x" }, t: { url: "ftp://hunter2@h" } }',
    ].join('\n');
    const found = await problems(text);
    expect(found).toHaveLength(7);
    expect(found.join('\n')).not.toContain('hunter2');
  });
});
