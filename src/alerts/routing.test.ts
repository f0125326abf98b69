import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseMatchers } from './matchers.ts';
import { createRouting, type RoutedApplication } from './routing.ts';
import type { Consequence } from './settings.ts';

const application = (name: string, ...rules: [string | string[], Consequence][]): RoutedApplication => ({
  name,
  alerts: rules.map(([matchers, then]) => ({ matchers: [matchers].flat(), then })),
});

describe('the routing of alerts', () => {
  it('gives every application whose matchers all match, in the order of the configuration', () => {
    const routing = createRouting([
      application('shop', [['service="shop"', 'severity="critical"'], 'analyze']),
      application('all', ['severity=~"crit.*"', 'ignore']),
      application('cart', ['service="cart"', 'rollback']),
    ]);
    expect(routing({ service: 'shop', severity: 'critical' })).toEqual([
      { application: 'shop', consequence: 'analyze' },
      { application: 'all', consequence: 'ignore' },
    ]);
    expect(routing({ service: 'shop', severity: 'warning' })).toEqual([]);
    expect(routing({ service: 'cart' })).toEqual([{ application: 'cart', consequence: 'rollback' }]);
  });

  it('lets the first entry of an application decide that matches', () => {
    const routing = createRouting([
      application('shop', [['service="shop"', 'severity="info"'], 'ignore'], [['service="shop"'], 'rollback']),
    ]);
    expect(routing({ service: 'shop', severity: 'info' })).toEqual([{ application: 'shop', consequence: 'ignore' }]);
    expect(routing({ service: 'shop' })).toEqual([{ application: 'shop', consequence: 'rollback' }]);
  });

  it('takes no label from what an object inherits', () => {
    const routing = createRouting([application('odd', ['constructor=""', 'ignore'], ['toString!=""', 'rollback'])]);
    expect(routing({})).toEqual([{ application: 'odd', consequence: 'ignore' }]);
  });

  it('finds what a look at every entry finds', () => {
    const label = fc.constantFrom('a', 'b', 'c');
    const value = fc.constantFrom('', 'x', 'y', 'z');
    const matcher = fc
      .tuple(label, fc.constantFrom('=', '!=', '=~', '!~'), value)
      .map(([name, operator, text]) => `${name}${operator}"${text}"`);
    const rule = fc.tuple(fc.array(matcher, { minLength: 1, maxLength: 3 }), fc.constantFrom('analyze', 'ignore', 'rollback'));
    const applications = fc
      .array(fc.array(rule, { maxLength: 4 }), { maxLength: 5 })
      .map((all) => all.map((rules, at) => application(`app-${at}`, ...(rules as [string[], Consequence][]))));
    fc.assert(
      fc.property(applications, fc.dictionary(label, value), (configured, labels) => {
        const expected = configured.flatMap(({ name, alerts }) => {
          const first = alerts.find(({ matchers }) =>
            matchers.flatMap(parseMatchers).every(({ label: wanted, matches }) => matches(labels[wanted] ?? '')),
          );
          return first === undefined ? [] : [{ application: name, consequence: first.then }];
        });
        expect(createRouting(configured)(labels)).toEqual(expected);
      }),
      { numRuns: 2_000 },
    );
  });
});
