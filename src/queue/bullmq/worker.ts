import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { DelayedError, Worker as BullWorker, type Job as BullJob } from 'bullmq';
import type { Clock } from '../../clock.ts';
import { CodedError, sentenceOf } from '../../errors.ts';
import type { RedisClient, RedisConnection } from '../../store/redis/port.ts';
import { handle, type Handler, type HandlerEnd } from '../handling.ts';
import type { Job, Worker } from '../port.ts';
import type { Log, QueueTimes } from '../times.ts';
import { queueScripts, type JobData, type PutOffMode, type QueueScripts } from './scripts.ts';

/** Times that only a queue with several processes has, in milliseconds. */
export interface BullTimes extends QueueTimes {
  /** How long a process that is silent keeps its jobs. Renewed at half of it; longer than any blocking of the event loop. */
  lockMs: number;
  /** How often the processes look for jobs whose lock is gone; the second look hands them out. */
  stalledCheckMs: number;
  /** Due jobs that are not taken for this long, while there is room for them, have the worker built anew. */
  rebuildMs: number;
}

/** After a fault of the connection; the library's 15 s are why it came back late. */
const RETRY_MS = 500;
/** A lost process is no fault of the job, so no number of them gives it up. */
const MOST_STALLS = 1_000_000_000;
/** A run of the same key is still under way in this process: look again after this. */
const OVERLAP_MS = 1_000;
/** A time in the past: due at once, before what is due later. */
const IDLE_BLOCK_SECONDS = 5;

interface Run {
  job: Job;
  id: string;
  controller: AbortController;
  /** When Redis last said that the job is ours, on the monotonic clock. */
  heldAt: number;
  /** Ends the run for the queue while its handler goes on. */
  abandon: () => void;
  /** How the handler ended; null when it was abandoned. Never rejects. */
  ended: Promise<HandlerEnd | null>;
}

/** The library's worker, that can be left behind. */
class BullEngine extends BullWorker<JobData> {
  /** Its close waits for connections to end, which one that is away never does; until then it would renew locks for ever. */
  async leave(): Promise<void> {
    await this.lockManager.close();
  }
}

/** One generation of the library's worker with its connection. */
interface Engine {
  bull: BullEngine;
  client: RedisClient;
  scripts: QueueScripts;
  runs: Set<Run>;
}

/** Runs the handler of one kind for jobs that BullMQ hands out, until it is closed. */
export class KindWorker implements Worker {
  readonly #connection: RedisConnection;
  readonly #kind: Job['kind'];
  readonly #concurrency: number;
  readonly #context: Parameters<typeof handle>[2];
  readonly #clock: Clock;
  readonly #times: BullTimes;
  readonly #log: Log | undefined;
  /** By their key. */
  readonly #runs = new Map<string, Run>();
  readonly #watch: NodeJS.Timeout;
  #engine: Engine;
  /** Engines that were replaced and still have a job. */
  readonly #retired = new Set<Promise<void>>();
  #takenAt: number;
  #closing: Promise<void> | undefined;

  constructor(options: {
    connection: RedisConnection;
    kind: Job['kind'];
    concurrency: number;
    handler: Handler;
    clock: Clock;
    times: BullTimes;
    log: Log | undefined;
  }) {
    this.#connection = options.connection;
    this.#kind = options.kind;
    this.#concurrency = options.concurrency;
    this.#clock = options.clock;
    this.#times = options.times;
    this.#log = options.log;
    const { handler, clock, times, log } = options;
    this.#context = { handler, clock, times, log, stopping: () => this.#closing !== undefined };
    this.#takenAt = options.clock.now();
    this.#engine = this.#build();
    this.#watch = setInterval(() => this.#abortLost(), options.times.lockMs / 4);
    this.#watch.unref();
  }

  get idle(): boolean {
    return this.#runs.size === 0;
  }

  /** When a job was last taken, or the work began. */
  get takenAt(): number {
    return this.#takenAt;
  }

  get hasRoom(): boolean {
    return this.#runs.size < this.#concurrency;
  }

  /** The library's worker takes nothing although it could: a new one on new connections goes on. */
  rebuild(sentence: string): void {
    if (this.#closing !== undefined) return;
    this.#log?.warn({ kind: this.#kind, code: 'queue_stalled' }, `${sentence} The worker is built anew.`);
    const old = this.#engine;
    this.#takenAt = this.#clock.now();
    this.#engine = this.#build();
    const retiring = this.#retire(old).finally(() => this.#retired.delete(retiring));
    this.#retired.add(retiring);
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  #build(): Engine {
    const client = this.#connection.patientClient();
    const scripts = queueScripts(client, this.#connection.keyPrefix, this.#kind);
    const runs = new Set<Run>();
    const bull = new BullEngine(this.#kind, (bullJob, token = '') => this.#process(bullJob, token, scripts, runs), {
      connection: client,
      prefix: this.#connection.keyPrefix,
      skipVersionCheck: !this.#connection.inspectable,
      concurrency: this.#concurrency,
      lockDuration: this.#times.lockMs,
      stalledInterval: this.#times.stalledCheckMs,
      maxStalledCount: MOST_STALLS,
      runRetryDelay: RETRY_MS,
      drainDelay: IDLE_BLOCK_SECONDS,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    });
    bull.on('error', (error) => this.#tell(error));
    bull.on('lockRenewalFailed', (ids) => this.#abort(ids));
    bull.on('locksRenewed', ({ jobIds }) => {
      const now = performance.now();
      for (const run of this.#runs.values()) if (jobIds.includes(run.id)) run.heldAt = now;
    });
    bull.on('failed', (job, error) =>
      this.#log?.warn({ kind: this.#kind, key: job?.data.key }, `The queue gave a job up: ${sentenceOf(error)}`),
    );
    return { bull, client, scripts, runs };
  }

  /** What the connection says is told once by the connection itself. */
  #tell(error: Error): void {
    if (this.#closing !== undefined || this.#connection.explain(error, 'queue_unavailable') !== undefined) return;
    this.#log?.warn({ kind: this.#kind }, `The queue said: ${error.message}`);
  }

  /** Rejects with `DelayedError` when the job was put off: the library then leaves it alone. */
  async #process(bullJob: BullJob<JobData>, token: string, scripts: QueueScripts, ofEngine: Set<Run>): Promise<void> {
    const { id, data, attemptsStarted } = bullJob;
    if (id === undefined) throw new TypeError('BullMQ handed out a job without an id');
    const now = this.#clock.now();
    this.#takenAt = now;
    const job: Job = { kind: this.#kind, key: data.key, notBefore: data.at, attempt: Math.max(1, attemptsStarted - data.base) };
    const putOff = async (at: number, mode: PutOffMode): Promise<never> => {
      await scripts.putOff(id, data.key, token, Math.ceil(at), mode);
      throw new DelayedError();
    };
    if (this.#closing !== undefined) return putOff(data.at, 'release');
    if (data.early === 1 && data.at > now) return putOff(data.at, 'again');
    if (this.#runs.has(data.key)) return putOff(now + OVERLAP_MS, 'release');

    const run = this.#begin(job, id, ofEngine);
    const end = await run.ended;
    // The next opening finds it as a job whose run did not end.
    if (end === null) return putOff(this.#clock.now(), 'retry');
    // A lost job is run by another process; ending it here would end its run.
    if (isLost(run)) throw new DelayedError();
    if (end.as !== 'done') return putOff(end.at, end.as);
    return undefined;
  }

  #begin(job: Job, id: string, ofEngine: Set<Run>): Run {
    const controller = new AbortController();
    // A tick reads many pages at once, and each call listens: no leak, so no warning of one.
    setMaxListeners(0, controller.signal);
    const run: Run = { job, id, controller, heldAt: performance.now(), abandon: () => undefined, ended: Promise.resolve(null) };
    this.#runs.set(job.key, run);
    ofEngine.add(run);
    run.ended = new Promise((resolve) => {
      run.abandon = () => resolve(null);
      void handle(job, controller, this.#context).then((end) => {
        this.#runs.delete(job.key);
        ofEngine.delete(run);
        resolve(end);
      });
    });
    return run;
  }

  /** A process that was stopped, or cut off, for longer than its lock must not trust the lock when it goes on. */
  #abortLost(): void {
    const now = performance.now();
    this.#abort([...this.#runs.values()].filter(({ heldAt }) => now - heldAt > this.#times.lockMs).map(({ id }) => id));
  }

  #abort(ids: readonly string[]): void {
    for (const run of this.#runs.values()) {
      if (!ids.includes(run.id) || run.controller.signal.aborted) continue;
      const sentence = `${run.job.kind} ${run.job.key} was told to stop: its lock is lost, another process may run it.`;
      this.#log?.warn({ job: run.job }, sentence);
      run.controller.abort(new CodedError('job_lost', sentence, { retryable: true }));
    }
  }

  async #end(): Promise<void> {
    const { closeGraceMs, stopGraceMs } = this.#times;
    const retired = this.#retire(this.#engine);
    if (!(await this.#idleWithin(closeGraceMs))) {
      for (const { job, controller } of this.#runs.values()) {
        const sentence = `davylamp stops; ${job.kind} ${job.key} goes on after the start.`;
        controller.abort(new CodedError('queue_closing', sentence, { retryable: true }));
      }
      if (!(await this.#idleWithin(stopGraceMs))) {
        for (const { job, abandon } of this.#runs.values()) {
          this.#log?.warn(
            { job },
            `The handler of ${job.kind} ${job.key} did not stop; the job runs again after the next start.`,
          );
          abandon();
        }
      }
    }
    await Promise.all([retired, ...this.#retired]);
    clearInterval(this.#watch);
  }

  /**
   * Takes no further job and lets the library end. When its last handler has ended there is little left to tell Redis:
   * one that is away is not waited for, and what it was not told runs again.
   */
  async #retire({ bull, client, runs }: Engine): Promise<void> {
    const closed = bull.close().catch((error: unknown) => this.#tell(error instanceof Error ? error : new Error(String(error))));
    const given = new AbortController();
    const drained = Promise.all([...runs].map(({ ended }) => ended))
      .then(() => sleep(this.#times.stopGraceMs, undefined, { signal: given.signal }))
      .catch(() => undefined);
    await Promise.race([closed, drained]);
    given.abort();
    await bull.leave();
    this.#connection.release(client);
  }

  async #idleWithin(ms: number): Promise<boolean> {
    const given = new AbortController();
    const late = sleep(ms, false, { signal: given.signal }).catch(() => false);
    const idle = Promise.all([...this.#runs.values()].map(({ ended }) => ended)).then(() => true);
    const isIdle = await Promise.race([idle, late]);
    given.abort();
    return isIdle;
  }
}

function isLost({ controller }: Run): boolean {
  const reason: unknown = controller.signal.reason;
  return reason instanceof CodedError && reason.code === 'job_lost';
}
