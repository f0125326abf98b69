import { parser } from '@prometheus-io/lezer-promql';
import type { SyntaxNode, Tree } from '@lezer/common';
import { CodedError } from '../errors.ts';

/** Longer than what a template may hold, since the sides are added to it. */
export const MAX_QUERY_LENGTH = 20_000;
const RANGE_FUNCTIONS = new Set(
  'changes delta deriv double_exponential_smoothing holt_winters idelta increase irate predict_linear rate resets'.split(' '),
);
/** To be named where one is mistyped. Source: https://prometheus.io/docs/prometheus/latest/querying/functions/ */
export const FUNCTIONS: readonly string[] = [
  ...RANGE_FUNCTIONS,
  ...'avg count group max min quantile stddev stdvar sum topk bottomk count_values limitk limit_ratio'.split(' '),
  ...'abs absent absent_over_time avg_over_time ceil clamp clamp_max clamp_min count_over_time exp floor'.split(' '),
  ...'histogram_avg histogram_count histogram_fraction histogram_quantile histogram_sum label_join label_replace'.split(' '),
  ...'last_over_time ln log10 log2 max_over_time min_over_time present_over_time quantile_over_time round'.split(' '),
  ...'scalar sgn sort sort_desc sqrt stddev_over_time stdvar_over_time sum_over_time time timestamp vector'.split(' '),
];

/**
 * @returns the tree of a query without errors
 * @throws CodedError `promql_invalid`; `details.column` counts from 1
 */
export function parseQuery(text: string): Tree {
  if (text.length > MAX_QUERY_LENGTH) throw invalid(`a query may have at most ${MAX_QUERY_LENGTH} characters`, MAX_QUERY_LENGTH);
  const tree = parser.parse(text);
  const wrong = firstError(tree);
  if (wrong !== null) {
    const { what, at, unknown } = complaint(text, wrong);
    throw invalid(what, at, unknown);
  }
  return tree;
}

function firstError(tree: Tree): SyntaxNode | null {
  const cursor = tree.cursor();
  do {
    if (cursor.type.isError) return cursor.node;
  } while (cursor.next());
  return null;
}

/** @param unknown name of a function that does not exist, for who can tell which was meant */
function invalid(what: string, at: number, unknown?: string): CodedError {
  return new CodedError('promql_invalid', `query, column ${at + 1}: ${what}`, {
    details: { column: at + 1, ...(unknown !== undefined && { unknown }) },
  });
}

function complaint(text: string, wrong: SyntaxNode): { what: string; at: number; unknown?: string } {
  const { from, to } = wrong;
  if (text.trim() === '') return { what: 'expected a query', at: 0 };
  const called = /([a-zA-Z_][a-zA-Z0-9_]*)\s*$/.exec(text.slice(0, from))?.[1];
  if (called !== undefined && text[from] === '(') {
    return { what: `there is no function '${called}'`, at: text.lastIndexOf(called, from), unknown: called };
  }
  const found = text
    .slice(from, Math.max(to, from + 1))
    .trim()
    .slice(0, 30);
  if (found === '' || from >= text.length) return { what: 'the query is not complete', at: from };
  if (wrong.parent?.name.endsWith('LabelMatcher') === true) {
    if (found === '=') return { what: 'equality is written with one =', at: from };
    return { what: `expected a text in quotes, such as "${found.replaceAll(/["'`]/g, '')}"`, at: from };
  }
  return { what: `did not expect '${found}' here`, at: from };
}

/** Functions that take samples over a time. */
function wantsRange(name: string): boolean {
  return name.endsWith('_over_time') || RANGE_FUNCTIONS.has(name);
}

/** Slips that the grammar allows and Prometheus refuses. @throws CodedError `promql_invalid` */
export function checkMeaning(text: string, tree: Tree): void {
  const whole = tree.topNode.firstChild;
  if (whole?.name === 'MatrixSelector' || whole?.name === 'SubqueryExpr') {
    throw invalid(
      'the query yields samples over a time; it has to yield one number, by rate() or increase() for example',
      whole.from,
    );
  }
  if (whole?.name === 'StringLiteral') throw invalid('the query yields a text; it has to yield a number', whole.from);
  tree.iterate({
    enter({ name, node }) {
      if (name !== 'FunctionCall') return;
      const identifier = node.getChild('FunctionIdentifier');
      if (identifier === null) return;
      const called = text.slice(identifier.from, identifier.to);
      const list = node.getChild('FunctionCallBody');
      if (list === null || !wantsRange(called)) return;
      for (let argument = list.firstChild; argument !== null; argument = argument.nextSibling) {
        if (argument.name === 'VectorSelector')
          throw invalid(`${called}() wants samples over a time; write [5m] or [$__range] behind the selector`, argument.to);
      }
    },
  });
}
