import { randomBytes } from 'node:crypto';
import type { Queue } from 'bullmq';
import { CodedError } from '../../errors.ts';
import type { JobData, QueueScripts } from './scripts.ts';

/** Jobs in one round trip; more go in a further one. */
const MOST_AT_ONCE = 200;
/** How often a job may end in the moment in which it is asked for again. */
const MOST_TRIES = 20;

interface Wish {
  key: string;
  /** When it shall run, milliseconds since the epoch. */
  at: number;
  /** The caller named a time. */
  timed: boolean;
  settle: { resolve: () => void; reject: (reason: unknown) => void }[];
}

/**
 * Adds jobs to one queue. What is asked for in one turn of the event loop goes to Redis in one round trip,
 * which costs half as much for each; a burst of webhooks is what it is made for.
 */
export class Adding {
  readonly #queue: Queue<JobData>;
  readonly #scripts: QueueScripts;
  readonly #now: () => number;
  /** Ids have to be told from those of other processes. */
  readonly #tag = randomBytes(6).toString('hex');
  #wishes = new Map<string, Wish>();
  #count = 0;

  constructor(queue: Queue<JobData>, scripts: QueueScripts, now: () => number) {
    this.#queue = queue;
    this.#scripts = scripts;
    this.#now = now;
  }

  /** Resolves when Redis has it; rejects with what Redis or the connection said. */
  add(key: string, at: number, timed: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = { resolve, reject };
      const known = this.#wishes.get(key);
      if (known !== undefined) {
        if (at < known.at) Object.assign(known, { at, timed });
        known.settle.push(settle);
        return;
      }
      if (this.#wishes.size === 0) setImmediate(() => this.#flush());
      this.#wishes.set(key, { key, at, timed, settle: [settle] });
    });
  }

  #flush(): void {
    const wishes = [...this.#wishes.values()];
    this.#wishes = new Map();
    for (let from = 0; from < wishes.length; from += MOST_AT_ONCE) void this.#addSome(wishes.slice(from, from + MOST_AT_ONCE));
  }

  /** Never rejects. */
  async #addSome(wishes: readonly Wish[]): Promise<void> {
    try {
      let open = wishes;
      for (let tries = 1; open.length > 0; tries += 1) {
        if (tries > MOST_TRIES) {
          throw new CodedError('queue_unavailable', 'A job ended again and again while it was asked for. Try again.', {
            retryable: true,
          });
        }
        open = await this.#tryOnce(open);
      }
      for (const { settle } of wishes) for (const { resolve } of settle) resolve();
    } catch (error) {
      for (const { settle } of wishes) for (const { reject } of settle) reject(error);
    }
  }

  /** @returns what has to be added anew, because the job that was there ended meanwhile */
  async #tryOnce(wishes: readonly Wish[]): Promise<Wish[]> {
    const entries = wishes.map((wish) => ({ wish, id: this.#newId() }));
    const added = await this.#queue.addBulk(entries.map(({ wish, id }) => this.#job(wish, id)));
    const gone = await Promise.all(
      entries.map(async ({ wish, id }, place) => {
        const taken = added[place]?.id;
        // Another id: a job of this key was there before.
        if (taken === undefined || taken === id) return [];
        return (await this.#scripts.notice(taken, wish.key, wish.at)) ? [] : [wish];
      }),
    );
    return gone.flat();
  }

  #newId(): string {
    this.#count += 1;
    return `${this.#tag}-${this.#count.toString(36)}`;
  }

  #job({ key, at, timed }: Wish, id: string) {
    const now = this.#now();
    // A job of the past goes through the delayed ones, too: they are taken in the order of their times, not of their coming.
    const when = timed ? (at > now ? { timestamp: now, delay: at - now } : { timestamp: Math.max(1, at - 1), delay: 1 }) : {};
    return {
      name: this.#queue.name,
      data: { key, at, base: 0 },
      opts: { jobId: id, deduplication: { id: key }, ...when },
    };
  }
}
