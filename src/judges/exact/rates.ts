import { upperBoundOfShare } from '../../statistics/binomial-bound.ts';
import type { Bet } from '../../statistics/onset-mixture.ts';
import { smallestSeenRatio, RateRatio } from '../../statistics/rate-ratio.ts';
import { RatioEvidence, type PairedCounts } from '../../statistics/ratio-evidence.ts';
import { INTERVAL_ALPHA, PASS_ALPHA } from './margins.ts';
import { percent, range, times, whole } from './words.ts';

export interface RatioEffect {
  kind: 'rate-ratio';
  estimate: number | null;
  low: number | null;
  high: number | null;
}

/** Nothing can be said of the ratio. */
export const NO_EFFECT: RatioEffect = { kind: 'rate-ratio', estimate: null, low: null, high: null };

/** Two rates compared against a tolerated ratio: the evidence, the interval, the bound at the end, and their words. */
export class ComparedRates {
  readonly #boundary: number;
  readonly #evidence: RatioEvidence;
  readonly #ratio = new RateRatio();
  readonly totals: PairedCounts = { canaryEvents: 0, canaryTotal: 0, baselineEvents: 0, baselineTotal: 0 };

  constructor(boundary: number, bet: Bet) {
    this.#boundary = boundary;
    this.#evidence = new RatioEvidence(boundary, bet);
  }

  add(counts: PairedCounts): void {
    this.#evidence.add(counts);
    this.#ratio.add(counts);
    this.totals.canaryEvents += counts.canaryEvents;
    this.totals.canaryTotal += counts.canaryTotal;
    this.totals.baselineEvents += counts.baselineEvents;
    this.totals.baselineTotal += counts.baselineTotal;
  }

  get logE(): number {
    return this.#evidence.logE;
  }

  /** Anytime-valid 95 % interval of the ratio. */
  effect(): RatioEffect {
    return { kind: 'rate-ratio', estimate: this.#ratio.estimate, ...this.#ratio.interval(INTERVAL_ALPHA) };
  }

  /** 95 % upper bound of the ratio, for the one look at the end; Infinity when open. */
  upperRatio(): number {
    return this.#ratio.upperBound(PASS_ALPHA);
  }

  /** 95 % upper bound of the canary's own rate, for the one look at the end. */
  upperRate(): number {
    return upperBoundOfShare(this.totals.canaryEvents, this.totals.canaryTotal, PASS_ALPHA);
  }

  canaryRate(): string {
    return percent(this.totals.canaryEvents / this.totals.canaryTotal);
  }

  baselineRate(): string {
    return percent(this.totals.baselineEvents / this.totals.baselineTotal);
  }

  /** ", 3.1 times as many (2.2 to 4.3), over 1,320 and 11,880 requests" */
  ratioWords({ estimate, low, high }: RatioEffect): string {
    const many =
      estimate === null
        ? low === null || low === 0
          ? ''
          : `, at least ${times(low)} times as many`
        : `, ${times(estimate)} times as many${range(low, high)}`;
    return `${many}, over ${whole(this.totals.canaryTotal)} and ${whole(this.totals.baselineTotal)} requests`;
  }

  /** What this much traffic could have shown. */
  blindness(logNeeded: number): string {
    const seen = smallestSeenRatio(this.totals, this.#boundary, logNeeded);
    return seen === Infinity
      ? 'this little traffic could not have shown any effect'
      : `the smallest effect that this much traffic could have shown is about ${times(seen)} times as many`;
  }
}
