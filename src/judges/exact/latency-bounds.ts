/** A bucket bound at which slow requests are counted, and what is tolerated there. */
export interface LatencyBound {
  /** Index of the bound; slow requests lie in the buckets after it. */
  index: number;
  /** Tolerated ratio of the shares of slow requests. */
  tolerated: number;
  /** Ratio of the shares of slow requests up to which the canary passes. */
  passing: number;
}

const MOST_BOUNDS = 5;
const TARGETS: readonly number[] = [0.3, 0.12, 0.04, 0.012, 0.003];
const RAREST = 0.001;
const MOST_COMMON = 0.85;
const SLOPE = { from: 2.5, to: 8, unknown: 4 };

/**
 * Where to count slow requests, from a histogram of the baseline that is not judged itself.
 *
 * A canary that is f times slower has f^slope times the odds of being slower than a bound, the slope being how fast the
 * logit of "slower than the bound" falls per log of the bound, read off the two neighbouring intervals and kept within 2.5 to 8.
 * With the baseline's share ex of slow requests, odds o times as high are a rate o / (1 + ex (o - 1)) times as high.
 *
 * @param bounds upper bounds of the buckets, rising
 * @param histogram counts per bucket, one more than bounds
 * @param tolerate accepted slowness: 0.25 = 25 % slower
 * @param passing times slower up to which the canary passes
 */
export function chooseBounds(
  bounds: readonly number[],
  histogram: ArrayLike<number>,
  tolerate: number,
  passing: number,
): LatencyBound[] {
  let total = 0;
  for (let i = 0; i < histogram.length; i++) total += histogram[i];
  const shares = new Float64Array(bounds.length);
  const exact = new Float64Array(bounds.length);
  let above = total;
  for (let i = 0; i < bounds.length; i++) {
    above -= histogram[i];
    exact[i] = above / total;
    shares[i] = (Math.max(0, above) + 0.5) / (total + 1);
  }
  return eligibleBounds(bounds, exact).map((index) => {
    const slope = slopeAt(bounds, shares, index);
    const ratioOf = (slower: number): number => {
      const odds = slower ** slope;
      return odds / (1 + shares[index] * (odds - 1));
    };
    return { index, tolerated: ratioOf(1 + tolerate), passing: ratioOf(passing) };
  });
}

function eligibleBounds(bounds: readonly number[], exact: Float64Array): number[] {
  const eligible: number[] = [];
  for (let i = 0; i < bounds.length; i++) {
    if (bounds[i] > 0 && exact[i] > RAREST && exact[i] < MOST_COMMON) eligible.push(i);
  }
  if (eligible.length === 0) {
    // Everything lies in one bucket: the first bound that nearly nothing crosses, else the last bound there is.
    const first = exact.findIndex((share, i) => bounds[i] > 0 && share < MOST_COMMON);
    return [first >= 0 ? first : bounds.length - 1];
  }
  if (eligible.length <= MOST_BOUNDS) return eligible;
  const chosen = new Set<number>();
  for (const target of TARGETS) {
    let nearest = -1;
    for (const i of eligible) {
      if (chosen.has(i)) continue;
      if (nearest < 0 || Math.abs(logit(exact[i]) - logit(target)) < Math.abs(logit(exact[nearest]) - logit(target))) nearest = i;
    }
    chosen.add(nearest);
  }
  return [...chosen].sort((a, b) => a - b);
}

function slopeAt(bounds: readonly number[], shares: Float64Array, index: number): number {
  const slopes: number[] = [];
  for (const [low, high] of [
    [index - 1, index],
    [index, index + 1],
  ]) {
    if (low < 0 || high >= bounds.length || bounds[low] <= 0) continue;
    slopes.push((logit(shares[low]) - logit(shares[high])) / Math.log(bounds[high] / bounds[low]));
  }
  if (slopes.length === 0) return SLOPE.unknown;
  const mean = slopes.reduce((sum, slope) => sum + slope, 0) / slopes.length;
  return Math.min(Math.max(mean, SLOPE.from), SLOPE.to);
}

function logit(share: number): number {
  return Math.log(share / (1 - share));
}
