import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CodedError } from '../../src/errors.ts';
import type { Job, JobQueue, Worker } from '../../src/queue/port.ts';
import { runUntilKilled, type ChildAccess } from './killed.ts';

/** What a suite shortens so that it need not wait. */
export interface SuiteTimes {
  firstRetryMs: number;
  mostRetryMs: number;
  handlerTimeoutMs: number;
  closeGraceMs: number;
  stopGraceMs: number;
  stalledMs: number;
}

/** An empty place that an adapter keeps its jobs in. */
export interface QueuePlace {
  /** Opens the queue of the place; again after `close`, also after another process was killed on it. */
  open: (times: SuiteTimes) => Promise<{ queue: JobQueue; close: () => Promise<void> }>;
  child: ChildAccess;
  remove(): Promise<void>;
}

const TIMES: SuiteTimes = {
  firstRetryMs: 20,
  mostRetryMs: 60,
  handlerTimeoutMs: 5_000,
  closeGraceMs: 2_000,
  stopGraceMs: 500,
  stalledMs: 60_000,
};
/** How late a start may be on a busy machine; the bench measures how late it is on a free one. */
const LATE_MS = 500;

interface Start {
  job: Job;
  at: number;
  signal: AbortSignal;
}

/** Starts of a handler, as they come. */
class Starts {
  readonly all: Start[] = [];
  #seen: () => void = () => {};

  add(job: Job, signal: AbortSignal): void {
    this.all.push({ job, at: Date.now(), signal });
    this.#seen();
  }

  /** The first so many starts, when they are there; the test's time-out is the deadline. */
  async first(count: number): Promise<Start[]> {
    while (this.all.length < count) await new Promise<void>((resolve) => (this.#seen = resolve));
    return this.all.slice(0, count);
  }

  keys(): string[] {
    return this.all.map(({ job }) => job.key);
  }
}

function gate() {
  let open = () => {};
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { open, passed };
}

/** What every queue does; each adapter runs it. */
export function describeQueue(name: string, makePlace: () => Promise<QueuePlace>): void {
  describe(`queue: ${name}`, () => {
    let place: QueuePlace;
    let queue: JobQueue;
    let close: () => Promise<void>;
    let starts: Starts;

    const open = async (times: Partial<SuiteTimes> = {}) => {
      ({ queue, close } = await place.open({ ...TIMES, ...times }));
      starts = new Starts();
    };
    const reopen = async (times: Partial<SuiteTimes> = {}) => {
      await close();
      await open(times);
    };
    /** Works on ticks one after the other; `act` decides how a run ends. */
    const work = (
      act: (job: Job, signal: AbortSignal) => Promise<void | { again: number }> = async () => {},
      concurrency = 1,
    ): Worker =>
      queue.work('tick', { concurrency }, async (job, signal) => {
        starts.add(job, signal);
        return act(job, signal);
      });
    const enqueue = (key: string, notBefore?: number) =>
      queue.enqueue({ kind: 'tick', key, ...(notBefore === undefined ? {} : { notBefore }) });
    /** Until no tick waits or runs. */
    const settled = async () => {
      for (;;) {
        const { tick } = await queue.counts();
        if (tick.waiting + tick.running === 0) return;
        await new Promise((resolve) => setImmediate(resolve));
      }
    };

    beforeEach(async () => {
      place = await makePlace();
      await open();
    });
    afterEach(async () => {
      await close();
      await place.remove();
    });

    it('runs an enqueued job once, as attempt 1, and forgets it', async () => {
      work();
      const before = Date.now();
      await enqueue('a');
      const [start] = await starts.first(1);
      expect(start?.job).toMatchObject({ kind: 'tick', key: 'a', attempt: 1 });
      expect(start?.job.notBefore).toBeGreaterThanOrEqual(before);
      await settled();
      expect(starts.keys()).toEqual(['a']);
    });

    it('keeps jobs for a worker that comes later', async () => {
      await enqueue('a');
      await enqueue('b');
      work();
      await starts.first(2);
      expect(starts.keys().toSorted()).toEqual(['a', 'b']);
    });

    it('gives each kind to its own handler', async () => {
      const rollbacks = new Starts();
      queue.work('rollback', { concurrency: 1 }, async (job, signal) => rollbacks.add(job, signal));
      work();
      await enqueue('a');
      await queue.enqueue({ kind: 'rollback', key: 'a' });
      await Promise.all([starts.first(1), rollbacks.first(1)]);
      await settled();
      expect(starts.all.map(({ job }) => job.kind)).toEqual(['tick']);
      expect(rollbacks.all.map(({ job }) => job.kind)).toEqual(['rollback']);
    });

    it('has a handler for webhooks', async () => {
      const webhooks = new Starts();
      queue.work('webhook', { concurrency: 1 }, async (job, signal) => webhooks.add(job, signal));
      await queue.enqueue({ kind: 'webhook', key: 'a' });
      const [start] = await webhooks.first(1);
      expect(start?.job).toMatchObject({ kind: 'webhook', key: 'a', attempt: 1 });
    });

    it('takes only one handler for a kind', () => {
      work();
      expect(() => work()).toThrow(/handler already/);
    });

    it('starts a job at its time and not before', async () => {
      work();
      const at = Date.now() + 150;
      await enqueue('a', at);
      const [start] = await starts.first(1);
      expect(start?.job.notBefore).toBe(at);
      expect(start?.at).toBeGreaterThanOrEqual(at);
      expect(start?.at).toBeLessThan(at + LATE_MS);
    });

    it('starts jobs in the order of their times', async () => {
      const now = Date.now();
      for (const [key, at] of [
        ['third', now - 10],
        ['first', now - 30],
        ['second', now - 20],
      ] as const) {
        await enqueue(key, at);
      }
      work();
      await starts.first(3);
      expect(starts.keys()).toEqual(['first', 'second', 'third']);
    });

    it('starts a job that is due earlier than the one it sleeps for', async () => {
      work();
      await enqueue('late', Date.now() + 60_000);
      const at = Date.now() + 30;
      await enqueue('soon', at);
      const [start] = await starts.first(1);
      expect(start?.job.key).toBe('soon');
      expect(start?.at).toBeGreaterThanOrEqual(at);
    });

    it('runs a job once that was enqueued many times while it waited', async () => {
      await Promise.all(Array.from({ length: 20 }, () => enqueue('a')));
      expect((await queue.counts()).tick).toEqual({ waiting: 1, running: 0 });
      work();
      await starts.first(1);
      await settled();
      expect(starts.keys()).toEqual(['a']);
    });

    it('brings a waiting job forward when it is enqueued for an earlier time', async () => {
      work();
      await enqueue('a', Date.now() + 60_000);
      await enqueue('a');
      await starts.first(1);
      await settled();
      expect(starts.keys()).toEqual(['a']);
    });

    it('does not put a waiting job off when it is enqueued for a later time', async () => {
      const at = Date.now() + 50;
      await enqueue('a', at);
      await enqueue('a', at + 60_000);
      work();
      const [start] = await starts.first(1);
      expect(start?.job.notBefore).toBe(at);
    });

    it('runs a job once more that was enqueued while it ran, however often', async () => {
      const hold = gate();
      work(async () => (starts.all.length === 1 ? hold.passed : undefined), 4);
      await enqueue('a');
      await starts.first(1);
      await Promise.all(Array.from({ length: 20 }, () => enqueue('a')));
      expect(starts.all).toHaveLength(1);
      hold.open();
      await starts.first(2);
      await settled();
      expect(starts.all.map(({ job }) => job.attempt)).toEqual([1, 1]);
    });

    it('runs it once more at the time that was asked for while it ran', async () => {
      const hold = gate();
      work(async () => (starts.all.length === 1 ? hold.passed : undefined));
      await enqueue('a');
      await starts.first(1);
      const at = Date.now() + 100;
      await enqueue('a', at);
      hold.open();
      const [, second] = await starts.first(2);
      expect(second?.at).toBeGreaterThanOrEqual(at);
    });

    it('takes the earlier of the time it asks for itself and the one that was asked for while it ran', async () => {
      const hold = gate();
      const far = Date.now() + 60_000;
      work(async () => {
        if (starts.all.length > 1) return undefined;
        await hold.passed;
        return { again: far };
      });
      await enqueue('a');
      await starts.first(1);
      await enqueue('a');
      hold.open();
      await starts.first(2);
      await settled();
      expect(starts.all).toHaveLength(2);
    });

    it('runs a job again at exactly the time that its handler returns, as attempt 1', async () => {
      const times: number[] = [];
      work(async ({ attempt }) => {
        if (starts.all.length === 1) throw new Error('not yet');
        if (starts.all.length > 3) return undefined;
        expect(attempt).toBe(starts.all.length === 2 ? 2 : 1);
        const again = Date.now() + 50;
        times.push(again);
        return { again };
      });
      await enqueue('a');
      const [, , third, fourth] = await starts.first(4);
      expect(third?.job).toMatchObject({ attempt: 1, notBefore: times[0] });
      expect(fourth?.job).toMatchObject({ attempt: 1, notBefore: times[1] });
      expect(fourth?.at).toBeGreaterThanOrEqual(times[1] ?? Infinity);
    });

    it('runs a job again whose handler threw, after a wait that doubles up to a limit, counting the attempts', async () => {
      work(async ({ attempt }) => {
        if (attempt < 5) throw new Error('not yet');
      });
      await enqueue('a');
      const runs = await starts.first(5);
      await settled();
      expect(runs.map(({ job }) => job.attempt)).toEqual([1, 2, 3, 4, 5]);
      const waits = runs.slice(1).map(({ job }, place) => job.notBefore - (runs[place]?.at ?? 0));
      for (const [place, least] of [20, 40, 60, 60].entries()) {
        expect(waits[place]).toBeGreaterThanOrEqual(least);
        expect(waits[place]).toBeLessThan(least + LATE_MS);
      }
      expect(runs[4]?.at).toBeLessThan((runs[3]?.at ?? 0) + 60 + LATE_MS);
    });

    it('lets other jobs run while one waits to be tried again', async () => {
      await reopen({ firstRetryMs: 60_000, mostRetryMs: 60_000 });
      work(async ({ key }) => {
        if (key === 'bad') throw new Error('broken');
      });
      await enqueue('bad');
      await enqueue('good');
      await starts.first(2);
      expect(starts.keys().toSorted()).toEqual(['bad', 'good']);
    });

    it('treats an impossible time to run again as a failure', async () => {
      work(async ({ attempt }) => (attempt === 1 ? { again: Number.NaN } : undefined));
      await enqueue('a');
      const [, second] = await starts.first(2);
      expect(second?.job.attempt).toBe(2);
    });

    it('runs at most as many jobs at the same time as was said, and that many', async () => {
      let running = 0;
      let most = 0;
      const full = gate();
      work(async () => {
        running += 1;
        most = Math.max(most, running);
        if (running === 3) full.open();
        await full.passed;
        running -= 1;
      }, 3);
      await Promise.all(Array.from({ length: 30 }, (_, n) => enqueue(`n${n}`)));
      await starts.first(30);
      await settled();
      expect(most).toBe(3);
    });

    it('never runs one key twice at the same time, and runs each after its last enqueueing', async () => {
      const running = new Set<string>();
      const lastStart = new Map<string, number>();
      const lastEnqueue = new Map<string, number>();
      let turn = 0;
      let overlaps = 0;
      work(async ({ key }) => {
        if (running.has(key)) overlaps += 1;
        running.add(key);
        lastStart.set(key, (turn += 1));
        await new Promise((resolve) => setImmediate(resolve));
        running.delete(key);
        if (turn % 7 === 0) throw new Error('now and then');
      }, 8);
      for (let round = 0; round < 20; round += 1) {
        await Promise.all(
          Array.from({ length: 20 }, (_, n) => {
            lastEnqueue.set(`n${n}`, (turn += 1));
            return enqueue(`n${n}`);
          }),
        );
      }
      await settled();
      expect(overlaps).toBe(0);
      for (const [key, at] of lastEnqueue) expect(lastStart.get(key)).toBeGreaterThan(at);
    });

    it.each([1, 4])(
      'starts each of 200 jobs at once that come one after the other, to a concurrency of %i',
      async (concurrency) => {
        work(undefined, concurrency);
        for (let n = 1; n <= 200; n += 1) {
          await enqueue(`n${n}`);
          await starts.first(n);
        }
        const late = starts.all.map(({ job, at }) => at - job.notBefore);
        expect(Math.max(...late)).toBeLessThan(LATE_MS);
      },
    );

    it('loses none of 1,000 jobs that were enqueued at the same time', async () => {
      work(undefined, 16);
      const keys = Array.from({ length: 1_000 }, (_, n) => `n${n}`);
      await Promise.all(keys.map((key) => enqueue(key)));
      await starts.first(1_000);
      await settled();
      expect(starts.keys().toSorted()).toEqual(keys.toSorted());
    });

    it('takes unicode keys as they are', async () => {
      work();
      await enqueue('zeche-⛏️-ä-待機');
      const [start] = await starts.first(1);
      expect(start?.job.key).toBe('zeche-⛏️-ä-待機');
    });

    it('tells a handler that runs too long to stop, and runs the job again', async () => {
      await reopen({ handlerTimeoutMs: 30 });
      work(async ({ attempt }, signal) => {
        if (attempt > 1) return;
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        throw signal.reason;
      });
      await enqueue('a');
      const [first, second] = await starts.first(2);
      expect(first?.signal.reason).toMatchObject({ code: 'job_timeout', retryable: true });
      expect(second?.job.attempt).toBe(2);
      expect(second?.signal.aborted).toBe(false);
    });

    it('counts waiting and running jobs by kind', async () => {
      const hold = gate();
      work(() => hold.passed, 2);
      for (const key of ['a', 'b', 'c']) await enqueue(key);
      await queue.enqueue({ kind: 'rollback', key: 'a', notBefore: Date.now() + 60_000 });
      await starts.first(2);
      expect(await queue.counts()).toEqual({
        tick: { waiting: 1, running: 2 },
        rollback: { waiting: 1, running: 0 },
        webhook: { waiting: 0, running: 0 },
      });
      hold.open();
      await settled();
      expect(await queue.counts()).toMatchObject({ tick: { waiting: 0, running: 0 }, rollback: { waiting: 1, running: 0 } });
    });

    describe('condition', () => {
      it('is ok without jobs, while jobs run, and when none is due yet', async () => {
        expect(await queue.condition()).toMatchObject({ ok: true, code: 'ok' });
        work();
        await enqueue('a');
        await starts.first(1);
        await enqueue('later', Date.now() + 60_000);
        expect(await queue.condition()).toMatchObject({ ok: true, code: 'ok' });
      });

      it('is queue_stalled while jobs are due that nothing takes, and ok when they were taken', async () => {
        await reopen({ stalledMs: 50 });
        const hold = gate();
        work(() => hold.passed);
        await enqueue('holds the only place');
        await starts.first(1);
        await enqueue('due');
        await expect.poll(() => queue.condition()).toMatchObject({ ok: false, code: 'queue_stalled' });
        hold.open();
        await settled();
        expect(await queue.condition()).toMatchObject({ ok: true, code: 'ok' });
      });

      it('does not count jobs of a kind that this process does not work on', async () => {
        await reopen({ stalledMs: 1 });
        await queue.enqueue({ kind: 'rollback', key: 'a', notBefore: Date.now() - 60_000 });
        work();
        expect(await queue.condition()).toMatchObject({ ok: true, code: 'ok' });
      });

      it('is queue_unavailable after the close, and does not reject', async () => {
        await queue.close();
        expect(await queue.condition()).toMatchObject({ ok: false, code: 'queue_unavailable' });
      });
    });

    describe('closing', () => {
      it('waits for the running jobs of a worker and takes no further one', async () => {
        const hold = gate();
        const worker = work(() => hold.passed);
        await enqueue('a');
        await starts.first(1);
        await enqueue('b');
        let closed = false;
        const closing = worker.close().then(() => (closed = true));
        await queue.counts();
        expect(closed).toBe(false);
        hold.open();
        await closing;
        expect(await queue.counts()).toMatchObject({ tick: { waiting: 1, running: 0 } });
        expect(starts.keys()).toEqual(['a']);
        work();
        await starts.first(2);
        expect(starts.keys()).toEqual(['a', 'b']);
      });

      it('tells handlers to stop when the grace is over; their jobs are due at the next opening, as their next attempt', async () => {
        await reopen({ closeGraceMs: 20, firstRetryMs: 60_000, mostRetryMs: 60_000 });
        work(async (_, signal) => {
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
          throw signal.reason;
        });
        await enqueue('a');
        const [start] = await starts.first(1);
        await queue.close();
        expect(start?.signal.reason).toMatchObject({ code: 'queue_closing' });
        await reopen();
        work();
        const [next] = await starts.first(1);
        expect(next?.job).toMatchObject({ key: 'a', attempt: 2 });
      });

      it('does not wait for ever for a handler that does not stop; its job runs again after the next opening', async () => {
        await reopen({ closeGraceMs: 10, stopGraceMs: 10 });
        const hold = gate();
        work(() => hold.passed);
        await enqueue('a');
        await starts.first(1);
        await reopen();
        work();
        const [next] = await starts.first(1);
        expect(next?.job).toMatchObject({ key: 'a', attempt: 2 });
        hold.open();
      });

      it('lets a handler enqueue its next step while the queue closes', async () => {
        const hold = gate();
        work(async ({ key }) => {
          if (key !== 'a') return;
          await hold.passed;
          await enqueue('next step');
        });
        await enqueue('a');
        await starts.first(1);
        const closing = queue.close();
        hold.open();
        await closing;
        await reopen();
        work();
        const [next] = await starts.first(1);
        expect(next?.job).toMatchObject({ key: 'next step', attempt: 1 });
      });

      it('refuses jobs and counts after the close', async () => {
        await queue.close();
        for (const late of [enqueue('a'), queue.counts()]) {
          const error: unknown = await late.then(
            () => null,
            (reason: unknown) => reason,
          );
          expect(error).toBeInstanceOf(CodedError);
          expect(error).toMatchObject({ code: 'queue_unavailable', retryable: true });
        }
      });

      it('has the waiting jobs again after it was closed and opened, with their times and attempts', async () => {
        const failed = gate();
        await reopen({ firstRetryMs: 200 });
        work(async () => {
          failed.open();
          throw new Error('not yet');
        });
        await enqueue('failed');
        await failed.passed;
        await enqueue('later', Date.now() + 60_000);
        await reopen();
        expect(await queue.counts()).toMatchObject({ tick: { waiting: 2, running: 0 } });
        work();
        const [start] = await starts.first(1);
        expect(start?.job).toMatchObject({ key: 'failed', attempt: 2 });
      });
    });

    describe('when the process is killed', () => {
      it('has every confirmed job', async () => {
        await close();
        const lines: string[] = [];
        for (let round = 0; round < 3; round += 1) {
          const moment = 20 + Math.floor(Math.random() * 400);
          lines.push(
            ...(await runUntilKilled('enqueue-jobs.js', place.child, `round${round}`, ({ length }) => length >= moment)),
          );
        }
        await open();
        work(undefined, 16);
        await settled();
        const ran = new Set(starts.keys());
        const confirmed = lines.map((line) => line.slice('enqueued '.length));
        expect(confirmed.length).toBeGreaterThan(0);
        expect(confirmed.filter((key) => !ran.has(key))).toEqual([]);
      });

      it('runs the job that ran again, as its next attempt, and the one that waited, but not the one that was done', async () => {
        await close();
        const lines = await runUntilKilled(
          'run-jobs.js',
          place.child,
          '',
          (printed) => printed.includes('ready') && printed.includes('started running 1'),
        );
        expect(lines).toContain('started done 1');
        await open();
        const rollbacks = new Starts();
        queue.work('rollback', { concurrency: 1 }, async (job, signal) => rollbacks.add(job, signal));
        await rollbacks.first(2);
        await queue.close();
        // Which of them comes first depends on how long the dead process is waited for.
        const runs = rollbacks.all.toSorted((one, other) => one.job.key.localeCompare(other.job.key));
        expect(runs.map(({ job }) => [job.key, job.attempt])).toEqual([
          ['running', 2],
          ['waiting', 1],
        ]);
      });
    });
  });
}
