import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { codeOf } from '../../../src/errors.ts';
import { BULL_TIMES } from '../../../src/queue/bullmq/queue.ts';
import type { BullTimes } from '../../../src/queue/bullmq/worker.ts';
import type { JobQueue } from '../../../src/queue/port.ts';
import type { Store } from '../../../src/store/port.ts';
import { startRedis, type RedisServer } from '../../support/redis.ts';
import { CrewMember } from './crew.ts';
import { must, SLOWEST_REFUSAL_MS, SLOWEST_RETURN_MS, until, type PlayEntry } from './plays.ts';
import { openStorage, type Place } from './storage.ts';

/*
 * Queue and store under several processes: each play ends with the question whether every job that was accepted had its
 * effects, and each effect once.
 */
type Locks = Pick<BullTimes, 'lockMs' | 'stalledCheckMs'>;
const QUICK: Locks = { lockMs: 1_500, stalledCheckMs: 300 };
const SHIPPED: Locks = BULL_TIMES;
const SLOWEST_STOP_MS = 30_000;
const JOURNAL_PAGE = 1_000;

interface Stage {
  server: RedisServer;
  /** A connection of the play itself, beside those of the service. */
  admin: Redis;
  queue: JobQueue;
  store: Store;
  crew: CrewMember[];
}

type Play = (stage: Stage) => Promise<string>;

/** How often each tick of each job had its effect, from the journal. */
async function effects(store: Store): Promise<Map<string, number>> {
  const counted = new Map<string, number>();
  for (let after = 0; ;) {
    const page = await store.journal({ after, limit: JOURNAL_PAGE });
    for (const { subject, code } of page) counted.set(`${subject} ${code}`, (counted.get(`${subject} ${code}`) ?? 0) + 1);
    const last = page.at(-1);
    if (last === undefined) return counted;
    after = last.number;
  }
}

async function allDone({ store }: Stage, keys: readonly string[], ticks: number): Promise<string> {
  const answered = async () => {
    try {
      const records = await store.getMany('analysis', keys);
      return records.every((record) => record?.version === ticks);
    } catch (error) {
      if (codeOf(error) === 'internal') throw error;
      return false;
    }
  };
  await until('every accepted job has its effects', answered);
  const counted = await effects(store);
  const doubled = [...counted].filter(([, times]) => times !== 1);
  must(doubled.length === 0, `doubled: ${doubled.map(([name]) => name).join(', ')}`);
  must(counted.size === keys.length * ticks, `${counted.size} effects instead of ${keys.length * ticks}`);
  return `${counted.size} effects, 0 lost, 0 double`;
}

async function refusal(queue: JobQueue): Promise<{ code: string; ms: number }> {
  const from = performance.now();
  try {
    await queue.enqueue({ kind: 'tick', key: 'refused' });
  } catch (error) {
    return { code: codeOf(error), ms: performance.now() - from };
  }
  return { code: 'accepted', ms: performance.now() - from };
}

const ONE_TICK = 1;
const EFFECT_MS = 10;

function killed(seconds: number): Play {
  return async (stage) => {
    const { server, queue, store } = stage;
    const keys = Array.from({ length: 300 }, (_, n) => `n${n}`);
    const now = Date.now();
    // Some run before, some are due while Redis is away, some afterwards.
    await Promise.all(
      keys.map((key, n) => queue.enqueue({ kind: 'tick', key, notBefore: now + (n / 200) * (seconds + 1) * 1_000 })),
    );
    await sleep(500);
    await server.kill();
    const slowest = { code: '', ms: 0 };
    for (const end = performance.now() + seconds * 1_000; performance.now() < end; await sleep(100)) {
      const refused = await refusal(queue);
      must(refused.code === 'queue_unavailable', `a job was answered with ${refused.code} while Redis was away`);
      if (refused.ms > slowest.ms) Object.assign(slowest, refused);
    }
    must(slowest.ms < SLOWEST_REFUSAL_MS, `a job was refused after ${slowest.ms.toFixed(0)} ms`);
    must(!(await queue.condition()).ok, 'the condition is ok while Redis is away');
    await server.start();
    const back = performance.now();
    await until('a job is accepted again', async () => {
      try {
        await queue.enqueue({ kind: 'tick', key: 'after' });
        return true;
      } catch (error) {
        must(codeOf(error) === 'queue_unavailable', codeOf(error));
        return false;
      }
    });
    await until('it runs', async () => (await store.get('analysis', 'after').catch(() => undefined)) !== undefined);
    const returned = performance.now() - back;
    must(returned < SLOWEST_RETURN_MS, `jobs ran again ${returned.toFixed(0)} ms after Redis was back`);
    const said = await allDone(stage, [...keys, 'after'], ONE_TICK);
    return `${said}; refused in <= ${slowest.ms.toFixed(0)} ms, runs again after ${returned.toFixed(0)} ms`;
  };
}

const STOPS = 3;

async function stopped(stage: Stage): Promise<string> {
  const { queue, crew } = stage;
  const keys = Array.from({ length: 20 }, (_, n) => `analysis${n}`);
  await Promise.all(keys.map((key) => queue.enqueue({ kind: 'tick', key })));
  for (let turn = 0; turn < STOPS; turn += 1) {
    const [holder, other] = turn % 2 === 0 ? crew : crew.toReversed();
    if (holder === undefined || other === undefined) throw new Error('two processes are needed');
    await holder.says('middle');
    holder.signal('SIGSTOP');
    // Past its locks: the other one has to take over what it holds.
    await sleep(QUICK.lockMs + 3 * QUICK.stalledCheckMs);
    holder.signal('SIGCONT');
    if (turn < STOPS - 1) await holder.says('middle');
  }
  return `${await allDone(stage, keys, 50)}; ${lateEffects(crew)} late effects refused`;
}

const QUIET_MS = 2_000;
const TAKE_OVER_DEADLINE_MS = 60_000;

/** The other process does its own share, then what the stopped one holds; that one is woken in the middle of it. */
async function stoppedAsShipped(stage: Stage): Promise<string> {
  const { queue, crew } = stage;
  const keys = Array.from({ length: 20 }, (_, n) => `analysis${n}`);
  await Promise.all(keys.map((key) => queue.enqueue({ kind: 'tick', key })));
  const [holder, other] = crew;
  if (holder === undefined || other === undefined) throw new Error('two processes are needed');
  await holder.says('middle');
  holder.signal('SIGSTOP');
  const from = performance.now();
  await until('the other one has done its share', async () => performance.now() - other.saidAt > QUIET_MS);
  await other.says('middle', TAKE_OVER_DEADLINE_MS);
  const taken = (performance.now() - from) / 1_000;
  holder.signal('SIGCONT');
  const said = await allDone(stage, keys, 50);
  return `${said}; taken over after ${taken.toFixed(1)} s, ${lateEffects(crew)} late effects refused`;
}

/** How many effects of a process that was stopped in the middle of them were refused. */
function lateEffects(crew: readonly CrewMember[]): number {
  const refused = crew.flatMap((member) => member.refused);
  must(refused.length > 0, 'no stopped process was woken in the middle of an effect');
  must(
    // The time of a command runs out while its process is stopped: then nobody knows whether it was done, and it is read again.
    refused.every((line) => line.endsWith(' conflict') || line.endsWith(' store_unavailable')),
    `refused for another reason: ${refused.join(', ')}`,
  );
  return refused.length;
}

async function killedWorkers(stage: Stage): Promise<string> {
  const { queue, crew } = stage;
  const keys = Array.from({ length: 20 }, (_, n) => `analysis${n}`);
  await Promise.all(keys.map((key) => queue.enqueue({ kind: 'tick', key })));
  const [first] = crew;
  await first?.says('middle');
  first?.signal('SIGKILL');
  return allDone(stage, keys, 10);
}

async function disturbed(stage: Stage, disturb: () => Promise<unknown>): Promise<string> {
  const keys = Array.from({ length: 20 }, (_, n) => `analysis${n}`);
  await Promise.all(keys.map((key) => stage.queue.enqueue({ kind: 'tick', key })));
  await disturb();
  return allDone(stage, keys, 20);
}

async function full(stage: Stage): Promise<string> {
  const { admin, queue } = stage;
  const said = await disturbed(stage, async () => {
    await admin.config('SET', 'maxmemory', '1mb');
    const refused = await refusal(queue);
    must(refused.code === 'queue_unavailable', `a job was answered with ${refused.code} while Redis was full`);
    const { code } = await queue.condition();
    must(code === 'redis_full', `the condition of a full Redis is ${code}`);
    await sleep(2_000);
    await admin.config('SET', 'maxmemory', '0');
  });
  return `${said}; named redis_full`;
}

async function stoppedInOrder(stage: Stage): Promise<string> {
  const { queue, crew, server } = stage;
  const keys = Array.from({ length: 20 }, (_, n) => `analysis${n}`);
  await Promise.all(keys.map((key) => queue.enqueue({ kind: 'tick', key })));
  const [first, second] = crew;
  const took = (await first?.stop()) ?? 0;
  const said = await allDone(stage, keys, 20);
  await server.kill();
  const away = (await second?.stop()) ?? 0;
  must(Math.max(took, away) < SLOWEST_STOP_MS, `a process took ${Math.max(took, away).toFixed(0)} ms to stop`);
  return `${said}; stopped in ${took.toFixed(0)} ms, without Redis in ${away.toFixed(0)} ms`;
}

interface QueuePlay {
  name: string;
  /** Of each job. */
  ticks: number;
  /** How long the effect of a tick takes. */
  effectMs?: number;
  locks?: Locks;
  play: Play;
}

const PLAYS: readonly QueuePlay[] = [
  { name: 'kill -9 of Redis for 1 s', ticks: ONE_TICK, play: killed(1) },
  { name: 'SIGSTOP of the holder past its lock', ticks: 50, effectMs: 50, play: stopped },
  { name: 'kill -9 of a worker', ticks: 10, play: killedWorkers },
  {
    name: 'CLIENT KILL TYPE normal, 20 times',
    ticks: 20,
    play: (stage) =>
      disturbed(stage, async () => {
        for (let turn = 0; turn < 20; turn += 1) {
          await stage.admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
          await sleep(50);
        }
      }),
  },
  {
    name: 'CLIENT PAUSE for 6 s',
    ticks: 20,
    play: (stage) => disturbed(stage, () => stage.admin.client('PAUSE', 6_000)),
  },
  { name: 'a full Redis', ticks: 20, play: full },
  { name: 'SIGTERM, with and without Redis', ticks: 20, play: stoppedInOrder },
  { name: 'kill -9 of Redis for 20 s', ticks: ONE_TICK, play: killed(20) },
  { name: 'kill -9 of Redis for 60 s', ticks: ONE_TICK, play: killed(60) },
  { name: 'SIGSTOP past the lock as it is shipped', ticks: 50, effectMs: 50, locks: SHIPPED, play: stoppedAsShipped },
];

async function perform({ ticks, effectMs = EFFECT_MS, locks = QUICK, play }: QueuePlay): Promise<string> {
  const server = await startRedis();
  const place: Place = {
    settings: { url: server.url, prefix: 'chaos', acceptNotDurable: false, acceptUnverified: false },
    times: locks,
  };
  const admin = new Redis(server.url);
  // It is away whenever Redis is.
  admin.on('error', () => undefined);
  const storage = await openStorage(place);
  const crew = [1, 2].map(() => new CrewMember(place, ticks, effectMs));
  try {
    await Promise.all(crew.map((member) => member.says('ready')));
    return await play({ server, admin, crew, queue: storage.queue, store: storage.store });
  } finally {
    await Promise.all(crew.map((member) => member.stop()));
    await storage.close();
    admin.disconnect();
    await server.stop();
  }
}

export const QUEUE_PLAYS: readonly PlayEntry[] = PLAYS.map((entry) => ({ name: entry.name, perform: () => perform(entry) }));
