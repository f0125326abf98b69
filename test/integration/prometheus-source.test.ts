import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../examples/demo/free-port.ts';
import { systemClock } from '../../src/clock.ts';
import { createHttpClient, type HttpClient } from '../../src/net/client.ts';
import { createPrometheusSource } from '../../src/sources/prometheus/source.ts';
import type { MetricSource, SourceAnswer, SourceQuery } from '../../src/sources/port.ts';
import { startFaultServer, type FaultServer } from '../support/fault-server.ts';
import { programPath } from '../support/programs.ts';

const DEADLINE_MS = 60_000;
const SCRAPED = { 'content-type': 'text/plain; version=0.0.4' };
const never = new AbortController().signal;

let folder: string;
let url: string;
let child: ChildProcess;
let far: FaultServer;
let http: HttpClient;
let source: MetricSource;
const asked: string[] = [];

/** From now on the processes of both tracks tell these counters. */
function show(track: 'canary' | 'stable', ok: number, bad: number | null, memory = 1): void {
  const lines = [
    `requests_total{code="200"} ${ok}`,
    ...(bad === null ? [] : [`requests_total{code="500"} ${bad}`]),
    `duration_seconds_bucket{le="0.1"} ${ok}`,
    `duration_seconds_bucket{le="+Inf"} ${ok + (bad ?? 0)}`,
    `memory_bytes ${memory}`,
  ];
  far.on(`/${track}`, { kind: 'answer', headers: SCRAPED, body: `${lines.join('\n')}\n` });
}

/** Waits until Prometheus itself says so; it decides when it scrapes. */
async function scraped(query: string): Promise<void> {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const answer = await http.request(
      {
        method: 'GET',
        url: `${url}/api/v1/query?query=${encodeURIComponent(query)}`,
        timeoutMs: 5_000,
        maxBodyBytes: 1_000_000,
      },
      never,
    );
    if (answer.text.includes('"metric"')) return;
    if (Date.now() > end) throw new Error(`Prometheus did not come to: ${query}`);
    await pause(50);
  }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'davylamp-prometheus-'));
  far = await startFaultServer();
  show('canary', 1_000_000, null);
  show('stable', 1_000_000, 100);
  const { host } = new URL(far.url);
  const job = (track: string) =>
    `  - { job_name: ${track}, metrics_path: /${track}, static_configs: [{ targets: ["${host}"], labels: { track: ${track} } }] }\n`;
  const config = `global: { scrape_interval: 1s }\nscrape_configs:\n${job('canary')}${job('stable')}`;
  await writeFile(join(folder, 'prometheus.yml'), config);
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  child = spawn(
    await programPath('prometheus'),
    [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: 'ignore' },
  );
  const own = createHttpClient();
  http = {
    request(request, signal) {
      if (request.method === 'POST') asked.push(new URLSearchParams(request.body).get('query') ?? '');
      return own.request(request, signal);
    },
    close: () => own.close(),
  };
  const end = Date.now() + DEADLINE_MS;
  for (let ready = false; !ready;) {
    if (Date.now() > end || child.exitCode !== null) throw new Error('Prometheus did not get ready');
    const ask = { method: 'GET', url: `${url}/-/ready`, timeoutMs: 1_000, maxBodyBytes: 10_000 } as const;
    ready = await own.request(ask, never).then(
      ({ status }) => status === 200,
      () => false,
    );
    if (!ready) await pause(50);
  }
  const readSecret = () => Promise.reject(new Error('there is no secret'));
  source = createPrometheusSource('prom', { type: 'prometheus', url }, { http, readSecret, clock: systemClock });
}, DEADLINE_MS * 3);

afterAll(async () => {
  await source.close();
  await http.close();
  await far.close();
  if (child.exitCode === null) {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
  await rm(folder, { recursive: true, force: true });
});

function queries(): SourceQuery[] {
  return (['canary', 'stable'] as const).flatMap((track) => {
    const ask = (id: string, shape: SourceQuery['shape'], text: string, finished = false): SourceQuery => {
      return { id: `${track} ${id}`, shape, text, finished, labels: { track }, aggregate: 'avg' };
    };
    return [
      ask('total', 'counter', 'requests_total'),
      ask('events', 'counter', 'requests_total{code=~"5.."}'),
      ask('buckets', 'buckets', 'duration_seconds_bucket'),
      ask('memory', 'gauge', 'memory_bytes'),
      ask('ratio', 'gauge', 'sum(rate(requests_total{code="200"}[30s])) / sum(rate(requests_total[30s]))', true),
      ask('wrong', 'gauge', 'no_such_function(requests_total)', true),
      ask('refused', 'gauge', 'requests_total * on(job) requests_total{code=~".+"}', true),
    ];
  });
}

describe('the Prometheus source at a real Prometheus', { timeout: DEADLINE_MS * 4 }, () => {
  let cursor: unknown;
  let from = 0;

  async function read(): Promise<Record<string, SourceAnswer>> {
    const to = Date.now();
    const reading = await source.read(queries(), { from: from === 0 ? to : from, to }, cursor, never);
    from = to;
    cursor = JSON.parse(JSON.stringify(reading.cursor)) as unknown;
    return Object.fromEntries(reading.answers);
  }

  it('counts what was added to the sample, from the first value of a new series on, with one query for both sides', async () => {
    await scraped('count(requests_total{code="200"}) == 2');
    expect(await read()).toMatchObject({ 'canary total': { kind: 'missing', code: 'priming' } });
    show('canary', 1_000_120, 7, 5);
    show('stable', 1_000_900, 101, 3);
    await scraped('requests_total{track="canary",code="500"} == 7');
    await scraped('requests_total{track="stable",code="500"} == 101');
    asked.splice(0);
    const answers = await read();
    expect(answers).toMatchObject({
      'canary total': { kind: 'count', value: 127, series: 2 },
      'canary events': { kind: 'count', value: 7, series: 1 },
      'canary buckets': { kind: 'buckets', bounds: [0.1], counts: [120, 7], series: 1 },
      'canary memory': { kind: 'gauge', value: 5 },
      'stable total': { kind: 'count', value: 901 },
      'stable events': { kind: 'count', value: 1 },
      'stable memory': { kind: 'gauge', value: 3 },
      'canary wrong': { kind: 'missing', code: 'promql_invalid' },
      'canary refused': { kind: 'missing', code: 'query_refused' },
    });
    expect(asked.filter((query) => query.startsWith('requests_total{track=~'))).toHaveLength(1);
    expect(asked.filter((query) => query.includes('track=~"canary|stable"'))).toHaveLength(4);
  });

  it('counts the same samples only once', async () => {
    expect(await read()).not.toMatchObject({ 'canary total': { kind: 'count', value: 127 } });
  });

  it('counts a counter that was reset by its new value, and calls one that has ended absent', async () => {
    show('canary', 40, null);
    await scraped('requests_total{track="canary",code="200"} == 40');
    await scraped('absent(requests_total{track="canary",code="500"})');
    const answers = await read();
    expect(answers['canary total']).toMatchObject({ kind: 'count', value: 40 });
    expect(answers['canary events']).toEqual({ kind: 'absent' });
    expect(answers['canary ratio']).toMatchObject({ kind: 'gauge' });
  });

  it('is examined as reachable', async () => {
    expect(await source.check?.(never)).toMatchObject([{ status: 'ok', code: 'reachable' }]);
  });
});
