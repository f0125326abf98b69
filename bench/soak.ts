/**
 * Simulated releases through a whole davylamp for a while: `node dist/bench/soak.js [--minutes 20] [--rate 50]
 * [--redis URL]`. Whether memory, handles and Redis keys stay where they are once the first releases are old enough to be
 * taken out. Linux only: reads /proc.
 *
 * The slope of the memory is taken through the lowest value of each half minute (what is garbage does not count), by
 * Theil and Sen (the median of the slopes between all pairs), with a distribution-free 95 % interval (Kendall).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { option, startDavylamp, startPage, storageOption, writeConfig } from './release-service.ts';

const MINUTES = Number(option('minutes') ?? '20');
const RATE = Number(option('rate') ?? '50');
const SLOPE_LIMIT_MB_PER_HOUR = 1;
const HANDLE_LIMIT = 20;
/** Records go after a minute, and retention looks once a minute. */
const KEPT = '1m';
const WARM_UP_MINUTES = Math.min(5, MINUTES / 2);
const SAMPLE_MS = 2_000;
/** Two records a release, kept for a minute, found up to a minute later; and the queue. */
const KEYS_LIMIT = Math.round(RATE * 2 * 125 * 1.2) + 1_000;
const BUCKET_MS = 30_000;
const Z95 = 1.96;

interface Sample {
  at: number;
  residentMb: number;
  handles: number;
  keys: number;
}

function slope(points: readonly { x: number; y: number }[]): { estimate: number; low: number; high: number } {
  const slopes = points
    .flatMap((one, at) => points.slice(at + 1).map((other) => (other.y - one.y) / (other.x - one.x)))
    .sort((a, b) => a - b);
  const n = points.length;
  const spread = Z95 * Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
  const at = (rank: number) => slopes[Math.max(0, Math.min(slopes.length - 1, Math.round(rank)))] ?? Number.NaN;
  return {
    estimate: at((slopes.length - 1) / 2),
    low: at((slopes.length - spread) / 2 - 1),
    high: at((slopes.length + spread) / 2),
  };
}

const folder = await mkdtemp(join(tmpdir(), 'davylamp-soak-'));
const page = await startPage();
const url = option('redis');
const redis = url === undefined ? null : new Redis(url);
const storage = storageOption();
const prefix = `{bench-${process.pid}}*`;
const keysOf = async (): Promise<number> => {
  if (redis === null) return 0;
  let count = 0;
  for await (const keys of redis.scanStream({ match: prefix, count: 1_000 })) count += (keys as string[]).length;
  return count;
};
try {
  const config = await writeConfig(folder, {
    page: page.url,
    storage,
    template: { every: '1s', for: '2s' },
    more: {
      retention: { analyses: KEPT, keys: KEPT },
      server: { listen: '127.0.0.1:0', rates: { reads: 0, writes: 0, judgements: 0 } },
    },
  });
  const service = await startDavylamp(config);
  const began = Date.now();
  const end = began + MINUTES * 60_000;
  let started = 0;
  let refused = 0;
  const samples: Sample[] = [];
  const inFlight = new Set<Promise<void>>();
  const begin = async () => {
    started += 1;
    const revision = started.toString(16).padStart(40, 'b');
    try {
      await service.call('/api/v1/analyses', { application: 'shop', revision });
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
      samples.push({
        at: Date.now() - began,
        ...(await service.resources()),
        keys: samples.length % 15 === 0 ? await keysOf() : -1,
      });
      const { residentMb, handles } = samples.at(-1) ?? { residentMb: 0, handles: 0 };
      if (samples.length % 30 === 0)
        console.log(
          `${Math.round((Date.now() - began) / 1_000)} s: ${started} begun, ${residentMb.toFixed(0)} MB, ${handles} handles`,
        );
    }
    await pause(20);
  }
  await Promise.all(inFlight);
  // What was begun last has to end.
  await pause(15_000);
  const text = await service.metrics();
  const ended = [...text.matchAll(/^davylamp_analyses_ended_total\{[^}]*verdict="(\w+)"\} (\d+)$/gm)].map(
    ([, verdict, count]) => `${count} ${verdict}`,
  );
  const endedCount = ended.reduce((sum, each) => sum + Number.parseInt(each, 10), 0);
  service.signal('SIGTERM');
  const [code] = await service.exited;

  const warm = samples.filter(({ at }) => at >= WARM_UP_MINUTES * 60_000);
  const lowest = new Map<number, Sample>();
  for (const sample of warm) {
    const bucket = Math.floor(sample.at / BUCKET_MS);
    if (sample.residentMb < (lowest.get(bucket)?.residentMb ?? Infinity)) lowest.set(bucket, sample);
  }
  const { estimate, low, high } = slope([...lowest.values()].map(({ at, residentMb }) => ({ x: at / 3_600_000, y: residentMb })));
  const handles = warm.map((sample) => sample.handles);
  const spread = Math.max(...handles) - Math.min(...handles);
  const mostKeys = Math.max(0, ...samples.map((sample) => sample.keys));
  const keysBounded = mostKeys <= KEYS_LIMIT;

  console.log(
    `${MINUTES} minutes at ${RATE} analyses/s: ${started} begun, ${refused} refused, ${endedCount} ended (${ended.join(', ')})`,
  );
  console.log(
    `memory after ${WARM_UP_MINUTES} minutes: ${estimate.toFixed(1)} MB/h, 95 % interval ${low.toFixed(1)} to ${high.toFixed(1)}; at the end ${(samples.at(-1)?.residentMb ?? 0).toFixed(0)} MB`,
  );
  console.log(`handles: ${Math.min(...handles)} to ${Math.max(...handles)}`);
  if (redis !== null) console.log(`Redis keys: at most ${mostKeys} (limit ${KEYS_LIMIT})`);
  console.log(`exit code ${code}`);
  // An interval says what so short a run can: a leak is one whose lower end is above the limit.
  const held =
    low <= SLOPE_LIMIT_MB_PER_HOUR &&
    spread <= HANDLE_LIMIT &&
    keysBounded &&
    refused === 0 &&
    endedCount === started &&
    code === 0;
  console.log(held ? 'limits held' : 'limits missed');
  process.exitCode = held ? 0 : 1;
} finally {
  page.close();
  if (redis !== null) {
    for await (const keys of redis.scanStream({ match: prefix, count: 1_000 }))
      if ((keys as string[]).length > 0) await redis.unlink(keys as string[]);
    await redis.quit();
  }
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
