import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Value } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { loadConfig } from '../src/config/load.ts';
import { Config } from '../src/config/schema.ts';
import { createHttpDelivery } from '../src/delivery/http/delivery.ts';
import { buildOpenApi } from '../src/http/openapi.ts';
import { ProblemDetails } from '../src/http/problem.ts';
import { createHttpClient } from '../src/net/client.ts';
import { startFaultServer } from './support/fault-server.ts';
import { completed } from './support/minimal-configuration.ts';
import { programPath } from './support/programs.ts';

/** What the pages tell a reader to write or to type is taken by what reads it. */
const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const FETCH_TIMEOUT_MS = 400_000;
const pages = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md'].concat(
  ['docs', 'deploy', 'examples'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.md'))
      .map((path) => `${folder}/${path}`),
  ),
);

interface Block {
  page: string;
  line: number;
  language: string;
  text: string;
}

const textOf = new Map(pages.map((page) => [page, readFileSync(join(root, page), 'utf8')]));
const blocks: Block[] = [...textOf].flatMap(([page, text]) =>
  [...text.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map((match) => {
    const [, language = '', block = ''] = match;
    return { page, language, text: block, line: text.slice(0, match.index).split('\n').length };
  }),
);
const named = (language: string) =>
  blocks.filter((block) => block.language === language).map((block) => [`${block.page}:${block.line}`, block] as const);

const SECTIONS = Object.keys(Config.properties);
const isConfiguration = (text: string) => Object.keys(parse(text) as object).every((key) => SECTIONS.includes(key));
const configurations = named('yaml').filter(([, { text }]) => isConfiguration(text));
const foreign = named('yaml').filter(([, { text }]) => !isConfiguration(text));

describe('YAML on the pages', () => {
  it('stands in fences, where this test finds it', () => {
    const loose = [...textOf].flatMap(([page, text]) => {
      const rest = text.replaceAll(/^```[^]*?^```$/gm, '');
      return [...rest.matchAll(/^ {4}(\w+):(?: .*)?$/gm)]
        .filter(([, key = '']) => [...SECTIONS, 'receivers', 'route'].includes(key))
        .map(([line]) => `${page}: ${line}`);
    });
    expect(loose).toEqual([]);
    expect(configurations.length).toBeGreaterThan(12);
  });

  it.each(configurations)('%s is a configuration that is taken, without a warning', async (_name, { page, text }) => {
    const own = parse(text) as Record<string, object>;
    // A page may name in one block what it has explained in another one.
    const whole: Record<string, object> = { ...own };
    for (const [, other] of configurations.filter(([, block]) => block.page === page)) {
      const { sources, clusters, templates } = parse(other.text) as Record<string, object>;
      for (const [section, given] of Object.entries({ sources, clusters, templates }))
        if (given !== undefined) whole[section] = { ...given, ...whole[section] };
    }
    const read = () => Promise.resolve(stringify(completed(whole)));
    const { warnings } = await loadConfig({ file: '/etc/davylamp.yaml', environment: {}, readFile: read });
    expect(warnings).toEqual([]);
  });

  it.each(foreign)(
    '%s is a configuration of an Alertmanager that its own tool takes',
    async (_name, { text }) => {
      const given = parse(text) as { receivers: { name: string }[]; route?: object };
      const whole = { route: { receiver: given.receivers[0]?.name }, ...given };
      const amtool = join(dirname(await programPath('alertmanager')), 'amtool');
      const folder = await mkdtemp(join(tmpdir(), 'davylamp-pages-'));
      try {
        const file = join(folder, 'alertmanager.yml');
        await writeFile(file, stringify(whole));
        expect((await run(amtool, ['check-config', file])).stdout).toContain('SUCCESS');
      } finally {
        await rm(folder, { recursive: true });
      }
      const paths = Object.keys((await buildOpenApi())['paths'] as object);
      for (const [, url = ''] of text.matchAll(/url: (\S+)/g)) expect(paths).toContain(new URL(url).pathname);
    },
    FETCH_TIMEOUT_MS,
  );
});

describe('JSON on the pages', () => {
  it('is what davylamp sends, or takes', async () => {
    const state = blocks.find(({ page, language }) => page.endsWith('delivery-http.md') && language === 'json');
    // Commits are shortened there.
    const body = (state?.text ?? '').replaceAll('…', '0123');
    const far = await startFaultServer();
    const http = createHttpClient();
    try {
      far.on('/', { kind: 'answer', status: 200, headers: { 'content-type': 'application/json' }, body });
      const delivery = createHttpDelivery(
        { type: 'http', url: `${far.url}/`, timeout: '5s' },
        { http, readSecret: () => Promise.resolve('') },
      );
      expect(await delivery.observe(AbortSignal.timeout(5_000))).toMatchObject(JSON.parse(body) as object);
    } finally {
      await http.close();
      await far.close();
    }

    const problem = blocks.find(({ page, language }) => page.endsWith('api.md') && language === 'json');
    expect([...Value.Errors(ProblemDetails, JSON.parse(problem?.text ?? ''))]).toEqual([]);
    expect(named('json').map(([name]) => name.split(':')[0])).toEqual([
      'docs/reference/api.md',
      'docs/reference/delivery-http.md',
    ]);
  });
});

/** What stands in code: blocks, fenced or indented, line by line, and spans of the text. */
function* codeIn(text: string): Generator<string> {
  for (const [, block = ''] of text.matchAll(/^```\w*\n([^]*?)^```$/gm)) yield* block.split('\n');
  for (const [, line = ''] of text.matchAll(/^ {4}(.*)$/gm)) yield line;
  for (const [, span = ''] of text.replaceAll(/^```[^]*?^```$/gm, '').matchAll(/`([^`\n]+)`/g)) yield span;
}

const typed = [...textOf].flatMap(([page, text]) => [...codeIn(text)].map((line) => [page, line.trim()] as const));

describe('commands on the pages', () => {
  const commands = typed.flatMap(([page, line]) => {
    const call = /^(?:npx --no-install )?davylamp ([a-z].*?)(?:\s+#.*)?$/.exec(line)?.[1];
    return call === undefined ? [] : [[call, page] as const];
  });

  it('are some that davylamp has, with options that they take', async () => {
    const { stdout } = await run(process.execPath, [join(root, 'bin/davylamp.js'), '--help']);
    const usages = new Map(
      [...stdout.matchAll(/^ {2}([a-z-]+)((?: \S+)*?) {2,}\S/gm)].map(([, name = '', rest = '']) => [name, rest.trim()]),
    );
    expect(usages.size).toBeGreaterThan(8);
    expect(commands.length).toBeGreaterThan(12);
    const wrong = commands.filter(([call]) => {
      const [name = '', ...given] = call.match(/"[^"]*"|\S+/g) ?? [];
      const usage = usages.get(name)?.replaceAll(/[[\]]/g, '').split(' ');
      return usage === undefined || !fits(given, usage);
    });
    expect(wrong).toEqual([]);
  });

  /** Options are known, and at their place stand words that are the usage's, or values where it has a name in capitals. */
  function fits(given: readonly string[], usage: readonly string[]): boolean {
    const positionals = usage.filter((word, at) => !word.startsWith('--') && usage[at - 1]?.startsWith('--') !== true);
    const values = new Set(usage.filter((word, at) => word.startsWith('--') && /^[A-Z]/.test(usage[at + 1] ?? '')));
    let place = 0;
    for (let at = 0; at < given.length; at++) {
      const word = given[at] ?? '';
      if (word.startsWith('--')) {
        if (!usage.includes(word)) return false;
        if (values.has(word)) at += 1;
        continue;
      }
      const expected = positionals[place++];
      if (expected === undefined || (/^[a-z]/.test(expected) && expected !== word)) return false;
    }
    return true;
  }

  it('of npm are scripts of the package', async () => {
    const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
    const asked = typed.flatMap(([page, line]) =>
      [...line.matchAll(/\bnpm run ([\w:-]+)/g)].map(([, name = '']) => `${page} ${name}`),
    );
    expect(asked.length).toBeGreaterThan(20);
    expect(asked.filter((one) => !Object.hasOwn(scripts, one.split(' ')[1] ?? ''))).toEqual([]);
  });
});

describe('addresses of the API on the pages', () => {
  it('are operations of the OpenAPI document', async () => {
    const { paths } = (await buildOpenApi()) as { paths: Record<string, Record<string, unknown>> };
    const known = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => ({
        method: method.toUpperCase(),
        shape: new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`),
      })),
    );
    const asked = typed.flatMap(([page, line]) =>
      [...line.matchAll(/\b(GET|POST)?\s*(?:localhost:\d+)?(\/(?:api\/v1|webhooks)\/[\w/-]+)/g)].map(([, method, path = '']) => ({
        page,
        method,
        path,
      })),
    );
    expect(asked.length).toBeGreaterThan(10);
    const wrong = asked.filter(
      ({ method, path }) => !known.some((one) => one.shape.test(path) && (method === undefined || one.method === method)),
    );
    expect(wrong).toEqual([]);
  });
});
