export interface Slope {
  /** Median of the slopes between all pairs of points (Theil 1950, Sen 1968): a few odd points do not move it. */
  estimate: number;
  /** Ends of the distribution-free 95 % interval (Kendall's variance; Sen 1968). It takes the points as independent. */
  low: number;
  high: number;
}

const Z95 = 1.96;

/** Slope of y over x through points with a robust method; NaN for less than two points. */
export function theilSen(points: readonly { x: number; y: number }[]): Slope {
  const slopes = points
    .flatMap((one, at) => points.slice(at + 1).map((other) => (other.y - one.y) / (other.x - one.x)))
    .toSorted((a, b) => a - b);
  const n = points.length;
  const spread = Z95 * Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
  const ranked = (rank: number) => slopes[Math.max(0, Math.min(slopes.length - 1, Math.round(rank)))] ?? Number.NaN;
  const middle = (slopes.length - 1) / 2;
  return {
    estimate: (ranked(Math.floor(middle)) + ranked(Math.ceil(middle))) / 2,
    low: ranked((slopes.length - spread) / 2 - 1),
    high: ranked((slopes.length + spread) / 2),
  };
}

/** The lowest point of each stretch of x, in order. */
export function lowest(points: readonly { x: number; y: number }[], stretch: number): { x: number; y: number }[] {
  const found = new Map<number, { x: number; y: number }>();
  for (const point of points) {
    const place = Math.floor(point.x / stretch);
    if (point.y < (found.get(place)?.y ?? Infinity)) found.set(place, point);
  }
  return [...found.values()];
}
