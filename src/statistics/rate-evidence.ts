import { TIMES_WORSE, WEIGHTS } from './alternatives.ts';
import { OnsetMixture, type Bet } from './onset-mixture.ts';

/**
 * E-process against "in every tick the rate is at most `limit`": a mixture of Bernoulli likelihood ratios of larger odds
 * against the limit. With independent requests of rate p <= limit each factor has an expectation of at most 1, because it
 * grows with the number of events (monotone likelihood ratio).
 */
export class RateEvidence {
  readonly #mixture: OnsetMixture;
  readonly #perEvent: Float64Array;
  readonly #perOther: Float64Array;
  readonly #increments = new Float64Array(TIMES_WORSE.length);

  /** @param limit a share strictly between 0 and 1 */
  constructor(limit: number, bet: Bet) {
    this.#mixture = new OnsetMixture(WEIGHTS, bet);
    // With m times the odds: p1/p0 = m / (1 + p0 (m - 1)) and (1-p1)/(1-p0) = 1 / (1 + p0 (m - 1)).
    this.#perOther = Float64Array.from(TIMES_WORSE, (times) => -Math.log1p(limit * (times - 1)));
    this.#perEvent = this.#perOther.map((other, k) => Math.log(TIMES_WORSE[k]) + other);
  }

  add(events: number, total: number): void {
    for (let k = 0; k < this.#increments.length; k++) {
      this.#increments[k] = events * this.#perEvent[k] + (total - events) * this.#perOther[k];
    }
    this.#mixture.step(this.#increments);
  }

  get logE(): number {
    return this.#mixture.logE;
  }
}
