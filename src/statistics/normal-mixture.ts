import { logNormalCdf } from './normal.ts';

/**
 * Precision of the mixing normal that makes the bound tightest at the intrinsic time `at`.
 * Howard, Ramdas, McAuliffe & Sekhon 2021, proposition 3. One-sided: pass twice the error.
 */
export function mixingPrecision(at: number, alpha: number): number {
  const twice = 2 * Math.log(1 / alpha);
  return at / (twice + Math.log1p(twice));
}

/** log e-value of a sum `s` with intrinsic time `v` against a mean of at most 0: one-sided normal mixture (Howard et al. 2021). */
export function oneSidedNormalMixture(s: number, v: number, precision: number): number {
  const total = v + precision;
  return 0.5 * Math.log((4 * precision) / total) + (s * s) / (2 * total) + logNormalCdf(s / Math.sqrt(total));
}

/** Half-width, on the scale of the sum, of the two-sided normal mixture's confidence sequence. */
export function normalMixtureHalfWidth(v: number, precision: number, alpha: number): number {
  const total = v + precision;
  return Math.sqrt(total * (Math.log(total / precision) + 2 * Math.log(1 / alpha)));
}
