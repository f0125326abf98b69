/**
 * What a job costs on Redis through our queue, beside a job through bare BullMQ with the same concurrency: processor time of
 * this process and of Redis, from enqueueing to the end of the handler. `node dist/bench/queue.js`
 *
 * Ours deduplicates by key, so the goal is set against BullMQ doing that, too; without it BullMQ is cheaper still.
 * Exits 1 when ours costs more than the goal.
 */
import { performance } from 'node:perf_hooks';
import { Queue, Worker, type JobsOptions } from 'bullmq';
import { Redis } from 'ioredis';
import { systemClock } from '../src/clock.ts';
import { createBullQueue } from '../src/queue/bullmq/queue.ts';
import { openRedis } from '../src/store/redis/connection.ts';
import { startRedis } from '../test/support/redis.ts';

const JOBS = 4_000;
const IN_FLIGHT = 50;
const ROUNDS = 5;
/** Processor time of both sides together, ours by bare. */
const GOAL = 1.3;
const TIMED_JOBS = 200;

interface Cost {
  /** Microseconds of processor time a job. */
  node: number;
  redis: number;
  perSecond: number;
}

/** One way to have so many jobs enqueued and run. */
interface Way {
  name: string;
  enqueue: (key: string) => Promise<void>;
  /** Runs what there is; resolves when that many handlers ended. */
  work: (count: number) => Promise<void>;
}

async function redisMicros(admin: Redis): Promise<number> {
  const info = await admin.info('cpu');
  const seconds = (name: string) => Number(new RegExp(`^${name}:([0-9.]+)`, 'm').exec(info)?.[1] ?? Number.NaN);
  return (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1e6;
}

async function measure(admin: Redis, { enqueue, work }: Way, round: number): Promise<Cost> {
  const redis = await redisMicros(admin);
  const cpu = process.cpuUsage();
  const from = performance.now();
  let next = 0;
  const lane = async () => {
    while (next < JOBS) {
      next += 1;
      await enqueue(`${round}-${next}`);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  await work(JOBS);
  const seconds = (performance.now() - from) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  return {
    node: (user + system) / JOBS,
    redis: ((await redisMicros(admin)) - redis) / JOBS,
    perSecond: JOBS / seconds,
  };
}

function counter(count: number): { ended: Promise<void>; add: () => void } {
  let add = () => {};
  const ended = new Promise<void>((resolve) => {
    let seen = 0;
    add = () => {
      seen += 1;
      if (seen === count) resolve();
    };
  });
  return { ended, add };
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const at = (values: readonly number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.floor(share * (values.length - 1))] ?? Number.NaN;

const server = await startRedis();
const admin = new Redis(server.url);
const settings = { url: server.url, prefix: 'bench', acceptNotDurable: false, acceptUnverified: false };
const connection = await openRedis(settings);
const queue = createBullQueue(connection, { clock: systemClock });
const bareConnection = new Redis(server.url);
const bareQueue = new Queue('bare', { connection: bareConnection, prefix: '{bare}' });

const PLAIN = 'bare BullMQ';
const DEDUPLICATED = 'bare BullMQ, deduplicated';
const OURS = 'ours';

function bare(name: string, more: (key: string) => JobsOptions): Way {
  return {
    name,
    async enqueue(key) {
      await bareQueue.add('tick', { key }, { removeOnComplete: true, ...more(key) });
    },
    async work(count) {
      const { ended, add } = counter(count);
      const client = new Redis(server.url, { maxRetriesPerRequest: null });
      const options = { connection: client, prefix: '{bare}', concurrency: IN_FLIGHT };
      const worker = new Worker('bare', async () => {}, options);
      worker.on('completed', add);
      await ended;
      await worker.close();
      client.disconnect();
    },
  };
}

const ways: readonly Way[] = [
  bare(PLAIN, () => ({})),
  bare(DEDUPLICATED, (id) => ({ deduplication: { id } })),
  {
    name: OURS,
    enqueue: (key) => queue.enqueue({ kind: 'webhook', key }),
    async work(count) {
      const { ended, add } = counter(count);
      const worker = queue.work('webhook', { concurrency: IN_FLIGHT }, async () => add());
      await ended;
      await worker.close();
    },
  },
];

/** @returns how late due jobs start, in milliseconds */
async function lateness(): Promise<number[]> {
  const late: number[] = [];
  const from = systemClock.now() + 1_000;
  await Promise.all(
    Array.from({ length: TIMED_JOBS }, (_, n) => queue.enqueue({ kind: 'tick', key: `timed-${n}`, notBefore: from + n * 17 })),
  );
  const { ended, add } = counter(TIMED_JOBS);
  queue.work('tick', { concurrency: 16 }, async ({ notBefore }) => {
    late.push(systemClock.now() - notBefore);
    add();
  });
  await ended;
  return late;
}

try {
  const costs = new Map<string, Cost[]>(ways.map(({ name }) => [name, []]));
  // The first round compiles; it is not counted.
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const way of round % 2 === 0 ? ways : ways.toReversed()) {
      const cost = await measure(admin, way, round);
      if (round > 0) costs.get(way.name)?.push(cost);
    }
  }
  const summary = new Map(
    [...costs].map(([name, all]) => {
      const node = median(all.map((cost) => cost.node));
      const redis = median(all.map((cost) => cost.redis));
      return [name, { node, redis, both: node + redis, perSecond: median(all.map((cost) => cost.perSecond)) }] as const;
    }),
  );
  const [plain, deduplicated, ours] = [PLAIN, DEDUPLICATED, OURS].map((name) => summary.get(name)?.both ?? Number.NaN);
  if (plain === undefined || deduplicated === undefined || ours === undefined) throw new Error('nothing was measured');
  console.table(
    [...summary].map(([name, { node, redis, both, perSecond }]) => ({
      'enqueue and run': name,
      'node us': Math.round(node),
      'redis us': Math.round(redis),
      'jobs per second': Math.round(perSecond),
      'x bare': (both / plain).toFixed(2),
    })),
  );
  const late = await lateness();
  console.log(`${TIMED_JOBS} due jobs started ${at(late, 0.5)} ms (p50), ${at(late, 0.99)} ms (p99) after their time.`);
  const ratio = ours / deduplicated;
  console.log(`Ours costs ${ratio.toFixed(2)} of BullMQ with the same deduplication; the goal is at most ${GOAL}.`);
  process.exitCode = ratio <= GOAL ? 0 : 1;
} finally {
  await queue.close();
  await connection.close();
  await bareQueue.close();
  bareConnection.disconnect();
  admin.disconnect();
  await server.stop();
}
