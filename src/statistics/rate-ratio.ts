import { upperBoundOfShare } from './binomial-bound.ts';
import { bisect } from './bisect.ts';
import { logSumExp } from './log-space.ts';
import type { PairedCounts } from './ratio-evidence.ts';

const SMALLEST = Math.log(1e-6);
const LARGEST = Math.log(1e6);

/** Log ratios of the mixture behind the interval: dense near 1, out to 100 times better or worse. */
const GRID = Float64Array.from({ length: 61 }, (_, j) => (Math.log(100) * Math.sinh((4 * (j - 30)) / 30)) / Math.sinh(4));

/**
 * What is known of the ratio of two rates, stratified by tick: only the split of each tick's events between the sides is
 * used, so a rate that moves for both sides, or a share of traffic that grows, does not disturb it.
 */
export class RateRatio {
  readonly #events: number[] = [];
  readonly #shares: number[] = [];
  #canary = 0;
  #baseline = 0;

  /** Both totals must be positive. */
  add(counts: PairedCounts): void {
    this.#canary += counts.canaryEvents;
    this.#baseline += counts.baselineEvents;
    const events = counts.canaryEvents + counts.baselineEvents;
    if (events === 0) return;
    this.#events.push(events);
    this.#shares.push(counts.canaryTotal / counts.baselineTotal);
  }

  /** Conditional maximum likelihood; null when there is none (no events, or none in the baseline). */
  get estimate(): number | null {
    if (this.#baseline === 0) return null;
    if (this.#canary === 0) return 0;
    return Math.exp(bisect(SMALLEST, LARGEST, (u) => this.#expected(u) < this.#canary));
  }

  /**
   * Confidence sequence of the ratio, valid at every look at once: all ratios that the mixture over a fixed grid of ratios
   * does not outdo by 1/alpha (Robbins 1970). Exact for a ratio that stays the same, by the argument at RatioEvidence.
   * @returns null for an end that the data leave open
   */
  interval(alpha: number): { low: number | null; high: number | null } {
    if (this.#events.length === 0) return { low: null, high: null };
    const logWeight = -Math.log(GRID.length);
    const bar = logSumExp(GRID.map((u) => this.#logLikelihood(u) + logWeight)) + Math.log(alpha);
    const best = this.#canary === 0 ? SMALLEST : this.#baseline === 0 ? LARGEST : Math.log(this.estimate ?? 1);
    const low = this.#canary === 0 ? SMALLEST : bisect(SMALLEST, best, (u) => this.#logLikelihood(u) < bar);
    const high = this.#baseline === 0 ? LARGEST : bisect(best, LARGEST, (u) => this.#logLikelihood(u) >= bar);
    return {
      low: low <= SMALLEST + 1e-9 ? 0 : Math.exp(low),
      high: high >= LARGEST - 1e-9 ? null : Math.exp(high),
    };
  }

  /**
   * Upper bound of the ratio for one planned look (not for every look): Clopper & Pearson's bound of the canary's share of all
   * events, turned back into a ratio. @returns Infinity when the data leave it open
   */
  upperBound(alpha: number): number {
    const events = this.#canary + this.#baseline;
    if (events === 0) return Infinity;
    const share = upperBoundOfShare(this.#canary, events, alpha);
    const u = bisect(SMALLEST, LARGEST, (at) => this.#expected(at) < share * events);
    return u >= LARGEST - 1e-9 ? Infinity : Math.exp(u);
  }

  #expected(u: number): number {
    const ratio = Math.exp(u);
    let sum = 0;
    for (let i = 0; i < this.#events.length; i++) {
      const odds = ratio * this.#shares[i];
      sum += (this.#events[i] * odds) / (1 + odds);
    }
    return sum;
  }

  #logLikelihood(u: number): number {
    const ratio = Math.exp(u);
    let sum = this.#canary * u;
    for (let i = 0; i < this.#events.length; i++) sum -= this.#events[i] * Math.log1p(ratio * this.#shares[i]);
    return sum;
  }
}

const COST_OF_MIXING = 2;

/**
 * Smallest ratio that these totals could have shown in about half of all runs: where the expected log likelihood ratio
 * against `boundary` reaches `logNeeded` and the usual cost of mixing over alternatives (2). An orientation, not a bound.
 * @returns Infinity when none could
 */
export function smallestSeenRatio(totals: PairedCounts, boundary: number, logNeeded: number): number {
  const { canaryTotal, baselineTotal } = totals;
  if (canaryTotal <= 0 || baselineTotal <= 0) return Infinity;
  const rate = (totals.canaryEvents + totals.baselineEvents + 0.5) / (canaryTotal + baselineTotal + 1);
  const gained = (ratio: number): number => {
    const canary = rate * ratio * canaryTotal;
    const baseline = rate * baselineTotal;
    const all = canary + baseline;
    const atBoundary = (boundary * canaryTotal) / (boundary * canaryTotal + baselineTotal);
    return canary * Math.log(canary / all / atBoundary) + baseline * Math.log(baseline / all / (1 - atBoundary));
  };
  const enough = logNeeded + COST_OF_MIXING;
  const top = Math.log(1_000);
  const u = bisect(0, top, (at) => gained(boundary * Math.exp(at)) < enough);
  return u >= top - 1e-9 ? Infinity : boundary * Math.exp(u);
}
