import { regularizedBeta } from './beta.ts';
import { bisect } from './bisect.ts';

/**
 * Exact one-sided upper bound of a proportion after `events` in `total`: with probability at least 1 - alpha it lies
 * above the true one (Clopper & Pearson 1934). Valid at one look that was planned before, not at every look.
 * @returns a share; 1 when nothing was seen or every one was an event
 */
export function upperBoundOfShare(events: number, total: number, alpha: number): number {
  if (total <= 0 || events >= total) return 1;
  return bisect(0, 1, (p) => regularizedBeta(1 - p, total - events, events + 1) > alpha);
}

/** The lower counterpart of {@link upperBoundOfShare}. */
export function lowerBoundOfShare(events: number, total: number, alpha: number): number {
  return 1 - upperBoundOfShare(total - events, total, alpha);
}
