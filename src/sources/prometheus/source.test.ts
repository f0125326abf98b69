import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startFaultServer, type FaultServer } from '../../../test/support/fault-server.ts';
import { PrometheusStore, jsonAnswer, type StoredSample } from '../../../test/support/prometheus-store.ts';
import { systemClock } from '../../clock.ts';
import { createHttpClient, type HttpClient } from '../../net/client.ts';
import type { MetricSource, SourceAnswer, SourceQuery } from '../port.ts';
import type { PrometheusSource } from './schema.ts';
import { createPrometheusSource } from './source.ts';

const PATH = '/api/v1/query';
const TICK_MS = 60_000;
const never = new AbortController().signal;
let far: FaultServer;
let store: PrometheusStore;
let http: HttpClient;
let secrets: Record<string, string>;
const opened: MetricSource[] = [];

beforeEach(async () => {
  far = await startFaultServer();
  store = new PrometheusStore();
  http = createHttpClient();
  secrets = {};
  far.on(PATH, (request) => store.answer(request));
});
afterEach(async () => {
  for (const source of opened.splice(0)) await source.close();
  await http.close();
  await far.close();
});

function open(changes: Partial<PrometheusSource> = {}): MetricSource {
  const readSecret = (file: string) => Promise.resolve(secrets[file] ?? '');
  const source = createPrometheusSource(
    'prom',
    { type: 'prometheus', url: far.url, timeout: '5s', ...changes },
    { http, readSecret, clock: systemClock },
  );
  opened.push(source);
  return source;
}

function ask(text: string, changes: Partial<SourceQuery> = {}): SourceQuery {
  return { id: text, shape: 'counter', text, finished: false, labels: {}, aggregate: 'avg', ...changes };
}

function sides(text: string, changes: Partial<SourceQuery> = {}): SourceQuery[] {
  return [
    ask(text, { ...changes, id: 'canary', labels: { track: 'canary' } }),
    ask(text, { ...changes, id: 'baseline', labels: { track: 'stable' } }),
  ];
}

const T0 = 1_800_000_000_000;

/** Reads ticks of a minute one after the other. */
function ticking(source: MetricSource, queries: readonly SourceQuery[]) {
  let from = T0;
  let cursor: unknown;
  return async (length = TICK_MS): Promise<SourceAnswer[]> => {
    const window = cursor === undefined ? { from, to: from } : { from, to: from + length };
    const reading = await source.read(queries, window, cursor, never);
    from = window.to;
    cursor = JSON.parse(JSON.stringify(reading.cursor)) as unknown;
    return queries.map(({ id }) => reading.answers.get(id) ?? { kind: 'missing', code: 'none', sentence: 'no answer' });
  };
}

function counter(value: number, labels: Record<string, string> = {}): StoredSample {
  return { name: 'x_total', labels: { instance: 'a:1', job: 'shop', ...labels }, value };
}
const count = (value: number, series = 1) => ({ kind: 'count', value, series });

function native(samples: readonly (readonly [at: number, count: number, buckets: readonly (readonly [number, number])[]])[]) {
  const histograms = samples.map(([at, total, buckets]) => [
    at / 1_000,
    {
      count: String(total),
      sum: '1',
      buckets: buckets.map(([upper, inside]) => [0, String(upper / 2), String(upper), String(inside)]),
    },
  ]);
  const result = [{ metric: { __name__: 'rpc_seconds', instance: 'a:1' }, histograms }];
  far.on(PATH, jsonAnswer(200, { status: 'success', data: { resultType: 'matrix', result } }));
}

describe('counters', () => {
  it('count every sample once, whatever the moments of scrapes and ticks are', async () => {
    const read = ticking(open(), [ask('x_total')]);
    let value = 0;
    let sum = 0;
    for (let at = T0 - 300_000; at < T0 + 20 * TICK_MS; at += 17_300) store.append([counter((value += 7))], at);
    await read();
    for (let tick = 0; tick < 20; tick++) {
      const [answer] = await read();
      if (answer?.kind === 'count') sum += answer.value;
    }
    const [before = 0, after = 0] = [T0, T0 + 20 * TICK_MS].map((time) => Math.floor((time - (T0 - 300_000)) / 17_300) * 7 + 7);
    expect(sum).toBe(after - before);
  });

  it('count a sample in the next tick that shows up only after the tick of its time', async () => {
    const read = ticking(open(), [ask('x_total')]);
    store.append([counter(100)], T0 - 10_000);
    await read();
    store.append([counter(110)], T0 + 45_000);
    expect(await read()).toEqual([count(10)]);
    // Scraped before the end of the first window, stored after it was read.
    store.append([counter(125), counter(4, { code: '500' })], T0 + TICK_MS - 50);
    store.append([counter(126), counter(5, { code: '500' })], T0 + TICK_MS + 30_000);
    expect(await read()).toEqual([count(16 + 5, 2)]);
  });

  it('of a target that nothing was known of count from their first sample, which may hold a long past', async () => {
    const read = ticking(open(), [ask('x_total')]);
    store.append([counter(100)], T0 - 10_000);
    await read();
    store.append([counter(101), counter(5_000_000, { instance: 'b:1' })], T0 + 10_000);
    expect(await read()).toEqual([count(1)]);
    store.append([counter(101), counter(5_000_003, { instance: 'b:1' })], T0 + TICK_MS + 10_000);
    expect(await read()).toEqual([count(3, 2)]);
  });

  it('of errors are born with the first error also where only another query knows their target', async () => {
    const read = ticking(open(), [ask('x_total{code="200"}'), ask('x_total{code="500"}')]);
    store.append([counter(100, { code: '200' })], T0 - 10_000);
    await read();
    store.append([counter(110, { code: '200' }), counter(3, { code: '500' })], T0 + 10_000);
    expect(await read()).toEqual([count(10), count(3)]);
  });

  it('that were not scraped for long are not taken for new when they come back', async () => {
    const read = ticking(open(), [ask('x_total')]);
    store.append([counter(1_000_000), counter(5, { instance: 'b:1' })], T0 - 10_000);
    await read();
    for (let tick = 0; tick < 10; tick++) {
      store.append([counter(6 + tick, { instance: 'b:1' })], T0 + tick * TICK_MS + 5_000);
      expect(await read()).toEqual([count(1)]);
    }
    store.append([counter(1_000_100), counter(16, { instance: 'b:1' })], T0 + 10 * TICK_MS + 5_000);
    expect(await read()).toEqual([count(1)]);
  });

  it('get a label in the middle of their life and do not count it again', async () => {
    const read = ticking(open(), [ask('x_total')]);
    for (let at = T0 - 300_000, n = 0; at < T0 + 5 * TICK_MS; at += 15_000, n++) {
      store.append([counter(1_000_000 + n * 25, at < T0 + 2 * TICK_MS ? {} : { rack: 'b' })], at);
    }
    const counts: unknown[] = [];
    for (let tick = 0; tick < 6; tick++) counts.push(...(await read()));
    // The samples on both sides of the change cannot be compared.
    expect(counts.slice(1)).toEqual([count(100), count(75), count(100), count(100), count(75)]);
  });

  it('that were gone for longer than the lookback are not new when they come back, unless their process is', async () => {
    const read = ticking(open(), [ask('x_total'), ask('e_total')]);
    const scrape = (tick: number, all: number, errors: number | null) =>
      store.append(
        [counter(all), ...(errors === null ? [] : [{ ...counter(errors), name: 'e_total' }])],
        T0 + tick * TICK_MS + 5_000,
      );
    scrape(-1, 1_000, 5_000);
    await read();
    for (let tick = 0; tick < 9; tick++) {
      scrape(tick, 1_010 + 10 * tick, null);
      await read();
    }
    scrape(9, 2_000, 5_060);
    expect(await read()).toMatchObject([{ kind: 'count' }, { kind: 'missing', code: 'priming' }]);
    scrape(10, 2_010, 5_061);
    expect(await read()).toEqual([count(10), count(1)]);
    for (let tick = 11; tick < 20; tick++) {
      scrape(tick, tick, null);
      await read();
    }
    scrape(20, 100, 3);
    expect(await read()).toMatchObject([{ kind: 'count' }, count(3)]);
  });

  it('that are counted again after more than an hour do not count what was before', async () => {
    const read = ticking(open(), [ask('x_total')]);
    for (let at = T0 - 300_000; at < T0 + 7_200_000; at += 60_000)
      store.append([counter(1_000_000 + (at - T0) / 60_000)], at + 5_000);
    await read();
    expect(await read()).toEqual([count(1)]);
    far.on(PATH, jsonAnswer(422, { status: 'error', errorType: 'execution', error: 'no' }));
    expect(await read(6_600_000)).toMatchObject([{ kind: 'missing' }]);
    far.on(PATH, (request) => store.answer(request));
    const [answer] = await read();
    expect(answer).toMatchObject({ kind: 'count' });
    if (answer?.kind === 'count') expect(answer.value).toBeLessThan(70);
  });

  it('reset the buckets of one histogram together', async () => {
    const bucket = (le: string, value: number) => ({ name: 'd_bucket', labels: { le, instance: 'a:1' }, value });
    const read = ticking(open(), [ask('d_bucket', { shape: 'buckets' })]);
    store.append([bucket('0.1', 5), bucket('+Inf', 6)], T0 - 10_000);
    await read();
    // A restart whose slow requests have passed the old count already.
    store.append([bucket('0.1', 1), bucket('+Inf', 9)], T0 + 10_000);
    expect(await read()).toEqual([{ kind: 'buckets', bounds: [0.1], counts: [1, 8], series: 1 }]);
  });

  it('are answered without a cursor, for any window of the past', async () => {
    const source = open();
    for (let tick = -5; tick <= 5; tick++) store.append([counter(100 + 10 * tick)], T0 + tick * TICK_MS - 1_000);
    for (const tick of [3, 1, 4]) {
      const window = { from: T0 + tick * TICK_MS, to: T0 + (tick + 1) * TICK_MS };
      const { answers } = await source.read([ask('x_total')], window, undefined, never);
      expect([...answers.values()]).toEqual([count(10)]);
    }
  });

  it('leave out what could not be counted for more than an hour, so that a tick stays small', async () => {
    const read = ticking(open(), [ask('x_total')]);
    await read();
    await read(5 * 3_600_000);
    expect(store.queries).toEqual(['x_total[3900000ms]']);
  });
});

describe('warnings', () => {
  it('say once that copies of series are counted more than once, and not where a replica is something else', async () => {
    for (const at of [T0 - 1_000, T0 + 5_000]) {
      store.append([counter(1, { replica: 'a' }), counter(1, { replica: 'b' })], at);
      store.append([{ name: 'y_total', labels: { replica: 'a', pod: '1' }, value: 1 }], at);
      store.append([{ name: 'y_total', labels: { replica: 'b', pod: '2' }, value: 1 }], at);
    }
    const window = { from: T0, to: T0 + TICK_MS };
    const { warnings } = await open().read([ask('x_total'), ask('x_total', { id: 'again' })], window, undefined, never);
    expect(warnings).toEqual([expect.stringMatching(/differ only in replica are counted more than once/)]);
    expect((await open().read([ask('y_total')], window, undefined, never)).warnings).toEqual([]);
  });
});

describe('native histograms', () => {
  it('become counts on bounds that never change', async () => {
    const read = ticking(open(), [ask('rpc_seconds', { shape: 'buckets' })]);
    await read();
    native([
      [T0 - 5_000, 10, [[1, 10]]],
      [
        T0 + 5_000,
        18,
        [
          [0.5, 3],
          [1, 15],
        ],
      ],
    ]);
    const [answer] = await read();
    if (answer?.kind !== 'buckets') throw new Error(`answered with ${answer?.kind}`);
    expect(answer.bounds.length + 1).toBe(answer.counts.length);
    expect(answer.counts[answer.bounds.indexOf(0.5)]).toBe(3);
    expect(answer.counts[answer.bounds.indexOf(1)]).toBe(5);
    expect(answer.counts.reduce((sum, value) => sum + value, 0)).toBe(8);
  });

  it('that were reset count their new value, and merged buckets are missing once', async () => {
    const read = ticking(open(), [ask('rpc_seconds', { shape: 'buckets' })]);
    await read();
    native([
      [T0 - 5_000, 10, [[1, 10]]],
      [T0 + 5_000, 4, [[1, 4]]],
    ]);
    expect(await read()).toMatchObject([{ kind: 'buckets', series: 1 }]);
    native([
      [T0 + 5_000, 4, [[1, 4]]],
      [T0 + 65_000, 6, [[2, 6]]],
    ]);
    expect(await read()).toMatchObject([{ kind: 'missing', code: 'bounds_changed' }]);
    native([
      [T0 + 65_000, 6, [[2, 6]]],
      [T0 + 125_000, 7, [[2, 7]]],
    ]);
    expect(await read()).toMatchObject([{ kind: 'buckets' }]);
  });

  it('of a recorded answer are counted', async () => {
    const recorded = new URL('../../../test/fixtures/prometheus/query_range-native-histogram-matrix.json', import.meta.url);
    const { body } = JSON.parse(readFileSync(recorded, 'utf8')) as { body: unknown };
    far.on(PATH, jsonAnswer(200, body));
    const window = { from: 1_795_419_650_000, to: 1_795_419_690_000 };
    const { answers } = await open().read(sides('rpc_seconds', { shape: 'buckets' }), window, undefined, never);
    for (const answer of answers.values()) {
      expect(answer).toMatchObject({ kind: 'buckets', series: 1 });
      if (answer.kind === 'buckets') expect(answer.counts.reduce((sum, value) => sum + value, 0)).toBeGreaterThan(0);
    }
  });
});

describe('the two sides', () => {
  const window = { from: T0, to: T0 + TICK_MS };

  it('are asked in one query and told apart by their labels', async () => {
    for (const at of [T0 - 1_000, T0 + 5_000]) {
      const factor = at > T0 ? 2 : 1;
      store.append(
        [counter(10 * factor, { track: 'canary' }), counter(30 * factor, { track: 'stable' }), counter(1, { track: 'other' })],
        at,
      );
    }
    const { answers } = await open().read(
      [...sides('x_total'), ...sides('x_total', { shape: 'gauge' }).map((one) => ({ ...one, id: `${one.id} now` }))],
      window,
      undefined,
      never,
    );
    expect(Object.fromEntries(answers)).toEqual({
      canary: count(10),
      baseline: count(30),
      'canary now': { kind: 'gauge', value: 20, series: 1 },
      'baseline now': { kind: 'gauge', value: 60, series: 1 },
    });
    expect(store.queries.sort()).toEqual(['x_total{track=~"canary|stable"}', 'x_total{track=~"canary|stable"}[360000ms]']);
  });

  it.each([
    ['other label names', { track: 'canary' }, { role: 'stable' }],
    ['a label that must be absent', { track: 'canary' }, { track: '' }],
    ['two labels that differ', { track: 'canary', version: '2' }, { track: 'stable', version: '1' }],
  ])('are asked in two where they have %s', async (_, canary: Record<string, string>, baseline: Record<string, string>) => {
    store.append(
      [
        counter(1, { track: 'canary', version: '2' }),
        counter(2, { role: 'stable' }),
        counter(4, { track: 'stable', version: '1' }),
      ],
      T0 + 1_000,
    );
    const queries = [
      ask('x_total', { id: 'a', shape: 'gauge', labels: canary }),
      ask('x_total', { id: 'b', shape: 'gauge', labels: baseline }),
    ];
    const { answers } = await open().read(queries, window, undefined, never);
    expect(store.queries).toHaveLength(2);
    expect(answers.get('a')).toMatchObject({ kind: 'gauge', value: 1 });
    expect(answers.get('b')).toMatchObject({ kind: 'gauge', value: canary['version'] === undefined ? 2 : 4 });
  });

  it('keep values that look like patterns or queries as they are', async () => {
    const strange = 'a|b"} or up{c="(';
    store.append([counter(1, { track: strange }), counter(9, { track: 'a' })], T0 + 1_000);
    const queries = [
      ask('x_total', { id: 'a', shape: 'gauge', labels: { track: strange } }),
      ask('x_total', { id: 'b', shape: 'gauge', labels: { track: 'zzz' } }),
    ];
    const { answers } = await open().read(queries, window, undefined, never);
    expect(answers.get('a')).toMatchObject({ kind: 'gauge', value: 1 });
    expect(answers.get('b')).toEqual({ kind: 'absent' });
  });

  it('of 1,000 analyses that share 10 queries ask 10', async () => {
    const source = open();
    const queries = Array.from({ length: 10 }, (_, at) =>
      sides(`x_total{part="${at}"}`).map((one) => ({ ...one, id: `${one.id} ${at}` })),
    ).flat();
    store.append([counter(1, { track: 'canary', part: '3' })], T0 - 1_000);
    store.append([counter(5, { track: 'canary', part: '3' })], T0 + 1_000);
    const readings = await Promise.all(Array.from({ length: 1_000 }, () => source.read(queries, window, undefined, never)));
    expect(far.requests).toHaveLength(10);
    for (const { answers } of readings) expect(answers.get('canary 3')).toEqual(count(4));
  });
});

describe('finished queries', () => {
  const window = { from: T0, to: T0 + TICK_MS };
  const vector = (...values: readonly (readonly [Record<string, string>, string])[]) => ({
    status: 'success',
    data: { resultType: 'vector', result: values.map(([metric, value]) => ({ metric, value: [T0 / 1_000, value] })) },
  });

  async function finished(body: unknown, changes: Partial<SourceQuery> = {}): Promise<SourceAnswer | undefined> {
    far.on(PATH, jsonAnswer(200, body));
    const { answers } = await open().read(
      [ask('sum(up)', { finished: true, shape: 'gauge', ...changes })],
      window,
      undefined,
      never,
    );
    return answers.get('sum(up)');
  }

  it.each([
    ['a scalar', { status: 'success', data: { resultType: 'scalar', result: [1, '0.17'] } }, { kind: 'gauge', value: 0.17 }],
    ['a vector of one', vector([{}, '2']), { kind: 'gauge', value: 2 }],
    ['an empty vector', vector(), { kind: 'absent' }],
    ['NaN', vector([{}, 'NaN']), { kind: 'missing', code: 'not_a_number' }],
    ['infinity', vector([{}, '+Inf']), { kind: 'missing', code: 'not_a_number' }],
    ['several series', vector([{ a: '1' }, '1'], [{ a: '2' }, '2']), { kind: 'missing', code: 'several_series' }],
    [
      'a text',
      { status: 'success', data: { resultType: 'string', result: [1, 'text'] } },
      { kind: 'missing', code: 'result_unsupported' },
    ],
    [
      'a matrix',
      { status: 'success', data: { resultType: 'matrix', result: [] } },
      { kind: 'missing', code: 'result_unsupported' },
    ],
    [
      'an error with status 200',
      { status: 'error', errorType: 'bad_data', error: 'no' },
      { kind: 'missing', code: 'query_refused' },
    ],
  ])('that yield %s are answered accordingly', async (_, body, expected) => {
    expect(await finished(body)).toMatchObject(expected);
  });

  it('are counts and buckets where those are asked for', async () => {
    expect(await finished(vector([{}, '12.5']), { shape: 'counter' })).toEqual({ kind: 'count', value: 12.5 });
    expect(await finished(vector([{}, '-1']), { shape: 'counter' })).toMatchObject({ kind: 'missing' });
    const buckets = vector([{ le: '0.1' }, '3'], [{ le: '+Inf' }, '5']);
    expect(await finished(buckets, { shape: 'buckets' })).toEqual({ kind: 'buckets', bounds: [0.1], counts: [3, 2], series: 1 });
    expect(await finished(vector([{}, '3']), { shape: 'buckets' })).toMatchObject({ kind: 'missing', code: 'not_buckets' });
  });

  it('get the window, and the conditions of their side in every selector', async () => {
    const queries: string[] = [];
    far.on(PATH, (request) => {
      queries.push(new URLSearchParams(request.body).get('query') ?? '');
      return jsonAnswer(200, vector([{}, '1']));
    });
    const texts = [
      'sum(increase(a{code=~"5.."}[$__range])) / sum(increase(b[$__range_s:1s] offset 5m))',
      'sum(a{$__side,code="$__side"}) / sum(b)',
      'sum(a{track="all"}) / sum({__name__="b"}) # $__side',
    ];
    const asked = texts.map((text) => ask(text, { finished: true, shape: 'gauge', labels: { track: 'can"ary' } }));
    await open().read(asked, window, undefined, never);
    expect(queries.sort()).toEqual([
      'sum(a{track="all"}) / sum({track="can\\"ary",__name__="b"})  ',
      'sum(a{track="can\\"ary",code="$__side"}) / sum(b)',
      'sum(increase(a{track="can\\"ary",code=~"5.."}[60000ms])) / sum(increase(b{track="can\\"ary"}[60:1s] offset 5m))',
    ]);
  });

  it('of counters ask for all the time since the last answer', async () => {
    const ranges: string[] = [];
    let well = true;
    far.on(PATH, (request) => {
      ranges.push(/\[([0-9]+ms)\]/.exec(decodeURIComponent(request.body))?.[1] ?? '');
      return well
        ? jsonAnswer(200, vector([{}, '3']))
        : jsonAnswer(422, { status: 'error', errorType: 'execution', error: 'no' });
    });
    const read = ticking(open(), [ask('sum(increase(a[$__range]))', { finished: true })]);
    expect(await read()).toMatchObject([{ kind: 'missing', code: 'priming' }]);
    expect(await read()).toEqual([{ kind: 'count', value: 3 }]);
    well = false;
    await read();
    well = true;
    expect(await read()).toEqual([{ kind: 'count', value: 3 }]);
    expect(ranges).toEqual(['60000ms', '60000ms', '120000ms']);
  });
});

describe('the way to Prometheus', () => {
  const gauge = [ask('up', { shape: 'gauge' })];
  const window = { from: T0, to: T0 + TICK_MS };
  const read = async (source: MetricSource) => (await source.read(gauge, window, undefined, never)).answers.get('up');
  const well = jsonAnswer(200, { status: 'success', data: { resultType: 'vector', result: [{ metric: {}, value: [1, '1'] }] } });

  it('sends a form with credentials, headers and tenant, read at every use', async () => {
    far.on(`/mimir${PATH}`, well);
    secrets = { token: 'one\n', key: 'k1' };
    const source = open({
      url: `${far.url}/mimir/?a=b`,
      credentials: { tokenFile: 'token' },
      headers: { 'X-Api-Key': { file: 'key' } },
      tenant: 'team-a',
    });
    await read(source);
    const [request] = far.requests;
    expect(request).toMatchObject({
      method: 'POST',
      path: `/mimir${PATH}?a=b`,
      headers: {
        authorization: 'Bearer one',
        'x-api-key': 'k1',
        'x-scope-orgid': 'team-a',
        'content-type': 'application/x-www-form-urlencoded',
      },
    });
    expect(Object.fromEntries(new URLSearchParams(request?.body))).toEqual({
      query: 'up',
      time: '1800000060.000',
      timeout: '5000ms',
      partial_response: 'false',
    });
  });

  it('sends basic credentials', async () => {
    far.on(PATH, well);
    secrets = { pass: 'grün' };
    await read(open({ credentials: { username: 'me', passwordFile: 'pass' } }));
    expect(far.requests[0]?.headers.authorization).toBe(`Basic ${Buffer.from('me:grün').toString('base64')}`);
  });

  it('takes a token that was replaced at once, and does not try the same one again', async () => {
    secrets = { token: 'old' };
    far.on(PATH, ({ headers }) => {
      if (headers.authorization === 'Bearer new') return well;
      secrets = { token: 'new' };
      return jsonAnswer(401, {});
    });
    expect(await read(open({ credentials: { tokenFile: 'token' } }))).toMatchObject({ kind: 'gauge' });
    far.on(PATH, jsonAnswer(401, {}));
    const before = far.requests.length;
    expect(await read(open({ credentials: { tokenFile: 'token' } }))).toMatchObject({
      kind: 'missing',
      code: 'source_unauthorized',
    });
    expect(far.requests.length - before).toBe(1);
  });

  it('asks by GET from then on where POST is not allowed', async () => {
    far.on(PATH, (request) => (request.method === 'POST' ? jsonAnswer(405, {}) : well));
    const source = open();
    expect(await read(source)).toMatchObject({ kind: 'gauge' });
    await source.read([ask('down', { shape: 'gauge' })], window, undefined, never);
    expect(far.requests.map(({ method }) => method)).toEqual(['POST', 'GET', 'GET']);
  });

  it.each([503, 429])('tries again after %d', async (status) => {
    let tries = 0;
    far.on(PATH, () => (++tries < 3 ? jsonAnswer(status, {}) : well));
    expect(await read(open())).toMatchObject({ kind: 'gauge', value: 1 });
    expect(tries).toBe(3);
  });

  it.each([400, 422, 500, 404])(
    'does not try again after %d, and says what was explained without label values',
    async (status) => {
      far.on(PATH, jsonAnswer(status, { status: 'error', errorType: 'execution', error: 'duplicate series {user="s3cr3t"}' }));
      const answer = await read(open());
      expect(answer).toMatchObject({ kind: 'missing', code: status === 400 || status === 422 ? 'query_refused' : 'http_status' });
      if (answer?.kind === 'missing' && status === 422) expect(answer.sentence).toContain('duplicate series {...}');
      expect(JSON.stringify(answer)).not.toContain('s3cr3t');
      expect(far.requests).toHaveLength(1);
    },
  );

  it('does not wait longer for a busy server than its time allows', async () => {
    far.on(PATH, {
      kind: 'answer',
      status: 503,
      headers: { 'content-type': 'application/json', 'retry-after': '60' },
      body: '{}',
    });
    expect(await read(open())).toMatchObject({ kind: 'missing', code: 'http_status' });
    expect(far.requests).toHaveLength(1);
  });

  it.each([
    ['warnings', { warnings: ['No StoreAPIs matched: store-1: context deadline exceeded'] }],
    ['isPartial', { isPartial: true }],
  ])('never takes what is missing from a partial answer (%s) for 0, and counts it later', async (_, partial) => {
    let whole = true;
    const grow = (at: number) =>
      store.append([counter(at / 1_000, { code: '200' }), counter(5_000 + at / 10_000, { code: '500' })], at);
    for (let at = T0 - 300_000; at < T0 + 4 * TICK_MS; at += 10_000) grow(at);
    far.on(PATH, (request) => {
      const query = new URLSearchParams(request.body).get('query') ?? '';
      if (whole || !query.includes('500')) return store.answer(request);
      return jsonAnswer(200, { status: 'success', ...partial, data: { resultType: 'matrix', result: [] } });
    });
    const read = ticking(open(), [
      ask('x_total{code="200"}'),
      ask('x_total{code="500"}'),
      ask('x_total{code="500"} ', { shape: 'gauge' }),
    ]);
    await read();
    expect(await read()).toMatchObject([count(60), count(6), { kind: 'gauge' }]);
    whole = false;
    const missing = { kind: 'missing', code: 'partial_answer' };
    expect(await read()).toMatchObject([count(60), missing, missing]);
    whole = true;
    expect(await read()).toMatchObject([count(60), count(12), { kind: 'gauge' }]);
  });

  it('keeps warnings and infos', async () => {
    far.on(
      PATH,
      jsonAnswer(200, {
        status: 'success',
        warnings: ['partial'],
        infos: ['not a counter'],
        data: { resultType: 'vector', result: [] },
      }),
    );
    expect((await open().read(gauge, window, undefined, never)).warnings).toEqual(['partial', 'not a counter']);
  });

  it.each<[Partial<PrometheusSource>, RegExp]>([
    [{ url: 'http://me:s3cr3t@prom:9090' }, /^(?!.*s3cr3t).*user name or password/],
    [{ tls: { certFile: 'cert' } }, /certFile and keyFile/],
    [{ headers: { Authorization: { file: 'file' } } }, /use credentials/],
  ])('refuses the configuration %j', (changes, message) => {
    expect(() => open(changes)).toThrow(
      expect.objectContaining({ code: 'source_invalid', message: expect.stringMatching(message) }),
    );
  });
});
