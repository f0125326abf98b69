import { describe, expect, it } from 'vitest';
import { applyOverrides } from './environment.ts';
import { configNode } from './schema.ts';

const file = {
  server: { listen: '127.0.0.1:8080' },
  sources: { pages: { type: 'scrape', targets: [{ url: 'http://a' }, { url: 'http://b' }] } },
  repositories: { deploy: { url: 'https://git.example/x.git' } },
  applications: {
    'my-shop': { repository: 'deploy', paths: ['a'], template: 't', delivery: { type: 'none' }, arguments: { service: 'shop' } },
  },
  templates: { t: { metrics: { errors: { type: 'proportion' } } } },
};

const apply = (environment: Record<string, string>, value: unknown = file) => applyOverrides(configNode, value, environment);

describe('overrides from the environment', () => {
  it('set a key of the schema that the file does not have', () => {
    expect(apply({ DAVYLAMP__LOG__LEVEL: 'debug', DAVYLAMP__WORKERS__TICKS: '3' }, {}).value).toEqual({
      log: { level: 'debug' },
      workers: { ticks: 3 },
    });
  });

  it('set one key of a map that the file leaves to its default', () => {
    expect(apply({ DAVYLAMP__STORAGE__PATH: '/data' }, {}).value).toEqual({ storage: { kind: 'embedded', path: '/data' } });
  });

  it('match keys in either case, and names that no variable could be called', () => {
    const { value, problems } = apply({
      DAVYLAMP__APPLICATIONS__MY_SHOP__MODE: 'propose',
      DAVYLAMP__server__MAX_BODY_BYTES: '2048',
      DAVYLAMP__APPLICATIONS__MY_SHOP__ARGUMENTS__SERVICE: 'other',
    });
    expect(problems).toEqual([]);
    expect(value).toMatchObject({
      applications: { 'my-shop': { mode: 'propose', arguments: { service: 'other' }, paths: ['a'] } },
      server: { listen: '127.0.0.1:8080', maxBodyBytes: 2048 },
    });
  });

  it('take lists and maps in flow form, and single entries of a list', () => {
    const { value } = apply({
      DAVYLAMP__APPLICATIONS__MY_SHOP__PATHS: '[apps/a, apps/b]',
      DAVYLAMP__SOURCES__PAGES__TARGETS__1__URL: 'http://c',
      DAVYLAMP__STORAGE: '{ kind: embedded, path: /data }',
      DAVYLAMP__STORAGE__PATH: '/other',
    });
    expect(value).toMatchObject({
      applications: { 'my-shop': { paths: ['apps/a', 'apps/b'] } },
      sources: { pages: { targets: [{ url: 'http://a' }, { url: 'http://c' }] } },
      storage: { kind: 'embedded', path: '/other' },
    });
  });

  it.each([
    ['[::1]:8080', '[::1]:8080'],
    ['0.0.0.0:8080', '0.0.0.0:8080'],
    ['1.0', '1.0'],
    ['"quoted"', 'quoted'],
    ['true', 'true'],
    ['', ''],
  ])('read %j as a text where the schema wants a text', (text, expected) => {
    expect(apply({ DAVYLAMP__SERVER__LISTEN: text }, {}).value).toEqual({ server: { listen: expected } });
  });

  it('leave numbers to YAML where the schema takes both', () => {
    const { value } = apply({ DAVYLAMP__TEMPLATES__T__FALSE_ROLLBACKS: '0.02' });
    expect(value).toMatchObject({ templates: { t: { falseRollbacks: 0.02 } } });
  });

  it('never change the value that they are laid over', () => {
    const before = structuredClone(file);
    apply({ DAVYLAMP__SERVER__LISTEN: '127.0.0.1:1', DAVYLAMP__SOURCES__PAGES__TARGETS__0__URL: 'http://z' });
    expect(file).toEqual(before);
  });

  it.each([
    ['DAVYLAMP__SERVR__LISTEN', 'x', "'SERVR' is no key of the configuration", 'did you mean server?'],
    ['DAVYLAMP__SERVER__LISTEN__HOST', 'x', "'HOST' is no key of server.listen", undefined],
    [
      'DAVYLAMP__APPLICATIONS__SHIP__MODE',
      'x',
      "'SHIP' is no key of applications; only entries that the file has can be overridden",
      undefined,
    ],
    [
      'DAVYLAMP__SOURCES__PAGES__TARGETS__2__URL',
      'x',
      "expected the number of an entry of sources.pages.targets, from 0 to 1; got '2'",
      undefined,
    ],
    ['DAVYLAMP__WORKERS__TICKS', '[1', 'expected a YAML scalar, [list] or {map} for workers.ticks', undefined],
    ['DAVYLAMP__WORKERS__TICKS', '*anchor', 'expected a YAML scalar, [list] or {map} for workers.ticks', undefined],
    ['DAVYLAMP__', 'x', "'' is no key of the configuration", undefined],
  ])('%s=%s is refused by name', (variable, text, message, hint) => {
    const { problems, value } = apply({ [variable]: text });
    expect(problems).toEqual([{ variable, message, ...(hint !== undefined && { hint }) }]);
    expect(value).toEqual(file);
  });

  it('refuse two variables for one key, and one variable for two keys', () => {
    expect(apply({ DAVYLAMP__LOG__LEVEL: 'info', DAVYLAMP__log__LEVEL: 'warn' }).problems).toEqual([
      { variable: 'DAVYLAMP__LOG__LEVEL', message: 'log.level is set by DAVYLAMP__log__LEVEL, too' },
    ]);
    const twins = { repositories: { 'a-b': {}, 'a.b': {} } };
    expect(apply({ DAVYLAMP__REPOSITORIES__A_B__BRANCH: 'x' }, twins).problems[0]?.message).toBe(
      "'A_B' could mean each of a-b, a.b; set repositories whole",
    );
  });

  it('ignore variables with a single underscore', () => {
    expect(apply({ DAVYLAMP_CRASH_AT: 'git.pushed', DAVYLAMP_CONFIG: 'x' })).toEqual({
      value: file,
      overrides: [],
      problems: [],
    });
  });
});
