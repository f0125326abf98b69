import { parseSelector, matchesSeries, NAME } from '../../src/promql/selector.ts';
import type { Behaviour, ReceivedRequest } from './fault-server.ts';

export interface StoredSample {
  name: string;
  labels: Record<string, string>;
  value: number;
}
interface StoredSeries {
  labels: Record<string, string>;
  samples: { at: number; value: number }[];
  ended: boolean;
}

/**
 * The part of Prometheus that selectors need, for tests: keeps samples, marks series that a scrape no longer has as
 * ended, and answers `selector` and `selector[1000ms]` at a time, by POST, as Prometheus 2.42 does.
 */
export class PrometheusStore {
  readonly #series = new Map<string, StoredSeries>();
  /** The queries that were asked. */
  readonly queries: string[] = [];

  /** One scrape of everything. @param at milliseconds since the epoch */
  scrape(samples: readonly StoredSample[], at: number): void {
    for (const series of this.#series.values()) series.ended = true;
    this.append(samples, at);
  }

  append(samples: readonly StoredSample[], at: number): void {
    for (const { name, labels, value } of samples) {
      const all = { [NAME]: name, ...labels };
      const key = JSON.stringify(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
      const series: StoredSeries = this.#series.get(key) ?? { labels: all, samples: [], ended: false };
      this.#series.set(key, series);
      series.ended = false;
      series.samples.push({ at, value });
      series.samples.sort((a, b) => a.at - b.at);
    }
  }

  answer(request: ReceivedRequest): Behaviour {
    const form = new URLSearchParams(request.method === 'POST' ? request.body : (request.path.split('?', 2)[1] ?? ''));
    const query = form.get('query') ?? '';
    const at = Math.round(Number(form.get('time')) * 1_000);
    this.queries.push(query);
    const range = /\[([0-9]+)ms\]$/.exec(query);
    const matchers = parseSelector(range === null ? query : query.slice(0, range.index));
    const from = at - Number(range?.[1] ?? 300_000);
    const result = [...this.#series.values()].flatMap((series): object[] => {
      const { [NAME]: name = '', ...labels } = series.labels;
      if (!matchesSeries(matchers, name, Object.entries(labels))) return [];
      const samples = series.samples
        .filter((sample) => sample.at >= from && sample.at <= at)
        .map((sample): [number, string] => [sample.at / 1_000, numberText(sample.value)]);
      if (samples.length === 0) return [];
      if (range !== null) return [{ metric: series.labels, values: samples }];
      return series.ended ? [] : [{ metric: series.labels, value: samples.at(-1) }];
    });
    const data = { resultType: range === null ? 'vector' : 'matrix', result };
    return jsonAnswer(200, { status: 'success', data });
  }
}

export function jsonAnswer(status: number, body: unknown): Behaviour {
  return { kind: 'answer', status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}
