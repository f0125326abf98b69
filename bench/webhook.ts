/**
 * What one webhook costs: `node dist/bench/webhook.js [REDIS-URL]`.
 *
 * CPU time of the serving process (all its threads) for each request, beside a bare fastify that has the same schema and
 * does nothing, in turns in one run, at the same rate: a server that idles pays more for each wake-up than one that is
 * flooded. Every request tells of three new alerts; credential, schema, matching, search for
 * duplicates, durable write and metrics are on. With the acting on alerts in the same process as a second figure.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Service, benchAlert, benchWebhook, atRate } from './alert-load.ts';
import type { ServiceSettings } from './webhook-service.ts';

const ROUNDS = 5;
const REQUESTS = 4_000;
const WARM_UP = 3_000;
const PER_SECOND = 1_500;
const CONNECTIONS = 64;
const GOALS: Readonly<Record<string, number>> = { embedded: 2, redis: 3 };

const redis = process.argv[2];
const folder = await mkdtemp(join(tmpdir(), 'davylamp-webhook-'));
const settings: Record<string, ServiceSettings> = {
  bare: { kind: 'bare', place: '', acts: false },
  embedded: { kind: 'embedded', place: join(folder, 'a'), acts: false },
  'embedded, acting': { kind: 'embedded', place: join(folder, 'b'), acts: true },
  ...(redis !== undefined && { redis: { kind: 'redis', place: redis, acts: false } }),
};
let group = 0;
const bodies = (count: number) =>
  Array.from({ length: count }, () => {
    group += 1;
    const startsAt = new Date().toISOString();
    return benchWebhook(
      [0, 1, 2].map((at) => benchAlert(group, at, startsAt)),
      `{}:{namespace="${group}"}`,
      'http://alertmanager-0.example:9093',
    );
  });

const services = new Map<string, Service>();
const micros = new Map<string, number[]>();
const latencies = new Map<string, number[]>();
let failed = 0;
async function load(name: string, service: Service, count: number, measured: boolean): Promise<void> {
  const sent = bodies(count);
  const before = await service.usage();
  await atRate(sent, PER_SECOND, async (body) => {
    const { status, ms } = await service.post(body);
    if (status !== 202) failed += 1;
    if (measured) latencies.get(name)?.push(ms);
  });
  // What is acted on afterwards belongs to the requests.
  let after = await service.usage();
  for (let wait = 0; settings[name]?.acts === true && after.open > 0 && wait < 200; wait++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    after = await service.usage();
  }
  if (measured) micros.get(name)?.push((after.cpuMicros - before.cpuMicros) / count);
}
try {
  for (const [name, each] of Object.entries(settings)) {
    services.set(name, await Service.start(each, CONNECTIONS));
    micros.set(name, []);
    latencies.set(name, []);
  }
  for (const [name, service] of services) await load(name, service, WARM_UP, false);
  for (let round = 0; round < ROUNDS; round++) for (const [name, service] of services) await load(name, service, REQUESTS, true);
  const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
  const base = micros.get('bare') ?? [];
  let missed = failed > 0;
  const rows = await Promise.all(
    [...services].map(async ([name, service]) => {
      const own = micros.get(name) ?? [];
      const ratio = median(own.map((value, at) => value / (base[at] ?? Number.NaN)));
      const goal = GOALS[name];
      if (goal !== undefined && !(ratio <= goal)) missed = true;
      const sorted = (latencies.get(name) ?? []).toSorted((a, b) => a - b);
      return {
        what: name,
        'CPU us': Math.round(median(own)),
        'x bare': ratio.toFixed(2),
        goal: goal === undefined ? '' : `<= ${goal.toFixed(1)}`,
        'p99 ms': (sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN).toFixed(1),
        'RSS MB': Math.round((await service.usage()).rssBytes / 1e6),
      };
    }),
  );
  console.table(rows);
  if (failed > 0) console.log(`${failed} requests were not answered with 202.`);
  process.exitCode = missed ? 1 : 0;
} finally {
  for (const service of services.values()) await service.end();
  await rm(folder, { recursive: true });
}
