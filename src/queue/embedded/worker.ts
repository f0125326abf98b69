import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../clock.ts';
import { CodedError, codeOf, sentenceOf } from '../../errors.ts';
import type { ClaimedJob, EmbeddedDatabase, JobEnd } from '../../store/embedded/port.ts';
import { handle, type Handler } from '../handling.ts';
import type { Job, Worker } from '../port.ts';
import type { Log, QueueTimes } from '../times.ts';

/** The queue looks at least this often, because the wall clock may be set while it sleeps. */
const LONGEST_SLEEP_MS = 30_000;
/** After the database did not take or give a job. */
const DATABASE_RETRY_MS = 1_000;

interface Run {
  job: Job;
  claim: number;
  controller: AbortController;
  /** Settles when the end of the run is stored, or cannot be. */
  ended: Promise<void>;
}

/**
 * Takes due jobs of one kind and runs their handler. One claim is under way at a time; between claims one timer waits for
 * the next due job, so that an idle queue costs nothing.
 */
export class KindWorker implements Worker {
  readonly #database: EmbeddedDatabase;
  readonly #kind: Job['kind'];
  readonly #concurrency: number;
  readonly #handler: Handler;
  readonly #clock: Clock;
  readonly #times: QueueTimes;
  readonly #log: Log | undefined;
  readonly #runs = new Set<Run>();
  #timer: NodeJS.Timeout | undefined;
  /** When the timer rings, on the injected clock. */
  #wakeAt = Infinity;
  #claiming = false;
  #claimAgain = false;
  #claimed: Promise<void> = Promise.resolve();
  /** A claim was sent and its answer lost: what it handed out is found by what is known to run. */
  #answerLost = false;
  #closing: Promise<void> | undefined;
  #takenAt: number;

  constructor(options: {
    database: EmbeddedDatabase;
    kind: Job['kind'];
    concurrency: number;
    handler: Handler;
    clock: Clock;
    times: QueueTimes;
    log: Log | undefined;
  }) {
    this.#database = options.database;
    this.#kind = options.kind;
    this.#concurrency = options.concurrency;
    this.#handler = options.handler;
    this.#clock = options.clock;
    this.#times = options.times;
    this.#log = options.log;
    this.#takenAt = options.clock.now();
    this.#claim();
  }

  get idle(): boolean {
    return this.#runs.size === 0;
  }

  /** When a job was last taken, or the work began. */
  get takenAt(): number {
    return this.#takenAt;
  }

  /** A job became due at that time, or will. */
  wake(at: number): void {
    // The answer to a claim under way may not know of the job, and would put the timer off.
    if (this.#claiming || at <= this.#clock.now()) this.#claim();
    else if (at < this.#wakeAt) this.#sleepUntil(at);
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#claimed;
    const { closeGraceMs, stopGraceMs } = this.#times;
    if (await this.#idleWithin(closeGraceMs)) return;
    for (const { job, controller } of this.#runs) {
      controller.abort(
        new CodedError('queue_closing', `davylamp stops; ${job.kind} ${job.key} goes on after the start.`, { retryable: true }),
      );
    }
    if (await this.#idleWithin(stopGraceMs)) return;
    for (const { job } of this.#runs) {
      this.#log?.warn({ job }, `The handler of ${job.kind} ${job.key} did not stop; the job runs again after the next start.`);
    }
  }

  async #idleWithin(ms: number): Promise<boolean> {
    const given = new AbortController();
    const late = sleep(ms, false, { signal: given.signal }).catch(() => false);
    const idle = Promise.all([...this.#runs].map(({ ended }) => ended)).then(() => true);
    const isIdle = await Promise.race([idle, late]);
    given.abort();
    return isIdle;
  }

  #claim(): void {
    if (this.#closing !== undefined) return;
    if (this.#claiming) this.#claimAgain = true;
    else this.#claimed = this.#claimDue();
  }

  async #claimDue(): Promise<void> {
    this.#claiming = true;
    do {
      this.#claimAgain = false;
      await this.#claimOnce();
    } while (this.#claimAgain && this.#closing === undefined);
    // In the same step as the look at #claimAgain: a wake between the two would be lost.
    this.#claiming = false;
  }

  async #claimOnce(): Promise<void> {
    const limit = this.#concurrency - this.#runs.size;
    // A run that ends claims anew.
    if (limit <= 0) return;
    const now = this.#clock.now();
    const holding = this.#answerLost ? [...this.#runs].map(({ claim }) => claim) : null;
    try {
      const { jobs, next } = await this.#database.request('job.claim', { kind: this.#kind, now, limit, holding });
      this.#answerLost = false;
      for (const job of jobs) this.#start(job);
      if (jobs.length > 0) this.#takenAt = this.#clock.now();
      this.#sleepUntil(next ?? Infinity);
    } catch (error) {
      this.#answerLost = true;
      this.#log?.warn({ kind: this.#kind, code: codeOf(error) }, `No job could be taken: ${sentenceOf(error)}`);
      this.#sleepUntil(now + DATABASE_RETRY_MS);
    }
  }

  #sleepUntil(at: number): void {
    clearTimeout(this.#timer);
    if (this.#closing !== undefined) return;
    this.#wakeAt = at;
    const ms = Math.min(Math.max(1, Math.ceil(at - this.#clock.now())), LONGEST_SLEEP_MS);
    this.#timer = setTimeout(() => {
      this.#wakeAt = Infinity;
      this.#claim();
    }, ms);
  }

  #start({ key, notBefore, attempt, claim }: ClaimedJob): void {
    const job: Job = { kind: this.#kind, key, notBefore, attempt };
    const controller = new AbortController();
    // A tick reads many pages at once, and each call listens: no leak, so no warning of one.
    setMaxListeners(0, controller.signal);
    const run: Run = { job, claim, controller, ended: Promise.resolve() };
    this.#runs.add(run);
    run.ended = this.#run(run).finally(() => {
      this.#runs.delete(run);
      this.#claim();
    });
  }

  async #run({ job, claim, controller }: Run): Promise<void> {
    const context = {
      handler: this.#handler,
      clock: this.#clock,
      times: this.#times,
      log: this.#log,
      stopping: () => this.#closing !== undefined,
    };
    const end: JobEnd = this.#closing === undefined ? await handle(job, controller, context) : { as: 'release' };
    for (;;) {
      try {
        await this.#database.request('job.settle', { kind: job.kind, key: job.key, claim, end });
        return;
      } catch (error) {
        // Not stored is not ended: the key stays taken until the database takes the end, or the process is started anew.
        this.#log?.warn(
          { job, code: codeOf(error) },
          `The end of ${job.kind} ${job.key} could not be stored: ${sentenceOf(error)}`,
        );
        if (!(error instanceof CodedError && error.retryable) || this.#closing !== undefined) return;
        await sleep(DATABASE_RETRY_MS);
      }
    }
  }
}
