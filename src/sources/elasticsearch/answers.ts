import type { SourceAnswer } from '../port.ts';
import { PART, bucketName, type DocumentQuery, type Search } from './questions.ts';

type Json = Readonly<Record<string, unknown>>;
/**
 * Why a whole search cannot be believed.
 * - `mendable`: its queries may fare better one by one.
 * - `passing`: the same search may succeed later.
 */
export interface SearchFault {
  code: string;
  sentence: string;
  mendable: boolean;
  passing: boolean;
}

const MAX_REASON = 200;
const PASSING = new Set(['search_timed_out', 'search_incomplete', 'shards_failed', 'source_overloaded', 'source_failed']);

/**
 * What one search of a multi-search said.
 *
 * @returns the answers by the names of the search, or the one reason why there is none. A number is only believed when
 *   every shard was searched to its end.
 */
export function answersOf(search: Search, response: unknown): ReadonlyMap<string, SourceAnswer> | SearchFault {
  const fault = faultOf(search, response);
  if (fault !== null) return fault;
  const aggregations = mapAt(response, 'aggregations');
  if (aggregations === null) {
    return unbelievable(
      'answer_invalid',
      'Elasticsearch answered without aggregations; look whether a proxy changes its answers',
    );
  }
  return new Map(
    [...search.asked].map(([name, [query]]): [string, SourceAnswer] => [
      name,
      query === undefined ? missing('not_read', 'nothing was asked') : answerOf(query, mapAt(aggregations, name)),
    ]),
  );
}

function faultOf(search: Search, response: unknown): SearchFault | null {
  const index = String(search.header['index']);
  const error = mapAt(response, 'error');
  const status = numberAt(response, 'status') ?? 200;
  if (error !== null || status >= 400) return errorOf(error ?? {}, status, index);
  const shards = mapAt(response, '_shards');
  const total = numberAt(shards, 'total');
  const failed = numberAt(shards, 'failed');
  const successful = numberAt(shards, 'successful');
  if (total === null || failed === null || successful === null || booleanAt(response, 'timed_out') === null) {
    return unbelievable(
      'answer_invalid',
      'Elasticsearch answered without saying whether it searched everything; look for a proxy',
    );
  }
  if (booleanAt(response, 'timed_out') === true) {
    return unbelievable(
      'search_timed_out',
      'Elasticsearch gave up before it had searched everything; give the source a longer timeout',
    );
  }
  if (booleanAt(response, 'terminated_early') === true) {
    return unbelievable(
      'search_incomplete',
      'Elasticsearch ended the search early; look for a limit on documents (terminate_after)',
    );
  }
  const clusters = mapAt(response, '_clusters');
  const unread = ['skipped', 'partial', 'failed', 'running'].some((state) => (numberAt(clusters, state) ?? 0) > 0);
  if (unread) return unbelievable('search_incomplete', 'a remote cluster was not searched completely; look at its connection');
  if (total === 0) return unbelievable('index_unknown', unknownIndex(index));
  if (failed > 0 || successful !== total) {
    const counted = `${Math.max(failed, total - successful)} of ${total} shards could not be searched`;
    return unbelievable('shards_failed', `${counted}; look at the health of the cluster`);
  }
  return null;
}

function unknownIndex(index: string): string {
  return `no index matches ${index}, or this credential may not see it`;
}

function unbelievable(code: string, sentence: string): SearchFault {
  return { code, sentence, mendable: false, passing: PASSING.has(code) };
}

/** What Elasticsearch says with a status of 400 and above, as a whole answer or inside of a multi-search with 200. */
export function errorOf(error: Json, status: number, index: string): SearchFault {
  const causes = causesOf(error);
  const has = (type: string) => causes.some((cause) => cause.type === type);
  const said = (pattern: RegExp) => causes.some((cause) => pattern.test(cause.reason));
  const mendable = (code: string, sentence: string) => ({ code, sentence, mendable: status === 400, passing: false });
  if (has('index_not_found_exception')) return unbelievable('index_unknown', unknownIndex(index));
  if (has('index_closed_exception')) return unbelievable('index_closed', `${index} is closed; open it`);
  if (has('media_type_header_exception')) {
    return unbelievable('product_unsupported', 'this server does not speak version 8 of the interface; use Elasticsearch 8 or 9');
  }
  if (status === 401) {
    return unbelievable('source_unauthorized', 'Elasticsearch refused the credential; look at the secret file of the source');
  }
  if (status === 403) {
    return unbelievable('source_unauthorized', `the credential may not search ${index}; give it the privilege "read"`);
  }
  if (status === 429) {
    return unbelievable('source_overloaded', 'Elasticsearch refused the search for load; it is asked again at the next look');
  }
  if (has('too_many_buckets_exception') || has('too_many_clauses')) {
    return mendable('too_many_buckets', 'the search is beyond a limit of the cluster; ask for fewer buckets');
  }
  if (said(/^Fielddata is disabled|Text fields are not optimised/)) {
    return mendable('field_unsuitable', 'the measured field is a text; measure a numeric field, or filter by its keyword field');
  }
  if (said(/is not supported for aggregation|Expected numeric type on field/)) {
    return mendable('field_unsuitable', 'the measured field is not a number; measure a numeric field');
  }
  if (status >= 500) {
    const type = causes[0]?.type ?? 'without a reason';
    return unbelievable(
      'source_failed',
      `Elasticsearch could not search (${status}, ${type}); look at the health of the cluster`,
    );
  }
  const reasons = new Set(
    [error, innermost(error)].flatMap((one) => causesOf(one).find(({ reason }) => isTelling(reason))?.reason ?? []),
  );
  const told = reasons.size === 0 ? '' : `: ${[...reasons].join(': ').slice(0, MAX_REASON)}`;
  return mendable('query_refused', `Elasticsearch refused the search (${status})${told}; mend its filter`);
}

/** "all shards failed" stands around what went wrong. */
function isTelling(reason: string): boolean {
  return reason !== '' && reason !== 'all shards failed';
}

/** Parsers wrap an error at every level; the last one names the word that is wrong. */
function innermost(error: Json): Json {
  let inner = error;
  for (let depth = 0; depth < MAX_CAUSES && isMap(inner['caused_by']); depth++) inner = inner['caused_by'];
  return inner;
}

interface Cause {
  type: string;
  reason: string;
}

const MAX_CAUSES = 50;

/** The error, what caused it, its root causes and those of its shards, outermost first. */
function causesOf(error: Json): Cause[] {
  const causes: Cause[] = [];
  const queue: unknown[] = [error];
  while (queue.length > 0 && causes.length < MAX_CAUSES) {
    const next = queue.shift();
    if (!isMap(next)) continue;
    if (typeof next['type'] === 'string') {
      causes.push({ type: next['type'], reason: typeof next['reason'] === 'string' ? next['reason'] : '' });
    }
    for (const key of ['root_cause', 'failed_shards']) {
      const list = next[key];
      if (isList(list)) queue.push(...list.slice(0, MAX_CAUSES));
    }
    queue.push(next['caused_by'], next['reason']);
  }
  return causes;
}

function answerOf(query: DocumentQuery, aggregation: Json | null): SourceAnswer {
  const found = countAt(aggregation);
  if (found === null) return missing('answer_invalid', 'Elasticsearch left the answer to this question out; look for a proxy');
  const { measure } = query.search;
  switch (measure.kind) {
    case 'documents':
      return { kind: 'count', value: found };
    case 'buckets': {
      const buckets = mapAt(mapAt(aggregation, PART.buckets), 'buckets');
      const names = [...measure.bounds.map((_, at) => bucketName(at)), PART.overflow];
      const counts = names.flatMap((name) => countAt(mapAt(buckets, name)) ?? []);
      if (counts.length !== names.length) return missing('answer_invalid', 'Elasticsearch left a bucket out; look for a proxy');
      const within = counts.reduce((sum, count) => sum + count, 0);
      if (found > 0 && within === 0) return missing('field_unknown', noValues(measure.field, found));
      return { kind: 'buckets', bounds: measure.bounds.map((bound) => bound / measure.perSecond), counts };
    }
    case 'stat':
    case 'percentile': {
      const values = numberAt(mapAt(aggregation, PART.values), 'value');
      const figure = mapAt(aggregation, PART.figure);
      const value = measure.kind === 'stat' ? numberAt(figure, 'value') : numberAt(firstOf(figure), 'value');
      if (found === 0) return missing('no_documents', 'no document of this side fell into the window, so there is no figure');
      if (values === 0) return missing('field_unknown', noValues(measure.field, found));
      if (values === null || value === null)
        return missing('not_a_number', 'Elasticsearch answered with something else than a number');
      return { kind: 'gauge', value };
    }
  }
}

function noValues(field: string, found: number): string {
  return `none of ${found} documents has a value in ${field}; look at the name of the field`;
}

function missing(code: string, sentence: string): SourceAnswer {
  return { kind: 'missing', code, sentence };
}

function firstOf(percentiles: Json | null): Json | null {
  const values = percentiles?.['values'];
  const first: unknown = Array.isArray(values) ? values[0] : null;
  return isMap(first) ? first : null;
}

export function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

export function isMap(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function mapAt(value: unknown, key: string): Json | null {
  const inner = isMap(value) && Object.hasOwn(value, key) ? value[key] : null;
  return isMap(inner) ? inner : null;
}

function numberAt(value: unknown, key: string): number | null {
  const inner = isMap(value) && Object.hasOwn(value, key) ? value[key] : null;
  return typeof inner === 'number' && Number.isFinite(inner) ? inner : null;
}

function booleanAt(value: unknown, key: string): boolean | null {
  const inner = isMap(value) && Object.hasOwn(value, key) ? value[key] : null;
  return typeof inner === 'boolean' ? inner : null;
}

function countAt(bucket: Json | null): number | null {
  const count = numberAt(bucket, 'doc_count');
  return count !== null && Number.isInteger(count) && count >= 0 ? count : null;
}
