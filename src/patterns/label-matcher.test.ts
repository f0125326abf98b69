import { describe, expect, it } from 'vitest';
import { createLabelMatcher, type Operator } from './label-matcher.ts';

const OPTIONS = { dotTakesLines: true, remembered: 2 };

describe('a condition on a label', () => {
  it.each<[Operator, string, string, boolean]>([
    ['=', 'shop', 'shop', true],
    ['=', 'sh.p', 'shop', false],
    ['!=', 'shop', '', true],
    ['=~', 'sh.p|x', 'shop', true],
    ['=~', 'sho', 'shop', false],
    ['!~', 'sh.p', 'shop', false],
    ['!~', 'sh.p', '', true],
  ])('%s "%s" of "%s" is %s', (operator, value, text, matches) => {
    expect(createLabelMatcher('service', operator, value, OPTIONS).matches(text)).toBe(matches);
  });

  it('says the same of a value however often, whether it is remembered or not', () => {
    const { matches } = createLabelMatcher('service', '=~', 'a+', OPTIONS);
    const long = 'a'.repeat(201);
    for (let round = 0; round < 3; round++) {
      expect(['a', 'b', 'aa', 'c', long, `${long}b`].map(matches)).toEqual([true, false, true, false, true, false]);
    }
  });

  it('takes a line feed for the dot where it is told to', () => {
    expect(createLabelMatcher('a', '=~', 'x.y', OPTIONS).matches('x\ny')).toBe(true);
    expect(createLabelMatcher('a', '=~', 'x.y', { ...OPTIONS, dotTakesLines: false }).matches('x\ny')).toBe(false);
  });

  it('refuses what is no pattern', () => {
    expect(() => createLabelMatcher('a', '=~', '(', OPTIONS)).toThrow(expect.objectContaining({ code: 'pattern_invalid' }));
  });
});
