import { setMaxListeners } from 'node:events';
import type { Clock } from '../clock.ts';
import { CodedError } from '../errors.ts';
import type { Job, JobQueue, Worker } from '../queue/port.ts';

type Handler = (job: Job, signal: AbortSignal) => Promise<void | { again: number }>;

/** A tick or a webhook may be stopped anywhere and begun anew; a source that hangs is not waited for. */
const HAND_BACK_MS = 3_000;
/** The queue bounds the running handlers itself; this holds when even that does not come back. */
const WORKERS_MS = 15_000;

export interface DrainResult {
  /** Jobs that were stopped in the middle; they are due again at once, for whoever takes them. */
  handedBack: number;
  /** Whether every handler ended. */
  complete: boolean;
}

/**
 * The workers of the queue, and their end: no job is taken any more, rollbacks go on to the end of their step (bounded
 * by the queue), everything else is handed back after a moment. What is handed back is stored as due now.
 */
export class Workers {
  readonly #queue: JobQueue;
  readonly #clock: Clock;
  readonly #onHandedBack: (kind: Job['kind']) => void;
  readonly #workers: Worker[] = [];
  readonly #stoppable = new Set<AbortController>();
  #handedBack = 0;
  #ending: Promise<DrainResult> | null = null;

  constructor(options: { queue: JobQueue; clock: Clock; onHandedBack: (kind: Job['kind']) => void }) {
    this.#queue = options.queue;
    this.#clock = options.clock;
    this.#onHandedBack = options.onHandedBack;
  }

  work(kind: Job['kind'], concurrency: number, handler: Handler): void {
    this.#workers.push(this.#queue.work(kind, { concurrency }, kind === 'rollback' ? handler : this.#handingBack(handler)));
  }

  /** Never rejects for a handler's failure; may be called again. */
  drain(): Promise<DrainResult> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<DrainResult> {
    const handBack = setTimeout(() => {
      for (const controller of this.#stoppable) controller.abort(draining());
    }, HAND_BACK_MS);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), WORKERS_MS);
    });
    try {
      const closed = Promise.all(this.#workers.map((worker) => worker.close())).then(() => true);
      const complete = await Promise.race([closed, late]);
      return { handedBack: this.#handedBack, complete };
    } finally {
      clearTimeout(handBack);
      clearTimeout(timer);
    }
  }

  #handingBack(handler: Handler): Handler {
    return async (job, signal) => {
      const controller = new AbortController();
      // A tick reads many pages at once, and each call listens.
      setMaxListeners(0, controller.signal);
      const pass = () => controller.abort(signal.reason);
      signal.addEventListener('abort', pass, { once: true });
      if (signal.aborted) pass();
      this.#stoppable.add(controller);
      try {
        return await handler(job, controller.signal);
      } catch (error) {
        // The queue's own reasons to stop a handler are the queue's to deal with.
        if (!controller.signal.aborted || signal.aborted) throw error;
        this.#handedBack += 1;
        this.#onHandedBack(job.kind);
        return { again: this.#clock.now() };
      } finally {
        this.#stoppable.delete(controller);
        signal.removeEventListener('abort', pass);
      }
    };
  }
}

function draining(): CodedError {
  return new CodedError('draining', 'davylamp stops; the job goes on where it is taken next', { retryable: true });
}
