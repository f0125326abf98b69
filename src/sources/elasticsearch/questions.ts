import type { SourceQuery, SourceSearch } from '../port.ts';

/** One search of a multi-search: the line that says where, and the line that says what. */
export interface Search {
  header: Readonly<Record<string, unknown>>;
  body: Readonly<Record<string, unknown>>;
  /** The queries that it answers, by the name of their aggregation; equal ones share one. */
  asked: ReadonlyMap<string, readonly DocumentQuery[]>;
}
export type DocumentQuery = SourceQuery & { search: SourceSearch };

export interface QuestionSettings {
  /** Fields that hold the labels of the sides; a label that is not listed is the name of its field. */
  labels: Readonly<Record<string, string>>;
  /** Milliseconds after which Elasticsearch gives up by itself. */
  timeoutMs: number;
}

/** Names of the parts of an aggregation. */
export const PART = { buckets: 'buckets', figure: 'figure', values: 'values', overflow: 'more' } as const;

/**
 * The searches of one look. Queries over the same documents (index, time field) share one search, so that the total and
 * the events of both sides are counted in the same snapshot of an index. Each query is an aggregation of its own:
 * `doc_count` of a filter is exact (https://www.elastic.co/guide/en/elasticsearch/reference/8.19/search-aggregations-bucket-filter-aggregation.html)
 * and, unlike the count of hits, respects `_doc_count` of documents that were summed up before they were stored.
 *
 * @param window milliseconds since the epoch, from inclusive, to exclusive
 */
export function searchesOf(
  queries: readonly DocumentQuery[],
  window: { from: number; to: number },
  settings: QuestionSettings,
): Search[] {
  const groups = new Map<string, DocumentQuery[]>();
  for (const query of queries) {
    const key = JSON.stringify([query.search.index, query.search.timeField]);
    const group = groups.get(key) ?? [];
    groups.set(key, group);
    group.push(query);
  }
  return [...groups.values()].map((group) => searchOf(group, window, settings));
}

/** One search for queries over the same documents. */
export function searchOf(
  queries: readonly DocumentQuery[],
  window: { from: number; to: number },
  { labels, timeoutMs }: QuestionSettings,
): Search {
  const byText = new Map<string, { aggregation: Record<string, unknown>; queries: DocumentQuery[] }>();
  for (const query of queries) {
    const aggregation = aggregationOf(query, labels);
    const text = JSON.stringify(aggregation);
    const known = byText.get(text);
    if (known === undefined) byText.set(text, { aggregation, queries: [query] });
    else known.queries.push(query);
  }
  // Names by order, not by id: equal questions of two analyses are then equal texts.
  const named = [...byText.values()].map((one, at) => [`q${at}`, one] as const);
  const [first] = queries;
  const time = {
    gte: new Date(window.from).toISOString(),
    lt: new Date(window.to).toISOString(),
    format: 'strict_date_optional_time',
  };
  return {
    // A part of the shards must be an error: half of the documents would be half of the errors.
    header: { index: first?.search.index ?? '', allow_partial_search_results: false },
    body: {
      size: 0,
      track_total_hits: false,
      timeout: `${timeoutMs}ms`,
      query: { bool: { filter: [{ range: { [first?.search.timeField ?? '']: time } }] } },
      aggs: Object.fromEntries(named.map(([name, { aggregation }]) => [name, aggregation])),
    },
    asked: new Map(named.map(([name, one]) => [name, one.queries])),
  };
}

function aggregationOf({ search, labels }: DocumentQuery, fields: QuestionSettings['labels']): Record<string, unknown> {
  const sides = Object.entries(labels).map(([label, value]) => ({
    term: { [Object.hasOwn(fields, label) ? (fields[label] ?? label) : label]: { value } },
  }));
  const filter = { bool: { filter: [...sides, ...(search.filter === null ? [] : [search.filter])] } };
  switch (search.measure.kind) {
    case 'documents':
      return { filter };
    case 'buckets':
      return { filter, aggs: { [PART.buckets]: { filters: { filters: bucketFilters(search.measure) } } } };
    case 'stat': {
      const { field, stat } = search.measure;
      return { filter, aggs: { [PART.figure]: { [stat]: { field } }, [PART.values]: { value_count: { field } } } };
    }
    case 'percentile': {
      const { field, percentile } = search.measure;
      const figure = { percentiles: { field, percents: [percentile], keyed: false } };
      return { filter, aggs: { [PART.figure]: figure, [PART.values]: { value_count: { field } } } };
    }
  }
}

/** Name of the bucket below the bound of this place. */
export function bucketName(at: number): string {
  return `b${at}`;
}

/** Bounds belong to the bucket below them, as `le` of Prometheus has it; a `range` aggregation would do the opposite. */
function bucketFilters({ field, bounds }: { field: string; bounds: readonly number[] }): Record<string, unknown> {
  const ranges: [string, unknown][] = bounds.map((bound, at) => {
    const above = at === 0 ? {} : { gt: bounds[at - 1] };
    return [bucketName(at), { range: { [field]: { ...above, lte: bound } } }];
  });
  return Object.fromEntries([...ranges, [PART.overflow, { range: { [field]: { gt: bounds.at(-1) } } }]]);
}
