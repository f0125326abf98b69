import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/**
 * The second net under the import rules of .oxlintrc.json. It sees what lint cannot: the types of siblings, new rooms
 * that nobody wrote a rule for, files beyond their size, drawers, clocks in pure rooms.
 */
const root = fileURLToPath(new URL('../src', import.meta.url));
const MAX_LINES = 400;

interface Import {
  /** Path below src, or the name of a package. */
  target: string;
  typeOnly: boolean;
}

interface Source {
  path: string;
  text: string;
  imports: Import[];
}

const NUMERIC = ['judges', 'statistics'];
const BASE = ['errors', 'clock', 'changes', 'finding'];
const PURE = ['alerts', 'analysis', 'rollback', 'ledger', 'manifests', 'conditions', 'patterns', 'promql', ...NUMERIC, ...BASE];
const ADAPTERS = ['http', 'queue', 'sources', 'git', 'forge', 'delivery', 'notify', 'store', 'observability'];
/** On top of the base, for every room that stores. */
const STORING = ['commit'];
const EDGES = ['version', 'background'];

/** Which rooms a room may import, itself aside. A room is a folder of src, or a file that stands there alone. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  main: ['app', 'cli', 'config', 'heap', 'http', ...PURE],
  app: ['config', 'net', ...ADAPTERS, ...EDGES, ...PURE],
  cli: ['config', 'version', 'crash-points', ...PURE],
  ...Object.fromEntries(ADAPTERS.map((room) => [room, ['config', ...PURE]])),
  config: PURE,
  net: BASE,
  ...Object.fromEntries(EDGES.map((room) => [room, BASE])),
  heap: [],
  'crash-points': PURE,
  commit: BASE,
  alerts: [...PURE, ...STORING],
  analysis: [...PURE, ...STORING],
  rollback: [...PURE, ...STORING],
  ledger: [...PURE, ...STORING],
  manifests: PURE,
  conditions: BASE,
  patterns: BASE,
  promql: ['patterns', ...BASE],
  judges: NUMERIC,
  statistics: NUMERIC,
  ...Object.fromEntries(BASE.map((room) => [room, []])),
};

const sources: Source[] = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
  .map((path) => {
    const text = readFileSync(join(root, path), 'utf8');
    return { path, text, imports: importsOf(path, text) };
  });

function importsOf(path: string, text: string): Import[] {
  const found: Import[] = [];
  const statement = /^(?:import|export)\s+(type\s+)?(?:([^'";]*?)\s+from\s+)?'([^']+)'/gm;
  for (const [, type, names = '', from = ''] of text.matchAll(statement)) {
    const inBraces = /^\{([\s\S]*)\}$/.exec(names.trim())?.[1];
    const listed = inBraces?.split(',').filter((name) => name.trim() !== '') ?? [];
    const onlyTypes = listed.length > 0 && listed.every((name) => name.trim().startsWith('type '));
    found.push({ target: targetOf(path, from), typeOnly: type !== undefined || onlyTypes });
  }
  for (const [, from = ''] of text.matchAll(/\bimport\('([^']+)'\)/g)) {
    found.push({ target: targetOf(path, from), typeOnly: false });
  }
  return found;
}

function targetOf(path: string, from: string): string {
  return from.startsWith('.') ? relative(root, join(root, dirname(path), from)) : from;
}

function roomOf(path: string): string {
  return path.includes('/') ? (path.split('/')[0] ?? '') : basename(path, '.ts');
}

function isAllowed(source: Source, { target, typeOnly }: Import): boolean {
  const from = roomOf(source.path);
  const to = roomOf(target);
  if (from === to || (MAY_IMPORT[from] ?? []).includes(to)) return true;
  if (basename(target) === 'port.ts') return typeOnly;
  if (from === 'config')
    return basename(target) === 'schema.ts' && ['sources', 'delivery', 'store', 'git', 'forge', 'notify'].includes(to);
  return to === 'net' && ['http', 'sources', 'delivery', 'notify', 'git', 'forge'].includes(from) && typeOnly;
}

const own = (source: Source) => source.imports.filter(({ target }) => target.endsWith('.ts'));

describe('the rooms of src', () => {
  it('are all known, so that a new one gets its place on the map', () => {
    expect([...new Set(sources.map(({ path }) => roomOf(path)))].filter((room) => !(room in MAY_IMPORT))).toEqual([]);
  });

  it('are those of the map in CONTRIBUTING.md, no more and no less', () => {
    const page = readFileSync(join(root, '..', 'CONTRIBUTING.md'), 'utf8');
    const map = page.slice(page.indexOf('## The map of the rooms'), page.indexOf('Outside of `src`'));
    const mapped = [...map.matchAll(/src\/([a-z-]+)(?:\/|\.ts)/g)].map(([, room = '']) => room);
    const rooms = new Set(sources.map(({ path }) => roomOf(path)));
    expect([...new Set(mapped)].toSorted()).toEqual([...rooms].toSorted());
    const listed = /\{([a-z, ]+)\}/.exec(map)?.[1]?.split(', ') ?? [];
    expect(listed.filter((room) => !rooms.has(room))).toEqual([]);
    expect([...ADAPTERS, 'net', 'cli'].filter((room) => rooms.has(room) && !listed.includes(room))).toEqual([]);
  });

  it('import in one direction only, siblings never, ports and the HTTP client as types', () => {
    const wrong = sources.flatMap((source) =>
      own(source)
        .filter((imported) => !isAllowed(source, imported))
        .map(({ target }) => `${source.path} imports ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  it('have no cycles between their files', () => {
    const byPath = new Map(sources.map((source) => [source.path, source]));
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (path: string, trail: readonly string[]) => {
      if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '));
      const source = byPath.get(path);
      if (source === undefined || done.has(path) || trail.includes(path)) return;
      for (const { target, typeOnly } of own(source)) if (!typeOnly) visit(target, [...trail, path]);
      done.add(path);
    };
    for (const { path } of sources) visit(path, []);
    expect(cycles).toEqual([]);
  });

  it('load adapters and heavy packages only where they belong', () => {
    const owners: [RegExp, RegExp][] = [
      [/^undici($|\/)/, /^net\//],
      [/^node:child_process$/, /^git\/run\.ts$/],
      [/^node:worker_threads$/, /^store\/embedded\//],
      [/^libsql$/, /^store\/embedded\//],
      [/^ioredis$/, /^store\/redis\//],
      [/^bullmq$/, /^queue\/bullmq\//],
      [/^(fastify|@fastify\/.*)$/, /^http\//],
      [/^(pino|prom-client)$/, /^(observability|http)\//],
      [/^yaml$/, /^(config|cli|http|manifests)\//],
    ];
    const wrong = sources.flatMap(({ path, imports }) =>
      imports
        .filter(({ target, typeOnly }) => !typeOnly && owners.some(([name, owner]) => name.test(target) && !owner.test(path)))
        .map(({ target }) => `${path} imports ${target}`),
    );
    expect(wrong).toEqual([]);
  });
});

describe('ports', () => {
  it('hold types only', () => {
    const ports = sources.filter(({ path }) => basename(path) === 'port.ts');
    expect(ports.length).toBeGreaterThan(3);
    const values = ports.filter(({ text }) => /^export (?!type |interface )/m.test(text));
    expect(values.map(({ path }) => path)).toEqual([]);
  });
});

describe('pure rooms', () => {
  it('have no clock, no randomness, no process and no input and output', () => {
    const impure =
      /\bnew Date\(\)|\bDate\(\)|\bDate\.now\b|\bMath\.random\b|\brandomUUID\b|\bprocess\.|\bset(Timeout|Interval|Immediate)\b/;
    const packages = /^(node:(?!crypto$)|undici(?:$|\/)|pino$|fastify|@fastify|libsql$|ioredis$|bullmq$|yaml$|prom-client$)/;
    const wrong = sources
      .filter(({ path }) => PURE.includes(roomOf(path)) && path !== 'clock.ts')
      .flatMap(({ path, text, imports }) => [
        ...(impure.test(withoutComments(text)) ? [`${path} is not pure`] : []),
        ...imports
          // Text in, value out: parsing is as pure as the rooms that ask for it.
          .filter(({ target }) => packages.test(target) && !(target === 'yaml' && roomOf(path) === 'manifests'))
          .map(({ target }) => `${path} imports ${target}`),
      ]);
    expect(wrong).toEqual([]);
  });

  it('let judges and statistics stand alone', () => {
    const foreign = sources
      .filter(({ path }) => NUMERIC.includes(roomOf(path)))
      .flatMap(({ path, imports }) => imports.map(({ target }) => ({ path, target })))
      .filter(({ target }) => !target.endsWith('.ts') && target !== 'typebox');
    expect(foreign).toEqual([]);
  });
});

describe('files', () => {
  it(`have at most ${MAX_LINES} lines`, () => {
    const long = sources
      .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
      .filter(({ lines }) => lines > MAX_LINES);
    expect(long).toEqual([]);
  });

  it('are named after an idea, not after a drawer', () => {
    const drawer = /^(utils?|helpers?|types|common|constants|misc|shared|index)\.ts$/;
    expect(sources.filter(({ path }) => drawer.test(basename(path))).map(({ path }) => path)).toEqual([]);
  });

  it('export by name, and import each other with their ending', () => {
    const wrong = sources.filter(({ text, imports }) => {
      const bare = imports.some(({ target }) => /^(\.|(?!undici\/)\w+\/)/.test(target) && target.endsWith('.js'));
      return bare || /^export default\b/m.test(text);
    });
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });
});

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');
}
