import type { Clock } from '../clock.ts';
import { codeOf } from '../errors.ts';
import type { Tracing } from '../observability/tracing.ts';
import type { Job, JobQueue } from '../queue/port.ts';
import type { Store } from '../store/port.ts';

/** So many jobs are remembered in this process; the others are looked up. */
const REMEMBERED = 10_000;

type Handler = (job: Job, signal: AbortSignal) => Promise<void | { again: number }>;

/**
 * Carries the trace of a request over the queue, to the process and the day that work on it: a webhook or a request
 * begins a trace, its ticks go on with it, and so does the rollback that comes of them. Kept with the records of
 * idempotency keys, which retention removes.
 */
export class Traces {
  readonly #tracing: Tracing;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #complain: (error: unknown) => void;
  readonly #known = new Map<string, string>();

  constructor(tracing: Tracing, deps: { store: Store; clock: Clock; complain: (error: unknown) => void }) {
    this.#tracing = tracing;
    this.#store = deps.store;
    this.#clock = deps.clock;
    this.#complain = deps.complain;
  }

  /** The queue, which notes the trace of whoever enqueues a job first. */
  queue(queue: JobQueue): JobQueue {
    return {
      enqueue: async (job) => {
        await this.#note(job.kind, job.key);
        await queue.enqueue(job);
      },
      work: (kind, options, handler) => queue.work(kind, options, this.#handler(handler)),
      condition: () => queue.condition(),
      counts: () => queue.counts(),
      close: () => queue.close(),
    };
  }

  #handler(handler: Handler): Handler {
    return async (job, signal) => {
      const attributes = {
        'messaging.destination.name': job.kind,
        'messaging.operation.type': 'process',
        [job.kind === 'tick' ? 'davylamp.analysis.id' : `davylamp.${job.kind}.id`]: job.key,
        'davylamp.job.attempt': job.attempt,
      };
      const subject = idOf(job.kind, job.key);
      const found = await this.#find(subject);
      return this.#tracing.within(found, subject, () =>
        this.#tracing.span({ name: `davylamp.${job.kind}`, kind: 'CONSUMER', attributes }, () => handler(job, signal)),
      );
    };
  }

  async #note(kind: Job['kind'], key: string): Promise<void> {
    const subject = idOf(kind, key);
    const traceparent = this.#tracing.traceparent();
    if (traceparent === null || this.#known.has(subject)) return;
    this.#remember(subject, traceparent);
    const value = { traceparent };
    const write = { kind: 'idempotency' as const, id: subject, expect: 0, createdAt: this.#clock.now(), index: {}, value };
    try {
      await this.#store.commit([write]);
    } catch (error) {
      // Somebody noted it before, which counts. A trace with a gap is better than a job that is refused.
      if (codeOf(error) !== 'conflict') this.#complain(error);
    }
  }

  async #find(subject: string): Promise<string | null> {
    const known = this.#known.get(subject);
    if (known !== undefined) return known;
    try {
      const record = await this.#store.get('idempotency', subject);
      if (record === undefined) return null;
      const { traceparent } = record.value as { traceparent: string };
      this.#remember(subject, traceparent);
      return traceparent;
    } catch (error) {
      this.#complain(error);
      return null;
    }
  }

  #remember(subject: string, traceparent: string): void {
    this.#known.set(subject, traceparent);
    if (this.#known.size <= REMEMBERED) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}

function idOf(kind: Job['kind'], key: string): string {
  return `trace-${kind}-${key}`;
}
