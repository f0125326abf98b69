import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fillFilter, filterProblems, textsOf, type Filter } from './search-filter.ts';

const unsafe = expect.objectContaining({ code: 'argument_unsafe' });
const SERVICE: Filter = { term: { service: '${service}' } };

/** Everything about a filter but the contents of its texts. */
function shapeOf(value: unknown): unknown {
  if (typeof value === 'string') return 'text';
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value).map(([key, inner]) => [key, shapeOf(inner)]);
}

describe('filling arguments into a filter', () => {
  it('puts a value into a term, in the short form, the long form and lists', () => {
    const filter: Filter = {
      bool: {
        filter: [SERVICE, { term: { track: { value: '${track}-1' } } }, { terms: { zone: ['a', '${zone}'] } }],
        must_not: { match: { message: { query: 'seen by ${service}', operator: 'and' } } },
      },
    };
    expect(fillFilter(filter, { service: 'shop', track: 'canary', zone: 'b' })).toEqual({
      bool: {
        filter: [{ term: { service: 'shop' } }, { term: { track: { value: 'canary-1' } } }, { terms: { zone: ['a', 'b'] } }],
        must_not: { match: { message: { query: 'seen by shop', operator: 'and' } } },
      },
    });
  });

  it('leaves numbers, truth values and null as they are, and changes nothing in place', () => {
    const filter: Filter = {
      bool: { filter: [{ range: { status: { gte: 500, boost: null } } }, { term: { slow: true } }, SERVICE] },
    };
    const before = structuredClone(filter);
    expect(fillFilter(filter, { service: 'shop' })).toEqual({
      bool: {
        filter: [{ range: { status: { gte: 500, boost: null } } }, { term: { slow: true } }, { term: { service: 'shop' } }],
      },
    });
    expect(filter).toEqual(before);
  });

  it('keeps the shape of the filter whatever the arguments are, and fills in exactly what was given', () => {
    const filter: Filter = {
      bool: {
        filter: [
          SERVICE,
          { term: { version: { value: 'v${version}', case_insensitive: true } } },
          { terms: { 'labels.zone': ['${zone}', 'fixed', '${zone}${service}'] } },
          { match_phrase: { message: '${version} of ${service}' } },
          { nested: { path: 'http', query: { prefix: { 'http.path': '/${service}/' } } } },
        ],
        must_not: [{ dis_max: { queries: [{ match: { message: '${zone}' } }] } }],
        minimum_should_match: 1,
      },
    };
    const hostile = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.constantFrom(
        '"}},{"match_all":{}',
        '*',
        'a) OR (b',
        '${service}',
        '__proto__',
        '$&',
        '${zone}',
        '\u2028',
        '',
        '{"gte":0}',
        '[]',
      ),
    );
    fc.assert(
      fc.property(hostile, hostile, hostile, (service, version, zone) => {
        const values = { service, version, zone };
        const filled = fillFilter(filter, values);
        const sent: unknown = JSON.parse(JSON.stringify(filled));
        expect(shapeOf(sent)).toEqual(shapeOf(filter));
        expect(textsOf(filled).map(({ text }) => text)).toEqual(
          textsOf(filter).map(({ text }) => text.replaceAll(/\$\{(\w+)\}/g, (_, name: keyof typeof values) => values[name])),
        );
      }),
    );
  });

  it.each<[string, Filter]>([
    ['query_string', { query_string: { query: 'service:${service}' } }],
    ['simple_query_string', { simple_query_string: { query: '${service}' } }],
    ['a script', { script: { script: { source: "doc['a'].value == '${service}'" } } }],
    ['the parameters of a script', { script: { script: { source: '1', params: { service: '${service}' } } } }],
    ['a script deep inside', { bool: { must: [{ function_score: { script_score: { script: '${service}' } } }] } }],
    ['runtime mappings', { runtime_mappings: { a: { script: "emit('${service}')" } } }],
    ['wrapped JSON', { wrapper: { query: '${service}' } }],
    ['a key', { term: { '${service}': 'a' } }],
    ['the name of a clause', { '${service}': { a: 'b' } }],
    ['the index of a terms lookup', { terms: { user: { index: '${service}', id: '2', path: 'followers' } } }],
    ['an option', { match: { message: { query: 'a', analyzer: '${service}' } } }],
    ['an option of terms', { terms: { zone: ['a'], _name: '${service}' } }],
    ['an option of bool', { bool: { minimum_should_match: '${service}' } }],
    ['the path of a nested clause', { nested: { path: '${service}', query: { match_all: {} } } }],
    ['the format of a range', { range: { at: { gte: '2026-01-01', format: '${service}' } } }],
    ['a clause that nobody knows', { brand_new: { field: '${service}' } }],
    ['more than a value inside of a term', { term: { service: { value: { deep: '${service}' } } } }],
  ])('refuses an argument in %s, when it is filled and already when it is checked', (_, filter) => {
    expect(() => fillFilter(filter, { service: 'shop' })).toThrow(unsafe);
    expect(filterProblems(filter)).not.toEqual([]);
  });

  it('lets what is fixed stand anywhere', () => {
    const filter: Filter = {
      bool: { must: [{ query_string: { query: 'status:[500 TO 599]' } }, { script: { script: '1 == 1' } }] },
    };
    expect(filterProblems(filter)).toEqual([]);
    expect(fillFilter(filter, {})).toEqual(filter);
  });

  it.each([
    ['wildcard', { wildcard: { path: { value: '/${v}/*' } } }, 'cart-1_ä', 'a*'],
    ['regexp', { regexp: { path: '/${v}/.*' } }, 'cart', 'a|.*'],
    ['range', { range: { build: { gte: '${v}' } } }, '-12.5', 'now-1y'],
    ['range of times', { range: { at: { lt: '${v}' } } }, '2026-01-15T10:00:00.000Z', '2026-01-15||/M'],
  ])('takes only arguments without a meaning of their own in a %s', (_, filter, plain, strange) => {
    expect(JSON.stringify(fillFilter(filter, { v: plain }))).toContain(plain);
    expect(() => fillFilter(filter, { v: strange })).toThrow(unsafe);
  });

  it('names the argument that has no value', () => {
    expect(() => fillFilter(SERVICE, {})).toThrow(expect.objectContaining({ code: 'argument_missing' }));
    expect(() => fillFilter({ term: { a: '${constructor}' } }, {})).toThrow(
      expect.objectContaining({ code: 'argument_missing' }),
    );
  });

  it('keeps a field that is named like a part of an object', () => {
    const filter = JSON.parse('{"term":{"__proto__":"${v}"}}') as Filter;
    expect(JSON.stringify(fillFilter(filter, { v: 'x' }))).toBe('{"term":{"__proto__":"x"}}');
  });
});

describe('checking a filter', () => {
  it('says where an argument cannot stand', () => {
    expect(filterProblems({ bool: { filter: [SERVICE, { query_string: { query: '${service}' } }] } })).toEqual([
      {
        at: ['bool', 'filter', 1, 'query_string', 'query'],
        message: expect.stringContaining('cannot stand here in query_string'),
      },
    ]);
  });

  it('refuses what is deeper or larger than a filter is', () => {
    let deep: Filter = { term: { a: 'b' } };
    for (let depth = 0; depth < 200; depth++) deep = { bool: { must: deep } };
    expect(filterProblems(deep)).toHaveLength(1);
    expect(filterProblems({ terms: { a: Array.from({ length: 2_000 }, String) } })).toHaveLength(1);
    expect(filterProblems({ term: { a: 'x'.repeat(5_000) } })).toHaveLength(1);
  });

  it('lists the texts that arguments can stand in', () => {
    expect(textsOf({ bool: { filter: [SERVICE] } })).toContainEqual({
      at: ['bool', 'filter', 0, 'term', 'service'],
      text: '${service}',
    });
  });
});
