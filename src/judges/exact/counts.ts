import type { PairedCounts } from '../../statistics/ratio-evidence.ts';

/** Beyond this a count of one tick is taken for a broken metric. */
const LARGEST_COUNT = 1e12;

/** Events among total of one side in one tick. */
export interface SideCounts {
  events: number;
  total: number;
}

/** A measurement that can be judged, or the reason why it cannot. */
export type Reading<T> = { data: T } | { missing: string };

/**
 * Counts as they came, checked: missing, not finite, negative, absurdly large, or more events than total never count as
 * evidence; such a tick is missing. (Events above the total are not cut down to it: the two were then not counted over the
 * same requests, and a guess could turn a broken metric into a rollback.)
 */
export function readCounts(
  side: string,
  events: number | null | undefined,
  total: number | null | undefined,
): Reading<SideCounts> {
  if (!isCount(total)) return { missing: `the ${side} has no usable total` };
  if (total === 0) return { missing: `the ${side} had no traffic` };
  if (!isCount(events)) return { missing: `the ${side} has no usable events` };
  if (events > total) return { missing: `the ${side} has more events than its total` };
  return { data: { events, total } };
}

/** Whether this can be a count of one tick. Fractions are fine: finished queries extrapolate. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= LARGEST_COUNT;
}

/** Bucket counts of one side in one tick. */
export type Row = readonly number[];

/** Requests in the buckets after the bound `index`, among all. */
export function slowerThan(row: Row, index: number): SideCounts {
  let events = 0;
  for (let i = index + 1; i < row.length; i++) events += row[i];
  return { events, total: totalOf(row) };
}

export function totalOf(row: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < row.length; i++) total += row[i];
  return total;
}

export function paired(canary: SideCounts, baseline: SideCounts): PairedCounts {
  return {
    canaryEvents: canary.events,
    canaryTotal: canary.total,
    baselineEvents: baseline.events,
    baselineTotal: baseline.total,
  };
}

/** Counts the ticks without data and keeps the reason that came up most. */
export class MissingTicks {
  readonly #reasons = new Map<string, number>();
  count = 0;

  add(reason: string): void {
    this.count += 1;
    this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
  }

  /** "the canary had no traffic in 3 ticks"; null when nothing was missing. */
  get sentence(): string | null {
    let reason: string | null = null;
    let most = 0;
    for (const [name, times] of this.#reasons) {
      if (times > most) [reason, most] = [name, times];
    }
    return reason === null ? null : `${reason} in ${most} ${most === 1 ? 'tick' : 'ticks'}`;
  }
}
