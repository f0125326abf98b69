import { describe, expect, it } from 'vitest';
import type { Finding } from './check.ts';
import { crossCheck } from './cross-checks.ts';
import { pathText } from './document.ts';

const gauge = { type: 'gauge', source: 'pages', value: { gauge: 'load' } };
const template = { every: '1s', for: '1m', canary: { track: 'canary' }, baseline: { track: 'stable' }, metrics: { load: gauge } };
const application = { repository: 'deploy', paths: ['apps/shop'], delivery: { type: 'none' }, template: 'plain' };
const base = {
  sources: { pages: { type: 'scrape', targets: [{ url: 'http://127.0.0.1:1/metrics' }] } },
  repositories: { deploy: { url: 'https://git.example/deploy.git' } },
  templates: { plain: template },
};

const text = ({ path, message, hint }: Finding) => `${pathText(path)}: ${message}${hint === undefined ? '' : `; ${hint}`}`;
const errors = (changes: object) => crossCheck({ ...base, ...changes }).errors.map(text);
const warnings = (changes: object) => crossCheck({ ...base, ...changes }).warnings.map(text);

describe('names that refer to other parts', () => {
  it('must exist; the nearest one is offered', () => {
    expect(errors({ applications: { shop: { ...application, repository: 'deplyo', template: 'plane' } } })).toEqual([
      "applications.shop.repository: there is no repository 'deplyo'; did you mean deploy?",
      "applications.shop.template: there is no template 'plane'; did you mean plain?",
    ]);
    expect(errors({ templates: { plain: { ...template, metrics: { load: { ...gauge, source: 'prom' } } } } })).toEqual([
      "templates.plain.metrics.load.source: there is no source 'prom'; configured: pages",
    ]);
  });

  it('are found even in an application that is broken elsewhere', () => {
    expect(errors({ applications: { shop: { repository: 'deplyo' } } })).toEqual([
      "applications.shop.repository: there is no repository 'deplyo'; did you mean deploy?",
    ]);
  });

  it('are not taken from what an object inherits', () => {
    expect(errors({ applications: { shop: { ...application, repository: 'constructor' } } })).toEqual([
      "applications.shop.repository: there is no repository 'constructor'; configured: deploy",
    ]);
  });
});

describe('times of a template', () => {
  const timed = (times: object) => errors({ templates: { plain: { ...template, ...times } } });

  it.each([
    [{ warmup: '60s' }, 'templates.plain.warmup: expected less than the 1m of "for"; got 60s'],
    [{ every: '2m' }, 'templates.plain.every: expected at most the 1m of "for"; got 2m'],
    [{ for: '20001s' }, 'templates.plain.every: 20001s in steps of 1s is more than 20000 looks; look less often'],
    [{ recovery: { for: '500ms' } }, 'templates.plain.recovery.for: expected at least the 1s of "every"; got 500ms'],
    [{ recovery: { for: '20001s' } }, 'templates.plain.recovery.for: 20001s in steps of 1s is more than 20000 looks'],
  ])('%j is refused', (times, expected) => {
    expect(timed(times)).toEqual([expected]);
  });

  it('may touch their limits', () => {
    expect(timed({ warmup: '59999ms' })).toEqual([]);
    expect(timed({ every: '1m' })).toEqual([]);
    expect(timed({ for: '20000s' })).toEqual([]);
  });
});

describe('numbers of a template', () => {
  const proportion = (fields: object) => ({
    type: 'proportion',
    source: 'pages',
    total: { counter: 'a' },
    events: { counter: 'b' },
    ...fields,
  });
  const judged = (fields: object, metric: object = gauge) =>
    errors({ templates: { plain: { ...template, ...fields, metrics: { m: metric } } } });

  it('keep the share of false rollbacks above 0 and at most a half', () => {
    expect(judged({ falseRollbacks: 0.5 })).toEqual([]);
    for (const share of ['0%', 0, '51%', 0.6, 1]) {
      expect(judged({ falseRollbacks: share })).toEqual([
        `templates.plain.falseRollbacks: expected a share above 0 and at most 50%; got ${share}`,
      ]);
    }
  });

  it('keep limits of rates and quantiles possible', () => {
    expect(judged({}, proportion({ limit: '100%', passBelow: 0.99 }))).toEqual([]);
    expect(judged({}, proportion({ limit: '101%', passBelow: '100%' }))).toEqual([
      'templates.plain.metrics.m.limit: expected a share above 0 and at most 100%; got 101%',
      'templates.plain.metrics.m.passBelow: expected a share below 100%; got 100%',
    ]);
    const histogram = { type: 'histogram', source: 'pages', buckets: { counter: 'b' }, limit: { p0: '1s', 'p99.9': '1s' } };
    expect(judged({}, histogram)).toEqual([
      'templates.plain.metrics.m.limit.p0: expected a quantile above p0 and below p100; got p0',
    ]);
  });

  it('name a judge that exists', () => {
    expect(judged({ judge: 'exact' })).toEqual([]);
    expect(judged({ judge: 'exat' })).toEqual([
      "templates.plain.judge: there is no judge 'exat'; known: exact; did you mean exact?",
    ]);
  });

  it('refuse a finished query where pages are read', () => {
    expect(judged({}, { ...gauge, value: { query: 'up' } })).toEqual([
      'templates.plain.metrics.m.value.query: source pages reads pages and cannot run a finished query; write a counter or a gauge',
    ]);
  });

  it('warn of a metric that can never decide', () => {
    const { baseline: _, ...alone } = template;
    expect(warnings({ templates: { plain: alone } })).toEqual([
      'templates.plain.metrics.load: has no limit, and the template has no baseline; it can never decide',
    ]);
    expect(warnings({ templates: { plain: { ...alone, metrics: { load: { ...gauge, limit: 3 } } } } })).toEqual([]);
  });
});

describe('arguments', () => {
  const asking = {
    ...template,
    canary: { track: '${track}' },
    metrics: { load: { ...gauge, value: { gauge: 'load{service="${service}"}' } } },
  };
  const given = (values: object | undefined) => ({
    templates: { plain: asking },
    applications: { shop: { ...application, ...(values !== undefined && { arguments: values }) } },
  });

  it('must be there for every ${name} in queries and labels', () => {
    expect(errors(given({ track: 'c', service: 's' }))).toEqual([]);
    expect(errors(given(undefined))).toEqual([
      'applications.shop.arguments.track: is required; template plain asks for it in canary.track',
      'applications.shop.arguments.service: is required; template plain asks for it in metrics.load.value.gauge',
    ]);
  });

  it('that are misspelt are named on both sides', () => {
    expect(errors(given({ track: 'c', servce: 's' }))).toEqual([
      "applications.shop.arguments.service: is required; template plain asks for it in metrics.load.value.gauge; did you mean service where 'servce' stands?",
    ]);
    expect(warnings(given({ track: 'c', service: 's', spare: 'x' }))).toEqual([
      'applications.shop.arguments.spare: is not used by template plain',
    ]);
  });

  it('of the labels of a control must be there, too', () => {
    const control = { templates: { plain: { ...template, control: { app: '${other}' } } }, applications: { shop: application } };
    expect(errors(control)).toEqual([
      'applications.shop.arguments.other: is required; template plain asks for it in control.app',
    ]);
  });

  it('that every analysis has by itself need no value, and one has no effect', () => {
    const own = { plain: { ...template, canary: { track: '${application}-${revision}' } } };
    expect(errors({ templates: own, applications: { shop: application } })).toEqual([]);
    expect(warnings({ templates: own, applications: { shop: { ...application, arguments: { revision: 'x' } } } })).toEqual([
      'applications.shop.arguments.revision: is not used: every analysis has its own',
    ]);
  });

  it('that a request may set are some that the template asks for', () => {
    const listed = { ...application, arguments: { track: 'c', service: 's' }, requestArguments: ['track', 'trak', 'revision'] };
    expect(warnings({ templates: { plain: asking }, applications: { shop: listed } })).toEqual([
      'applications.shop.requestArguments[1]: is not used by template plain',
      'applications.shop.requestArguments[2]: is not used: every analysis has its own',
    ]);
  });

  it('must be asked for in a form that is filled', () => {
    const broken = { ...template, canary: { track: '${ track }' } };
    expect(errors({ templates: { plain: broken } })).toEqual([
      "templates.plain.canary.track: expected an argument as ${name}; got '${'",
    ]);
  });
});

describe('addresses', () => {
  const listening = (server: object) => errors({ server });

  it('beyond loopback need tokens to be listened on', () => {
    const tokens = [{ name: 'ci', sha256: '0'.repeat(64) }];
    for (const listen of ['127.0.0.1:1', '127.1.2.3:1', 'localhost:1', '[::1]:1']) expect(listening({ listen })).toEqual([]);
    for (const listen of ['0.0.0.0:1', '[::]:1', '10.0.0.1:1', 'example.org:1', '127.0.0.1.example.org:1']) {
      expect(listening({ listen })).toEqual([expect.stringContaining('which needs server.tokens')]);
      expect(listening({ listen, tokens })).toEqual([]);
    }
    expect(listening({ listen: '127.0.0.1:65536' })).toEqual(['server.listen: expected a port from 0 to 65535; got 65536']);
  });

  const cloned = (url: string) =>
    errors({ repositories: { deploy: { url } } }).map((line) => line.replace('repositories.deploy.url: ', ''));

  it.each([
    'https://git.example/deploy.git',
    'https://git.example:8443/a/b',
    'ssh://git@git.example:2222/deploy.git',
    'git@git.example:shop/deploy.git',
    'http://127.0.0.1:3000/deploy.git',
    'http://[::1]:3000/deploy.git',
    'http://localhost/deploy.git',
  ])('%s is taken for a repository', (url) => {
    expect(cloned(url)).toEqual([]);
  });

  it.each([
    ['https://token@git.example/x', 'holds a user name or a password'],
    ['https://u:p@git.example/x', 'holds a user name or a password'],
    ['ssh://git:p@git.example/x', 'holds a user name or a password'],
    ['http://git.example/x', 'would send the token in the clear'],
    ['http://127.0.0.1.example.org/x', 'would send the token in the clear'],
    ['https://git.example/x?token=1', 'without ? and #'],
    ['file:///srv/x.git', 'expected https://'],
    ['/srv/x.git', 'expected https://'],
    ['ext::sh -c touch% x', 'expected https://'],
    ['git://git.example/x', 'expected https://'],
    ['-oProxyCommand=x@host:y', 'expected https://'],
    ['ssh://-oProxyCommand=x/y', 'expected https://'],
    ['git@host:-x', 'expected https://'],
    ['git@host:x\ny', 'white space'],
  ])('%s is refused for a repository', (url, reason) => {
    expect(cloned(url)).toEqual([expect.stringContaining(reason)]);
  });

  it('of sources and deliveries hold no credentials', () => {
    const url = 'http://me:secret@host/x';
    const found = errors({
      sources: { pages: { type: 'scrape', targets: [{ url }] }, prom: { type: 'prometheus', url } },
      applications: { shop: { ...application, delivery: { type: 'http', url } } },
    });
    expect(found).toHaveLength(3);
    expect(found.join('')).not.toContain('secret');
  });

  it('of a branch follow the rules of git', () => {
    const branch = (name: string) => errors({ repositories: { deploy: { url: 'https://h/x', branch: name } } });
    for (const name of ['main', 'release/1.2', 'feature_x', 'a@b']) expect(branch(name)).toEqual([]);
    for (const name of [
      '-f',
      'a..b',
      'a b',
      'a~1',
      'a^',
      'a:b',
      'x.lock',
      '/a',
      'a/',
      'a//b',
      '@',
      'a@{1}',
      'refs/heads/main',
      '.a',
      'a\\b',
    ]) {
      expect(branch(name), name).toHaveLength(1);
    }
  });

  it('by ssh make a token file useless', () => {
    expect(warnings({ repositories: { deploy: { url: 'git@h:x', tokenFile: 't' } } })).toEqual([
      'repositories.deploy.tokenFile: is not used, the repository is reached by ssh',
    ]);
  });
});

describe('paths of an application', () => {
  const rooted = (path: string) => errors({ applications: { shop: { ...application, paths: [path] } } });

  it('are folders or files inside of the repository, or the whole of it', () => {
    for (const path of ['.', 'apps/shop', 'a.yaml', '.github/x', 'a b', '..a/b']) expect(rooted(path)).toEqual([]);
    for (const path of [
      '/a',
      'a/',
      '../a',
      'a/../b',
      './a',
      'a//b',
      'a/*',
      'a?',
      ':/x',
      ':(glob)x',
      '.git/config',
      'a\\b',
      'a\nb',
    ]) {
      expect(rooted(path), path).toHaveLength(1);
    }
  });

  it('that overlap on one branch are warned of, by whichever names the repository goes', () => {
    const two = (first: string, second: string, repository = 'deploy') =>
      warnings({
        repositories: { ...base.repositories, again: base.repositories.deploy, other: { url: 'https://git.example/other.git' } },
        applications: { a: { ...application, paths: [first] }, b: { ...application, repository, paths: [second] } },
      });
    const said =
      "applications.b.paths: 'apps/a/x' overlaps 'apps/a' of application a on the same branch; one commit can then be the fault of both";
    expect(two('apps/a', 'apps/a/x')).toEqual([said]);
    expect(two('apps/a', 'apps/a/x', 'again')).toEqual([said]);
    expect(two('apps/a', 'apps/a/x', 'other')).toEqual([]);
    expect(two('.', 'apps/b')).toHaveLength(1);
    expect(two('apps/a', 'apps/ab')).toEqual([]);
  });
});

describe('the address of a Redis', () => {
  const said = (url: string) => errors({ storage: { kind: 'redis', url } });

  it('holds host, port and database, and nothing secret', () => {
    for (const url of ['redis://h', 'redis://h:6379/1', 'rediss://[::1]:6380', 'redis://redis.infra.svc/']) {
      expect(said(url)).toEqual([]);
    }
    expect(said('redis://me:hunter2@h')).toEqual([
      'storage.url: the address holds a user name or a password; take it out and use username and passwordFile',
    ]);
    expect(said('redis://h/one')).toEqual(['storage.url: expected nothing but the number of a database after host and port']);
    expect(said('redis://')).toEqual(["storage.url: expected redis://host:port/database; got 'redis://'"]);
  });
});

describe('matchers of alerts', () => {
  it('are read as an Alertmanager reads them; the column of a fault is named', () => {
    const alerts = [
      { matchers: ['service="shop"', '{severity=~"crit.*", "a b"!=""}'] },
      { matchers: ['job="shop', 'x=~"a(?=b)"'] },
    ];
    expect(errors({ applications: { shop: { ...application, alerts } } })).toEqual([
      'applications.shop.alerts[1].matchers[0]: is not a matcher; column 5: the quote is not closed',
      'applications.shop.alerts[1].matchers[1]: is not a matcher; column 4: the regular expression cannot be used: lookahead and lookbehind are not known to RE2',
    ]);
  });

  it('warn where an alert would do that has none of the labels', () => {
    const alerts: unknown = JSON.parse(`[
      { "matchers": ["service=\\"shop\\"", "severity!=info"] },
      { "matchers": ["service=~\\"shop|.*\\"", "severity!=info"], "then": "rollback" },
      { "matchers": ["severity!=info"], "then": "ignore" }
    ]`);
    expect(warnings({ applications: { shop: { ...application, alerts } } })).toEqual([
      'applications.shop.alerts[1].matchers: matches alerts that have none of these labels, too; add one with a value, such as service="shop"',
    ]);
  });
});
