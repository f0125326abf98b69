import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { buildApp } from '../src/app.ts';
import { loadConfig } from '../src/config/load.ts';
import { createLogger } from '../src/observability/logger.ts';

/*
 * Many analyses that share their queries, through the whole service: how often is the metric store asked? Every question
 * (a query about a window) may reach it once, however many analyses ask it.
 *
 * npm run bench:shared-queries [-- ANALYSES]
 */
const ANALYSES = Number(process.argv[2] ?? 1_000);
const METRICS = 5;
const EVERY_MS = 5_000;
const TICKS = 4;
const QUERIES = 2 * METRICS;

const asked = new Map<string, number>();
const server = createServer((request, response) => {
  void (async () => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const form = new URLSearchParams(body);
    const key = `${form.get('time') ?? ''} ${form.get('query') ?? ''}`;
    asked.set(key, (asked.get(key) ?? 0) + 1);
    const at = Number(form.get('time'));
    const series = ['canary', 'stable'].map((track) => ({
      metric: { __name__: 'm', track, pod: 'p' },
      values: Array.from({ length: 24 }, (_, index) => [at - 23 + index, String(Math.round((at - 23 + index) * 50))]),
    }));
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ status: 'success', data: { resultType: 'matrix', result: series } }));
  })();
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const address = server.address();
if (address === null || typeof address === 'string') throw new Error('the pretended store has no port');

const folder = await mkdtemp(join(tmpdir(), 'davylamp-shared-'));
const metrics = Array.from(
  { length: METRICS },
  (_, at) => `
      m${at}: { type: proportion, source: prom, total: { counter: 'total_${at}' }, events: { counter: 'events_${at}' } }`,
);
await writeFile(
  join(folder, 'davylamp.yaml'),
  `
server: { listen: 127.0.0.1:0, rates: { writes: 10000, reads: 10000 } }
storage: { kind: embedded, path: ./data }
sources: { prom: { type: prometheus, url: http://127.0.0.1:${address.port} } }
repositories: { deploy: { url: https://git.invalid/deploy.git, refreshEvery: 1h } }
applications:
  shop: { repository: deploy, paths: [shop], delivery: { type: none }, template: shop }
templates:
  shop:
    every: ${EVERY_MS / 1_000}s
    for: ${(TICKS * EVERY_MS) / 1_000}s
    canary: { track: canary }
    baseline: { track: stable }
    metrics:${metrics.join('')}
`,
);
const app = await buildApp(await loadConfig({ file: join(folder, 'davylamp.yaml'), environment: {} }), {
  crashAt: undefined,
  logger: createLogger({ level: 'error' }),
});
const { address: url } = await app.start();
const began = performance.now();
const revision = 'a'.repeat(40);
const start = async () => {
  const answer = await fetch(`${url}/api/v1/analyses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ application: 'shop', revision }),
  });
  if (answer.status !== 202) throw new Error(`an analysis was answered with ${answer.status}: ${await answer.text()}`);
  await answer.arrayBuffer();
};
for (let from = 0; from < ANALYSES; from += 50) await Promise.all(Array.from({ length: Math.min(50, ANALYSES - from) }, start));
const started = performance.now() - began;
let open = ANALYSES;
const deadline = Date.now() + (TICKS + 4) * EVERY_MS + 60_000;
while (open > 0 && Date.now() < deadline) {
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const page = await fetch(`${url}/api/v1/analyses?phase=Running&limit=1`);
  const pending = await fetch(`${url}/api/v1/analyses?phase=Pending&limit=1`);
  open = [await page.json(), await pending.json()].reduce<number>(
    (sum, body) => sum + (body as { items: unknown[] }).items.length,
    0,
  );
}
const judged = (await (await fetch(`${url}/api/v1/analyses?limit=100`)).json()) as { items: { ticks: { done: number } }[] };
await app.close();
server.close();
server.closeAllConnections();
await rm(folder, { recursive: true, force: true });

const repeated = [...asked.values()].filter((times) => times > 1).length;
const steps = new Map<string, number>();
for (const key of asked.keys())
  steps.set(key.split(' ')[0] ?? '', (steps.get(key.split(' ')[0] ?? '') ?? 0) + (asked.get(key) ?? 0));
const most = Math.max(...steps.values());
console.log(
  `${ANALYSES} analyses started in ${(started / 1_000).toFixed(1)} s, ${open > 0 ? 'NOT all' : 'all'} ended; ${TICKS} ticks of ${QUERIES} queries each`,
);
console.log(
  `the store was asked ${[...asked.values()].reduce((sum, times) => sum + times, 0)} times at ${steps.size} moments, at most ${most} times for one of them`,
);
console.log(`questions that were asked more than once: ${repeated}`);
const missing = judged.items.filter(({ ticks }) => ticks.done !== TICKS).length;
const held = open === 0 && repeated === 0 && most <= QUERIES && missing === 0;
console.log(
  held
    ? `goal met: at most ${QUERIES} queries a step`
    : `goal MISSED: more than ${QUERIES} queries a step, or analyses that did not end (${missing})`,
);
process.exitCode = held ? 0 : 1;
