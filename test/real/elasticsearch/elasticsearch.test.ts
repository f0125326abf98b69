import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { describeMetricSource, type Side, type SourceHarness } from '../../conformance/source.ts';
import { SERIES_INDEX, SeriesAsDocuments, askedWithSearches, selectorText } from '../../support/document-queries.ts';
import { DocumentStore, type StoredDocument } from '../../support/document-store.ts';
import { startFaultServer, type FaultServer } from '../../support/fault-server.ts';
import { systemClock } from '../../../src/clock.ts';
import { createHttpClient, type HttpClient } from '../../../src/net/client.ts';
import { createElasticsearchSource } from '../../../src/sources/elasticsearch/source.ts';
import type { MetricSource, SourceAnswer, SourceQuery, SourceSearch } from '../../../src/sources/port.ts';
import { startElasticsearch, type ElasticsearchNode } from './node.ts';

const START = Date.parse('2026-01-15T10:00:00.000Z');
const MINUTE = 60_000;
const never = new AbortController().signal;
let node: ElasticsearchNode;
let http: HttpClient;

beforeAll(async () => {
  http = createHttpClient();
  node = await startElasticsearch();
});
afterAll(async () => {
  await http.close();
  await node.close();
});

async function call(method: 'PUT' | 'POST' | 'DELETE', path: string, body: string): Promise<string> {
  const headers = { 'content-type': path.startsWith('/_bulk') ? 'application/x-ndjson' : 'application/json' };
  const answer = await http.request(
    { method, url: `${node.url}${path}`, headers, body, timeoutMs: 60_000, maxBodyBytes: 10_000_000 },
    never,
  );
  if (answer.status >= 300 || answer.text.includes('"errors":true')) throw new Error(`${path}: ${answer.text.slice(0, 500)}`);
  return answer.text;
}

async function store(index: string, documents: readonly StoredDocument[]): Promise<void> {
  if (documents.length === 0) return;
  const lines = documents.flatMap((document) => [JSON.stringify({ index: { _index: index } }), JSON.stringify(document)]);
  await call('POST', '/_bulk?refresh=true', `${lines.join('\n')}\n`);
}

const KEYWORDS = {
  mappings: {
    dynamic_templates: [{ texts: { match_mapping_type: 'string', mapping: { type: 'keyword' } } }],
    properties: {
      '@timestamp': { type: 'date' },
      message: { type: 'text' },
      value: { type: 'double' },
      took: { type: 'double' },
    },
  },
};

function open(url: string): MetricSource {
  return createElasticsearchSource(
    'logs',
    { type: 'elasticsearch', url, delay: '1ms', timeout: '30s', labels: { version: 'service.version' } },
    { http, clock: systemClock, readSecret: () => Promise.reject(new Error('not asked')) },
  );
}

async function startHarness(): Promise<SourceHarness> {
  await call('DELETE', `/${SERIES_INDEX}?ignore_unavailable=true`, '');
  await call('PUT', `/${SERIES_INDEX}`, JSON.stringify(KEYWORDS));
  const asDocuments = new SeriesAsDocuments();
  const labels = { canary: { track: 'canary' }, baseline: { track: 'stable' } };
  let waiting: Omit<StoredDocument, '@timestamp'>[] = [];
  const opened = () =>
    askedWithSearches(open(node.url), async (window) => {
      await store(
        SERIES_INDEX,
        waiting.map((document) => ({ '@timestamp': window.from, ...document }) as StoredDocument),
      );
      waiting = waiting.filter((document) => document['name'] === 'memory_bytes');
    });
  return {
    source: opened(),
    labels,
    timeoutMs: 30_000,
    secrets: [],
    selector: selectorText,
    show(series) {
      waiting = (['canary', 'baseline'] as const satisfies Side[]).flatMap((side) =>
        asDocuments.documents(side, labels[side].track, series[side]),
      );
      return Promise.resolve();
    },
    fail: () => Promise.reject(new Error('a real Elasticsearch does not fail on demand')),
    asked: () => Promise.resolve(),
    reopen: () => Promise.resolve(opened()),
    close: () => Promise.resolve(),
  };
}

describeMetricSource('elasticsearch 8.19', startHarness, { holds: 'documents', fails: false });

describe('a real Elasticsearch and the store of the other tests', () => {
  let copy: FaultServer;
  let documents: StoredDocument[];

  beforeAll(async () => {
    await call('PUT', '/logs-shop-1', JSON.stringify(KEYWORDS));
    await call('PUT', '/logs-shop-2', JSON.stringify(KEYWORDS));
    documents = Array.from({ length: 3_000 }, (_, at) => ({
      '@timestamp': START + at * 100,
      'service.name': at % 3 === 0 ? 'shop' : 'other',
      track: at % 2 === 0 ? 'canary' : 'stable',
      'service.version': at % 7 === 0 ? 'v1 "beta"' : 'v2',
      status: at % 11 === 0 ? 500 : 200,
      // On the bounds, too, where the two sides of a bound matter.
      took: ((at * 37) % 400) / 8,
      message: 'a line of the log',
    }));
    await store('logs-shop-1', documents.slice(0, 1_500));
    await store('logs-shop-2', documents.slice(1_500));
    const local = new DocumentStore();
    local.add('logs-shop-1', documents.slice(0, 1_500));
    local.add('logs-shop-2', documents.slice(1_500));
    copy = await startFaultServer();
    local.serve(copy);
  });
  afterAll(() => copy.close());

  let asked = 0;
  beforeEach(() => {
    asked = 0;
  });
  const shop = { term: { 'service.name': 'shop' } };
  function ask(
    measure: SourceSearch['measure'],
    more: Partial<SourceSearch> = {},
    labels: Record<string, string> = { track: 'canary' },
  ): SourceQuery {
    const search = { index: 'logs-shop-*', timeField: '@timestamp', filter: shop, measure, ...more };
    const shape = measure.kind === 'documents' ? 'counter' : measure.kind === 'buckets' ? 'buckets' : 'gauge';
    return { id: `${(asked += 1)}`, shape, text: '', finished: false, labels, aggregate: 'avg', search };
  }
  async function read(
    url: string,
    queries: SourceQuery[],
    window = { from: START, to: START + 4 * MINUTE },
  ): Promise<SourceAnswer[]> {
    const source = open(url);
    const { answers } = await source.read(queries, window, undefined, never);
    await source.close();
    return queries.map(({ id }) => answers.get(id) ?? { kind: 'absent' });
  }

  it('give the same answers', async () => {
    const bounds = [5, 10.25, 20, 49.875];
    const failed = {
      bool: { filter: [shop], must_not: [{ term: { status: 200 } }], should: [{ range: { status: { gte: 500, lt: 600 } } }] },
    };
    const queries = [
      ask({ kind: 'documents' }),
      ask({ kind: 'documents' }, { filter: failed }),
      ask({ kind: 'documents' }, { filter: null }, { track: 'stable', version: 'v1 "beta"' }),
      ask({ kind: 'documents' }, { filter: { terms: { status: [500, '200'] } } }),
      ask({ kind: 'documents' }, { index: 'logs-shop-2' }),
      ask({ kind: 'documents' }, { filter: { term: { 'service.name': '"}},{"match_all":{' } } }),
      ask({ kind: 'buckets', field: 'took', bounds, perSecond: 1_000 }),
      ask({ kind: 'buckets', field: 'took', bounds: [1e9], perSecond: 1 }),
      ...(['avg', 'max', 'min', 'sum'] as const).map((stat) => ask({ kind: 'stat', field: 'took', stat })),
    ];
    for (const window of [
      { from: START, to: START + 4 * MINUTE },
      { from: START + MINUTE, to: START + 2 * MINUTE },
      { from: START - MINUTE, to: START - 1 },
    ]) {
      const real = await read(node.url, queries, window);
      expect(real).toEqual(await read(copy.url, queries, window));
      expect(real[0]?.kind).toBe('count');
    }
    const [total, events] = await read(node.url, queries);
    expect(total).toEqual({ kind: 'count', value: 400 });
    expect(events).toEqual({ kind: 'count', value: expect.closeTo(400 / 11, -1) });
  });

  it('count every document in exactly one of windows that follow each other', async () => {
    let sum = 0;
    for (let at = 0; at < 10; at += 1) {
      const window = { from: START + at * 30_000, to: START + (at + 1) * 30_000 };
      const [answer] = await read(node.url, [ask({ kind: 'documents' }, { filter: null }, {})], window);
      if (answer?.kind === 'count') sum += answer.value;
    }
    // The delay of 1 ms leaves nothing out but the documents of the last millisecond, of which there is none.
    expect(sum).toBe(3_000);
  });

  it('say what is wrong with a question and answer the others', async () => {
    const [total, typo, text, unmapped, percentile, unknown, wildcard] = await read(node.url, [
      ask({ kind: 'documents' }),
      ask({ kind: 'documents' }, { filter: { trem: { 'service.name': 'shop' } } }),
      ask({ kind: 'stat', field: 'message', stat: 'max' }),
      ask({ kind: 'stat', field: 'tokk', stat: 'max' }),
      ask({ kind: 'percentile', field: 'took', percentile: 90 }),
      ask({ kind: 'documents' }, { index: 'logs-cart' }),
      ask({ kind: 'documents' }, { index: 'logs-cart-*' }),
    ]);
    expect(total).toEqual({ kind: 'count', value: 400 });
    expect(typo).toMatchObject({ kind: 'missing', code: 'query_refused', sentence: expect.stringContaining('trem') });
    expect(text).toMatchObject({ kind: 'missing', code: 'field_unsuitable' });
    expect(unmapped).toMatchObject({ kind: 'missing', code: 'field_unknown' });
    expect(percentile).toEqual({ kind: 'gauge', value: expect.closeTo(45, -1) });
    expect(unknown).toMatchObject({ kind: 'missing', code: 'index_unknown' });
    expect(wildcard).toMatchObject({ kind: 'missing', code: 'index_unknown' });
  });

  it('are examined by the doctor without an index', async () => {
    const source = open(node.url);
    expect(await source.check?.(never)).toEqual([expect.objectContaining({ status: 'ok', code: 'reachable' })]);
    await source.close();
  });
});
