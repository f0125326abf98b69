import { TIMES_WORSE, WEIGHTS } from './alternatives.ts';
import { OnsetMixture, type Bet } from './onset-mixture.ts';

/** Events among totals of both sides in one tick. */
export interface PairedCounts {
  canaryEvents: number;
  canaryTotal: number;
  baselineEvents: number;
  baselineTotal: number;
}

/**
 * E-process against "in every tick the canary's rate is at most `boundary` times the baseline's".
 *
 * Of e = x_c + x_b events, under the ratio r the canary's share is p(r) = r n_c / (r n_c + n_b), whatever the common rate does.
 * The factor of a tick for the alternative r against the boundary r0 is the binomial likelihood ratio
 * (p(r)/p(r0))^x_c ((1-p(r))/(1-p(r0)))^x_b = (r/r0)^x_c ((r0 n_c + n_b)/(r n_c + n_b))^e
 * (Przyborowski & Wilenski 1940; as an e-process: Lindon & Malek 2022).
 *
 * Why it holds for real requests and not only for Poisson counts: let request i fail with chance q_i, independently of the
 * others given the past. With a = p(r)/p(r0) >= 1 and b = (1-p(r))/(1-p(r0)) <= 1 the expected factor is
 * prod_c (1 + q_i (a-1)) prod_b (1 + q_i (b-1)) <= exp((a-1) Q_c + (b-1) Q_b), Q being the sums of the q_i, and the exponent is
 * at most 0 as soon as Q_c/n_c <= r0 Q_b/n_b. So the rates may change from request to request and from tick to tick.
 */
export class RatioEvidence {
  readonly #boundary: number;
  readonly #mixture: OnsetMixture;
  readonly #increments = new Float64Array(TIMES_WORSE.length);

  constructor(boundary: number, bet: Bet) {
    this.#boundary = boundary;
    this.#mixture = new OnsetMixture(WEIGHTS, bet);
  }

  /** Both totals must be positive. */
  add(counts: PairedCounts): void {
    const { canaryEvents, canaryTotal, baselineEvents, baselineTotal } = counts;
    const events = canaryEvents + baselineEvents;
    const atBoundary = this.#boundary * canaryTotal + baselineTotal;
    for (let k = 0; k < TIMES_WORSE.length; k++) {
      const grown = (this.#boundary * canaryTotal * (TIMES_WORSE[k] - 1)) / atBoundary;
      this.#increments[k] = canaryEvents * Math.log(TIMES_WORSE[k]) - events * Math.log1p(grown);
    }
    this.#mixture.step(this.#increments);
  }

  get logE(): number {
    return this.#mixture.logE;
  }
}
