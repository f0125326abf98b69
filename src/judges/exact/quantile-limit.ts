import type { Bet } from '../../statistics/onset-mixture.ts';
import { paired, slowerThan, type Row, type SideCounts } from './counts.ts';
import { RateLimit } from './rate-limit.ts';
import { limitPercent, percent, seconds, whole } from './words.ts';

/**
 * A limit on a quantile, say p99 <= 500 ms, judged as "at most 1 % of requests are slower than 500 ms". Where no bucket ends
 * at the limit the next bound above it is used: requests in between cannot be told from faster ones and count as fast.
 */
export class QuantileLimit {
  readonly test: RateLimit;
  readonly #quantile: number;
  readonly #value: number;
  readonly #index: number;
  readonly #bound: number;
  readonly #canary: SideCounts = { events: 0, total: 0 };
  readonly #baseline: SideCounts = { events: 0, total: 0 };

  /** @param index of the first bound at or above the limit */
  constructor(limit: { quantile: number; value: number }, index: number, bound: number, hasBaseline: boolean, bet: Bet) {
    this.#quantile = limit.quantile;
    this.#value = limit.value;
    this.#index = index;
    this.#bound = bound;
    this.test = new RateLimit(1 - limit.quantile, hasBaseline, bet);
  }

  add(canary: Row, baseline: Row | null): void {
    const slow = slowerThan(canary, this.#index);
    this.#canary.events += slow.events;
    this.#canary.total += slow.total;
    if (baseline === null) return this.test.add(slow);
    const other = slowerThan(baseline, this.#index);
    this.#baseline.events += other.events;
    this.#baseline.total += other.total;
    this.test.addPair(paired(slow, other));
  }

  /** "p99 <= 500 ms" */
  get name(): string {
    return `p${Number((this.#quantile * 100).toPrecision(6))} <= ${seconds(this.#value)}`;
  }

  /** The canary against this limit in words; null without data. */
  get words(): string | null {
    if (this.#canary.total === 0) return null;
    const slow = percent(this.#canary.events / this.#canary.total);
    const other = this.#baseline.total === 0 ? '' : `; baseline ${percent(this.#baseline.events / this.#baseline.total)}`;
    return (
      `${slow} of the canary's requests took longer than ${seconds(this.#bound)}, ` +
      `above the ${limitPercent(1 - this.#quantile)} that ${this.name} allows, over ${whole(this.#canary.total)} requests${other}`
    );
  }
}
