import { mixingPrecision, normalMixtureHalfWidth, oneSidedNormalMixture } from './normal-mixture.ts';

/** Standard deviation of one tick's log ratio that two equally good sides show at least. */
const TICK_SD = 0.07;
/** Standard deviation of the lasting difference of two equally good sides (another node, another age). */
const OFFSET_SD = 0.045;
/** A log ratio counts as at most this: one absurd value moves the mean by no more than a factor of 7. */
const MOST_LOG_RATIO = 2;
const FEWEST_TICKS = 5;
/** The mixture is tightest where the information is about this; it saturates at 1 / OFFSET_SD^2 = 494. */
const TIGHTEST_AT = 200;
const PRECISION = mixingPrecision(TIGHTEST_AT, 0.02);
const PRECISION_TWO_SIDED = mixingPrecision(TIGHTEST_AT, 0.05);
const ONE_SIDED_95 = 1.6448536269514722;

/**
 * Mean of a series of log ratios, one a tick, and the evidence that it lies above a boundary.
 *
 * APPROXIMATE: a normal mixture (Howard et al. 2021) on the mean divided by an estimated standard error. The variance is the
 * sample's with a floor of 0.07 a tick, inflated by (1+r)/(1-r) for the lag-1 correlation r (with its small-sample bias
 * added back), carried from Student's t to the normal by Wallace's formula; a lasting offset of 0.045 is part of the
 * variance, so that the information never grows beyond 494. No evidence before 5 ticks.
 */
export class LogRatioMean {
  #count = 0;
  #sum = 0;
  #squares = 0;
  #pairs = 0;
  #products = 0;
  #firsts = 0;
  #seconds = 0;
  #last: { tick: number; value: number } | null = null;

  add(tick: number, logRatio: number): void {
    const value = Math.min(Math.max(logRatio, -MOST_LOG_RATIO), MOST_LOG_RATIO);
    this.#count += 1;
    this.#sum += value;
    this.#squares += value * value;
    if (this.#last !== null && this.#last.tick === tick - 1) {
      this.#pairs += 1;
      this.#products += value * this.#last.value;
      this.#firsts += this.#last.value;
      this.#seconds += value;
    }
    this.#last = { tick, value };
  }

  get count(): number {
    return this.#count;
  }

  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  /** log e-value against "the mean is at most `boundary`". */
  logE(boundary: number): number {
    if (this.#count < FEWEST_TICKS) return 0;
    const { information, freedom } = this.#precision();
    const z = asNormal((this.mean - boundary) * Math.sqrt(information), freedom);
    return oneSidedNormalMixture(z * Math.sqrt(information), information, PRECISION);
  }

  /** Approximate anytime-valid interval of the mean; null before 5 ticks. */
  interval(alpha: number): { low: number; high: number } | null {
    if (this.#count < FEWEST_TICKS) return null;
    const { information } = this.#precision();
    const half = normalMixtureHalfWidth(information, PRECISION_TWO_SIDED, alpha) / information;
    return { low: this.mean - half, high: this.mean + half };
  }

  /** One-sided 95 % upper bound for one planned look; Infinity before 5 ticks. */
  upper95(): number {
    return this.#count < FEWEST_TICKS ? Infinity : this.mean + ONE_SIDED_95 / Math.sqrt(this.#precision().information);
  }

  /** Smallest mean that could have reached this much evidence in about half of all runs; Infinity before 5 ticks. */
  smallestSeen(boundary: number, logNeeded: number): number {
    if (this.#count < FEWEST_TICKS) return Infinity;
    const { information } = this.#precision();
    const total = information + PRECISION;
    const square = 2 * total * Math.max(0, logNeeded - 0.5 * Math.log((4 * PRECISION) / total));
    return boundary + Math.sqrt(square) / information;
  }

  #precision(): { information: number; freedom: number } {
    const { mean } = this;
    const squares = Math.max(0, this.#squares - this.#sum * mean);
    const sample = squares / (this.#count - 1);
    const variance = Math.max(sample, TICK_SD * TICK_SD);
    let correlation = 0;
    if (squares > 0) {
      const covered = this.#products - mean * (this.#firsts + this.#seconds) + this.#pairs * mean * mean;
      correlation = covered / squares;
      correlation += (1 + 3 * correlation) / Math.max(this.#count, 4);
      correlation = Math.min(Math.max(correlation, 0), 0.85);
    }
    // The floor stands for noise that is independent from tick to tick; only what was seen is correlated.
    const inflation = 1 + (sample / variance) * ((1 + correlation) / (1 - correlation) - 1);
    const fresh = this.#count / (variance * inflation);
    return {
      information: fresh / (1 + fresh * OFFSET_SD * OFFSET_SD),
      freedom: sample > TICK_SD * TICK_SD ? this.#count - 1 : Infinity,
    };
  }
}

/** Student's t with `freedom` degrees as the normal value of about the same tail (Wallace 1959). */
function asNormal(t: number, freedom: number): number {
  if (freedom === Infinity) return t;
  const factor = (8 * freedom + 1) / (8 * freedom + 3);
  return Math.sign(t) * factor * Math.sqrt(freedom * Math.log1p((t * t) / freedom));
}
