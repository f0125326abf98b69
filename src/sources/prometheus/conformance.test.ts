import {
  describeMetricSource,
  type FarSeries,
  type Side,
  type SourceFault,
  type SourceHarness,
} from '../../../test/conformance/source.ts';
import { refusingAddress, startFaultServer, type Behaviour } from '../../../test/support/fault-server.ts';
import { PrometheusStore, type StoredSample } from '../../../test/support/prometheus-store.ts';
import { systemClock } from '../../clock.ts';
import { createHttpClient, type HttpClient } from '../../net/client.ts';
import type { MetricSource } from '../port.ts';
import { createPrometheusSource } from './source.ts';

const TIMEOUT_MS = 2_000;
const JSON_TYPE = { 'content-type': 'application/json' };
const labels = { canary: { track: 'canary' }, baseline: { track: 'stable' } };
const SUCCESS = '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"track":"canary"},"values":[[1,"1"]]}]}}';

function faultOf(fault: Exclude<SourceFault, 'refuse'>): Behaviour {
  switch (fault) {
    case '401':
    case '429':
    case '500':
    case '503':
      return { kind: 'answer', status: Number(fault), headers: JSON_TYPE, body: SUCCESS };
    case 'hang':
      return { kind: 'hang' };
    case 'drop':
      return { kind: 'drop' };
    case 'truncated':
      return { kind: 'cut', headers: JSON_TYPE, framed: false, body: SUCCESS, afterBytes: 90 };
    case 'nothing':
      return { kind: 'answer', headers: JSON_TYPE, body: '' };
    case 'wrong type':
      return { kind: 'answer', headers: { 'content-type': 'text/html' }, body: '<html>Sign in, s3cr3t</html>' };
    case 'not understood':
      return { kind: 'answer', headers: JSON_TYPE, body: '{"message":"s3cr3t"}' };
    case 'huge':
      return { kind: 'huge', headers: JSON_TYPE, bytes: 50_000_000 };
  }
}

async function start(): Promise<SourceHarness> {
  const server = await startFaultServer();
  const store = new PrometheusStore();
  const http = createHttpClient();
  const dead = await refusingAddress();
  let refused = false;
  let seen = 0;
  /** What the next scrape finds; it happens in the middle of the next window. */
  let next: StoredSample[] | null = null;
  const through: HttpClient = {
    request: (request, signal) => http.request(refused ? { ...request, url: `${dead}/api/v1/query` } : request, signal),
    close: () => http.close(),
  };
  const open = (): MetricSource => {
    const source = createPrometheusSource(
      'prom',
      {
        type: 'prometheus',
        url: `${server.url}/prometheus/`,
        timeout: `${TIMEOUT_MS}ms`,
        maxBytes: 1_000_000,
        credentials: { tokenFile: 'token' },
      },
      { http: through, readSecret: () => Promise.resolve('s3cr3t'), clock: { now: () => systemClock.now() } },
    );
    return {
      ...source,
      read(queries, window, cursor, signal) {
        if (next !== null) store.scrape(next, (window.from + window.to) / 2);
        next = null;
        return source.read(queries, window, cursor, signal);
      },
    };
  };
  const act = (behaviour: Behaviour | null) => {
    seen = server.requests.length;
    server.on('/prometheus/api/v1/query', behaviour ?? ((request) => store.answer(request)));
  };
  act(null);
  return {
    source: open(),
    labels,
    timeoutMs: TIMEOUT_MS,
    secrets: ['s3cr3t'],
    selector: (name, wanted = {}) =>
      `${name}{${Object.entries(wanted)
        .map(([label, value]) => `${label}="${value}"`)
        .join(',')}}`,
    show(series) {
      refused = false;
      next = (['canary', 'baseline'] as const).flatMap((side) => series[side].map((one) => stored(side, one)));
      act(null);
      return Promise.resolve();
    },
    late: () => {
      refused = false;
      next = null;
      act(null);
      return Promise.resolve();
    },
    fail(fault) {
      refused = fault === 'refuse';
      if (fault !== 'refuse') act(faultOf(fault));
      return Promise.resolve();
    },
    asked: () => server.arrived(seen + 1),
    reopen: () => Promise.resolve(open()),
    async close() {
      await http.close();
      await server.close();
    },
  };
}

function stored(side: Side, { name, labels: own = {}, value }: FarSeries): StoredSample {
  return { name, labels: { ...own, ...labels[side], job: 'shop', instance: `${side}.example:8080` }, value };
}

describeMetricSource('prometheus', start);
