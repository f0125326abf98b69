import type { Behaviour, FaultServer, ReceivedRequest } from './fault-server.ts';

/** A document with flat names of fields: { '@timestamp': 1768471200000, 'http.status': 500 }; `_doc_count` says how many it stands for. */
export type StoredDocument = Readonly<Record<string, string | number>>;
type Json = Record<string, unknown>;

export const ELASTIC = {
  'x-elastic-product': 'Elasticsearch',
  'content-type': 'application/vnd.elasticsearch+json;compatible-with=8',
};
const SHARDS = { total: 1, successful: 1, skipped: 0, failed: 0 };

/**
 * As much of Elasticsearch as the source asks for: multi-searches with bool, term, terms, range and match_all, and the
 * aggregations filter, filters, value_count, percentiles and the simple figures. What it does not know is refused as
 * Elasticsearch refuses it. test/real compares it with a real one.
 */
export class DocumentStore {
  readonly indices = new Map<string, StoredDocument[]>();
  /** Searches that came in, over all calls. */
  searches = 0;
  /** Called before a search is answered, with the window that it asks about. */
  onWindow: (window: { from: number; to: number }) => void = () => undefined;

  add(index: string, documents: readonly StoredDocument[]): void {
    this.indices.set(index, [...(this.indices.get(index) ?? []), ...documents]);
  }

  serve(server: FaultServer): void {
    server.on('/_msearch', (request) => this.answer(request));
  }

  answer(request: ReceivedRequest): Behaviour {
    const lines = request.body.split('\n').filter((line) => line !== '');
    const responses: unknown[] = [];
    for (let at = 0; at + 1 < lines.length; at += 2) {
      responses.push(this.search(mapOf(JSON.parse(lines[at] ?? '')), mapOf(JSON.parse(lines[at + 1] ?? ''))));
    }
    // A real one reads all searches before it runs the first.
    const unreadable = responses.find((response) => mapOf(response)['status'] === 400);
    if (unreadable !== undefined) return { kind: 'answer', status: 400, headers: ELASTIC, body: JSON.stringify(unreadable) };
    return { kind: 'answer', headers: ELASTIC, body: JSON.stringify({ took: 1, responses }) };
  }

  search(header: Json, body: Json): unknown {
    this.searches += 1;
    const index = String(header['index']);
    const pattern = new RegExp(`^${index.replaceAll('.', '\\.').replaceAll('*', '.*')}$`);
    const window = windowIn(body);
    if (window !== null) this.onWindow(window);
    const matching = [...this.indices].filter(([name]) => pattern.test(name));
    if (matching.length === 0) {
      if (index.includes('*'))
        return { took: 0, timed_out: false, _shards: { ...SHARDS, total: 0, successful: 0 }, hits: { hits: [] }, status: 200 };
      const type = 'index_not_found_exception';
      return { error: { root_cause: [], type, reason: `no such index [${index}]`, index }, status: 404 };
    }
    try {
      const found = matching.flatMap(([, documents]) => documents).filter((document) => holds(mapOf(body['query']), document));
      const aggregations = Object.fromEntries(
        Object.entries(mapOf(body['aggs'] ?? {})).map(([name, one]) => [name, aggregated(mapOf(one), found)]),
      );
      return { took: 1, timed_out: false, _shards: SHARDS, hits: { max_score: null, hits: [] }, aggregations, status: 200 };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const cause = { type: 'parsing_exception', reason };
      return { error: { root_cause: [cause], ...cause }, status: 400 };
    }
  }
}

function mapOf(value: unknown): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`[${JSON.stringify(value)}] is no object`);
  return { ...value };
}

function only(value: Json): [string, unknown] {
  const [entry, more] = Object.entries(value);
  if (entry === undefined || more !== undefined) throw new Error('expected one name');
  return entry;
}

function holds(clause: Json, document: StoredDocument): boolean {
  const [name, about] = only(clause);
  switch (name) {
    case 'match_all':
      return true;
    case 'bool': {
      const { filter = [], must = [], must_not: mustNot = [], should = [] } = mapOf(about);
      const all = (part: unknown) => [part].flat().map((one) => holds(mapOf(one), document));
      const some = all(should);
      return (
        [...all(filter), ...all(must)].every(Boolean) && !all(mustNot).some(Boolean) && (some.length === 0 || some.some(Boolean))
      );
    }
    case 'term': {
      const [field, value] = only(mapOf(about));
      const wanted = typeof value === 'object' ? mapOf(value)['value'] : value;
      return document[field] !== undefined && String(document[field]) === String(wanted);
    }
    case 'terms': {
      const [field, values] = only(mapOf(about));
      return [values].flat().map(String).includes(String(document[field]));
    }
    case 'range': {
      const [field, bounds] = only(mapOf(about));
      const { format, ...limits } = mapOf(bounds);
      const number = (value: unknown) => (format === undefined ? Number(value) : Date.parse(String(value)));
      const value = document[field];
      if (value === undefined) return false;
      return Object.entries(limits).every(([sign, limit]) => {
        switch (sign) {
          case 'gt':
            return Number(value) > number(limit);
          case 'gte':
            return Number(value) >= number(limit);
          case 'lt':
            return Number(value) < number(limit);
          case 'lte':
            return Number(value) <= number(limit);
          default:
            throw new Error(`[range] query does not support [${sign}]`);
        }
      });
    }
    default:
      throw new Error(`unknown query [${name}]`);
  }
}

function aggregated(aggregation: Json, documents: readonly StoredDocument[]): unknown {
  const { aggs, ...rest } = aggregation;
  const [name, about] = only(rest);
  const below = (some: readonly StoredDocument[]) =>
    Object.fromEntries(Object.entries(mapOf(aggs ?? {})).map(([key, one]) => [key, aggregated(mapOf(one), some)]));
  const values = () => {
    const { field } = mapOf(about);
    return documents
      .flatMap((document) => document[String(field)] ?? [])
      .map((value) => {
        if (typeof value === 'string') throw new Error(`Fielddata is disabled on [${String(field)}]`);
        return value;
      });
  };
  switch (name) {
    case 'filter': {
      // A wrong filter is refused even where there is nothing to filter.
      holds(mapOf(about), {});
      const some = documents.filter((document) => holds(mapOf(about), document));
      return { doc_count: counted(some), ...below(some) };
    }
    case 'filters': {
      const buckets = Object.entries(mapOf(mapOf(about)['filters'])).map(([key, filter]): [string, { doc_count: number }] => [
        key,
        { doc_count: counted(documents.filter((document) => holds(mapOf(filter), document))) },
      ]);
      return { buckets: Object.fromEntries(buckets) };
    }
    case 'value_count':
      return { value: values().length };
    case 'sum':
      return { value: values().reduce((sum, value) => sum + value, 0) };
    case 'avg':
      return { value: values().length === 0 ? null : values().reduce((sum, value) => sum + value, 0) / values().length };
    case 'max':
      return { value: values().length === 0 ? null : Math.max(...values()) };
    case 'min':
      return { value: values().length === 0 ? null : Math.min(...values()) };
    case 'percentiles': {
      const percents = [mapOf(about)['percents']].flat().map(Number);
      const sorted = values().sort((a, b) => a - b);
      const at = (percent: number) => sorted[Math.min(sorted.length - 1, Math.floor((percent / 100) * sorted.length))] ?? null;
      return { values: percents.map((key) => ({ key, value: at(key) })) };
    }
    default:
      throw new Error(`Unknown aggregation type [${name}]`);
  }
}

function counted(documents: readonly StoredDocument[]): number {
  return documents.reduce((sum, document) => sum + Number(document['_doc_count'] ?? 1), 0);
}

function windowIn(body: Json): { from: number; to: number } | null {
  const text = JSON.stringify(body['query'] ?? {});
  const found = /"gte":"([^"]+)","lt":"([^"]+)"/.exec(text);
  return found === null ? null : { from: Date.parse(found[1] ?? ''), to: Date.parse(found[2] ?? '') };
}
