/**
 * Simulated releases through a whole davylamp for a while: `node dist/bench/soak.js [--minutes 20] [--rate 50]
 * [--redis [URL]]`; without an address it starts a Redis of its own. Whether memory, handles and keys stay where they are.
 * Linux only: reads /proc.
 *
 * Each release is an analysis of its own revision; they go round some applications, in which one revision then follows
 * the other. Every record is taken out after one to two minutes, and Redis and SQLite give the room to new ones, so after
 * the warm-up as much goes as comes. What stays for good is the journal, on the disk or in Redis, and no part of the keys.
 *
 * The goal is on the resident memory as the system counts it, right after all garbage was collected, which is asked for
 * every ten seconds. What V8 leaves lying between two collections of its own goes up and down by ten megabytes within
 * seconds, more so on a busy machine: a slope through that of 20 minutes is worth no more than 10 MB an hour in either
 * direction. It is printed, too, and so is the slope of what is alive in the heap, where a leak of objects shows first.
 *
 * A slope is the median of all slopes between two points (Theil and Sen), because a single step up or down (the arena of
 * a thread, code that was compiled) is no leak. The estimate itself has to be below the limit, not an end of its interval;
 * the interval says how much the estimate is worth.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { Agent, setGlobalDispatcher } from 'undici';
import { startRedis } from '../test/support/redis.ts';
import { option, startDavylamp, startPage, storageOption, writeConfig } from './release-service.ts';
import { lowest, theilSen } from './slope.ts';

const MINUTES = Number(option('minutes') ?? '20');
const RATE = Number(option('rate') ?? '50');
const APPLICATIONS = Array.from({ length: 20 }, (_, n) => `shop-${n}`);
const SLOPE_LIMIT_MB_PER_HOUR = 1;
const HANDLE_LIMIT = 20;
/** Records go after a minute, and retention looks once a minute. */
const KEPT = '1m';
/** Records are at their number after two minutes; the rest is for what is compiled while it runs. */
const WARM_UP_MS = Math.min(5, MINUTES / 2) * 60_000;
const SAMPLE_MS = 1_000;
const SCRAPE_EVERY = 15;
const TELL_EVERY = 60;
const COLLECT_EVERY = 10;
/** The pages of collected garbage go back to the system a moment later. */
const RETURN_MS = 300;
const STRETCH_MS = 30_000;
const HOUR_MS = 3_600_000;
/** Analysis, measurements and sighting, kept for a minute, found up to a minute later, with some room; and the queue. */
const KEYS_LIMIT = Math.round(RATE * 3 * 125 * 1.2) + 1_000;
const END_MS = 120_000;
/** Of the clients: on a machine that stands still for a moment they would open hundreds. */
const CONNECTIONS = 32;

interface Sample {
  at: number;
  residentMb: number;
  handles: number;
}

interface Collected {
  at: number;
  aliveMb: number;
  residentMb: number;
}

setGlobalDispatcher(new Agent({ connections: CONNECTIONS }));
const folder = await mkdtemp(join(tmpdir(), 'davylamp-soak-'));
const page = await startPage();
const named = option('redis');
const ownRedis = process.argv.includes('--redis') && (named === undefined || named.startsWith('--')) ? await startRedis() : null;
const url = ownRedis?.url ?? named;
const redis = url === undefined ? null : new Redis(url);
const pattern = `{bench-${process.pid}}*`;

async function keysNow(client: Redis): Promise<number> {
  let count = 0;
  for await (const keys of client.scanStream({ match: pattern, count: 1_000 })) count += (keys as string[]).length;
  return count;
}

function slopeOf(name: string, points: readonly { at: number; y: number }[]): number {
  const warm = points.filter(({ at }) => at >= WARM_UP_MS).map(({ at, y }) => ({ x: at / HOUR_MS, y }));
  const { estimate, low, high } = theilSen(warm);
  const values = warm.map(({ y }) => y);
  console.log(
    `${name}: ${estimate.toFixed(2)} MB/h, 95 % interval ${low.toFixed(1)} to ${high.toFixed(1)}; ${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)} MB`,
  );
  return estimate;
}

/** Ended analyses by verdict. */
function verdictsIn(metrics: string): Map<string, number> {
  const verdicts = new Map<string, number>();
  for (const [, verdict = '', count] of metrics.matchAll(/^davylamp_analyses_ended_total\{[^}]*verdict="(\w+)"\} (\d+)$/gm))
    if (Number(count) > 0) verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + Number(count));
  return verdicts;
}

try {
  const config = await writeConfig(folder, {
    page: page.url,
    storage: storageOption(url),
    template: { every: '1s', for: '2s' },
    applications: APPLICATIONS,
    more: {
      retention: { analyses: KEPT, keys: KEPT, sightings: KEPT },
      server: { listen: '127.0.0.1:0', rates: { reads: 0, writes: 0, judgements: 0 } },
    },
  });
  const service = await startDavylamp(config, { probed: true });
  const began = Date.now();
  const end = began + MINUTES * 60_000;
  let started = 0;
  let refused = 0;
  const samples: Sample[] = [];
  const collected: Collected[] = [];
  const keys: { at: number; count: number }[] = [];
  const inFlight = new Set<Promise<void>>();
  const follow = (work: Promise<void>) => {
    const run = work.finally(() => inFlight.delete(run));
    inFlight.add(run);
  };
  const scrape = async () => {
    try {
      await service.metrics();
    } catch {
      refused += 1;
    }
  };
  const begin = async () => {
    started += 1;
    const application = APPLICATIONS[started % APPLICATIONS.length];
    const revision = started.toString(16).padStart(40, 'b');
    try {
      await service.call('/api/v1/analyses', { application, revision });
    } catch {
      refused += 1;
    }
  };
  const collect = async () => {
    const aliveMb = await service.alive();
    await pause(RETURN_MS);
    collected.push({ at: Date.now() - began, aliveMb, residentMb: (await service.resources()).residentMb });
  };
  let collecting = Promise.resolve();
  let nextSample = began;
  while (Date.now() < end) {
    const due = Math.floor(((Date.now() - began) / 1_000) * RATE);
    while (started < due) {
      follow(begin());
    }
    if (Date.now() >= nextSample) {
      nextSample += SAMPLE_MS;
      samples.push({ at: Date.now() - began, ...(await service.resources()) });
      if (samples.length % COLLECT_EVERY === 0) collecting = collecting.then(collect);
      if (samples.length % SCRAPE_EVERY === 0) follow(scrape());
      if (redis !== null && samples.length % SCRAPE_EVERY === 0)
        keys.push({ at: Date.now() - began, count: await keysNow(redis) });
      const { residentMb, handles } = samples.at(-1) ?? { residentMb: Number.NaN, handles: 0 };
      if (samples.length % TELL_EVERY === 0)
        console.log(
          `${Math.round((Date.now() - began) / 1_000)} s: ${started} begun, ${residentMb.toFixed(1)} MB resident, ${(collected.at(-1)?.residentMb ?? Number.NaN).toFixed(1)} MB and ${(collected.at(-1)?.aliveMb ?? Number.NaN).toFixed(1)} MB alive after a collection, ${handles} handles${keys.length > 0 ? `, ${keys.at(-1)?.count} keys` : ''}`,
        );
    }
    await pause(20);
  }
  await Promise.all(inFlight);
  await collecting;
  // What was begun last has to end.
  let ended = new Map<string, number>();
  const endedCount = () => [...ended.values()].reduce((sum, count) => sum + count, 0);
  for (const deadline = Date.now() + END_MS; endedCount() < started && Date.now() < deadline; await pause(1_000))
    ended = verdictsIn(await service.metrics());
  service.signal('SIGTERM');
  const [code] = await service.exited;

  const verdicts = [...ended].map(([verdict, count]) => `${count} ${verdict}`);
  console.log(
    `${MINUTES} minutes at ${RATE} analyses/s: ${started} begun, ${refused} refused, ${endedCount()} ended (${verdicts.join(', ')})`,
  );
  console.log(`after ${WARM_UP_MS / 60_000} minutes of warm-up, limit ${SLOPE_LIMIT_MB_PER_HOUR} MB/h resident:`);
  const resident = slopeOf(
    '  resident after a collection',
    collected.map(({ at, residentMb }) => ({ at, y: residentMb })),
  );
  slopeOf(
    '  alive in the heap',
    collected.map(({ at, aliveMb }) => ({ at, y: aliveMb })),
  );
  slopeOf(
    '  resident, the lowest of each half minute',
    lowest(
      samples.map(({ at, residentMb }) => ({ x: at, y: residentMb })),
      STRETCH_MS,
    ).map(({ x, y }) => ({ at: x, y })),
  );
  // Connections of clients come and go; a leak is in the lowest numbers, too.
  const handles = lowest(
    samples.filter(({ at }) => at >= WARM_UP_MS).map((sample) => ({ x: sample.at, y: sample.handles })),
    STRETCH_MS,
  ).map(({ y }) => y);
  console.log(
    `handles, the lowest of each half minute: ${Math.min(...handles)} to ${Math.max(...handles)} (limit ${HANDLE_LIMIT} apart)`,
  );
  const mostKeys = Math.max(0, ...keys.map(({ count }) => count));
  if (redis !== null) {
    const warmKeys = keys.filter(({ at }) => at >= WARM_UP_MS).map(({ count }) => count);
    const most = (part: readonly number[]) => Math.max(0, ...part);
    const half = Math.ceil(warmKeys.length / 2);
    console.log(
      `Redis keys: at most ${mostKeys} (limit ${KEYS_LIMIT}); after the warm-up at most ${most(warmKeys.slice(0, half))} in the first half, ${most(warmKeys.slice(half))} in the second`,
    );
    const used = /used_memory_human:(\S+)/.exec(await redis.info('memory'))?.[1];
    console.log(`Redis memory at the end: ${used}, the journal of ${endedCount()} analyses included`);
  }
  console.log(`exit code ${code}`);
  const held =
    resident < SLOPE_LIMIT_MB_PER_HOUR &&
    Math.max(...handles) - Math.min(...handles) <= HANDLE_LIMIT &&
    mostKeys <= KEYS_LIMIT &&
    refused === 0 &&
    endedCount() === started &&
    code === 0;
  console.log(held ? 'limits held' : 'limits missed');
  process.exitCode = held ? 0 : 1;
} finally {
  page.close();
  if (redis !== null) {
    if (ownRedis === null) {
      for await (const found of redis.scanStream({ match: pattern, count: 1_000 }))
        if ((found as string[]).length > 0) await redis.unlink(found as string[]);
    }
    redis.disconnect();
  }
  await ownRedis?.stop();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
