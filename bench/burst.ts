/**
 * A storm of alerts: `node dist/bench/burst.js [REDIS-URL]`. 10,000 alerts in 10 s (500 groups of 20), then the same
 * shuffled, with another groupKey and externalURL, 50 webhooks at a time; with a Redis both go to two processes at once.
 *
 * Asks for: every webhook answered with 202, p99 of the answer below 250 ms, RSS below 300 MB, one analysis for each
 * alert and not one more.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Service, benchAlert, benchWebhook, inLanes } from './alert-load.ts';
import { seeded } from './webhook-mutations.ts';

const GROUPS = 500;
const GROUP_SIZE = 20;
const PACED_MS = 10_000;
const AT_ONCE = 50;
const MOST_MS = 250;
const MOST_RSS = 300e6;
const DEADLINE_MS = 120_000;

const redis = process.argv[2];
const folder = await mkdtemp(join(tmpdir(), 'davylamp-burst-'));
const place = redis ?? folder;
const kind = redis === undefined ? 'embedded' : 'redis';
const services = await Promise.all(
  Array.from({ length: redis === undefined ? 1 : 2 }, () => Service.start({ kind, place, acts: true }, AT_ONCE)),
);
const random = seeded(7);
const shuffled = <T>(list: readonly T[]): T[] =>
  list
    .map((item) => ({ item, by: random() }))
    .toSorted((one, other) => one.by - other.by)
    .map(({ item }) => item);

const startsAt = new Date().toISOString();
const groups = Array.from({ length: GROUPS }, (_, group) =>
  Array.from({ length: GROUP_SIZE }, (_alert, at) => benchAlert(group, at, startsAt)),
);
const phases: Record<string, number[]> = {};
const failures: string[] = [];
let accepted = 0;
let turn = 0;

async function post(phase: string, body: string): Promise<void> {
  const service = services[turn++ % services.length];
  if (service === undefined) return;
  const { status, text, ms } = await service.post(body);
  (phases[phase] ??= []).push(ms);
  if (status !== 202) failures.push(`${status} ${text.slice(0, 200)}`);
  else accepted += (JSON.parse(text) as { accepted: number }).accepted;
}

try {
  const began = performance.now();
  await Promise.all(
    groups.map(async (alerts, at) => {
      await sleep(Math.max(0, began + (at * PACED_MS) / GROUPS - performance.now()));
      await post('paced', benchWebhook(alerts, `{}:{group="${at}"}`, 'http://alertmanager-0.example:9093'));
    }),
  );
  const regrouped = shuffled(groups.flat());
  const again = Array.from({ length: GROUPS }, (_, at) => regrouped.slice(at * GROUP_SIZE, (at + 1) * GROUP_SIZE));
  const bodies = again.map((alerts, at) => benchWebhook(alerts, `{}/{}:{again="${at}"}`, 'http://alertmanager-1.example:9093'));
  // An Alertmanager keeps its connections. Node takes one new one in each turn of its loop, so that those that are opened
  // in the middle of a storm wait for all that are open already, whatever the server does.
  await Promise.all(services.flatMap((service) => Array.from({ length: AT_ONCE }, () => service.post('{"alerts":[]}'))));
  // Each of them at every process, so that two are told the same at the same time.
  await inLanes(shuffled([...bodies, ...(redis === undefined ? [] : bodies)]), AT_ONCE, (body) => post('again', body));

  let usages = await Promise.all(services.map((service) => service.usage()));
  const deadline = performance.now() + DEADLINE_MS;
  while (usages.some(({ open }) => open > 0) && performance.now() < deadline) {
    await sleep(200);
    usages = await Promise.all(services.map((service) => service.usage()));
  }
  const analyses = usages.reduce((sum, usage) => sum + usage.analyses, 0);
  const calls = usages.reduce((sum, usage) => sum + usage.calls, 0);
  const rows = Object.entries(phases).map(([phase, times]) => {
    const sorted = times.toSorted((a, b) => a - b);
    const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN;
    return {
      phase,
      webhooks: sorted.length,
      'p50 ms': at(0.5).toFixed(1),
      'p99 ms': at(0.99).toFixed(1),
      'max ms': at(1).toFixed(1),
    };
  });
  console.table(rows);
  const peak = Math.max(...usages.map(({ peakRssBytes }) => peakRssBytes));
  const wanted = GROUPS * GROUP_SIZE;
  console.log(
    `${kind}, ${services.length} process(es): ${accepted} alerts accepted, ${analyses} analyses by ${calls} calls for ${wanted} alerts.`,
  );
  console.log(
    `Largest RSS ${(peak / 1e6).toFixed(0)} MB; all acted on ${((performance.now() - began) / 1_000).toFixed(0)} s after the first.`,
  );
  for (const failure of failures.slice(0, 5)) console.log(failure);
  const late = rows.some((row) => !(Number(row['p99 ms']) < MOST_MS));
  const missed = failures.length > 0 || late || peak > MOST_RSS || analyses !== wanted || calls !== wanted;
  process.exitCode = missed ? 1 : 0;
} finally {
  for (const service of services) await service.end();
  await rm(folder, { recursive: true });
}
