import { resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../clock.ts';
import { CodedError, sentenceOf } from '../../errors.ts';
import {
  fromFailure,
  type FromThread,
  type Opened,
  type Reply,
  type Request,
  type ThreadStart,
  type ToThread,
} from './messages.ts';
import type { EmbeddedDatabase, OperationName, Operations } from './port.ts';

/** A request that got no answer in this time is rejected; a disk that stalls must not hold callers for ever. */
export const REQUEST_TIMEOUT_MS = 30_000;
/** Opening may have to copy a large log into the database and to check it. */
const OPEN_TIMEOUT_MS = 60_000;
/** How long a thread that was told to end may take before it is ended. */
const CLOSE_TIMEOUT_MS = 10_000;
/** What may be requested and not answered; more is rejected at once, so that a slow disk does not fill the memory. */
export const MAX_PENDING_REQUESTS = 10_000;
export const MAX_PENDING_CHARACTERS = 64 * 1_048_576;
/** What one commit takes: enough to share the wait for the disk, small enough to answer soon. */
const MAX_BATCH_REQUESTS = 512;
const MAX_BATCH_CHARACTERS = 16 * 1_048_576;
/** Room for a batch of large values; a small young generation, because the default of 48 MB would stay in the process. */
const THREAD_LIMITS = { maxOldGenerationSizeMb: 160, maxYoungGenerationSizeMb: 8, stackSizeMb: 4 };

export interface Log {
  info(facts: object, sentence: string): void;
  warn(facts: object, sentence: string): void;
  error(facts: object, sentence: string): void;
}

interface Pending {
  request: Request;
  characters: number;
  /** On the monotonic clock. */
  deadline: number;
  settled: boolean;
  resolve: (output: unknown) => void;
  reject: (error: Error) => void;
}

/**
 * Opens the database of a folder in a thread of its own; both are made when they are missing.
 *
 * @param options.clock says what "now" is for jobs that ran when the last process ended
 * @param options.version of davylamp; the file says which one wrote it last
 * @param options.restoring whether it is opened to be restored into
 * @param options.commitDelayMs lets every commit take so much longer, as on a slow disk; for the bench
 * @throws CodedError `store_locked` (another davylamp runs on the folder), `store_newer`, `store_corrupt`, `store_folder`,
 *   `store_unavailable` (retryable), `restore_incomplete`
 */
export async function openEmbedded(options: {
  folder: string;
  clock: Clock;
  log?: Log;
  version?: string;
  restoring?: boolean;
  requestTimeoutMs?: number;
  commitDelayMs?: number;
}): Promise<EmbeddedDatabase> {
  const {
    clock,
    log,
    requestTimeoutMs = REQUEST_TIMEOUT_MS,
    version = 'unknown',
    restoring = false,
    commitDelayMs = 0,
  } = options;
  const folder = resolve(options.folder);
  const started = performance.now();
  const worker = new Worker(threadModule(), {
    workerData: { folder, now: clock.now(), version, restoring, commitDelayMs } satisfies ThreadStart,
    name: 'davylamp-store',
    resourceLimits: THREAD_LIMITS,
    // Neither the flags of the process nor its environment, where secrets may stand, are of use in there.
    execArgv: [],
    env: {},
  });
  const { epoch, recoveredJobs } = await opened(worker, folder);
  log?.info({ folder, recoveredJobs, ms: Math.round(performance.now() - started) }, `The database in ${folder} is open.`);
  return new ThreadedDatabase(worker, { folder, epoch, requestTimeoutMs, log });
}

/**
 * A worker thread runs compiled code. Where this module itself runs from its source (vitest compiles it on the fly, a
 * thread would not be), the compiled thread under dist/ is taken; the test run compiles the sources first.
 */
function threadModule(): URL {
  const compiled = import.meta.url.endsWith('.ts') ? '../../../dist/src/store/embedded/worker.js' : './worker.js';
  return new URL(compiled, import.meta.url);
}

function opened(worker: Worker, folder: string): Promise<Opened> {
  return new Promise((resolveOpened, reject) => {
    const stopListening = () => {
      clearTimeout(timer);
      worker.off('error', refuse).off('exit', ended).off('message', answer);
    };
    const refuse = (error: unknown) => {
      stopListening();
      reject(lostThread(folder, error));
    };
    const ended = (code: number) => refuse(`it ended with code ${code}`);
    const answer = (message: FromThread) => {
      stopListening();
      if ('opened' in message) resolveOpened(message.opened);
      // The lock is gone when the thread is.
      if ('refused' in message) worker.once('exit', () => reject(fromFailure(message.refused)));
    };
    const timer = setTimeout(() => {
      void worker.terminate();
      refuse(`no answer in ${OPEN_TIMEOUT_MS / 1000} s`);
    }, OPEN_TIMEOUT_MS);
    worker.on('error', refuse).on('exit', ended).on('message', answer);
  });
}

function lostThread(folder: string, cause: unknown): CodedError {
  return new CodedError(
    'store_unavailable',
    `The thread that holds the database in ${folder} has failed (${sentenceOf(cause)}). Start davylamp again; what was confirmed is kept.`,
    { retryable: true, cause, details: { folder } },
  );
}

class ThreadedDatabase implements EmbeddedDatabase {
  readonly folder: string;
  readonly epoch: string;
  readonly lost: Promise<Error>;
  readonly #worker: Worker;
  readonly #timeoutMs: number;
  readonly #log: Log | undefined;
  /** Not yet handed to the thread, in the order of the calls. */
  #waiting: Pending[] = [];
  /** The one batch that the thread works on. */
  #sent: Pending[] = [];
  #characters = 0;
  #postScheduled = false;
  #deadlineTimer: NodeJS.Timeout | undefined;
  #failure: CodedError | undefined;
  #closing: Promise<void> | undefined;
  #drained: () => void = () => {};

  constructor(worker: Worker, options: { folder: string; epoch: string; requestTimeoutMs: number; log: Log | undefined }) {
    const { folder, epoch, requestTimeoutMs, log } = options;
    this.#worker = worker;
    this.folder = folder;
    this.epoch = epoch;
    this.#timeoutMs = requestTimeoutMs;
    this.#log = log;
    this.lost = new Promise((resolveLost) => {
      const fail = (cause: unknown) => {
        if (this.#failure !== undefined) return;
        const failure = cause instanceof CodedError ? cause : lostThread(folder, cause);
        this.#failure = failure;
        this.#log?.error({ folder, code: failure.code }, failure.message);
        for (const pending of [...this.#sent.splice(0), ...this.#waiting.splice(0)]) this.#reject(pending, failure);
        this.#drained();
        resolveLost(failure);
      };
      worker.on('error', fail);
      worker.on('messageerror', fail);
      worker.on('exit', (code) => {
        if (this.#closing === undefined || this.#sent.length > 0) fail(`it ended with code ${code}`);
      });
      worker.on('message', (message: FromThread) => {
        if (!('lost' in message)) return;
        fail(fromFailure(message.lost));
        void worker.terminate();
      });
    });
    worker.on('message', (message: FromThread) => {
      if ('replies' in message) this.#answer(message.replies);
    });
  }

  request<Name extends OperationName>(
    name: Name,
    input: Operations[Name]['input'],
    characters = 0,
  ): Promise<Operations[Name]['output']> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#closing !== undefined) return Promise.reject(this.#unavailable('is closed'));
    const full =
      this.#waiting.length + this.#sent.length >= MAX_PENDING_REQUESTS || this.#characters + characters > MAX_PENDING_CHARACTERS;
    if (full) return Promise.reject(this.#unavailable('has too much to do; the disk may be slow'));
    return new Promise((resolveOutput, reject) => {
      this.#characters += characters;
      this.#waiting.push({
        request: { name, input } as Request,
        characters,
        deadline: performance.now() + this.#timeoutMs,
        settled: false,
        resolve: (output) => resolveOutput(output as Operations[Name]['output']),
        reject,
      });
      this.#schedulePost();
      this.#deadlineTimer ??= setTimeout(() => this.#expire(), this.#timeoutMs);
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    // Requests end by themselves: each has a deadline.
    if (this.#waiting.length + this.#sent.length > 0) await new Promise<void>((done) => (this.#drained = done));
    clearTimeout(this.#deadlineTimer);
    if (this.#failure !== undefined) return;
    const gone = new Promise<void>((done) => this.#worker.once('exit', () => done()));
    const timer = setTimeout(() => void this.#worker.terminate(), CLOSE_TIMEOUT_MS);
    this.#worker.postMessage({ close: true } satisfies ToThread);
    await gone;
    clearTimeout(timer);
  }

  /** After the callbacks of this turn of the event loop, so that all that they request goes into one batch. */
  #schedulePost(): void {
    if (this.#postScheduled || this.#sent.length > 0) return;
    this.#postScheduled = true;
    setImmediate(() => {
      this.#postScheduled = false;
      this.#post();
    });
  }

  /** One batch at a time: what is requested while the thread commits shares the next commit. */
  #post(): void {
    if (this.#sent.length > 0 || this.#waiting.length === 0) return;
    let count = 0;
    let characters = 0;
    for (const pending of this.#waiting) {
      characters += pending.characters;
      if (count === MAX_BATCH_REQUESTS || (count > 0 && characters > MAX_BATCH_CHARACTERS)) break;
      count += 1;
    }
    this.#sent = this.#waiting.splice(0, count);
    this.#worker.postMessage({ batch: this.#sent.map(({ request }) => request) } satisfies ToThread);
  }

  #answer(replies: readonly Reply[]): void {
    const answered = this.#sent;
    this.#sent = [];
    for (const [place, pending] of answered.entries()) {
      const reply = replies[place];
      if (reply === undefined) this.#reject(pending, this.#unavailable('gave no answer'));
      else if ('failure' in reply) this.#reject(pending, fromFailure(reply.failure));
      else this.#settle(pending, () => pending.resolve(reply.output));
    }
    if (this.#waiting.length > 0) this.#schedulePost();
    else this.#drained();
  }

  #expire(): void {
    const now = performance.now();
    const late = this.#unavailable(`did not answer in ${this.#timeoutMs / 1000} s`);
    for (const pending of this.#sent) if (pending.deadline <= now) this.#reject(pending, late);
    const kept = this.#waiting.findIndex(({ deadline }) => deadline > now);
    for (const pending of this.#waiting.splice(0, kept === -1 ? this.#waiting.length : kept)) this.#reject(pending, late);
    const oldest = this.#sent.find(({ settled }) => !settled) ?? this.#waiting[0];
    this.#deadlineTimer = oldest && setTimeout(() => this.#expire(), Math.max(1, oldest.deadline - now));
    if (oldest === undefined) this.#drained();
  }

  #reject(pending: Pending, error: Error): void {
    this.#settle(pending, () => pending.reject(error));
  }

  #settle(pending: Pending, settleNow: () => void): void {
    if (pending.settled) return;
    pending.settled = true;
    this.#characters -= pending.characters;
    settleNow();
  }

  #unavailable(what: string): CodedError {
    return new CodedError('store_unavailable', `The database in ${this.folder} ${what}. Try again later.`, {
      retryable: true,
      details: { folder: this.folder },
    });
  }
}
