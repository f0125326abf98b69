import type { FastifyReply } from 'fastify';
import type { Changes } from '../changes.ts';

/** The requests that stay open: bounded in number, ended together when the server closes. */
export class OpenRequests {
  readonly #max: number;
  readonly #open = new Set<AbortController>();
  #closed = false;

  constructor(max: number) {
    this.#max = max;
  }

  /**
   * @returns a signal that aborts when the client goes away, when `leave` is called, or when the server closes;
   *   undefined when too many are open
   */
  enter(reply: FastifyReply): { signal: AbortSignal; leave: () => void } | undefined {
    if (this.#closed || this.#open.size >= this.#max) return undefined;
    const controller = new AbortController();
    this.#open.add(controller);
    const leave = () => {
      this.#open.delete(controller);
      reply.raw.off('close', leave);
      controller.abort();
    };
    reply.raw.on('close', leave);
    return { signal: controller.signal, leave };
  }

  get size(): number {
    return this.#open.size;
  }

  close(): void {
    this.#closed = true;
    for (const controller of this.#open) controller.abort();
  }
}

/**
 * A record as it is now, and again each time that it may have changed, until `isLast` or the signal ends it. The record
 * is read anew each time: an announcement is a hint, and one that came from another process may never arrive here.
 */
export async function* follow<T>(options: {
  subject: string;
  read: () => Promise<T>;
  isLast: (record: T) => boolean;
  changes: Changes;
  rereadMs: number;
  signal: AbortSignal;
}): AsyncGenerator<T, void> {
  const { subject, read, isLast, changes, rereadMs, signal } = options;
  let announced = false;
  let wake: (() => void) | undefined;
  const awaken = () => wake?.();
  // Before the first read, or a change between the two would be missed.
  const unsubscribe = changes.subscribe(subject, () => {
    announced = true;
    awaken();
  });
  signal.addEventListener('abort', awaken);
  try {
    while (!signal.aborted) {
      announced = false;
      const record = await read();
      yield record;
      if (isLast(record)) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, rereadMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
        if (announced || signal.aborted) wake();
      });
    }
  } finally {
    signal.removeEventListener('abort', awaken);
    unsubscribe();
  }
}
