import { describe, expect, it } from 'vitest';
import type { Finding } from './check.ts';
import { check } from './check.ts';
import { crossCheck } from './cross-checks.ts';
import { pathText } from './document.ts';
import { configNode } from './schema.ts';

const sources = {
  logs: { type: 'elasticsearch', url: 'https://es:9200' },
  pages: { type: 'scrape', targets: [{ url: 'http://127.0.0.1:1/metrics' }] },
};
const index = 'logs-shop-*';
const count = (filter: object) => ({ search: { index, filter } });
const errors = { type: 'proportion', source: 'logs', total: count({ match_all: {} }), events: count({ term: { status: 500 } }) };
const latency = { type: 'histogram', source: 'logs', buckets: { search: { index, field: 'took', bounds: [0.1, 0.5] } } };
const heap = { type: 'gauge', source: 'logs', value: { search: { index, field: 'heap', percentile: 95 } } };
const template = { every: '1s', for: '1m', canary: { track: 'canary' }, baseline: { track: 'stable' } };
const application = { repository: 'deploy', paths: ['apps/shop'], delivery: { type: 'none' }, template: 'logs' };

const text = ({ path, message }: Finding) => `${pathText(path)}: ${message}`;
const configured = (metrics: object, more: object = {}) => ({
  sources,
  repositories: { deploy: { url: 'https://git.example/deploy.git' } },
  templates: { logs: { ...template, metrics } },
  ...more,
});
const problems = (metrics: object, more: object = {}) => crossCheck(configured(metrics, more)).errors.map(text);

describe('a template that searches documents', () => {
  it('is accepted for counts, buckets and figures, with and without a filter', () => {
    const metrics = { errors, latency, heap };
    expect(check(configNode, configured(metrics)).map(text)).toEqual([]);
    expect(problems(metrics)).toEqual([]);
  });

  it('points to a misspelled key of a search', () => {
    const value = { search: { index, feild: 'heap' } };
    expect(check(configNode, configured({ heap: { ...heap, value } })).map(text)).toEqual([
      "templates.logs.metrics.heap.value.search.feild: unknown key 'feild'",
    ]);
  });

  it.each(['_all', '-logs', '<logs-{now/d}>', 'a b', 'a/b', ''])('refuses %j as the name of an index', (wrong) => {
    const value = { search: { index: wrong, field: 'heap' } };
    expect(check(configNode, configured({ heap: { ...heap, value } })).map(text)).toEqual([
      expect.stringContaining('templates.logs.metrics.heap.value.search.index: expected'),
    ]);
  });

  it('names the place where an argument would be read as language', () => {
    const events = count({ bool: { filter: [{ query_string: { query: 'service:${service}' } }] } });
    expect(problems({ errors: { ...errors, events } })).toEqual([
      expect.stringMatching(
        /^templates\.logs\.metrics\.errors\.events\.search\.filter\.bool\.filter.0.?\.query_string\.query: an argument cannot stand here/,
      ),
    ]);
  });

  it('asks the applications for the arguments of its filters and its indices', () => {
    const metrics = {
      errors: { ...errors, events: { search: { index: 'logs-${team}', filter: { term: { service: '${service}' } } } } },
    };
    const found = problems(metrics, { applications: { shop: application } });
    expect(found).toHaveLength(2);
    expect(found[0]).toContain('applications.shop.arguments.team: is required');
    expect(found[1]).toContain('metrics.errors.events.search.filter.term.service');
    const given = { shop: { ...application, arguments: { team: 'a', service: 'shop' } } };
    expect(crossCheck(configured(metrics, { applications: given }))).toEqual({ errors: [], warnings: [] });
  });

  it('says where an argument is written wrongly', () => {
    const events = count({ term: { service: '${ service }' } });
    expect(problems({ errors: { ...errors, events } })).toEqual(
      [
        "templates.logs.metrics.errors.events.search.filter.term.service: expected an argument as ${name}; got '${'",
        expect.stringContaining('an argument'),
      ].slice(0, 1),
    );
  });

  it('wants bounds that rise, and one figure', () => {
    const buckets = { search: { index, field: 'took', bounds: [0.1, 0.1] } };
    const value = { search: { index, field: 'heap', percentile: 95, stat: 'max' } };
    expect(problems({ latency: { ...latency, buckets }, heap: { ...heap, value } })).toEqual([
      expect.stringContaining('bounds'),
      'templates.logs.metrics.heap.value.search.stat: expected either a stat or a percentile; got both',
    ]);
  });
});

describe('the source of a search', () => {
  it('must be Elasticsearch', () => {
    expect(problems({ errors: { ...errors, source: 'pages' } })).toEqual([
      'templates.logs.metrics.errors.total.search: source pages is of type scrape and cannot search documents; only elasticsearch can',
      'templates.logs.metrics.errors.events.search: source pages is of type scrape and cannot search documents; only elasticsearch can',
    ]);
  });

  it('takes nothing but searches', () => {
    const series = 'source logs is of type elasticsearch and has no series; write a search';
    const load = { type: 'gauge', source: 'logs', value: { gauge: 'load' } };
    const raw = { type: 'gauge', source: 'logs', value: { query: 'a' } };
    const total = { counter: 'http_requests_total' };
    expect(problems({ load, raw, errors: { ...errors, total } })).toEqual([
      `templates.logs.metrics.load.value.gauge: ${series}`,
      `templates.logs.metrics.raw.value.query: ${series}`,
      `templates.logs.metrics.errors.total.counter: ${series}`,
    ]);
  });
});

describe('the credentials of a source of documents', () => {
  const found = (more: object) => problems({ heap }, { sources: { logs: { ...sources.logs, ...more } } });

  it('are of one kind', () => {
    expect(found({ apiKeyFile: './key' })).toEqual([]);
    expect(found({ username: 'a', passwordFile: './password' })).toEqual([]);
    expect(found({ apiKeyFile: './key', tokenFile: './token' })).toEqual([
      'sources.logs.tokenFile: expected one kind of credential; got apiKeyFile, tokenFile',
    ]);
  });

  it('have a password with every user', () => {
    expect(found({ username: 'a' })).toEqual([
      'sources.logs.passwordFile: is required; username and passwordFile belong together',
    ]);
    expect(found({ passwordFile: './a' })).toEqual([
      'sources.logs.username: is required; username and passwordFile belong together',
    ]);
  });
});
