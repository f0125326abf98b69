import { compilePattern } from './pattern.ts';

export type Operator = '=' | '!=' | '=~' | '!~';

/** One condition on one label. */
export interface LabelMatcher {
  label: string;
  operator: Operator;
  value: string;
  /** @param value of the label; '' where it is not there */
  matches(value: string): boolean;
}

/** A longer value is compared anew each time. */
const MAX_REMEMBERED_CHARACTERS = 200;

/**
 * A condition as PromQL and an Alertmanager know it. A label has few different values, which come again and again: with
 * every series at every tick, with every alert. So what a pattern said of a value is remembered.
 *
 * @param options.dotTakesLines see `compilePattern`
 * @param options.remembered how many values are remembered at most
 * @throws CodedError `pattern_invalid`
 */
export function createLabelMatcher(
  label: string,
  operator: Operator,
  value: string,
  options: { dotTakesLines: boolean; remembered: number },
): LabelMatcher {
  if (operator === '=') return { label, operator, value, matches: (text) => text === value };
  if (operator === '!=') return { label, operator, value, matches: (text) => text !== value };
  const pattern = compilePattern(value, options.dotTakesLines);
  const wanted = operator === '=~';
  const known = new Map<string, boolean>();
  return {
    label,
    operator,
    value,
    matches(text) {
      const before = known.get(text);
      if (before !== undefined) return before;
      const does = pattern(text) === wanted;
      if (known.size < options.remembered && text.length <= MAX_REMEMBERED_CHARACTERS) known.set(text, does);
      return does;
    },
  };
}
