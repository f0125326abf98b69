import { logAddExp, logSumExp } from './log-space.ts';

const SHARE_OF_FIRST_START = 0.6;

export interface Bet {
  /** Ticks at which trouble may begin, the first included. */
  starts: number;
  /** One tick multiplies the evidence by at most this. */
  mostPerTick: number;
}

/**
 * A bet against a null hypothesis, spread over several alternatives and over the tick at which the trouble began.
 *
 * Each alternative k and each start s is a likelihood-ratio martingale that is 1 before s; a mixture of such with weights
 * fixed in advance is an e-process: under the null its chance ever to reach 1/alpha is at most alpha (Ville 1939; Robbins 1970),
 * however often it is looked at. The first start holds 60 % of the weight, the others share the rest: an error that begins
 * late need not first win back what the good start has lost. One number an alternative is enough state, because all
 * starts of one alternative move by the same factor. A tick's factor is cut at `mostPerTick`, which only makes it
 * smaller: the bound on false alarms stays, and no single burst (a paused process, one client's retries) decides.
 */
export class OnsetMixture {
  readonly #weights: Float64Array;
  readonly #started: Float64Array;
  readonly #terms: Float64Array;
  readonly #starts: number;
  readonly #most: number;
  #steps = 0;
  #waiting = 1;

  /** @param weights of the alternatives, summing to 1 */
  constructor(weights: readonly number[], { starts, mostPerTick }: Bet) {
    this.#most = Math.log(mostPerTick);
    this.#weights = Float64Array.from(weights, (weight) => Math.log(weight));
    this.#started = new Float64Array(weights.length).fill(-Infinity);
    this.#terms = new Float64Array(weights.length + 1);
    this.#starts = Math.max(1, Math.floor(starts));
  }

  /** Takes the log likelihood ratio of this tick for each alternative. */
  step(increments: ArrayLike<number>): void {
    const share = this.#shareOf(this.#steps);
    this.#steps += 1;
    this.#waiting = Math.max(0, this.#waiting - share);
    const logShare = Math.log(share);
    for (let k = 0; k < this.#started.length; k++) {
      this.#started[k] = logAddExp(this.#started[k], logShare) + Math.min(increments[k], this.#most);
    }
  }

  /** log of the e-value so far; 0 before the first step. */
  get logE(): number {
    for (let k = 0; k < this.#started.length; k++) this.#terms[k] = this.#weights[k] + this.#started[k];
    this.#terms[this.#started.length] = this.#waiting > 1e-12 ? Math.log(this.#waiting) : -Infinity;
    return logSumExp(this.#terms);
  }

  #shareOf(step: number): number {
    if (this.#starts === 1) return step === 0 ? 1 : 0;
    if (step === 0) return SHARE_OF_FIRST_START;
    return step < this.#starts ? (1 - SHARE_OF_FIRST_START) / (this.#starts - 1) : 0;
  }
}
