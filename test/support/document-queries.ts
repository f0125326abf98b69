import type { FarSeries } from '../conformance/source.ts';
import type { MetricSource, SourceQuery, SourceSearch } from '../../src/sources/port.ts';
import type { StoredDocument } from './document-store.ts';

export const SERIES_INDEX = 'series-1';
const BOUND = 0.1;
const ABOVE_BOUND = 0.5;

/**
 * The suite of sources speaks of series. Here a request that was counted is a document, and a selector is a filter, so
 * that the same suite holds for documents.
 */
export function selectorText(name: string, labels: Record<string, string> = {}): string {
  return JSON.stringify({ name, ...labels });
}

/** The source under test, asked with searches where the suite asks with selectors. */
export function askedWithSearches(
  source: MetricSource,
  onWindow: (window: { from: number; to: number }) => Promise<void>,
): MetricSource {
  return {
    remembers: source.remembers,
    async read(queries, window, cursor, signal) {
      await onWindow(window);
      return source.read(
        queries.map((query) => ({ ...query, text: '', search: searchOf(query) })),
        window,
        cursor,
        signal,
      );
    },
    close: () => source.close(),
  };
}

function searchOf({ text, shape, aggregate }: SourceQuery): SourceSearch {
  const place = { index: SERIES_INDEX, timeField: '@timestamp' };
  // What the suite writes for something that cannot be understood is no name of a clause.
  const filter = text.startsWith('{"') ? { bool: { filter: termsOf(text) } } : { [text]: {} };
  switch (shape) {
    case 'counter':
      return { ...place, filter, measure: { kind: 'documents' } };
    case 'buckets':
      return { ...place, filter, measure: { kind: 'buckets', field: 'value', bounds: [BOUND], perSecond: 1 } };
    case 'gauge':
      return { ...place, filter, measure: { kind: 'stat', field: 'value', stat: aggregate } };
  }
}

function termsOf(text: string): unknown[] {
  const fields = Object.entries(JSON.parse(text) as Record<string, string>);
  return fields.map(([field, value]) => ({ term: { [field]: value } }));
}

/** What happened between two states of the suite's series, as documents; its history is not told. */
export class SeriesAsDocuments {
  readonly #last = new Map<string, number>();

  documents(side: string, track: string, series: readonly FarSeries[]): Omit<StoredDocument, '@timestamp'>[] {
    const documents: Omit<StoredDocument, '@timestamp'>[] = [];
    const below = new Map<string, number>();
    for (const { name, labels = {}, value } of series) {
      const { le, ...others } = labels;
      const fields = { name, track, ...others };
      if (!name.endsWith('_total') && le === undefined) {
        documents.push({ ...fields, value });
        continue;
      }
      const key = `${side} ${name} ${JSON.stringify(labels)}`;
      const before = this.#last.get(key);
      this.#last.set(key, value);
      let count = before === undefined ? (value > 100_000 ? 0 : value) : value - before;
      if (le !== undefined) {
        const group = `${name} ${JSON.stringify(others)}`;
        const already = below.get(group) ?? 0;
        below.set(group, already + Math.max(0, count - already));
        count -= already;
      }
      if (count > 0 && count < 100_000)
        documents.push({ ...fields, value: le === '+Inf' ? ABOVE_BOUND : BOUND, _doc_count: count });
    }
    return documents;
  }
}
