const STEPS = 48;

/** The place in [low, high] where `below` turns from true to false; `below` must be true, then false. */
export function bisect(low: number, high: number, below: (x: number) => boolean): number {
  let from = low;
  let to = high;
  for (let i = 0; i < STEPS; i++) {
    const middle = 0.5 * (from + to);
    if (below(middle)) from = middle;
    else to = middle;
  }
  return 0.5 * (from + to);
}
