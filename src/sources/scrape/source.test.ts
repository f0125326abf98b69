import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  describeMetricSource,
  type FarSeries,
  type Side,
  type SourceFault,
  type SourceHarness,
} from '../../../test/conformance/source.ts';
import { refusingAddress, startFaultServer, type Behaviour, type FaultServer } from '../../../test/support/fault-server.ts';
import { createHttpClient, type HttpClient } from '../../net/client.ts';
import type { MetricSource, SourceAnswer, SourceQuery } from '../port.ts';
import type { ScrapeSource } from './schema.ts';
import { createScrapeSource } from './source.ts';

const TEXT = { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' };
const OPENMETRICS = { 'content-type': 'application/openmetrics-text; version=1.0.0; charset=utf-8' };
const TIMEOUT_MS = 2_000;

function render(series: readonly FarSeries[]): string {
  return series
    .map(({ name, labels = {}, value }) => {
      const pairs = Object.entries(labels).map(([label, text]) => `${label}="${text}"`);
      const number = value === Infinity ? '+Inf' : String(value);
      return `${name}{${pairs.join(',')}} ${number}\n`;
    })
    .join('');
}

function faultOf(fault: Exclude<SourceFault, 'refuse'>, headers: Record<string, string>): Behaviour {
  switch (fault) {
    case '401':
    case '429':
    case '500':
    case '503':
      return { kind: 'answer', status: Number(fault), headers, body: 'requests_total{service="shop",code="200"} 1\n' };
    case 'hang':
      return { kind: 'hang' };
    case 'nothing':
      return { kind: 'answer', headers, body: '' };
    case 'drop':
      return { kind: 'drop' };
    case 'truncated':
      return { kind: 'cut', headers, framed: false, body: 'requests_total{service="shop",code="200"} 1000005\n', afterBytes: 45 };
    case 'wrong type':
      return { kind: 'answer', headers: { 'content-type': 'text/html' }, body: '<html>Sign in, s3cr3t</html>' };
    case 'not understood':
      return { kind: 'answer', headers, body: '<html>Sign in, s3cr3t</html>\n# EOF\n' };
    case 'huge':
      return { kind: 'huge', headers, bytes: 50_000_000 };
  }
}

function harness(headers: Record<string, string>, ending: string): () => Promise<SourceHarness> {
  return async () => {
    const far: Record<Side, FaultServer> = { canary: await startFaultServer(), baseline: await startFaultServer() };
    const http = createHttpClient();
    const query = '?token=s3cr3t';
    const dead = await refusingAddress();
    let seen = 0;
    const labels = { canary: { track: 'canary' }, baseline: { track: 'stable' } };
    // A port that was closed cannot be opened again for sure, so `refuse` is an address where nothing listens.
    let refused = false;
    const through: HttpClient = {
      request: (request, signal) => http.request(refused ? { ...request, url: `${dead}/metrics${query}` } : request, signal),
      close: () => http.close(),
    };
    const open = () =>
      createScrapeSource(
        {
          type: 'scrape',
          timeout: `${TIMEOUT_MS}ms`,
          maxBytes: 1_000_000,
          targets: (['canary', 'baseline'] as const).map((side) => ({
            url: `${far[side].url}/metrics${query}`,
            labels: labels[side],
          })),
        },
        { http: through },
      );
    const each = (act: (server: FaultServer, side: Side) => void) => {
      seen = far.canary.requests.length;
      for (const side of ['canary', 'baseline'] as const) act(far[side], side);
    };
    return {
      source: open(),
      labels,
      timeoutMs: TIMEOUT_MS,
      secrets: ['s3cr3t', '/metrics'],
      selector: (name, wanted = {}) =>
        `${name}{${Object.entries(wanted)
          .map(([label, value]) => `${label}="${value}"`)
          .join(',')}}`,
      show(series) {
        refused = false;
        each((server, side) => server.on('/metrics', { kind: 'answer', headers, body: render(series[side]) + ending }));
        return Promise.resolve();
      },
      fail(fault) {
        refused = fault === 'refuse';
        if (fault !== 'refuse') each((server) => server.on('/metrics', faultOf(fault, headers)));
        return Promise.resolve();
      },
      asked: () => far.canary.arrived(seen + 1),
      reopen: () => Promise.resolve(open()),
      async close() {
        await http.close();
        await far.canary.close();
        await far.baseline.close();
      },
    };
  };
}

describeMetricSource('scrape, text 0.0.4', harness(TEXT, ''));
describeMetricSource('scrape, OpenMetrics', harness(OPENMETRICS, '# EOF\n'));

describe('the scrape source', () => {
  let far: FaultServer;
  let http: HttpClient;
  let at: number;
  beforeEach(async () => {
    far = await startFaultServer();
    http = createHttpClient();
    at = 1_800_000_000_000;
  });
  afterEach(async () => {
    await http.close();
    await far.close();
  });

  const never = new AbortController().signal;
  const page = (path: string, body: string, headers: Record<string, string> = TEXT) =>
    far.on(path, { kind: 'answer', headers, body });

  function open(targets: Record<string, Record<string, string>>, more: Partial<ScrapeSource> = {}): MetricSource {
    const list = Object.entries(targets).map(([path, labels]) => ({ url: far.url + path, labels }));
    return createScrapeSource({ type: 'scrape', targets: list, ...more }, { http });
  }

  function ask(text: string, labels: Record<string, string> = {}, shape: SourceQuery['shape'] = 'counter'): SourceQuery {
    return { id: JSON.stringify([text, labels]), shape, text, finished: false, labels, aggregate: 'sum' };
  }

  /** A reader that remembers the cursor and gives the answers in the order of the queries. */
  function reader(source: MetricSource, queries: SourceQuery[]) {
    let cursor: unknown;
    return async (): Promise<{ answers: SourceAnswer[]; warnings: string[]; cursor: unknown }> => {
      const reading = await source.read(queries, { from: at, to: (at += 1_000) }, cursor, never);
      cursor = JSON.parse(JSON.stringify(reading.cursor));
      const answers = queries.flatMap(({ id }) => reading.answers.get(id) ?? []);
      return { answers, warnings: reading.warnings, cursor };
    };
  }

  it('reads each page once a tick, however many queries there are, and prefers OpenMetrics as Prometheus does', async () => {
    page('/a', 'x_total 1\ny_total 1\n');
    const read = reader(open({ '/a': {} }), [
      ask('x_total'),
      ask('y_total'),
      ask('x_total', {}, 'gauge'),
      ask('{__name__=~".+"}'),
    ]);
    await read();
    expect(far.requests).toHaveLength(1);
    expect(far.requests[0]?.headers.accept).toMatch(/^application\/openmetrics-text;version=1\.0\.0,text\/plain/);
  });

  it('does not read pages that no query can need', async () => {
    page('/canary', 'x_total 1\n');
    const read = reader(open({ '/canary': { track: 'canary' }, '/stable': { track: 'stable' } }), [
      ask('x_total', { track: 'canary' }),
    ]);
    await read();
    expect(far.requests.map((request) => request.path)).toEqual(['/canary']);
  });

  it('reads all pages at the same time, and a page that hangs takes only its own side away', async () => {
    page('/canary', 'x_total 1\n');
    far.on('/stable', { kind: 'hang' });
    const source = open({ '/canary': { track: 'canary' }, '/stable': { track: 'stable' } }, { timeout: '1s' });
    const read = reader(source, [ask('x_total', { track: 'canary' }), ask('x_total', { track: 'stable' })]);
    await read();
    page('/canary', 'x_total 4\n');
    const began = performance.now();
    expect((await read()).answers).toMatchObject([
      { kind: 'count', value: 3 },
      { kind: 'missing', code: 'timeout' },
    ]);
    expect(performance.now() - began).toBeLessThan(4_000);
  });

  it('sums over the targets of a side; one that cannot be read makes the tick missing and its increase comes later', async () => {
    page('/a', 'x_total 10\n');
    page('/b', 'x_total 100\n');
    const read = reader(open({ '/a': {}, '/b': {} }), [ask('x_total')]);
    await read();
    page('/a', 'x_total 11\n');
    page('/b', 'x_total 120\n');
    expect((await read()).answers).toEqual([{ kind: 'count', value: 21 }]);
    page('/a', 'x_total 14\n');
    far.on('/b', { kind: 'answer', status: 503 });
    const [answer] = (await read()).answers;
    expect(answer).toMatchObject({ kind: 'missing', code: 'http_status' });
    expect(answer?.kind === 'missing' ? answer.sentence : '').toContain(new URL(far.url).host);
    page('/a', 'x_total 15\n');
    page('/b', 'x_total 150\n');
    // 3 of the missing tick and 1 of this one from a, 30 of both from b.
    expect((await read()).answers).toEqual([{ kind: 'count', value: 34 }]);
    expect((await read()).answers).toEqual([{ kind: 'count', value: 0 }]);
  });

  it('carries buckets over a missing tick in the same way', async () => {
    const histogram = (low: number, all: number) => `h_bucket{le="1"} ${low}\nh_bucket{le="+Inf"} ${all}\n`;
    page('/a', histogram(0, 0));
    page('/b', histogram(0, 0));
    const read = reader(open({ '/a': {}, '/b': {} }), [ask('h_bucket', {}, 'buckets')]);
    await read();
    page('/a', histogram(1, 3));
    far.on('/b', { kind: 'drop' });
    expect((await read()).answers).toMatchObject([{ kind: 'missing', code: 'connection_lost' }]);
    page('/b', histogram(4, 4));
    page('/a', histogram(2, 5));
    expect((await read()).answers).toEqual([{ kind: 'buckets', bounds: [1], counts: [6, 3] }]);
  });

  it('adds the labels of the target, which win over those of the page', async () => {
    page('/a', 'x_total{track="page"} 1\n');
    const queries = [
      ask('x_total', { track: 'canary' }, 'gauge'),
      ask('x_total{exported_track="page",track="canary"}', {}, 'gauge'),
      ask('x_total{track="page"}', {}, 'gauge'),
    ];
    expect((await reader(open({ '/a': { track: 'canary' } }), queries)()).answers).toMatchObject([
      { kind: 'gauge', value: 1 },
      { kind: 'gauge', value: 1 },
      { kind: 'missing', code: 'no_target' },
    ]);
  });

  it('tells the sides apart by labels of the page where the target has none', async () => {
    page('/a', 'x_total{track="canary"} 1\nx_total{track="stable"} 2\n');
    const read = reader(open({ '/a': {} }), [ask('x_total', { track: 'canary' }), ask('x_total', { track: 'stable' })]);
    await read();
    page('/a', 'x_total{track="canary"} 2\nx_total{track="stable"} 22\n');
    expect((await read()).answers).toEqual([
      { kind: 'count', value: 1 },
      { kind: 'count', value: 20 },
    ]);
  });

  it('calls a side that no target can have missing, not absent', async () => {
    page('/a', 'x_total 1\n');
    const read = reader(open({ '/a': { track: 'canary' } }), [ask('x_total', { track: 'kanary' })]);
    await read();
    expect((await read()).answers).toMatchObject([{ kind: 'missing', code: 'no_target' }]);
    expect(far.requests).toHaveLength(0);
  });

  it('counts from 0 after a restart that the start time of the process tells', async () => {
    const start = (at - 600_000) / 1_000;
    page('/a', `process_start_time_seconds ${start}\nx_total 10\n`);
    const read = reader(open({ '/a': {} }), [ask('x_total')]);
    await read();
    page('/a', `process_start_time_seconds ${at / 1_000}\nx_total 25\n`);
    expect((await read()).answers).toEqual([{ kind: 'count', value: 25 }]);
  });

  it('does not take the start of one process for that of another on the same page', async () => {
    const starts = (one: number) => `process_start_time_seconds{p="1"} ${one}\nprocess_start_time_seconds{p="2"} 5\n`;
    page('/a', `${starts(at / 1_000 - 600)}x_total 10\n`);
    const read = reader(open({ '/a': {} }), [ask('x_total')]);
    await read();
    page('/a', `${starts(at / 1_000)}x_total 25\n`);
    expect((await read()).answers).toEqual([{ kind: 'count', value: 15 }]);
  });

  it('says nothing at the first reading, not even that a series is absent', async () => {
    page('/a', 'y_total 1\n');
    const read = reader(open({ '/a': {} }), [ask('x_total'), ask('x_bucket', {}, 'buckets')]);
    const priming = { kind: 'missing', code: 'priming' };
    expect((await read()).answers).toMatchObject([priming, priming]);
    expect((await read()).answers).toEqual([{ kind: 'absent' }, { kind: 'absent' }]);
  });

  it('primes anew and warns when another process answers', async () => {
    page('/a', `process_start_time_seconds ${at / 1_000 - 600}\nx_total 10\n`);
    const read = reader(open({ '/a': {} }), [ask('x_total')]);
    await read();
    page('/a', `process_start_time_seconds ${at / 1_000 - 300}\nx_total 9000\n`);
    const { answers, warnings } = await read();
    expect(answers).toMatchObject([{ kind: 'missing', code: 'priming' }]);
    expect(warnings).toEqual([expect.stringContaining('another process')]);
  });

  it('counts from 0 when OpenMetrics tells that a series was created anew', async () => {
    const om = (created: number, value: number) =>
      `# TYPE x counter\nx_total{a="b"} ${value}\nx_created{a="b"} ${created}\n# EOF\n`;
    page('/a', om(at / 1_000 - 600, 10), OPENMETRICS);
    const read = reader(open({ '/a': {} }), [ask('x_total')]);
    await read();
    page('/a', om(at / 1_000, 25), OPENMETRICS);
    expect((await read()).answers).toEqual([{ kind: 'count', value: 25 }]);
  });

  it('takes _created of text 0.0.4 for the metric that it may be', async () => {
    page('/a', '# TYPE orders_created counter\norders_total 10\norders_created 5\n');
    const read = reader(open({ '/a': {} }), [ask('orders_total'), ask('orders_created')]);
    await read();
    page('/a', '# TYPE orders_created counter\norders_total 11\norders_created 15\n');
    expect((await read()).answers).toEqual([
      { kind: 'count', value: 1 },
      { kind: 'count', value: 10 },
    ]);
  });

  it('does not take a change of the format for new buckets', async () => {
    page('/a', 'h_bucket{le="1"} 100\nh_bucket{le="+Inf"} 200\n');
    const read = reader(open({ '/a': {} }), [ask('h_bucket', {}, 'buckets')]);
    await read();
    page('/a', '# TYPE h histogram\nh_bucket{le="1.0"} 101\nh_bucket{le="+Inf"} 203\n# EOF\n', OPENMETRICS);
    expect((await read()).answers).toEqual([{ kind: 'buckets', bounds: [1], counts: [1, 2] }]);
  });

  it('raises buckets that go down and says so', async () => {
    page('/a', 'h_bucket{le="1"} 0\nh_bucket{le="+Inf"} 0\n');
    const read = reader(open({ '/a': {} }), [ask('h_bucket', {}, 'buckets')]);
    await read();
    page('/a', 'h_bucket{le="1"} 5\nh_bucket{le="+Inf"} 4\n');
    const { answers, warnings } = await read();
    expect(answers).toEqual([{ kind: 'buckets', bounds: [1], counts: [5, 0] }]);
    expect(warnings).toEqual([expect.stringContaining('raised')]);
  });

  it('refuses series without a bound as buckets', async () => {
    page('/a', 'h_sum 1\n');
    const read = reader(open({ '/a': {} }), [ask('h_sum', {}, 'buckets')]);
    await read();
    expect((await read()).answers).toMatchObject([{ kind: 'missing', code: 'not_buckets' }]);
  });

  it('counts a series that is on the page twice once, and says so', async () => {
    page('/a', 'x_total 1\nx_total 100\n');
    const read = reader(open({ '/a': {} }), [ask('x_total')]);
    await read();
    page('/a', 'x_total 2\nx_total 900\n');
    const { answers, warnings } = await read();
    expect(answers).toEqual([{ kind: 'count', value: 1 }]);
    expect(warnings).toEqual([expect.stringContaining('more than once')]);
  });

  it('says no to finished queries', async () => {
    const read = reader(open({ '/a': {} }), [{ ...ask('sum(rate(x_total[1m]))'), finished: true }]);
    expect((await read()).answers).toMatchObject([{ kind: 'missing', code: 'query_unsupported' }]);
  });

  it('says that the selectors are too wide and keeps what it had, while gauges go on', async () => {
    page('/a', 'x_total 1\ng 5\n');
    const read = reader(open({ '/a': {} }), [ask('x_total'), ask('g', {}, 'gauge')]);
    const { cursor } = await read();
    page('/a', `x_total 2\ng 6\n${Array.from({ length: 20_001 }, (_, n) => `x_total{n="${n}"} 1\n`).join('')}`);
    const wide = await read();
    expect(wide.answers).toMatchObject([
      { kind: 'missing', code: 'too_many_series' },
      { kind: 'gauge', value: 6 },
    ]);
    expect(wide.cursor).toEqual(cursor);
  });

  it('keeps only series in the cursor that some query follows, and no label value', async () => {
    page('/a', 'x_total{user="s3cr3t"} 1\nother_total 2\ng 5\n');
    const { cursor } = await reader(open({ '/a': {} }), [ask('x_total'), ask('g', {}, 'gauge')])();
    const targets = Object.values((cursor as { targets: Record<string, { series: Record<string, number> }> }).targets);
    expect(targets.map(({ series }) => Object.values(series))).toEqual([[1]]);
    expect(JSON.stringify(cursor)).not.toContain('s3cr3t');
  });

  it('primes when the cursor is of another kind', async () => {
    page('/a', 'x_total 10\n');
    const reading = await open({ '/a': {} }).read([ask('x_total')], { from: 0, to: 1 }, { version: 0, targets: [] }, never);
    expect([...reading.answers.values()]).toMatchObject([{ kind: 'missing', code: 'priming' }]);
  });

  it.each([
    ['text/plain', { kind: 'count', value: 1 }],
    ['', { kind: 'count', value: 1 }],
    ['text/html; charset=utf-8', { kind: 'missing', code: 'content_type_unsupported' }],
    ['application/json', { kind: 'missing', code: 'content_type_unsupported' }],
    [
      'application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily',
      { kind: 'missing', code: 'content_type_unsupported' },
    ],
  ])('with content type "%s" answers accordingly', async (type, expected) => {
    page('/a', 'x_total 10\n');
    const read = reader(open({ '/a': {} }), [ask('x_total')]);
    await read();
    page('/a', 'x_total 11\n', type === '' ? {} : { 'content-type': type });
    expect((await read()).answers).toMatchObject([expected]);
  });

  it('refuses a configuration that would count twice or holds a password', () => {
    const twice = [{ url: 'http://a/metrics' }, { url: 'http://a/metrics', labels: {} }];
    expect(() => createScrapeSource({ type: 'scrape', targets: twice }, { http })).toThrow(/same url/);
    const password = [{ url: 'http://me:s3cr3t@a/metrics' }];
    expect(() => createScrapeSource({ type: 'scrape', targets: password }, { http })).toThrow(/^(?!.*s3cr3t).*password/);
  });
});
