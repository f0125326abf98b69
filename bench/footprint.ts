import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

/**
 * How soon the service is ready and what it keeps in memory: from the start of the process to its line "ready" (best
 * and median of some starts), and its resident memory 60 s later with one analysis done. Linux only: reads /proc.
 */
const MAIN = fileURLToPath(new URL('../src/main.js', import.meta.url));
const TEMPLATE = fileURLToPath(new URL('../../examples/demo/template.yaml', import.meta.url));
const STARTS = 7;
const SETTLE_MS = 60_000;
const READY_LIMIT_MS = 1_500;
const MEMORY_LIMIT_MB = 105;

async function metricsPage() {
  const bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
  const server = createServer((_, response) => {
    const requests = Math.floor(Date.now() / 20);
    const lines = [
      `http_requests_total{service="shop",code="200"} ${requests}`,
      ...bounds.map((bound) => `http_request_duration_seconds_bucket{service="shop",le="${bound}"} ${requests}`),
      `http_request_duration_seconds_bucket{service="shop",le="+Inf"} ${requests}`,
    ];
    response.end(`${lines.join('\n')}\n`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the page has no port');
  return { url: `http://127.0.0.1:${address.port}/metrics`, close: () => server.close() };
}

async function start(config: string) {
  const began = performance.now();
  const child = spawn(process.execPath, [MAIN, 'serve', '--config', config], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: child.stdout })) {
    const { msg, address } = JSON.parse(line) as { msg: string; address?: string };
    if (msg !== 'ready' || address === undefined) continue;
    const ms = performance.now() - began;
    child.stdout.resume();
    const stop = async () => {
      child.kill('SIGTERM');
      await once(child, 'exit');
    };
    const residentMb = async () => {
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1_024;
    };
    return { ms, address, stop, residentMb };
  }
  throw new Error('the service ended before it was ready');
}

const folder = await mkdtemp(join(tmpdir(), 'davylamp-footprint-'));
const page = await metricsPage();
try {
  const template: unknown = parse(await readFile(TEMPLATE, 'utf8'));
  const config = join(folder, 'davylamp.yaml');
  const targets = ['canary', 'stable'].map((track) => ({ url: page.url, labels: { track } }));
  const settings = {
    server: { listen: '127.0.0.1:0' },
    sources: { pages: { type: 'scrape', targets } },
    repositories: { deploy: { url: 'https://127.0.0.1:1/deploy.git' } },
    applications: {
      shop: {
        repository: 'deploy',
        paths: ['apps/shop'],
        delivery: { type: 'none' },
        template: 'shop',
        arguments: { service: 'shop' },
      },
    },
    templates: { shop: template },
  };
  // JSON is YAML.
  await writeFile(config, JSON.stringify(settings));
  const times: number[] = [];
  for (let run = 0; run < STARTS; run += 1) {
    const service = await start(config);
    times.push(service.ms);
    await service.stop();
  }
  times.sort((one, other) => one - other);
  const median = times[Math.floor(times.length / 2)] ?? Number.NaN;
  console.log(
    `ready after ${Math.round(times[0] ?? 0)} ms at best, ${Math.round(median)} ms in the median of ${STARTS} starts (limit ${READY_LIMIT_MS})`,
  );

  const service = await start(config);
  const atReady = await service.residentMb();
  const answer = await fetch(`${service.address}/api/v1/analyses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ application: 'shop', revision: 'a'.repeat(40) }),
  });
  const { id } = (await answer.json()) as { id: string };
  await pause(SETTLE_MS);
  const after = await service.residentMb();
  const { phase } = (await (await fetch(`${service.address}/api/v1/analyses/${id}`)).json()) as { phase: string };
  await service.stop();
  console.log(
    `resident ${Math.round(atReady)} MB when ready, ${Math.round(after)} MB after ${SETTLE_MS / 1_000} s with one analysis ${phase} (limit ${MEMORY_LIMIT_MB})`,
  );
  const held = median <= READY_LIMIT_MS && after <= MEMORY_LIMIT_MB && phase === 'Successful';
  console.log(held ? 'limits held' : 'limits missed');
  process.exitCode = held ? 0 : 1;
} finally {
  page.close();
  await rm(folder, { recursive: true, force: true });
}
