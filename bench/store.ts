/**
 * How fast the embedded store and queue are on this disk, beside the disk itself: `node dist/bench/store.js [FOLDER]`.
 *
 * A durable write waits for the disk once, so one writer can be no faster than `fdatasync`; many writers share the wait.
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
import type { Store } from '../src/store/port.ts';

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
} finally {
  await rm(folder, { recursive: true });
}
