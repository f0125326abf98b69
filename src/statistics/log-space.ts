/** log(exp(a) + exp(b)) without overflow; -Infinity stands for 0. */
export function logAddExp(a: number, b: number): number {
  const high = Math.max(a, b);
  if (high === -Infinity) return -Infinity;
  return high + Math.log1p(Math.exp(Math.min(a, b) - high));
}

/** log of the sum of exp(terms) without overflow; -Infinity for no terms. */
export function logSumExp(terms: ArrayLike<number>): number {
  let high = -Infinity;
  for (let i = 0; i < terms.length; i++) high = Math.max(high, terms[i]);
  if (high === -Infinity || high === Infinity) return high;
  let sum = 0;
  for (let i = 0; i < terms.length; i++) sum += Math.exp(terms[i] - high);
  return high + Math.log(sum);
}
