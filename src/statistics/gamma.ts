const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
  -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
];
const STIRLING_FROM = 15;

/**
 * log Gamma(x) for x > 0, relative error about 1e-15.
 * Lanczos' approximation (g = 7, 9 terms) below 15, Stirling's series (Abramowitz & Stegun 6.1.41) above.
 */
export function logGamma(x: number): number {
  if (x >= STIRLING_FROM) {
    const y = 1 / (x * x);
    const series = (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y / 1188)))) / x;
    return (x - 0.5) * Math.log(x) - x + 0.9189385332046727 + series;
  }
  if (x < 0.5) return logGamma(x + 1) - Math.log(x);
  const z = x - 1;
  let sum = LANCZOS[0];
  for (let i = 1; i < LANCZOS.length; i++) sum += LANCZOS[i] / (z + i);
  const t = z + 7.5;
  return (z + 0.5) * Math.log(t) - t + Math.log(sum) + 0.9189385332046727;
}
