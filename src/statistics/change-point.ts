/** Where a series most likely changed once, and how much likelier that is than no change. */
export interface ChangePoint {
  /** Index of the first entry after the change, from 1 to length - 1. */
  index: number;
  /** Log of the likelihood ratio against one and the same rate (or mean) all along; 0 or more. */
  gain: number;
}

/**
 * The most likely single change of a rate (Hinkley & Hinkley 1970: maximum of the binomial likelihood over all splits).
 *
 * @param events per entry, with `total` of the same length; an entry with a null in either is left out of both sides
 * @returns null with fewer than two entries that count
 */
export function changeOfRate(events: readonly (number | null)[], total: readonly (number | null)[]): ChangePoint | null {
  // A missing entry counts as no traffic.
  const known = (at: number) => (events[at] ?? null) !== null && (total[at] ?? 0) > 0;
  let allEvents = 0;
  let all = 0;
  let entries = 0;
  for (let at = 0; at < total.length; at++) {
    if (!known(at)) continue;
    allEvents += Math.min(events[at] ?? 0, total[at] ?? 0);
    all += total[at] ?? 0;
    entries += 1;
  }
  if (entries < 2) return null;
  const without = binomial(allEvents, all);
  let best: ChangePoint | null = null;
  let before = 0;
  let beforeEvents = 0;
  for (let at = 0; at < total.length; at++) {
    if (!known(at)) continue;
    if (before > 0) {
      const gain = binomial(beforeEvents, before) + binomial(allEvents - beforeEvents, all - before) - without;
      if (best === null || gain > best.gain) best = { index: at, gain: Math.max(0, gain) };
    }
    beforeEvents += Math.min(events[at] ?? 0, total[at] ?? 0);
    before += total[at] ?? 0;
  }
  return best;
}

/** The most likely single change of a mean, for values with one and the same unknown variance. Null entries are left out. */
export function changeOfMean(values: readonly (number | null)[]): ChangePoint | null {
  const known = values.flatMap((value, at) => (value === null || !Number.isFinite(value) ? [] : [{ value, at }]));
  if (known.length < 3) return null;
  // Shifted by their mean, so that sums of squares of large values lose no digits.
  const mean = known.reduce((sum, { value }) => sum + value, 0) / known.length;
  let total = 0;
  for (const { value } of known) total += (value - mean) ** 2;
  if (total === 0) return null;
  let best: ChangePoint | null = null;
  let sum = 0;
  for (let count = 1; count < known.length; count++) {
    sum += known[count - 1].value - mean;
    const between = (sum * sum) / count + (sum * sum) / (known.length - count);
    const within = Math.max(total - between, total * Number.EPSILON);
    const gain = (known.length / 2) * Math.log(total / within);
    if (best === null || gain > best.gain) best = { index: known[count].at, gain };
  }
  return best;
}

/** Log-likelihood of `events` among `total` at their own rate, without the binomial coefficient, which cancels. */
function binomial(events: number, total: number): number {
  const part = (count: number) => (count <= 0 ? 0 : count * Math.log(count / total));
  return part(events) + part(total - events);
}
