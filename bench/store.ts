/**
 * How fast the stores are: the embedded one and its queue on this disk, beside the disk itself, and the one on Redis with
 * an append-only file that is flushed once a second or at every write: `node dist/bench/store.js [FOLDER]`.
 *
 * A durable write waits for the disk once, so one writer can be no faster than `fdatasync`; many writers share the wait.
 * Exits with 1 when the event loop is held up by more than 20 ms (p99) while 2,000 commits a second meet a disk that
 * takes 20 ms longer for every flush.
 */
import { open, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { systemClock } from '../src/clock.ts';
import { createEmbeddedQueue } from '../src/queue/embedded/queue.ts';
import type { JobQueue } from '../src/queue/port.ts';
import { openEmbedded } from '../src/store/embedded/database.ts';
import { createEmbeddedStore } from '../src/store/embedded/store.ts';
import { openRedis } from '../src/store/redis/connection.ts';
import { createRedisStore } from '../src/store/redis/store.ts';
import type { Store } from '../src/store/port.ts';
import { startRedis } from '../test/support/redis.ts';

const MEASURE_MS = 4_000;
const PAGE_BYTES = 4_096;
const VALUE = { text: 'x'.repeat(500) };
const TIMED_JOBS = 200;

interface Result {
  perSecond: number;
  /** Of the main thread's event loop meanwhile, in milliseconds. */
  loopP99: number;
}

/** Has so many tasks under way at any time; each is told its number. */
async function rate(inFlight: number, task: (n: number) => Promise<void>): Promise<Result> {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  const started = performance.now();
  let begun = 0;
  let done = 0;
  delay.enable();
  const lane = async () => {
    while (performance.now() - started < MEASURE_MS) {
      await task(begun++);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  delay.disable();
  return {
    perSecond: Math.round((done * 1_000) / (performance.now() - started)),
    // The histogram counts the interval itself, too.
    loopP99: Math.max(0, delay.percentile(99) / 1e6 - 5),
  };
}

async function disk(folder: string): Promise<Result> {
  const file = await open(join(folder, 'raw'), 'a');
  const page = Buffer.alloc(PAGE_BYTES, 1);
  const result = await rate(1, async () => {
    await file.write(page);
    await file.datasync();
  });
  await file.close();
  return result;
}

function commits(store: Store, inFlight: number): Promise<Result> {
  return rate(inFlight, async (n) => {
    await store.commit([
      {
        kind: 'analysis',
        id: `${inFlight}-${n}`,
        expect: 0,
        createdAt: n,
        index: { application: 'shop', state: 'Running', open: true },
        value: VALUE,
      },
    ]);
  });
}

/** From the call of enqueue to the end of the handler. */
async function jobs(queue: JobQueue, inFlight: number): Promise<Result> {
  const waiting = new Map<string, () => void>();
  const worker = queue.work('tick', { concurrency: inFlight }, async ({ key }) => waiting.get(key)?.());
  const result = await rate(inFlight, async (n) => {
    const key = `${inFlight}-${n}`;
    const ended = new Promise<void>((resolve) => waiting.set(key, resolve));
    await queue.enqueue({ kind: 'tick', key });
    await ended;
    waiting.delete(key);
  });
  await worker.close();
  return result;
}

/** @returns how late due jobs start, in milliseconds: median and 99th percentile */
async function lateness(queue: JobQueue): Promise<{ p50: number; p99: number }> {
  const late: number[] = [];
  const from = systemClock.now() + 1_000;
  await Promise.all(
    Array.from({ length: TIMED_JOBS }, (_, n) => queue.enqueue({ kind: 'tick', key: `timed-${n}`, notBefore: from + n * 17 })),
  );
  await new Promise<void>((resolve) => {
    queue.work('tick', { concurrency: 16 }, async ({ notBefore }) => {
      late.push(systemClock.now() - notBefore);
      if (late.length === TIMED_JOBS) resolve();
    });
  });
  const sorted = late.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99) };
}

const SLOW_MS = 20;
const SLOW_COMMITS_PER_SECOND = 2_000;
const MOST_LOOP_DELAY_MS = 20;
/** Commits are begun in steps of so many milliseconds, as requests come in. */
const STEP_MS = 5;

interface Paced {
  perSecond: number;
  /** From the call to the answer, milliseconds. */
  p50: number;
  p99: number;
  loopP99: number;
  failed: number;
}

/** Begins so many commits a second, whatever becomes of those before. */
async function paced(store: Store, perSecond: number): Promise<Paced> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const waits: number[] = [];
  const running: Promise<void>[] = [];
  let failed = 0;
  let begun = 0;
  const one = async (n: number) => {
    const from = performance.now();
    try {
      await store.commit(
        [{ kind: 'alert', id: `paced-${n}`, expect: 0, createdAt: n, index: { application: 'shop' }, value: VALUE }],
        [{ at: n, event: 'alert.taken', application: 'shop', subject: `${n}`, code: 'ok', sentence: 'Taken.', details: {} }],
      );
    } catch {
      failed += 1;
    }
    waits.push(performance.now() - from);
  };
  delay.enable();
  const started = performance.now();
  for (let elapsed = 0; elapsed < MEASURE_MS; elapsed = performance.now() - started) {
    const due = Math.floor((elapsed * perSecond) / 1_000);
    for (; begun < due; begun += 1) running.push(one(begun));
    await new Promise((next) => setTimeout(next, STEP_MS));
  }
  await Promise.all(running);
  const seconds = (performance.now() - started) / 1_000;
  delay.disable();
  const sorted = waits.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN;
  return {
    perSecond: Math.round(begun / seconds),
    p50: at(0.5),
    p99: at(0.99),
    loopP99: Math.max(0, delay.percentile(99) / 1e6 - 1),
    failed,
  };
}

/** The store on a Redis of its own; null when there is none to start. */
async function onRedis(appendfsync: string) {
  const server = await startRedis({ appendfsync }).catch((error: unknown) => {
    console.log(`Redis is not measured: ${error instanceof Error ? error.message : 'it does not start'}`);
    return null;
  });
  if (server === null) return null;
  const connection = await openRedis({ url: server.url, prefix: 'bench', acceptNotDurable: false, acceptUnverified: false });
  const store = await createRedisStore(connection, { version: 'bench' });
  return {
    store,
    async close() {
      await store.close();
      await connection.close();
      await server.stop();
    },
  };
}

const folder = await mkdtemp(join(process.argv[2] ?? tmpdir(), 'davylamp-bench-'));
try {
  const raw = await disk(folder);
  const memory = process.memoryUsage().rss;
  const started = performance.now();
  const database = await openEmbedded({ folder: join(folder, 'data'), clock: systemClock });
  const openMs = performance.now() - started;
  const openedMemory = process.memoryUsage().rss;
  const store = createEmbeddedStore(database);
  const queue = createEmbeddedQueue(database, { clock: systemClock });

  const row = (name: string, { perSecond, loopP99 }: Result) => ({
    what: name,
    'per second': perSecond,
    'x fdatasync': (perSecond / raw.perSecond).toFixed(2),
    'loop delay p99 ms': loopP99.toFixed(1),
  });
  console.table([
    row('write 4 KiB + fdatasync', raw),
    row('commits, one after the other', await commits(store, 1)),
    row('commits, 50 in flight', await commits(store, 50)),
    row('jobs enqueue to done, one after the other', await jobs(queue, 1)),
    row('jobs enqueue to done, 50 in flight', await jobs(queue, 50)),
  ]);
  const late = await lateness(queue);
  console.log(`${TIMED_JOBS} due jobs started ${late.p50} ms (p50), ${late.p99} ms (p99) after their time.`);
  console.log(
    `A new database was open after ${openMs.toFixed(0)} ms; memory grew by ${((openedMemory - memory) / 1e6).toFixed(1)} MB.`,
  );
  await queue.close();
  await store.close();
  await database.close();

  for (const appendfsync of ['everysec', 'always']) {
    const redis = await onRedis(appendfsync);
    if (redis === null) break;
    console.log(`Redis, appendfsync ${appendfsync}`);
    console.table([
      row('commits, one after the other', await commits(redis.store, 1)),
      row('commits, 50 in flight', await commits(redis.store, 50)),
    ]);
    await redis.close();
  }

  const slow = await openEmbedded({ folder: join(folder, 'slow'), clock: systemClock, commitDelayMs: SLOW_MS });
  const figures = await paced(createEmbeddedStore(slow), SLOW_COMMITS_PER_SECOND);
  await slow.close();
  console.log(
    `${figures.perSecond} commits/s (record and journal entry) on a disk that takes ${SLOW_MS} ms longer for every flush: ` +
      `answered after ${figures.p50.toFixed(0)} ms (p50), ${figures.p99.toFixed(0)} ms (p99), ${figures.failed} failed; ` +
      `event loop delay p99 ${figures.loopP99.toFixed(1)} ms (goal: at most ${MOST_LOOP_DELAY_MS} ms).`,
  );
  const kept = figures.failed === 0 && figures.perSecond > 0.9 * SLOW_COMMITS_PER_SECOND;
  if (figures.loopP99 > MOST_LOOP_DELAY_MS || !kept) process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, maxRetries: 3 });
}
