import type { SampledSeries } from './answer.ts';
import { timesOf } from './coverage.ts';

/** Labels by which Prometheus servers that keep the same series twice tell whose copy it is. */
const REPLICA_LABELS = ['prometheus_replica', 'replica', '__replica__'];
/** Scrapes are not quite as regular as they are set. */
const IRREGULAR = 1.2;
const ENOUGH_SAMPLES = 4;
const MOST_EXAMINED = 50;
const ROUNDED_TO_SECONDS = 5;

/**
 * A warning where series differ only in the label of a replica: each copy is added to the sum.
 *
 * @param series of one query and side
 */
export function copiesIn(series: readonly SampledSeries[]): string | null {
  const label = REPLICA_LABELS.find((name) => series.some(({ labels }) => labels[name] !== undefined));
  if (label === undefined) return null;
  const originals = new Set<string>();
  for (const { labels } of series) {
    const rest = Object.entries(labels).filter(([name]) => !REPLICA_LABELS.includes(name));
    originals.add(JSON.stringify(rest.sort(([a], [b]) => (a < b ? -1 : 1))));
  }
  if (originals.size === series.length) return null;
  return `series that differ only in ${label} are counted more than once; ask a place that removes copies, or name one ${label} in the query`;
}

/**
 * A warning where samples come more seldom than the analysis looks: most of its ticks have nothing new then.
 *
 * @param tickMs length of a tick
 */
export function seldomSampled(series: readonly SampledSeries[], tickMs: number): string | null {
  let longest = 0;
  for (const one of series.slice(0, MOST_EXAMINED)) {
    const times = timesOf(one);
    if (times.length < ENOUGH_SAMPLES) continue;
    const gaps = Array.from({ length: times.length - 1 }, (_, at) => times.at(at + 1) - times.at(at));
    longest = Math.max(longest, gaps.sort((a, b) => a - b)[gaps.length >> 1] ?? 0);
  }
  if (longest <= tickMs * IRREGULAR) return null;
  const every = Math.max(1, Math.round(longest / 1_000 / ROUNDED_TO_SECONDS) * ROUNDED_TO_SECONDS);
  return `there is a new sample about every ${every} s, and the template looks every ${tickMs / 1_000} s; let \`every\` be at least as long as the time between two scrapes`;
}
