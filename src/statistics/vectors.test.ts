import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { regularizedBeta } from './beta.ts';
import { lowerBoundOfShare, upperBoundOfShare } from './binomial-bound.ts';
import { logGamma } from './gamma.ts';
import { mixingPrecision, normalMixtureHalfWidth, oneSidedNormalMixture } from './normal-mixture.ts';
import { logNormalCdf } from './normal.ts';

function rows<T>(name: string): T[] {
  const file = new URL(`../../test/vectors/stats/${name}.jsonl`, import.meta.url);
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
}

/** Relative error, absolute below 1. */
function near(actual: number, expected: number, tolerance: number): boolean {
  return Math.abs(actual - expected) <= tolerance * Math.max(1, Math.abs(expected));
}

describe('special functions against SciPy', () => {
  interface Special {
    id: string;
    input: { a: number; b: number; u: number; z: number };
    expected: { gammaln: number; betainc: number; norm_log_cdf: number };
  }
  const vectors = rows<Special>('special');

  it('has the vectors', () => expect(vectors).toHaveLength(59));

  it.each(vectors)('agrees on $id', ({ input: { a, b, u, z }, expected }) => {
    expect(near(logGamma(a), expected.gammaln, 1e-13)).toBe(true);
    // The beta function's exponent is a difference of log gammas, which costs digits for large a and b.
    expect(Math.abs(regularizedBeta(u, a, b) - expected.betainc)).toBeLessThan(1e-13 * Math.max(100, a + b));
    const log = logNormalCdf(3 * z);
    expect(Math.abs(log - expected.norm_log_cdf)).toBeLessThanOrEqual(1e-11 * Math.abs(expected.norm_log_cdf));
  });
});

describe('normal mixtures against confseq', () => {
  interface Mixture {
    id: string;
    input: { s: number; v: number; v_opt: number; alpha_opt: number; alpha: number };
    expected: { normal_log_one_sided: number; normal_bound_two_sided: number };
  }
  const vectors = rows<Mixture>('confseq_mixtures');

  it('has the vectors', () => expect(vectors).toHaveLength(45));

  it.each(vectors)('agrees on $id', ({ input: { s, v, v_opt, alpha_opt, alpha }, expected }) => {
    expect(near(oneSidedNormalMixture(s, v, mixingPrecision(v_opt, 2 * alpha_opt)), expected.normal_log_one_sided, 1e-9)).toBe(
      true,
    );
    expect(near(normalMixtureHalfWidth(v, mixingPrecision(v_opt, alpha_opt), alpha), expected.normal_bound_two_sided, 1e-6)).toBe(
      true,
    );
  });
});

describe('exact bounds of a share against statsmodels', () => {
  interface Clopper {
    id: string;
    input: { x1: number; n1: number };
    expected: { clopper_ci95_1: [number, number] };
  }
  const vectors = rows<Clopper>('two_proportions');

  it.each(vectors)('agrees on $id', ({ input: { x1, n1 }, expected: { clopper_ci95_1: interval } }) => {
    expect(lowerBoundOfShare(x1, n1, 0.025)).toBeCloseTo(interval[0], 9);
    expect(upperBoundOfShare(x1, n1, 0.025)).toBeCloseTo(interval[1], 9);
  });

  it('knows the rule of three', () => {
    expect(upperBoundOfShare(0, 300, 0.05)).toBeCloseTo(1 - 0.05 ** (1 / 300), 12);
    expect(upperBoundOfShare(0, 0, 0.05)).toBe(1);
    expect(upperBoundOfShare(7, 7, 0.05)).toBe(1);
  });
});
