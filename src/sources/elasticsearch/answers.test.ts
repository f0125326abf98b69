import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { SourceSearch } from '../port.ts';
import { answersOf, errorOf } from './answers.ts';
import { searchOf, type DocumentQuery } from './questions.ts';

type Json = Record<string, unknown>;
/** What a real Elasticsearch 8.19 said. */
function recorded(name: string): { status: number; body: Json } {
  const file = new URL(`../../../test/fixtures/elasticsearch/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')) as { status: number; body: Json };
}

const window = { from: 0, to: 60_000 };
const settings = { labels: {}, timeoutMs: 1_000 };
function searchFor(measure: SourceSearch['measure']) {
  const search = { index: 'logs', timeField: '@timestamp', filter: null, measure };
  const query: DocumentQuery = { id: 'one', shape: 'counter', text: '', finished: false, labels: {}, aggregate: 'avg', search };
  return searchOf([query], window, settings);
}
const COUNT = searchFor({ kind: 'documents' });
const BUCKETS = searchFor({ kind: 'buckets', field: 'took', bounds: [100, 250], perSecond: 1_000 });
const AVERAGE = searchFor({ kind: 'stat', field: 'took', stat: 'avg' });
const PERCENTILE = searchFor({ kind: 'percentile', field: 'took', percentile: 95 });

const whole = {
  took: 1,
  timed_out: false,
  _shards: { total: 2, successful: 2, skipped: 0, failed: 0 },
  hits: { hits: [] },
  status: 200,
};
const answered = (aggregation: Json, more: Json = {}) => ({ ...whole, aggregations: { q0: aggregation }, ...more });
const first = (search: typeof COUNT, response: unknown) => {
  const outcome = answersOf(search, response);
  return 'code' in outcome ? outcome : outcome.get('q0');
};

describe('the answer to a search', () => {
  it('is a count, 0 included, when everything was searched', () => {
    expect(first(COUNT, answered({ doc_count: 41 }))).toEqual({ kind: 'count', value: 41 });
    expect(first(COUNT, answered({ doc_count: 0 }))).toEqual({ kind: 'count', value: 0 });
  });

  it('is buckets with bounds in seconds', () => {
    const buckets = { b0: { doc_count: 3 }, b1: { doc_count: 0 }, more: { doc_count: 2 } };
    expect(first(BUCKETS, answered({ doc_count: 5, buckets: { buckets } }))).toEqual({
      kind: 'buckets',
      bounds: [0.1, 0.25],
      counts: [3, 0, 2],
    });
  });

  it('is missing when none of the documents has the measured field', () => {
    const buckets = { b0: { doc_count: 0 }, b1: { doc_count: 0 }, more: { doc_count: 0 } };
    expect(first(BUCKETS, answered({ doc_count: 5, buckets: { buckets } }))).toMatchObject({
      kind: 'missing',
      code: 'field_unknown',
    });
    expect(first(AVERAGE, answered({ doc_count: 5, values: { value: 0 }, figure: { value: null } }))).toMatchObject({
      code: 'field_unknown',
    });
    expect(first(AVERAGE, answered({ doc_count: 0, values: { value: 0 }, figure: { value: 0 } }))).toMatchObject({
      code: 'no_documents',
    });
  });

  it('is a figure', () => {
    expect(first(AVERAGE, answered({ doc_count: 5, values: { value: 5 }, figure: { value: 1.5 } }))).toEqual({
      kind: 'gauge',
      value: 1.5,
    });
    const figure = recorded('search-percentiles-unkeyed-hdr').body['aggregations'] as { lat: Json };
    expect(first(PERCENTILE, answered({ doc_count: 9, values: { value: 9 }, figure: figure.lat }))).toEqual({
      kind: 'gauge',
      value: 57.8125,
    });
  });

  it.each<[string, unknown]>([
    ['null', null],
    ['a text', 'NaN'],
    ['no value', undefined],
  ])('is missing, never 0, when the figure is %s', (_, value) => {
    for (const search of [AVERAGE, PERCENTILE]) {
      const figure = search === AVERAGE ? { value } : { values: [{ key: 95, value }] };
      expect(first(search, answered({ doc_count: 5, values: { value: 5 }, figure }))).toMatchObject({
        kind: 'missing',
        code: 'not_a_number',
      });
    }
  });

  it.each<[string, Json, string]>([
    ['a shard failed', { _shards: { total: 2, successful: 1, skipped: 0, failed: 1 } }, 'shards_failed'],
    ['a shard did not say anything', { _shards: { total: 2, successful: 1, skipped: 0, failed: 0 } }, 'shards_failed'],
    ['no shard was there', { _shards: { total: 0, successful: 0, skipped: 0, failed: 0 } }, 'index_unknown'],
    ['the time was over', { timed_out: true }, 'search_timed_out'],
    ['it ended early', { terminated_early: true }, 'search_incomplete'],
    ['a remote cluster was skipped', { _clusters: { total: 2, successful: 1, skipped: 1 } }, 'search_incomplete'],
    ['the shards are left out', { _shards: undefined }, 'answer_invalid'],
    ['it does not say whether the time was over', { timed_out: undefined }, 'answer_invalid'],
    ['there are no aggregations', { aggregations: undefined }, 'answer_invalid'],
    ['the aggregations are a list', { aggregations: [{ q0: { doc_count: 1 } }] }, 'answer_invalid'],
    ['the aggregation is missing', { aggregations: {} }, 'answer_invalid'],
    ['the count is missing', { aggregations: { q0: {} } }, 'answer_invalid'],
    ['the count is null', { aggregations: { q0: { doc_count: null } } }, 'answer_invalid'],
    ['the count is negative', { aggregations: { q0: { doc_count: -1 } } }, 'answer_invalid'],
    ['the count is no whole number', { aggregations: { q0: { doc_count: 0.5 } } }, 'answer_invalid'],
  ])('is missing with what to do when %s', (_, change, code) => {
    const outcome = first(COUNT, JSON.parse(JSON.stringify(answered({ doc_count: 7 }, change))));
    expect(outcome).toMatchObject({ code, sentence: expect.stringMatching(/.{20}/) });
    expect(outcome).not.toHaveProperty('value');
  });

  it.each([null, 'text', 7, [], {}])('is missing when there is nothing to read in %j', (response) => {
    expect(first(COUNT, response)).toMatchObject({ code: 'answer_invalid' });
  });

  it.each(['search-wildcard-no-match', 'search-no-index-ignore_unavailable'])('of %s is no index, not 0', (name) => {
    expect(first(COUNT, recorded(name).body)).toMatchObject({ code: 'index_unknown' });
  });

  it('sees an error inside of a multi-search that worked', () => {
    const responses = recorded('msearch').body['responses'] as Json[];
    expect(first(COUNT, responses[1])).toMatchObject({ code: 'index_unknown' });
    expect(first(COUNT, responses[0])).toMatchObject({ code: 'answer_invalid' });
  });
});

describe('an error of Elasticsearch', () => {
  it.each([
    ['error-400-parsing', 'query_refused', 'unknown field [avgg]'],
    ['error-400-too-many-buckets', 'too_many_buckets', 'fewer buckets'],
    ['error-400-unmapped-text-agg', 'field_unsuitable', 'numeric field'],
    ['error-400-v9-client-against-8x-server', 'product_unsupported', 'version 8'],
    ['error-404-no-index', 'index_unknown', 'no index matches logs'],
    ['search-query_string-injection', 'query_refused', 'Failed to parse query'],
  ])('recorded as %s is %s', (name, code, words) => {
    const { body, status } = recorded(name);
    expect(errorOf(body['error'] as Json, status, 'logs')).toMatchObject({
      code,
      sentence: expect.stringContaining(words),
      passing: false,
    });
  });

  it.each([
    [401, 'source_unauthorized', false],
    [403, 'source_unauthorized', false],
    [429, 'source_overloaded', true],
    [500, 'source_failed', true],
    [503, 'source_failed', true],
    [418, 'query_refused', false],
  ])('with status %i and nothing to read is %s', (status, code, passing) => {
    expect(errorOf({}, status, 'logs')).toMatchObject({ code, passing });
  });
});
