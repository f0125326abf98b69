import type { LabelMatcher } from '../patterns/label-matcher.ts';
import { NAME } from './selector.ts';
import { quoted } from './strings.ts';

export type Condition = Pick<LabelMatcher, 'label' | 'operator' | 'value'>;

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/**
 * Writes a selector anew from what was read of it, so that no text of the configuration or of an argument becomes part
 * of a query as it stands. The same conditions always give the same text.
 */
export function renderSelector(matchers: readonly Condition[]): string {
  const plainName = matchers.find(({ label, operator, value }) => label === NAME && operator === '=' && METRIC_NAME.test(value));
  const others = matchers
    .filter((matcher) => matcher !== plainName)
    .map(renderCondition)
    .sort();
  const conditions = [...new Set(others)].join(',');
  return `${plainName?.value ?? ''}${conditions === '' && plainName !== undefined ? '' : `{${conditions}}`}`;
}

export function renderCondition({ label, operator, value }: Condition): string {
  return `${LABEL_NAME.test(label) ? label : quoted(label)}${operator}${quoted(value)}`;
}
