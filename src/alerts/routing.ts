import type { LabelMatcher } from '../patterns/label-matcher.ts';
import { parseMatchers } from './matchers.ts';
import type { Consequence } from './settings.ts';

export type Labels = Readonly<Record<string, string>>;

/** An application that an alert concerns, and what it leads to there. */
export interface Route {
  application: string;
  consequence: Consequence;
}

export interface RoutedApplication {
  name: string;
  alerts: readonly { matchers: readonly string[]; then: Consequence }[];
}

interface Rule {
  /** Place of its application, then of the rule in it: the order of the configuration. */
  application: number;
  place: number;
  route: Route;
  /** The route as the whole answer, which it is for nearly every alert. */
  alone: readonly Route[];
  matchers: readonly LabelMatcher[];
}

const NONE: readonly Route[] = [];

/**
 * Says which applications an alert concerns: of each application the first entry decides whose matchers all match. A label
 * that the alert does not have counts as empty.
 *
 * Entries are found by the value of one label that they ask to be equal, so that thousands of applications cost as much
 * as one.
 *
 * @throws CodedError `matcher_invalid`
 */
export function createRouting(applications: Iterable<RoutedApplication>): (labels: Labels) => readonly Route[] {
  const rules = [...applications].flatMap(({ name, alerts }, application) =>
    alerts.map(({ matchers, then }, place): Rule => {
      const route = { application: name, consequence: then };
      return { application, place, route, alone: [route], matchers: matchers.flatMap((text) => parseMatchers(text)) };
    }),
  );
  const { byLabel, others } = indexed(rules);
  const indexes = [...byLabel].map(([label, byValue]) => ({ label, byValue }));
  return (labels) => {
    let found: Rule | Rule[] | undefined;
    for (const { label, byValue } of indexes) {
      const candidates = byValue.get(valueOf(labels, label));
      if (candidates !== undefined) for (const rule of candidates) if (fits(rule, labels)) found = joined(found, rule);
    }
    for (const rule of others) if (fits(rule, labels)) found = joined(found, rule);
    if (found === undefined) return NONE;
    if (!Array.isArray(found)) return found.alone;
    return found
      .sort((one, other) => one.application - other.application || one.place - other.place)
      .filter((rule, at, all) => rule.application !== all[at - 1]?.application)
      .map(({ route }) => route);
  };
}

/** Nearly always there is one, and no list is made. */
function joined(found: Rule | Rule[] | undefined, rule: Rule): Rule | Rule[] {
  if (found === undefined) return rule;
  if (!Array.isArray(found)) return [found, rule];
  found.push(rule);
  return found;
}

function fits({ matchers }: Rule, labels: Labels): boolean {
  for (const matcher of matchers) if (!matcher.matches(valueOf(labels, matcher.label))) return false;
  return true;
}

function valueOf(labels: Labels, name: string): string {
  return Object.hasOwn(labels, name) ? (labels[name] ?? '') : '';
}

/** Each rule under the one label of its equalities that takes the most different values over all rules. */
function indexed(rules: readonly Rule[]): { byLabel: Map<string, Map<string, Rule[]>>; others: Rule[] } {
  const values = new Map<string, Set<string>>();
  const equalities = (rule: Rule) => rule.matchers.filter(({ operator, value }) => operator === '=' && value !== '');
  for (const rule of rules) {
    for (const { label, value } of equalities(rule)) values.set(label, (values.get(label) ?? new Set()).add(value));
  }
  const byLabel = new Map<string, Map<string, Rule[]>>();
  const others: Rule[] = [];
  for (const rule of rules) {
    const [best] = equalities(rule).toSorted(
      (one, other) => (values.get(other.label)?.size ?? 0) - (values.get(one.label)?.size ?? 0),
    );
    if (best === undefined) {
      others.push(rule);
      continue;
    }
    const byValue = byLabel.get(best.label) ?? new Map<string, Rule[]>();
    byValue.set(best.value, [...(byValue.get(best.value) ?? []), rule]);
    byLabel.set(best.label, byValue);
  }
  return { byLabel, others };
}
