import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { check, type Finding } from './check.ts';
import { resolveDefaults } from './defaults.ts';
import { parseYaml, pathText } from './document.ts';
import { editorSchema } from './reference.ts';
import { isMap } from './schema-node.ts';
import { Config, configNode } from './schema.ts';

const example = readFileSync(new URL('../../test/fixtures/config/design-example.yaml', import.meta.url), 'utf8');
const parsed = parseYaml(example);
const valid = 'document' in parsed ? parsed.document.value : undefined;

const text = ({ path, message, hint }: Finding) => `${pathText(path)}: ${message}${hint === undefined ? '' : `; ${hint}`}`;
const said = (value: unknown) => check(configNode, value).map(text);

describe('what is said about a value that does not fit', () => {
  it('speaks about the branch that the type names, not about all of them', () => {
    expect(said({ sources: { p: { type: 'prometheus' } } })).toEqual([
      'sources.p.url: is required; expected an address that begins with http:// or https://',
    ]);
    expect(said({ sources: { p: { url: 'http://h' } } })).toEqual([
      'sources.p.type: is required; expected one of scrape, prometheus, elasticsearch',
    ]);
    expect(said({ storage: 'embedded' })).toEqual(["storage: expected a map with kind: embedded or redis; got 'embedded'"]);
    expect(said({ sources: { p: { tpe: 'scrape' } } })).toEqual(["sources.p.tpe: unknown key 'tpe'; did you mean type?"]);
  });

  it('knows where a key belongs that stands one level too high, too low, or in another branch', () => {
    expect(said({ listen: '127.0.0.1:1' })).toEqual([
      "listen: unknown key 'listen'; 'listen' belongs one level down, under server",
    ]);
    expect(said({ server: { log: {} } })).toEqual(["server.log: unknown key 'log'; 'log' belongs to the top level"]);
    expect(said({ sources: { p: { type: 'prometheus', url: 'http://h', targets: [] } } })).toEqual([
      "sources.p.targets: unknown key 'targets'; 'targets' belongs to type scrape, this one is prometheus",
    ]);
    const guarded = { ...validApplication(), guards: { mode: 'shadow' } };
    expect(said({ applications: { shop: guarded } })).toEqual([
      "applications.shop.guards.mode: unknown key 'mode'; 'mode' belongs one level up, under shop",
    ]);
  });

  it('does not complain of a missing key when its misspelling was named', () => {
    const { repository, ...rest } = validApplication();
    expect(said({ applications: { shop: { ...rest, repositry: repository } } })).toEqual([
      "applications.shop.repositry: unknown key 'repositry'; did you mean repository?",
    ]);
  });

  it.each([
    [{ workers: { ticks: 0 } }, 'workers.ticks: expected a whole number from 1 to 1000; got 0'],
    [{ workers: { ticks: 1.5 } }, 'workers.ticks: expected a whole number from 1 to 1000; got 1.5'],
    [{ workers: { ticks: '4' } }, "workers.ticks: expected a whole number from 1 to 1000; got '4'"],
    [{ workers: { ticks: NaN } }, 'workers.ticks: expected a whole number from 1 to 1000; got NaN'],
    [{ log: { level: 'wran' } }, "log.level: expected one of debug, info, warn, error; got 'wran'; did you mean warn?"],
    [{ log: null }, 'log: expected a map; got nothing'],
    [{ server: { tokens: {} } }, 'server.tokens: expected a list of maps; got a map'],
    [[], 'expected a map; got a list'],
  ])('describes %j in plain words', (value, expected) => {
    expect(said(value).map((line) => line.replace(/^: /, ''))).toEqual([expected]);
  });

  it('takes shares as percent and as numbers, and refuses other texts', () => {
    const withShare = (share: unknown) => said({ templates: { t: { ...validTemplate(), falseRollbacks: share } } });
    expect(withShare('1%')).toEqual([]);
    expect(withShare(0.01)).toEqual([]);
    for (const wrong of ['1', -0.1, NaN, null, ['1%']]) {
      expect(withShare(wrong)).toEqual([
        expect.stringMatching(/^templates\.t\.falseRollbacks: expected a share such as 10% or 0\.1; got /),
      ]);
    }
  });

  it('refuses durations that no timer can wait for, and 0 where it would mean "all the time"', () => {
    const repository = (refreshEvery: string) => said({ repositories: { r: { url: 'https://h/x', refreshEvery } } });
    expect(repository('24d')).toEqual([]);
    expect(repository('25d')).toEqual(["repositories.r.refreshEvery: expected a duration of at most 24d; got '25d'"]);
    expect(repository('0s')).toEqual(["repositories.r.refreshEvery: expected a duration above 0; got '0s'"]);
    expect(said({ templates: { t: { ...validTemplate(), warmup: '0s' } } })).toEqual([]);
  });

  it('takes ages that no timer could wait for, its own defaults included', () => {
    expect(said({ retention: { analyses: '30d', rollbacks: '3650d', sightings: '90d' } })).toEqual([]);
    expect(said(resolveDefaults({}))).toEqual([]);
    expect(said({ retention: { analyses: '36501d' } })).toEqual([
      "retention.analyses: expected a duration of at most 36500d; got '36501d'",
    ]);
  });

  it('refuses names that do not fit, and the key __proto__ everywhere', () => {
    expect(said({ applications: { 'My Shop': validApplication() } })).toEqual([
      'applications."My Shop": expected a name of small letters, digits, dot, dash and underscore as the key; got \'My Shop\'',
    ]);
    const poisoned: unknown = JSON.parse('{ "__proto__": "x" }');
    expect(said({ applications: { shop: { ...validApplication(), arguments: poisoned } } })).toHaveLength(1);
    expect(said(poisoned)).toHaveLength(1);
  });
});

function validApplication() {
  return { repository: 'r', paths: ['a'], template: 't', delivery: { type: 'none' } };
}

function validTemplate() {
  return {
    every: '1s',
    for: '1m',
    canary: {},
    metrics: { m: { type: 'gauge', source: 's', value: { gauge: 'x' } } },
  };
}

describe('agreement with the schema', () => {
  const closed = Type.Unsafe<unknown>(editorSchema());

  it('finds nothing in a valid configuration', () => {
    expect(Value.Check(Config, valid)).toBe(true);
    expect(said(valid)).toEqual([]);
  });

  it('finds something exactly where JSON Schema does, durations apart', () => {
    const places = pathsOf(valid);
    const mutation = fc.record({
      place: fc.constantFrom(...places),
      how: fc.oneof(
        fc.constant({ kind: 'remove' as const }),
        fc.record({ kind: fc.constant('replace' as const), value: anything() }),
        fc.record({ kind: fc.constant('add' as const), key: fc.string({ maxLength: 8 }), value: anything() }),
      ),
    });
    fc.assert(
      fc.property(mutation, ({ place, how }) => {
        const changed = mutated(valid, place, how);
        const findings = check(configNode, changed);
        if (findings.length === 0) expect(Value.Check(Config, changed)).toBe(true);
        if (Value.Check(closed, changed)) {
          expect(findings.filter((finding) => !/duration|__proto__/.test(finding.message))).toEqual([]);
        } else {
          expect(findings).not.toEqual([]);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  function anything() {
    return fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom(
        '10%',
        '5m',
        'http',
        'none',
        'https://h/x',
        { counter: 'x' },
        { type: 'none' },
        { query: 'x', counter: 'y' },
      ),
    );
  }
});

type Change = { kind: 'remove' } | { kind: 'replace'; value: unknown } | { kind: 'add'; key: string; value: unknown };

function pathsOf(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  const below = Array.isArray(value)
    ? value.flatMap((entry, at) => pathsOf(entry, [...path, at]))
    : isMap(value)
      ? Object.entries(value).flatMap(([key, entry]) => pathsOf(entry, [...path, key]))
      : [];
  return [path, ...below];
}

function mutated(value: unknown, path: readonly (string | number)[], change: Change): unknown {
  const [segment, ...rest] = path;
  if (segment === undefined) {
    if (change.kind === 'add')
      return isMap(value) ? Object.fromEntries([...Object.entries(value), [change.key, change.value]]) : value;
    return change.kind === 'replace' ? change.value : undefined;
  }
  const inside = (entry: unknown) => mutated(entry, rest, change);
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? [...value.entries()]
    : Object.entries(isMap(value) ? value : {});
  const changed = entries
    .filter(([key]) => !(key === segment && rest.length === 0 && change.kind === 'remove'))
    .map(([key, entry]): [string | number, unknown] => [key, key === segment ? inside(entry) : entry]);
  return Array.isArray(value) ? changed.map(([, entry]) => entry) : Object.fromEntries(changed);
}
