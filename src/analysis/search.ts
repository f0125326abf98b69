import { Type, type Static } from 'typebox';
import { CodedError } from '../errors.ts';
import type { SourceSearch } from '../sources/port.ts';
import { placeholdersIn, fillPlain } from './arguments.ts';
import { fillFilter, type Filter } from './search-filter.ts';

/** Patterns, lists and other clusters may be named; date mathematics, exclusions and control signs may not. */
const IndexName = '^[^\\s"\\\\/|?#<>_+-][^\\s"\\\\/|?#<>]*$';
const closed = { additionalProperties: false };
const DEFAULT_TIME_FIELD = '@timestamp';

const documents = {
  index: Type.String({
    pattern: IndexName,
    maxLength: 1_000,
    description: 'Index, data stream or alias; may be a pattern such as logs-shop-*.',
  }),
  filter: Type.Optional(
    Type.Unsafe<Filter>({
      type: 'object',
      additionalProperties: true,
      description:
        'Filter in the query language (DSL) of Elasticsearch; the sides and the time are added to it. All without one.',
    }),
  ),
  timeField: Type.Optional(
    Type.String({ minLength: 1, maxLength: 500, default: DEFAULT_TIME_FIELD, description: 'Field that holds when it happened.' }),
  ),
};
const field = Type.String({ minLength: 1, maxLength: 500, description: 'Numeric field that is measured.' });

/** What a unit of a field is divided by to become seconds. */
const UNITS = { s: 1, ms: 1_000, us: 1_000_000, ns: 1_000_000_000 } as const;

/** Counts the documents of the window. */
export const SearchCount = Type.Object(
  { search: Type.Object(documents, { ...closed, description: 'Counts documents of Elasticsearch.' }) },
  closed,
);
/** Counts the documents of the window by the value of a field. */
export const SearchBuckets = Type.Object(
  {
    search: Type.Object(
      {
        ...documents,
        field,
        bounds: Type.Array(Type.Number(), {
          minItems: 1,
          maxItems: 100,
          description: 'Upper bounds of the buckets, ascending, in the unit of the field; the rest is counted, too.',
        }),
        unit: Type.Optional(
          Type.Enum(['s', 'ms', 'us', 'ns'], { default: 's', description: 'Unit of the field and of its bounds.' }),
        ),
      },
      { ...closed, description: 'Counts documents of Elasticsearch in buckets, exactly.' },
    ),
  },
  closed,
);
/** One figure of a field over the documents of the window. */
export const SearchGauge = Type.Object(
  {
    search: Type.Object(
      {
        ...documents,
        field,
        stat: Type.Optional(Type.Enum(['avg', 'max', 'min', 'sum'], { default: 'avg', description: 'Figure that is taken.' })),
        percentile: Type.Optional(
          Type.Number({ minimum: 0, maximum: 100, description: 'Percentile instead, approximated by Elasticsearch.' }),
        ),
      },
      { ...closed, description: 'A figure over documents of Elasticsearch.' },
    ),
  },
  closed,
);
export type SearchPart = Static<typeof SearchCount> | Static<typeof SearchBuckets> | Static<typeof SearchGauge>;

/**
 * A search with its arguments filled in.
 *
 * @throws CodedError `argument_missing`, `argument_unsafe`
 */
export function searchOf({ search }: SearchPart, values: Readonly<Record<string, string>>): SourceSearch {
  return {
    index: fillIndex(search.index, values),
    timeField: search.timeField ?? DEFAULT_TIME_FIELD,
    filter: search.filter === undefined ? null : fillFilter(search.filter, values),
    measure: measureOf(search),
  };
}

function measureOf(search: SearchPart['search']): SourceSearch['measure'] {
  if (!('field' in search)) return { kind: 'documents' };
  if ('bounds' in search) {
    return { kind: 'buckets', field: search.field, bounds: search.bounds, perSecond: UNITS[search.unit ?? 's'] };
  }
  if (search.percentile !== undefined) return { kind: 'percentile', field: search.field, percentile: search.percentile };
  return { kind: 'stat', field: search.field, stat: search.stat ?? 'avg' };
}

/** The name of an index reaches what it names, so an argument in it holds no sign that has a meaning there. */
function fillIndex(index: string, values: Readonly<Record<string, string>>): string {
  for (const name of placeholdersIn(index)) {
    if (/^[a-z0-9][a-z0-9._-]{0,199}$/.test(fillPlain(`\${${name}}`, values))) continue;
    throw new CodedError(
      'argument_unsafe',
      `\${${name}} stands in the name of an index, where only small letters, digits, dot, dash and underscore may be filled in`,
    );
  }
  return fillPlain(index, values);
}
