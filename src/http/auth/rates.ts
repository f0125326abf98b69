import type { ResolvedServer } from '../../config/server.ts';
import type { Clock } from '../../clock.ts';

/** What a route costs. Webhooks have no class: their senders repeat what is refused only much later, or never. */
export type RateClass = 'reads' | 'writes' | 'judgements';

/** Requests at once, in seconds of the rate. */
const BURST_SECONDS = 10;
const MAX_BUCKETS = 10_000;
const FORGET_MS = 60_000;

interface Bucket {
  tokens: number;
  at: number;
}

/** One token bucket for each caller and class (https://en.wikipedia.org/wiki/Token_bucket), bounded in number. */
export class Rates {
  readonly #perSecond: ResolvedServer['rates'];
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();

  constructor(perSecond: ResolvedServer['rates'], clock: Clock) {
    this.#perSecond = perSecond;
    this.#clock = clock;
  }

  /** Takes one request of a caller. @returns 0, or the seconds after which to try again, at least 1 */
  take(caller: string, what: RateClass): number {
    const rate = this.#perSecond[what];
    if (rate === 0) return 0;
    const now = this.#clock.now();
    const key = `${what} ${caller}`;
    const full = rate * BURST_SECONDS;
    const bucket = this.#buckets.get(key) ?? this.#add(key, { tokens: full, at: now }, now);
    // A clock that was set back gives nothing, and takes nothing.
    bucket.tokens = Math.min(full, bucket.tokens + (Math.max(now - bucket.at, 0) / 1_000) * rate);
    bucket.at = now;
    if (bucket.tokens >= 1) {
      bucket.tokens -= 1;
      return 0;
    }
    return Math.max(1, Math.ceil((1 - bucket.tokens) / rate));
  }

  get size(): number {
    return this.#buckets.size;
  }

  #add(key: string, bucket: Bucket, now: number): Bucket {
    if (this.#buckets.size >= MAX_BUCKETS) {
      for (const [name, { at }] of this.#buckets) if (now - at > FORGET_MS) this.#buckets.delete(name);
      const oldest = this.#buckets.keys().next();
      if (this.#buckets.size >= MAX_BUCKETS && oldest.done !== true) this.#buckets.delete(oldest.value);
    }
    this.#buckets.set(key, bucket);
    return bucket;
  }
}
