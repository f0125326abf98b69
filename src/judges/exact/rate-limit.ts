import { upperBoundOfShare } from '../../statistics/binomial-bound.ts';
import type { Bet } from '../../statistics/onset-mixture.ts';
import { RateEvidence } from '../../statistics/rate-evidence.ts';
import { RatioEvidence, type PairedCounts } from '../../statistics/ratio-evidence.ts';
import { LOWEST_LIMIT, PASS_ALPHA, UNHEALTHY_LOG_E } from './margins.ts';
import type { SideCounts } from './counts.ts';

/**
 * "The canary's rate lies above the limit while the baseline's does not", as an e-value.
 *
 * With a baseline it is the smaller of two: above the limit, and worse than the baseline at all (ratio above 1). Either alone
 * is an e-value of its own null hypothesis, so the smaller one is an e-value of "not above the limit, or no worse than the
 * baseline": a fault that both sides share fails nobody, even while the baseline's estimate happens to lie below the limit.
 * On top, it counts only while that estimate does lie below. Without data of a configured baseline nothing is taken in.
 */
export class RateLimit {
  readonly limit: number;
  readonly #canary: SideCounts = { events: 0, total: 0 };
  readonly #baseline: SideCounts = { events: 0, total: 0 };
  readonly #above: RateEvidence;
  readonly #worse: RatioEvidence | null;

  /** @param limit a share; 1 and more can never be exceeded */
  constructor(limit: number, hasBaseline: boolean, bet: Bet) {
    this.limit = Math.min(Math.max(limit, LOWEST_LIMIT), 1);
    this.#above = new RateEvidence(this.limit, bet);
    this.#worse = hasBaseline ? new RatioEvidence(1, bet) : null;
  }

  addPair(counts: PairedCounts): void {
    this.add({ events: counts.canaryEvents, total: counts.canaryTotal });
    this.#worse?.add(counts);
    this.#baseline.events += counts.baselineEvents;
    this.#baseline.total += counts.baselineTotal;
  }

  /** A tick of the canary where no baseline is configured. */
  add(canary: SideCounts): void {
    this.#above.add(canary.events, canary.total);
    this.#canary.events += canary.events;
    this.#canary.total += canary.total;
  }

  /** log of the e-value; -Infinity while the baseline is above the limit, too. */
  get logE(): number {
    if (this.#worse === null) return this.#above.logE;
    if (this.#baseline.total === 0) return 0;
    return this.baselineIsAbove ? -Infinity : Math.min(this.#above.logE, this.#worse.logE);
  }

  get canaryIsAbove(): boolean {
    return this.#canary.events > this.limit * this.#canary.total;
  }

  /** 95 % sure at the one look at the end. */
  get canaryIsBelow(): boolean {
    return upperBoundOfShare(this.#canary.events, this.#canary.total, PASS_ALPHA) < this.limit;
  }

  get baselineIsAbove(): boolean {
    return this.#baseline.total > 0 && this.#baseline.events >= this.limit * this.#baseline.total;
  }

  /** Shown for the canary, and the estimate of the baseline says the same. */
  get bothAbove(): boolean {
    return this.baselineIsAbove && this.canaryIsAbove && this.#above.logE >= UNHEALTHY_LOG_E;
  }
}
