import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DocumentStore, ELASTIC } from '../../../test/support/document-store.ts';
import { startFaultServer, type FaultServer } from '../../../test/support/fault-server.ts';
import { systemClock } from '../../clock.ts';
import { CodedError } from '../../errors.ts';
import { createHttpClient, type HttpClient } from '../../net/client.ts';
import type { MetricSource, SourceAnswer, SourceQuery, SourceSearch } from '../port.ts';
import type { ElasticsearchSource } from './schema.ts';
import { createElasticsearchSource } from './source.ts';

const START = Date.parse('2026-01-15T10:00:00.000Z');
const SECOND = 1_000;
const never = new AbortController().signal;
let far: FaultServer;
let store: DocumentStore;
let http: HttpClient;
let files: Record<string, string>;
const opened: MetricSource[] = [];

beforeEach(async () => {
  far = await startFaultServer();
  store = new DocumentStore();
  store.add('logs-shop', []);
  store.serve(far);
  http = createHttpClient();
  files = {};
});
afterEach(async () => {
  for (const source of opened.splice(0)) await source.close();
  await http.close();
  await far.close();
});

function open(more: Partial<ElasticsearchSource> = {}): MetricSource {
  const readSecret = (file: string) => {
    const secret = files[file];
    return secret === undefined
      ? Promise.reject(new CodedError('secret_unreadable', `cannot read ${file}`, { retryable: true }))
      : Promise.resolve(secret);
  };
  const source = createElasticsearchSource(
    'logs',
    { type: 'elasticsearch', url: far.url, ...more },
    { http, clock: systemClock, readSecret },
  );
  opened.push(source);
  return source;
}

function ask(id: string, more: Partial<SourceSearch> = {}, labels: Record<string, string> = {}): SourceQuery {
  const search: SourceSearch = {
    index: 'logs-shop',
    timeField: '@timestamp',
    filter: null,
    measure: { kind: 'documents' },
    ...more,
  };
  return { id, shape: 'counter', text: '', finished: false, labels, aggregate: 'avg', search };
}

async function once(source: MetricSource, queries: SourceQuery[], window = { from: START, to: START + 60 * SECOND }) {
  const reading = await source.read(queries, window, undefined, new AbortController().signal);
  return Object.fromEntries(reading.answers);
}
const count = (answer: SourceAnswer | undefined) => (answer?.kind === 'count' ? answer.value : null);

describe('windows and late documents', () => {
  /** Every second a document happens, and is found 7 seconds later. */
  function logs(until: number): void {
    store.indices.set('logs-shop', []);
    const documents = Array.from({ length: 600 }, (_, at) => ({ '@timestamp': START - 60 * SECOND + at * SECOND }));
    store.add(
      'logs-shop',
      documents.filter((document) => document['@timestamp'] + 7 * SECOND <= until),
    );
  }

  it('lose nothing and count nothing twice, and nothing from before the analysis', async () => {
    const source = open({ delay: '10s' });
    let cursor = (await source.read([ask('total')], { from: START, to: START }, undefined, never)).cursor;
    expect(far.requests).toHaveLength(0);
    const windows: { from: number; to: number }[] = [];
    store.onWindow = (window) => windows.push(window);
    let sum = 0;
    let last = START;
    for (const seconds of [30, 60, 75, 76, 240]) {
      const to = START + seconds * SECOND;
      logs(to);
      const reading = await source.read([ask('total')], { from: last, to }, JSON.parse(JSON.stringify(cursor)), never);
      cursor = reading.cursor;
      sum += count(reading.answers.get('total')) ?? NaN;
      last = to;
    }
    expect(sum).toBe(230);
    expect(windows[0]).toEqual({ from: START, to: START + 20 * SECOND });
    expect(windows.slice(1).map(({ from }) => from)).toEqual(windows.slice(0, -1).map(({ to }) => to));
  });

  it('keep the delay that an analysis began with, so that a reload opens no gap', async () => {
    const { cursor } = await open({ delay: '10s' }).read([], { from: START, to: START }, undefined, never);
    const windows: { from: number; to: number }[] = [];
    store.onWindow = (window) => windows.push(window);
    await open({ delay: '30s' }).read([ask('total')], { from: START + 60 * SECOND, to: START + 120 * SECOND }, cursor, never);
    expect(windows).toEqual([{ from: START + 50 * SECOND, to: START + 110 * SECOND }]);
  });

  it('say nothing as long as nothing of the window can be found', async () => {
    const source = open({ delay: '10s' });
    const { cursor } = await source.read([ask('total')], { from: START, to: START }, undefined, never);
    const reading = await source.read([ask('total')], { from: START, to: START + 5 * SECOND }, cursor, never);
    expect(reading.answers.get('total')).toMatchObject({ kind: 'missing', code: 'priming' });
    expect(far.requests).toHaveLength(0);
  });

  it('of the past are answered with and without a cursor, in any order', async () => {
    const source = open({ delay: '10s' });
    const { cursor } = await source.read([], { from: START, to: START }, undefined, never);
    logs(START + 600 * SECOND);
    const before = { from: START - 40 * SECOND, to: START - 20 * SECOND };
    const query = [ask('total')];
    const asked = await Promise.all([
      source.read(query, { from: START + 60 * SECOND, to: START + 90 * SECOND }, cursor, never),
      source.read(query, before, cursor, never),
      source.read(query, before, undefined, never),
    ]);
    expect(asked.map(({ answers }) => count(answers.get('total')))).toEqual([30, 20, 20]);
  });
});

describe('the questions of one look', () => {
  const sides = { canary: { track: 'canary' }, baseline: { track: 'stable' } };
  const failed: SourceSearch['filter'] = { range: { status: { gte: 500 } } };

  it('are one call and one search for both sides, and their values are only values', async () => {
    store.add('logs-shop', [
      { '@timestamp': START, 'kubernetes.labels.track': 'canary', status: 500 },
      { '@timestamp': START, 'kubernetes.labels.track': 'canary', status: 200 },
      { '@timestamp': START, 'kubernetes.labels.track': 'stable', status: 200 },
    ]);
    const source = open({ delay: '1ms', labels: { track: 'kubernetes.labels.track' } });
    const queries = Object.entries(sides).flatMap(([side, labels]) => [
      ask(`${side} total`, {}, labels),
      ask(`${side} total again`, {}, labels),
      ask(`${side} events`, { filter: failed }, labels),
    ]);
    const window = { from: START, to: START + SECOND };
    expect(await once(source, queries, window)).toEqual({
      'canary total': { kind: 'count', value: 2 },
      'canary total again': { kind: 'count', value: 2 },
      'canary events': { kind: 'count', value: 1 },
      'baseline total': { kind: 'count', value: 1 },
      'baseline total again': { kind: 'count', value: 1 },
      'baseline events': { kind: 'count', value: 0 },
    });
    expect(far.requests).toHaveLength(1);
    expect(store.searches).toBe(1);
    const [header, body] = (far.requests[0]?.body ?? '')
      .split('\n')
      .map((line) => (line === '' ? null : (JSON.parse(line) as unknown)));
    expect(header).toEqual({ index: 'logs-shop', allow_partial_search_results: false });
    expect(body).toMatchObject({
      size: 0,
      aggs: { q0: { filter: { bool: { filter: [{ term: { 'kubernetes.labels.track': { value: 'canary' } } }] } } } },
    });
    expect(Object.keys((body as { aggs: object }).aggs)).toHaveLength(4);
  });

  it('are asked once by everybody who asks the same of the same window', async () => {
    const source = open({ delay: '1ms' });
    const window = { from: START, to: START + SECOND };
    const names = Array.from({ length: 1_000 }, (_, at) => `analysis ${at}`);
    const readings = await Promise.all(names.map((name) => once(source, [ask(name)], window)));
    expect(readings.map((answers, at) => count(answers[names[at] ?? '']))).toEqual(names.map(() => 0));
    expect(far.requests).toHaveLength(1);
    await once(source, [ask('later')], { from: START + SECOND, to: START + 2 * SECOND });
    expect(far.requests).toHaveLength(2);
  });

  it('of different indices are one call with a search each', async () => {
    store.add('logs-cart', [{ '@timestamp': START }]);
    const answers = await once(open({ delay: '1ms' }), [
      ask('shop'),
      ask('cart', { index: 'logs-cart' }),
      ask('gone', { index: 'logs-gone' }),
    ]);
    expect(answers).toMatchObject({ shop: { value: 0 }, cart: { value: 1 }, gone: { kind: 'missing', code: 'index_unknown' } });
    expect(far.requests).toHaveLength(1);
  });

  it('are answered but for the one that Elasticsearch refuses', async () => {
    const wrong: SourceSearch['filter'] = { trem: { a: 'b' } };
    const queries = [ask('a'), ask('b', { filter: failed }), ask('wrong', { filter: wrong }), ask('c', { index: 'logs-*' })];
    const answers = await once(open({ delay: '1ms' }), queries);
    expect(answers).toMatchObject({
      a: { kind: 'count' },
      b: { kind: 'count' },
      wrong: { kind: 'missing', code: 'query_refused', sentence: expect.stringContaining('trem') },
      c: { kind: 'count' },
    });
  });

  it('that are no searches are refused by name, without a call', async () => {
    const selector: SourceQuery = { id: 'a', shape: 'counter', text: 'up', finished: false, labels: {}, aggregate: 'avg' };
    expect(await once(open(), [selector])).toMatchObject({ a: { kind: 'missing', code: 'query_unsupported' } });
    expect(far.requests).toHaveLength(0);
  });
});

describe('a far side that is not well', () => {
  const window = { from: START, to: START + SECOND };

  it('is asked again at once when it is busy, and then believed', async () => {
    let calls = 0;
    far.on('/_msearch', (request) => {
      calls += 1;
      return calls < 3 ? { kind: 'answer', status: 429, headers: ELASTIC, body: '{}' } : store.answer(request);
    });
    expect(await once(open({ delay: '1ms' }), [ask('total')], window)).toEqual({ total: { kind: 'count', value: 0 } });
  });

  it('that is busy with one search of several is asked that one again', async () => {
    const bodies: string[] = [];
    far.on('/_msearch', (request) => {
      bodies.push(request.body);
      if (bodies.length > 1) return store.answer(request);
      const busy = { error: { type: 'es_rejected_execution_exception', reason: 'queue is full' }, status: 429 };
      const [good] = (JSON.parse((store.answer(request) as { body: string }).body) as { responses: unknown[] }).responses;
      return { kind: 'answer', headers: ELASTIC, body: JSON.stringify({ took: 1, responses: [good, busy] }) };
    });
    store.add('logs-cart', [{ '@timestamp': START }]);
    const answers = await once(open({ delay: '1ms' }), [ask('shop'), ask('cart', { index: 'logs-cart' })]);
    expect(answers).toMatchObject({ shop: { value: 0 }, cart: { value: 1 } });
    expect(bodies.map((body) => body.split('\n').filter(Boolean).length)).toEqual([4, 2]);
  });

  it.each([
    [
      'no product header',
      { kind: 'answer', headers: { 'content-type': 'application/json' }, body: '{"responses":[]}' },
      'product_unsupported',
    ],
    ['fewer responses than searches', { kind: 'answer', headers: ELASTIC, body: '{"took":1,"responses":[]}' }, 'answer_invalid'],
    ['JSON that ends too soon', { kind: 'answer', headers: ELASTIC, body: '{"took":1,"responses":[{"took"' }, 'answer_invalid'],
    ['a list instead of an object', { kind: 'answer', headers: ELASTIC, body: '[]' }, 'answer_invalid'],
    [
      'a prototype in disguise',
      { kind: 'answer', headers: ELASTIC, body: '{"responses":[{"__proto__":{"a":1}}]}' },
      'answer_invalid',
    ],
    [
      'a redirect',
      { kind: 'answer', status: 302, headers: { ...ELASTIC, location: 'http://169.254.169.254/' }, body: '' },
      'answer_invalid',
    ],
    [
      'a page of a proxy',
      { kind: 'answer', status: 401, headers: { 'content-type': 'text/html' }, body: '<html>' },
      'source_unauthorized',
    ],
  ] as const)('with %s says nothing', async (_, behaviour, code) => {
    far.on('/_msearch', behaviour);
    const answers = await once(open({ delay: '1ms' }), [ask('total')], window);
    expect(answers['total']).toMatchObject({ kind: 'missing', sentence: expect.stringMatching(/.{20}/) });
    if (code !== 'answer_invalid') expect(answers['total']).toMatchObject({ code });
  });

  it('is asked again as soon as it is well', async () => {
    const source = open({ delay: '1ms', timeout: '1s' });
    far.on('/_msearch', { kind: 'answer', status: 503, headers: ELASTIC, body: '{}' });
    for (let at = 0; at < 3; at += 1) {
      const faulty = { from: START + at * SECOND, to: START + (at + 1) * SECOND };
      expect(await once(source, [ask('total')], faulty)).toMatchObject({ total: { kind: 'missing', code: 'source_failed' } });
    }
    store.serve(far);
    expect(await once(source, [ask('total')], window)).toEqual({ total: { kind: 'count', value: 0 } });
  });
});

describe('credentials', () => {
  const window = { from: START, to: START + SECOND };
  const sent = () => far.requests.at(-1)?.headers.authorization;

  it.each<[Partial<ElasticsearchSource>, string]>([
    [{ apiKeyFile: 'secret' }, 'ApiKey s3cr3t=='],
    [{ tokenFile: 'secret' }, 'Bearer s3cr3t=='],
    [{ username: 'davylamp', passwordFile: 'secret' }, `Basic ${Buffer.from('davylamp:s3cr3t==').toString('base64')}`],
  ])('of %j are sent as they should', async (config, expected) => {
    files['secret'] = 's3cr3t==';
    await once(open(config), [ask('total')], window);
    expect(sent()).toBe(expected);
  });

  it('are read anew, so that a rotated one is taken up, and are missing when their file is', async () => {
    const source = open({ apiKeyFile: 'secret', headers: { 'X-Tenant': { file: 'tenant' } } });
    files = { secret: 'one', tenant: 'shop' };
    await once(source, [ask('total')], window);
    files['secret'] = 'two';
    await once(source, [ask('total')], { from: START + SECOND, to: START + 2 * SECOND });
    expect(far.requests.map(({ headers }) => [headers.authorization, headers['x-tenant']])).toEqual([
      ['ApiKey one', 'shop'],
      ['ApiKey two', 'shop'],
    ]);
    files = {};
    expect(await once(source, [ask('total')], { from: START + 2 * SECOND, to: START + 3 * SECOND })).toMatchObject({
      total: { kind: 'missing', code: 'secret_unreadable' },
    });
  });

  it('that no header can carry are not quoted', async () => {
    files['secret'] = 's3cr3t\nsecond line';
    const answers = await once(open({ tokenFile: 'secret' }), [ask('total')], window);
    expect(answers['total']).toMatchObject({
      kind: 'missing',
      code: 'source_invalid',
      sentence: expect.not.stringContaining('s3cr3t'),
    });
  });

  it('of two kinds, or half of one, are refused', () => {
    expect(() => open({ apiKeyFile: 'a', tokenFile: 'b' })).toThrow(expect.objectContaining({ code: 'source_invalid' }));
    expect(() => open({ username: 'a' })).toThrow(expect.objectContaining({ code: 'source_invalid' }));
  });
});

describe('the examination', () => {
  it('finds what is well', async () => {
    expect(await open().check?.(never)).toEqual([expect.objectContaining({ status: 'ok', code: 'reachable' })]);
  });

  it('finds a credential that is refused', async () => {
    far.on('/_msearch', { kind: 'answer', status: 401, headers: ELASTIC, body: '{"error":{"type":"security_exception"}}' });
    expect(await open().check?.(never)).toEqual([expect.objectContaining({ status: 'fail', code: 'source_unauthorized' })]);
  });
});
