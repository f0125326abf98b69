import type { HistogramSide, MetricSeries, ProportionSide } from '../judges/series.ts';
import type { InputError } from './problem.ts';

const MAX_ERRORS = 20;

/**
 * What a schema cannot say of measurements that a client sends: rows of one length, bounds that rise, as many counts as
 * buckets, no more events than there were cases.
 *
 * @returns the number of ticks, and what does not fit as JSON pointers into `/metrics`, at most 20
 */
export function misfits(metrics: readonly { name: string; series: MetricSeries }[]): { ticks: number; errors: InputError[] } {
  const first = metrics[0];
  const ticks = first === undefined ? 0 : (rowsOf('', first.series)[0]?.row.length ?? 0);
  const errors: InputError[] = [];
  const found = (path: string, message: string) => {
    if (errors.length < MAX_ERRORS) errors.push({ path, message });
  };
  for (const { name, series } of metrics) {
    const base = `/metrics/${name}/series`;
    for (const { path, row } of rowsOf(base, series)) {
      if (row.length !== ticks) found(path, `expected ${ticks} entries as in the first row, got ${row.length}`);
    }
    if (series.type === 'proportion') eachSide(series, base, (side, path) => tooManyEvents(side, path, found));
    if (series.type === 'histogram') {
      const { bounds } = series;
      const unsorted = bounds.findIndex((bound, at) => at > 0 && bound <= (bounds[at - 1] ?? bound));
      if (unsorted > 0) found(`${base}/bounds/${unsorted}`, 'expected more than the bound before');
      eachSide(series, base, (side, path) => wrongCounts(side, bounds.length + 1, path, found));
    }
  }
  if (ticks === 0 && errors.length === 0) found('/metrics', 'expected at least one tick');
  return { ticks, errors };
}

type Found = (path: string, message: string) => void;

function rowsOf(base: string, series: MetricSeries): { path: string; row: readonly unknown[] }[] {
  if (series.type === 'gauge') {
    const rows = [{ path: `${base}/canary`, row: series.canary }];
    return series.baseline === null ? rows : [...rows, { path: `${base}/baseline`, row: series.baseline }];
  }
  const rows: { path: string; row: readonly unknown[] }[] = [];
  if (series.type === 'histogram')
    eachSide(series, base, (side, path) => rows.push({ path: `${path}/counts`, row: side.counts }));
  else {
    eachSide(series, base, (side, path) =>
      rows.push({ path: `${path}/events`, row: side.events }, { path: `${path}/total`, row: side.total }),
    );
  }
  return rows;
}

function eachSide<S>(series: { canary: S; baseline: S | null }, base: string, look: (side: S, path: string) => void): void {
  look(series.canary, `${base}/canary`);
  if (series.baseline !== null) look(series.baseline, `${base}/baseline`);
}

function tooManyEvents(side: ProportionSide, path: string, found: Found): void {
  for (const [at, events] of side.events.entries()) {
    const total = side.total[at];
    if (events !== null && typeof total === 'number' && events > total) {
      found(`${path}/events/${at}`, `expected at most the total of the tick, ${total}`);
    }
  }
}

function wrongCounts(side: HistogramSide, buckets: number, path: string, found: Found): void {
  for (const [at, counts] of side.counts.entries()) {
    if (counts !== null && counts.length !== buckets) {
      found(`${path}/counts/${at}`, `expected ${buckets} counts, one more than there are bounds, got ${counts.length}`);
    }
  }
}
