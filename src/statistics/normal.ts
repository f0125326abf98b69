const SERIES_UNTIL = 2.5;
const LOG_ROOT_2_PI = 0.9189385332046727;

/**
 * log of the standard normal distribution function, accurate in both tails (relative error about 1e-13, also far below
 * where the function itself underflows).
 * Series and continued fraction: Abramowitz & Stegun 26.2.11 and 26.2.14.
 */
export function logNormalCdf(z: number): number {
  if (Number.isNaN(z)) return Number.NaN;
  return z < 0 ? logUpperTail(-z) : Math.log1p(-Math.exp(logUpperTail(z)));
}

/** log P(Z > z) for z >= 0. */
function logUpperTail(z: number): number {
  if (z === Infinity) return -Infinity;
  const logDensity = -0.5 * z * z - LOG_ROOT_2_PI;
  if (z < SERIES_UNTIL) {
    let term = z;
    let sum = z;
    for (let n = 3; term > sum * 1e-17; n += 2) {
      term *= (z * z) / n;
      sum += term;
    }
    return Math.log(0.5 - Math.exp(logDensity) * sum);
  }
  let fraction = z;
  for (let n = 160; n >= 1; n--) fraction = z + n / fraction;
  return logDensity - Math.log(fraction);
}
