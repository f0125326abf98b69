/**
 * Simulated releases through a whole davylamp for a while: `node dist/bench/soak.js [--minutes 20] [--rate 50]
 * [--redis [URL]]`; without an address it starts a Redis of its own. Whether memory, handles and keys stay where they are.
 * Linux only: reads /proc.
 *
 * Each release is an analysis of its own revision; they go round some applications, in which one revision then follows
 * the other. Every record is taken out after one to two minutes, and Redis and SQLite give the room to new ones, so after
 * the warm-up as much goes as comes. What stays for good is the journal, on the disk or in Redis, and no part of the keys.
 *
 * The goal is on the resident memory as the system counts it, with V8 left alone: nothing is collected for the
 * measurement's sake. The garbage between two collections goes up and down by some megabytes within seconds and says
 * nothing, so the lowest of each half minute counts. Through these the slope is the median of all slopes between two of
 * them (Theil and Sen), because a single step up or down (a thread's arena, the code that was compiled) is no leak; and
 * the estimate itself has to be below the limit, not an end of its interval. The interval is printed to say how much the
 * estimate is worth. Beside it stands the slope of what is alive in the heap after full collections, which happen by
 * themselves: it has less noise, so a leak of objects shows there first.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { startRedis } from '../test/support/redis.ts';
import { option, startDavylamp, startPage, storageOption, writeConfig, type Alive } from './release-service.ts';
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
const STRETCH_MS = 30_000;
const HOUR_MS = 3_600_000;
/** Analysis, measurements and sighting, kept for a minute, found up to a minute later, with some room; and the queue. */
const KEYS_LIMIT = Math.round(RATE * 3 * 125 * 1.2) + 1_000;
const END_MS = 15_000;

interface Sample {
  at: number;
  residentMb: number;
  ownMb: number;
  handles: number;
}

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
  const { estimate, low, high } = theilSen(lowest(warm, STRETCH_MS / HOUR_MS));
  const values = warm.map(({ y }) => y);
  console.log(
    `${name}: ${estimate.toFixed(2)} MB/h, 95 % interval ${low.toFixed(1)} to ${high.toFixed(1)}; ${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)} MB`,
  );
  return estimate;
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
  const alive: Alive[] = [];
  const service = await startDavylamp(config, (one) => alive.push(one));
  const began = Date.now();
  const end = began + MINUTES * 60_000;
  let started = 0;
  let refused = 0;
  const samples: Sample[] = [];
  const keys: { at: number; count: number }[] = [];
  const inFlight = new Set<Promise<void>>();
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
  let nextSample = began;
  while (Date.now() < end) {
    const due = Math.floor(((Date.now() - began) / 1_000) * RATE);
    while (started < due) {
      const run = begin().finally(() => inFlight.delete(run));
      inFlight.add(run);
    }
    if (Date.now() >= nextSample) {
      nextSample += SAMPLE_MS;
      samples.push({ at: Date.now() - began, ...(await service.resources()) });
      if (samples.length % SCRAPE_EVERY === 0) await service.metrics();
      if (redis !== null && samples.length % SCRAPE_EVERY === 0)
        keys.push({ at: Date.now() - began, count: await keysNow(redis) });
      const { residentMb, handles } = samples.at(-1) ?? { residentMb: Number.NaN, handles: 0 };
      if (samples.length % TELL_EVERY === 0)
        console.log(
          `${Math.round((Date.now() - began) / 1_000)} s: ${started} begun, ${residentMb.toFixed(1)} MB resident, ${(alive.at(-1)?.heapMb ?? Number.NaN).toFixed(1)} MB alive, ${handles} handles${keys.length > 0 ? `, ${keys.at(-1)?.count} keys` : ''}`,
        );
    }
    await pause(20);
  }
  await Promise.all(inFlight);
  // What was begun last has to end.
  await pause(END_MS);
  const text = await service.metrics();
  const counts = [...text.matchAll(/^davylamp_analyses_ended_total\{[^}]*verdict="(\w+)"\} (\d+)$/gm)];
  const ended = new Map<string, number>();
  for (const [, verdict = '', count] of counts) ended.set(verdict, (ended.get(verdict) ?? 0) + Number(count));
  const endedCount = [...ended.values()].reduce((sum, count) => sum + count, 0);
  service.signal('SIGTERM');
  const [code] = await service.exited;

  const verdicts = [...ended].filter(([, count]) => count > 0).map(([verdict, count]) => `${count} ${verdict}`);
  console.log(
    `${MINUTES} minutes at ${RATE} analyses/s: ${started} begun, ${refused} refused, ${endedCount} ended (${verdicts.join(', ')})`,
  );
  console.log(`after ${WARM_UP_MS / 60_000} minutes of warm-up, limit ${SLOPE_LIMIT_MB_PER_HOUR} MB/h resident:`);
  const resident = slopeOf(
    '  resident',
    samples.map(({ at, residentMb }) => ({ at, y: residentMb })),
  );
  slopeOf(
    '  of it its own, without mapped files',
    samples.map(({ at, ownMb }) => ({ at, y: ownMb })),
  );
  slopeOf(
    '  alive in the heap',
    alive.map(({ at, heapMb }) => ({ at: at - began, y: heapMb })),
  );
  const handles = samples.filter(({ at }) => at >= WARM_UP_MS).map((sample) => sample.handles);
  console.log(`handles: ${Math.min(...handles)} to ${Math.max(...handles)} (limit ${HANDLE_LIMIT} apart)`);
  const mostKeys = Math.max(0, ...keys.map(({ count }) => count));
  if (redis !== null) {
    const warmKeys = keys.filter(({ at }) => at >= WARM_UP_MS).map(({ count }) => count);
    const most = (part: readonly number[]) => Math.max(0, ...part);
    const half = Math.ceil(warmKeys.length / 2);
    console.log(
      `Redis keys: at most ${mostKeys} (limit ${KEYS_LIMIT}); after the warm-up at most ${most(warmKeys.slice(0, half))} in the first half, ${most(warmKeys.slice(half))} in the second`,
    );
    const used = /used_memory_human:(\S+)/.exec(await redis.info('memory'))?.[1];
    console.log(`Redis memory at the end: ${used}, the journal of ${endedCount} analyses included`);
  }
  console.log(`exit code ${code}`);
  const held =
    resident < SLOPE_LIMIT_MB_PER_HOUR &&
    Math.max(...handles) - Math.min(...handles) <= HANDLE_LIMIT &&
    mostKeys <= KEYS_LIMIT &&
    refused === 0 &&
    endedCount === started &&
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
