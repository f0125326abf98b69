import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../clock.ts';
import { CodedError } from '../../errors.ts';
import { openEmbedded } from '../../store/embedded/database.ts';
import type { EmbeddedDatabase, OperationName } from '../../store/embedded/port.ts';
import { backoff, QUEUE_TIMES } from '../times.ts';
import { createEmbeddedQueue } from './queue.ts';

let folder: string;
let database: EmbeddedDatabase;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'davylamp-queue-'));
  database = await openEmbedded({ folder, clock: systemClock });
});
afterEach(async () => {
  await database.close();
  await rm(folder, { recursive: true });
});

/** The real database, whose answer to the first such operation is lost after it was done. */
function losingFirst(operation: OperationName): EmbeddedDatabase {
  let lost = false;
  return {
    folder,
    lost: database.lost,
    epoch: database.epoch,
    close: () => database.close(),
    async request(name, input) {
      const output = await database.request(name, input);
      if (name !== operation || lost) return output;
      lost = true;
      throw new CodedError('store_unavailable', 'The answer was lost.', { retryable: true });
    },
  };
}

describe('the embedded queue', () => {
  it('waits 0.25 s after the first failure, twice as long after each further one, and at most 30 s', () => {
    expect([1, 2, 3, 7, 8, 9, 5_000].map((attempt) => backoff(attempt, QUEUE_TIMES))).toEqual([
      250, 500, 1_000, 16_000, 30_000, 30_000, 30_000,
    ]);
  });

  it('hands a job out again when the answer to a claim was lost, without counting an attempt', async () => {
    const queue = createEmbeddedQueue(losingFirst('job.claim'), { clock: systemClock });
    await queue.enqueue({ kind: 'tick', key: 'a' });
    const started = new Promise<number>((resolve) => {
      queue.work('tick', { concurrency: 2 }, async ({ attempt }) => resolve(attempt));
    });
    expect(await started).toBe(1);
    await queue.close();
    expect((await database.request('job.counts', null)).tick).toEqual({ waiting: 0, running: 0 });
  });

  it('does not hand out what still runs when the answer to a claim was lost', async () => {
    let claims = 0;
    const flaky: EmbeddedDatabase = {
      folder,
      lost: database.lost,
      epoch: database.epoch,
      close: () => database.close(),
      async request(name, input) {
        const output = await database.request(name, input);
        if (name === 'job.claim' && (claims += 1) === 2) {
          throw new CodedError('store_unavailable', 'The answer was lost.', { retryable: true });
        }
        return output;
      },
    };
    await database.request('job.enqueue', { kind: 'tick', key: 'first', notBefore: 0 });
    const queue = createEmbeddedQueue(flaky, { clock: systemClock });
    const starts: string[] = [];
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    let saw = (_key: string) => {};
    const sawFirst = new Promise<void>((resolve) => (saw = (key) => key === 'first' && resolve()));
    queue.work('tick', { concurrency: 2 }, async ({ key }) => {
      starts.push(key);
      saw(key);
      if (key === 'first') await held;
    });
    await sawFirst;
    const sawSecond = new Promise<void>((resolve) => (saw = (key) => key === 'second' && resolve()));
    await queue.enqueue({ kind: 'tick', key: 'second' });
    await sawSecond;
    release();
    await queue.close();
    expect(starts).toEqual(['first', 'second']);
  });

  it('tells the end of a run again when the answer was lost, which does not end a later run', async () => {
    const queue = createEmbeddedQueue(losingFirst('job.settle'), { clock: systemClock });
    const attempts: number[] = [];
    const twice = new Promise<void>((resolve) => {
      queue.work('tick', { concurrency: 2 }, async ({ attempt }) => {
        attempts.push(attempt);
        if (attempts.length === 1) return { again: Date.now() };
        resolve();
        return undefined;
      });
    });
    await queue.enqueue({ kind: 'tick', key: 'a' });
    await twice;
    await queue.close();
    expect(attempts).toEqual([1, 1]);
    expect((await database.request('job.counts', null)).tick).toEqual({ waiting: 0, running: 0 });
  });

  it('says queue_unavailable when the database is gone', async () => {
    const queue = createEmbeddedQueue(database, { clock: systemClock });
    await database.close();
    await expect(queue.enqueue({ kind: 'tick', key: 'a' })).rejects.toMatchObject({ code: 'queue_unavailable', retryable: true });
    await expect(queue.counts()).rejects.toMatchObject({ code: 'queue_unavailable', retryable: true });
  });
});
