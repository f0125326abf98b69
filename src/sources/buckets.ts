/** Cumulative increases of one histogram, by upper bound (`le`), infinity included. */
export type Cumulative = ReadonlyMap<number, number>;

export interface BucketCounts {
  /** Rising, without infinity. */
  bounds: number[];
  /** Not cumulative; one more than bounds, the last for what is above every bound. */
  counts: number[];
}

export type BucketSum =
  ({ kind: 'sum'; clamped: boolean } & BucketCounts) | { kind: 'fault'; code: 'bounds_differ' | 'not_buckets'; sentence: string };

/**
 * Adds up histograms with the same bounds.
 *
 * Within a histogram a bucket holds the ones below it, so its count cannot be lower than theirs; a page that was
 * rendered while requests were counted can say so all the same. Then the lower one is raised, as Prometheus does
 * (`ensureMonotonic` in promql/quantile.go), and `clamped` is true.
 *
 * @param histograms at least one
 */
export function sumBuckets(histograms: Iterable<Cumulative>): BucketSum {
  let bounds: number[] | null = null;
  let counts: number[] = [];
  let clamped = false;
  for (const histogram of histograms) {
    const own = [...histogram.keys()].sort((a, b) => a - b);
    if (own.pop() !== Infinity) {
      return {
        kind: 'fault',
        code: 'not_buckets',
        sentence: 'a histogram has no bucket le="+Inf", so its buckets are not whole',
      };
    }
    if (bounds === null) {
      bounds = own;
      counts = Array.from({ length: own.length + 1 }, () => 0);
    } else if (!sameBounds(bounds, own)) {
      return { kind: 'fault', code: 'bounds_differ', sentence: 'the histograms of this side have different bounds (le)' };
    }
    let below = 0;
    for (const [at, bound] of [...own, Infinity].entries()) {
      const cumulative = histogram.get(bound) ?? 0;
      if (cumulative < below) clamped = true;
      const reached = Math.max(below, cumulative);
      counts[at] = (counts[at] ?? 0) + reached - below;
      below = reached;
    }
  }
  return { kind: 'sum', clamped, bounds: bounds ?? [], counts };
}

export function sameBounds(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((bound, at) => bound === other[at]);
}
