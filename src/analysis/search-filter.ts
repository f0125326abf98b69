import { CodedError } from '../errors.ts';
import { fillPlain, placeholdersIn } from './arguments.ts';

/** A filter in the query language of Elasticsearch, as it stands in a template. */
export type Filter = Readonly<Record<string, unknown>>;
type Where = (string | number)[];

/** A place of a filter that is not allowed, and why. */
export interface FilterProblem {
  at: Where;
  message: string;
}

const MAX_DEPTH = 20;
const MAX_NODES = 1_000;
const MAX_TEXT = 4_000;

/** Clauses that hold other clauses, and under which keys. */
const COMPOUND: Readonly<Record<string, readonly string[]>> = {
  bool: ['filter', 'must', 'must_not', 'should'],
  boosting: ['negative', 'positive'],
  constant_score: ['filter'],
  dis_max: ['queries'],
  has_child: ['query'],
  has_parent: ['query'],
  nested: ['query'],
};

/**
 * Clauses of the form `{ term: { FIELD: VALUE } }` or `{ term: { FIELD: { value: VALUE } } }` whose values may hold an
 * argument: under which keys the value stands in the long form, and what an argument may be made of. Elasticsearch
 * reads the values of the first group as they are; the others have signs with a meaning, so an argument there holds
 * none.
 */
const LITERAL = /^/;
/** Signs that neither a pattern with * and ? nor a regular expression of Lucene gives a meaning. */
const NO_PATTERN = /^[\p{L}\p{N}_-]*$/u;
/** A number or a date; never date mathematics such as now-1h. */
const NUMBER_OR_DATE = /^(-?[0-9]{1,18}(\.[0-9]{1,18})?|[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]{5,18}(Z|[+-][0-9]{2}:?[0-9]{2})?)?)$/;
interface LeafClause {
  keys: readonly string[];
  allowed: RegExp;
  words: string;
}
const LEAVES: Readonly<Record<string, LeafClause>> = {
  term: { keys: ['value'], allowed: LITERAL, words: '' },
  terms: { keys: [], allowed: LITERAL, words: '' },
  match: { keys: ['query'], allowed: LITERAL, words: '' },
  match_phrase: { keys: ['query'], allowed: LITERAL, words: '' },
  match_phrase_prefix: { keys: ['query'], allowed: LITERAL, words: '' },
  match_bool_prefix: { keys: ['query'], allowed: LITERAL, words: '' },
  prefix: { keys: ['value'], allowed: LITERAL, words: '' },
  range: { keys: ['gt', 'gte', 'lt', 'lte'], allowed: NUMBER_OR_DATE, words: 'a number or a date' },
  wildcard: { keys: ['value', 'wildcard'], allowed: NO_PATTERN, words: 'letters, digits, dash and underscore' },
  regexp: { keys: ['value'], allowed: NO_PATTERN, words: 'letters, digits, dash and underscore' },
};

/**
 * Fills `${name}` in a filter. An argument only ever becomes text inside of a JSON text that is compared as a value, so
 * no argument can change which keys, clauses and types a filter has.
 *
 * @throws CodedError `argument_missing`; `argument_unsafe` where an argument stands elsewhere, or would mean something
 *   other than itself
 */
export function fillFilter(filter: Filter, values: Readonly<Record<string, string>>): Filter {
  return mapped(filter, { kind: 'clause' }, [], (text, place, at) => {
    const names = placeholdersIn(text);
    if (names.length === 0) return text;
    if (place.kind !== 'value') throw unsafe(at, misplaced(place));
    for (const name of names) {
      const value = fillPlain(`\${${name}}`, values);
      if (!place.leaf.allowed.test(value)) throw unsafe(at, `only ${place.leaf.words} may be filled in here`);
    }
    return fillPlain(text, values);
  });
}

/** Everything about a filter that can be said before there are arguments. */
export function filterProblems(filter: Filter): FilterProblem[] {
  const problems: FilterProblem[] = [];
  let nodes = 0;
  const look = (value: unknown, depth: number): boolean => {
    nodes += 1;
    if (depth > MAX_DEPTH || nodes > MAX_NODES) return false;
    return typeof value !== 'object' || value === null || Object.values(value).every((inner) => look(inner, depth + 1));
  };
  if (!look(filter, 0)) {
    return [{ at: [], message: `expected a filter of at most ${MAX_NODES} parts, nested ${MAX_DEPTH} deep; got a larger one` }];
  }
  mapped(filter, { kind: 'clause' }, [], (text, place, at) => {
    if (text.length > MAX_TEXT) problems.push({ at, message: `expected at most ${MAX_TEXT} characters; got ${text.length}` });
    else if (text.includes('${') && place.kind !== 'value') problems.push({ at, message: misplaced(place) });
    return text;
  });
  return problems;
}

/** The texts of a filter in which arguments can stand, each with its place. */
export function textsOf(filter: Filter): { at: Where; text: string }[] {
  const texts: { at: Where; text: string }[] = [];
  mapped(filter, { kind: 'clause' }, [], (text, _, at) => {
    texts.push({ at, text });
    return text;
  });
  return texts;
}

/** What a part of a filter is: it decides whether an argument may stand in it. */
type Place =
  | { kind: 'clause' }
  | { kind: 'fields'; leaf: LeafClause; list: boolean }
  | { kind: 'field'; leaf: LeafClause; list: boolean }
  | { kind: 'value'; leaf: LeafClause }
  | { kind: 'parts'; keys: readonly string[] }
  | { kind: 'key' }
  | { kind: 'other'; clause: string };
type Change = (text: string, place: Place, at: Where) => string;

function mapped(filter: Filter, place: Place, at: Where, change: Change): Filter {
  const entries = Object.entries(filter).map(([key, value]): [string, unknown] => {
    change(key, { kind: 'key' }, [...at, key]);
    return [key, mappedValue(value, below(place, key, value), [...at, key], change)];
  });
  // Defined, not assigned, so that a key named __proto__ stays a key.
  return Object.fromEntries(entries);
}

function mappedValue(value: unknown, place: Place, at: Where, change: Change): unknown {
  if (typeof value === 'string') return change(value, place, at);
  if (Array.isArray(value)) return value.map((entry: unknown, index) => mappedValue(entry, place, [...at, index], change));
  return isFilter(value) ? mapped(value, place, at, change) : value;
}

function isFilter(value: unknown): value is Filter {
  return typeof value === 'object' && value !== null;
}

function below(place: Place, key: string, value: unknown): Place {
  const other: Place = { kind: 'other', clause: key };
  switch (place.kind) {
    case 'clause': {
      const parts = Object.hasOwn(COMPOUND, key) ? COMPOUND[key] : undefined;
      if (parts !== undefined) return { kind: 'parts', keys: parts };
      const leaf = Object.hasOwn(LEAVES, key) ? LEAVES[key] : undefined;
      return leaf === undefined ? other : { kind: 'fields', leaf, list: key === 'terms' };
    }
    case 'parts':
      return place.keys.includes(key) ? { kind: 'clause' } : other;
    case 'fields':
      if (key === 'boost' || key === '_name') return other;
      if (place.list) return Array.isArray(value) ? { kind: 'value', leaf: place.leaf } : other;
      return isFilter(value) ? { ...place, kind: 'field' } : { kind: 'value', leaf: place.leaf };
    case 'field':
      return place.leaf.keys.includes(key) && !isFilter(value) ? { kind: 'value', leaf: place.leaf } : other;
    case 'value':
      // A map where a value is expected: Elasticsearch will refuse it, and no argument goes into it.
      return other;
    default:
      return place;
  }
}

function misplaced(place: Place): string {
  if (place.kind === 'key') return 'an argument cannot be part of a key; write the key out';
  const inside = place.kind === 'other' ? ` in ${place.clause}` : '';
  return `an argument cannot stand here${inside}; it may be a value of ${Object.keys(LEAVES).join(', ')}`;
}

function unsafe(at: Where, why: string): CodedError {
  return new CodedError('argument_unsafe', `the filter of a search: ${at.join('.')}: ${why}`);
}
