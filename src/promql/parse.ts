import { parser } from '@prometheus-io/lezer-promql';
import type { SyntaxNode, Tree } from '@lezer/common';
import { CodedError } from '../errors.ts';

export const MAX_QUERY_LENGTH = 4_000;

/**
 * @returns the tree of a query without errors
 * @throws CodedError `promql_invalid`; `details.column` counts from 1
 */
export function parseQuery(text: string): Tree {
  if (text.length > MAX_QUERY_LENGTH) throw invalid(`a query may have at most ${MAX_QUERY_LENGTH} characters`, MAX_QUERY_LENGTH);
  const tree = parser.parse(text);
  const wrong = firstError(tree);
  if (wrong !== null) throw invalid(complaint(text, wrong), wrong.from);
  return tree;
}

function firstError(tree: Tree): SyntaxNode | null {
  const cursor = tree.cursor();
  do {
    if (cursor.type.isError) return cursor.node;
  } while (cursor.next());
  return null;
}

export function invalid(what: string, at: number): CodedError {
  return new CodedError('promql_invalid', `query, column ${at + 1}: ${what}`, { details: { column: at + 1 } });
}

function complaint(text: string, { from, to }: SyntaxNode): string {
  if (text.trim() === '') return 'expected a query';
  const found = text.slice(from, Math.max(to, from + 1)).trim();
  return found === '' || from >= text.length ? 'the query is not complete' : `did not expect "${found.slice(0, 30)}" here`;
}
