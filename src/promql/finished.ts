import type { SyntaxNode } from '@lezer/common';
import { maskPlaceholders } from './fill.ts';
import { checkMeaning, parseQuery } from './parse.ts';
import { renderCondition, type Condition } from './render.ts';
import { splitQuery } from './split.ts';
import { readString } from './strings.ts';

/** Stand in finished queries: the length of the window, and the conditions of the side inside of braces. */
const VARIABLES = /\$__(range_ms|range_s|range|side)\b/g;

export interface Window {
  /** Milliseconds since the epoch. */
  from: number;
  to: number;
}

/**
 * Checks a finished query before it has its arguments.
 *
 * @throws CodedError `promql_invalid`; `details.column` counts from 1
 */
export function checkFinished(text: string): void {
  const masked = maskPlaceholders(text);
  checkMeaning(masked, parseQuery(masked));
}

/**
 * The query of one side for one window. The conditions of the side stand where `$__side` does; in a query without it
 * they are added to every selector that does not name their label itself.
 *
 * @param conditions of the side
 * @throws CodedError `promql_invalid`
 */
export function finishQuery(text: string, window: Window, conditions: readonly Condition[]): string {
  const ms = Math.max(1, Math.round(window.to - window.from));
  let placed = false;
  const filled = splitQuery(text)
    .map(({ kind, text: part }) => {
      if (kind !== 'code') return kind === 'comment' ? ' ' : part;
      return part.replaceAll(VARIABLES, (_, variable: string) => {
        if (variable === 'side') {
          placed = true;
          // Every series has a name, so this is true where a side has no labels.
          return conditions.length === 0 ? '__name__!=""' : conditions.map(renderCondition).join(',');
        }
        return variable === 'range' ? `${ms}ms` : String(variable === 'range_s' ? ms / 1_000 : ms);
      });
    })
    .join('');
  const tree = parseQuery(filled);
  if (placed || conditions.length === 0) return filled;
  const insertions: { at: number; text: string }[] = [];
  const cursor = tree.cursor();
  do {
    if (cursor.name === 'VectorSelector') insertions.push(...insertionInto(cursor.node, filled, conditions));
  } while (cursor.next());
  let finished = filled;
  for (const { at, text: added } of insertions.sort((a, b) => b.at - a.at)) {
    finished = finished.slice(0, at) + added + finished.slice(at);
  }
  // What was put together must be a query, too.
  parseQuery(finished);
  return finished;
}

function insertionInto(selector: SyntaxNode, text: string, conditions: readonly Condition[]): { at: number; text: string }[] {
  const matchers = selector.getChild('LabelMatchers');
  const named = matchers === null ? new Set<string>() : labelsIn(matchers, text);
  const added = conditions
    .filter(({ label }) => !named.has(label))
    .map(renderCondition)
    .join(',');
  if (added === '') return [];
  if (matchers === null) return [{ at: selector.to, text: `{${added}}` }];
  const empty = matchers.firstChild === null;
  return [{ at: matchers.from + 1, text: empty ? added : `${added},` }];
}

function labelsIn(matchers: SyntaxNode, text: string): Set<string> {
  const labels = new Set<string>();
  for (const matcher of matchers.getChildren('UnquotedLabelMatcher')) {
    const name = matcher.getChild('LabelName');
    if (name !== null) labels.add(text.slice(name.from, name.to));
  }
  for (const matcher of matchers.getChildren('QuotedLabelMatcher')) {
    const name = matcher.getChild('QuotedLabelName');
    if (name === null) continue;
    labels.add(readString(text, name.from, () => fail(text)).value);
  }
  return labels;
}

function fail(text: string): never {
  throw new TypeError(`a quoted name was parsed that cannot be read: ${text.length} characters`);
}
