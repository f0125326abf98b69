import type { Judgement } from '../judges/judge.ts';
import type { MetricSeries } from '../judges/series.ts';
import type { Measurements } from './record.ts';

const sum = (values: readonly (number | null)[]): number => values.reduce<number>((total, value) => total + (value ?? 0), 0);

/**
 * The question of a recovery check as a comparison: are the metrics of those who serve now no worse than those of the
 * healthy side were while the bad version was judged?
 *
 * The healthy side's counts are spread evenly over the ticks of now, so that all of its information is used whatever
 * the two lengths are. One leading tick, which the judge treats as warm-up, shows it the healthy histogram; where
 * nothing is known of then, it is empty.
 *
 * @param now series of the recovery check; the live side stands as canary
 * @param then series of the analysis that failed; null where there was none (only limits can be judged)
 */
export function recoverySeries(now: Measurements, then: Measurements | null): Record<string, MetricSeries> {
  const result: Record<string, MetricSeries> = {};
  for (const [name, live] of Object.entries(now.series)) result[name] = against(live, then?.series[name] ?? null);
  return result;
}

function against(live: MetricSeries, healthy: MetricSeries | null): MetricSeries {
  switch (live.type) {
    case 'proportion': {
      if (healthy?.type !== 'proportion' || healthy.baseline === null) {
        return {
          ...live,
          canary: { events: [null, ...live.canary.events], total: [null, ...live.canary.total] },
          baseline: null,
        };
      }
      const ticks = live.canary.total.filter((total) => total !== null).length;
      const events = sum(healthy.baseline.events);
      const total = sum(healthy.baseline.total);
      const share = (whole: number) => [whole, ...live.canary.total.map(() => whole / Math.max(1, ticks))];
      return {
        type: 'proportion',
        canary: { events: [events, ...live.canary.events], total: [total, ...live.canary.total] },
        baseline: { events: share(events), total: share(total) },
      };
    }
    case 'histogram': {
      const comparable =
        healthy?.type === 'histogram' &&
        live.bounds.length === healthy.bounds.length &&
        live.bounds.every((bound, at) => bound === healthy.bounds[at]);
      if (!comparable || healthy.baseline === null)
        return { ...live, canary: { counts: [null, ...live.canary.counts] }, baseline: null };
      const rows = healthy.baseline.counts.filter((row) => row !== null);
      const whole = [...healthy.bounds, Infinity].map((_, at) => sum(rows.map((row) => row[at] ?? 0)));
      const ticks = live.canary.counts.filter((row) => row !== null).length;
      return {
        type: 'histogram',
        bounds: live.bounds,
        canary: { counts: [whole, ...live.canary.counts] },
        baseline: { counts: [whole, ...live.canary.counts.map(() => whole.map((count) => count / Math.max(1, ticks)))] },
      };
    }
    case 'gauge': {
      const known = healthy?.type === 'gauge' ? (healthy.baseline?.filter((value) => value !== null) ?? []) : [];
      if (known.length === 0) return { ...live, canary: [null, ...live.canary], baseline: null };
      const mean = sum(known) / known.length;
      return { type: 'gauge', canary: [mean, ...live.canary], baseline: [mean, ...live.canary.map(() => mean)] };
    }
  }
}

/** Whether at least one tick of every metric was measured; without it nothing can be said of a recovery. */
export function anythingMeasured(now: Measurements): boolean {
  return Object.values(now.series).some((live) => {
    switch (live.type) {
      case 'proportion':
        return live.canary.total.some((total) => total !== null && total > 0);
      case 'histogram':
        return live.canary.counts.some((row) => row !== null && row.some((count) => count > 0));
      case 'gauge':
        return live.canary.some((value) => value !== null);
    }
  });
}

const MAX_NAMED = 5;

/** What a recovery check found, in its own words: those who serve now against the healthy side of before. */
export function recoverySentence({ metrics }: Judgement): string {
  const said = metrics.slice(0, MAX_NAMED).map(({ name, type, effect, traffic: { canary: now, baseline: before } }) => {
    if (type === 'proportion') {
      const known = before.total === null ? '' : `, ${rate(before)} on the healthy side before`;
      return `${name} ${rate(now)} now${known}`;
    }
    if (effect.estimate === null) return `${name} cannot be compared`;
    return `${name} ${effect.estimate.toFixed(2)} times ${type === 'histogram' ? 'as often slow as' : 'the value of'} the healthy side before`;
  });
  return said.join('; ') + (metrics.length > MAX_NAMED ? `; and ${metrics.length - MAX_NAMED} more metrics` : '');
}

function rate({ events, total }: { events: number | null; total: number | null }): string {
  if (events === null || total === null || total === 0) return 'without traffic';
  return `${Number(((100 * events) / total).toPrecision(2))} %`;
}
