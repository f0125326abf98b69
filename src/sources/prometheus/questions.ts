import { CodedError } from '../../errors.ts';
import type { Window } from '../../promql/finished.ts';
import { renderSelector, type Condition } from '../../promql/render.ts';
import { NAME, parseSelector } from '../../promql/selector.ts';
import { literalPattern } from '../../promql/strings.ts';
import type { SourceQuery } from '../port.ts';
import type { LabelSet } from './answer.ts';
import type { Missing } from './answers.ts';
import { shortHash } from './targets.ts';

/** A query that could be understood. */
export interface Asked {
  query: SourceQuery;
  /** Names the same question at every tick. */
  key: string;
  /** Conditions of its selector; null for a finished query. */
  selector: readonly Condition[] | null;
}

/** Queries that are answered from one answer of Prometheus. */
export interface Group {
  members: readonly Asked[];
  /** Selector that has the series of every member; null for a finished query, which is alone. */
  selector: string | null;
  /** Whether raw samples over a time are wanted, not the present values. */
  overTime: boolean;
}

const MOST_REMEMBERED = 2_000;

/** Reads selectors; the same few come back at every tick. */
export function createReader(): (query: SourceQuery) => Asked | { missing: Missing } {
  const known = new Map<string, readonly Condition[]>();
  function conditionsOf(text: string): readonly Condition[] {
    const remembered = known.get(text);
    if (remembered !== undefined) return remembered;
    const conditions = parseSelector(text).map(({ label, operator, value }) => ({ label, operator, value }));
    if (known.size >= MOST_REMEMBERED) known.clear();
    known.set(text, conditions);
    return conditions;
  }

  return (query) => {
    if (query.search !== undefined) {
      const sentence = 'a source of type prometheus holds series and cannot search documents; use counter:, gauge: or query:';
      return { missing: { code: 'query_unsupported', sentence } };
    }
    const sides = Object.entries(query.labels).sort(([a], [b]) => (a < b ? -1 : 1));
    // Two proportions may have the same total, and each counts it in step with its own events.
    const pair = query.pair === undefined ? [] : [query.pair.metric, query.pair.side];
    const key = shortHash(JSON.stringify([query.shape, query.finished, query.text, sides, ...pair]));
    if (NAME in query.labels) {
      const sentence = `the sides cannot be told by ${NAME}; name the metric in the query and a label in the side`;
      return { missing: { code: 'selector_invalid', sentence } };
    }
    try {
      return { query, key, selector: query.finished ? null : conditionsOf(query.text) };
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      return { missing: { code: error.code, sentence: error.message } };
    }
  };
}

/**
 * Joins the sides of a metric into one query where their labels allow it: the same label names, and at most one of them
 * with different values, none of which is empty. The series then tell by their labels whose they are.
 */
export function grouped(asked: readonly Asked[]): Group[] {
  const together = new Map<string, Asked[]>();
  for (const [index, one] of asked.entries()) {
    const { selector, query } = one;
    const values = Object.values(query.labels);
    const alone = selector === null || values.some((value) => value === '');
    const kind = query.shape === 'gauge' ? 'gauge' : 'counter';
    const key = alone ? String(index) : JSON.stringify([kind, renderSelector(selector), Object.keys(query.labels).sort()]);
    together.set(key, [...(together.get(key) ?? []), one]);
  }
  return [...together.values()].flatMap((members) =>
    differing(members).length <= 1 ? [groupOf(members)] : members.map((one) => groupOf([one])),
  );
}

function groupOf(members: readonly Asked[]): Group {
  const [first] = members;
  const overTime = first !== undefined && first.query.shape !== 'gauge' && first.selector !== null;
  if (first === undefined || first.selector === null) return { members, selector: null, overTime };
  const different = new Set(differing(members));
  const sides = Object.entries(first.query.labels).map(([label, value]): Condition => {
    if (!different.has(label)) return { label, operator: '=', value };
    const values = new Set(members.map(({ query }) => query.labels[label] ?? ''));
    return { label, operator: '=~', value: [...values].sort().map(literalPattern).join('|') };
  });
  return { members, selector: renderSelector([...first.selector, ...sides]), overTime };
}

function differing(members: readonly Asked[]): string[] {
  const labels = Object.keys(members[0]?.query.labels ?? {});
  return labels.filter((label) => new Set(members.map(({ query }) => query.labels[label])).size > 1);
}

/** Whether a series belongs to the side of a query; Prometheus leaves labels without a value out. */
export function belongs(labels: LabelSet, { query }: Asked): boolean {
  return Object.entries(query.labels).every(([label, value]) => (labels[label] ?? '') === value);
}

/** The parser of whole queries takes 8 MB, so it is loaded with the first of them. @throws CodedError `promql_invalid` */
export async function finishedText({ query }: Asked, window: Window): Promise<string> {
  const { finishQuery } = await import('../../promql/finished.ts');
  const conditions = Object.entries(query.labels).map(([label, value]): Condition => ({ label, operator: '=', value }));
  return finishQuery(query.text, window, conditions);
}
