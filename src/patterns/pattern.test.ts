import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodedError } from '../errors.ts';
import { compilePattern } from './pattern.ts';

function errorOf(act: () => unknown): CodedError {
  try {
    act();
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
  throw new Error('it was taken');
}

describe('a regular expression', () => {
  it.each([
    ['', '', 'a'],
    ['abc', 'abc', 'ab'],
    ['a*', 'aaa', 'aab'],
    ['(a|b)+c?', 'abac', 'c'],
    ['a{2,3}', 'aa', 'aaaa'],
    ['a{2}', 'aa', 'a'],
    ['a{2,}', 'aaaaa', 'a'],
    ['a{,2}', 'a{,2}', 'aa'],
    ['[^a-c]', 'd', 'b'],
    ['[]x]+', 'x]', ''],
    ['[a-]+', '-a', 'b'],
    ['[\\d\\-_]+', '1-_', 'x'],
    ['[[:alpha:]]+', 'aZ', 'a1'],
    ['[[:^alpha:]]+', '12', '1a'],
    ['\\w+@\\w+\\.com', 'a@b.com', 'a@bxcom'],
    ['\\Qa.b\\E+', 'a.bb', 'axb'],
    ['(?i)get|POST', 'pOsT', 'put'],
    ['(?i:g)et', 'Get', 'GET'],
    ['(?P<method>GET)', 'GET', 'get'],
    ['.', '\n', ''],
    ['(?-s).', 'x', '\n'],
    ['.', '😀', '😀😀'],
    ['[😀-😂]', '😁', '😎'],
    ['^ab$', 'ab', 'abc'],
    ['a\\bb|a\\b', 'a', 'ab'],
    ['a\\Bb', 'ab', 'a'],
    ['(?m)a$\\n^b', 'a\nb', 'ab'],
    ['\\pL+', 'äß', '1'],
    ['\\p{Greek}', 'α', 'a'],
    ['\\PL', '1', 'a'],
    ['\\x41\\x{1F600}\\101', 'A😀A', 'A'],
    ['(a*)*b', 'aab', 'aa'],
    ['(|a)+', 'aa', 'b'],
    ['(?:a|ab)(?:c|bcd)(?:d*)', 'abcd', 'abd'],
    ['a+?b??', 'aa', 'bb'],
    ['5..', '503', '5'],
  ])('%j matches %j and not %j', (pattern, yes, no) => {
    const matches = compilePattern(pattern);
    expect(matches(yes)).toBe(true);
    expect(matches(no)).toBe(false);
  });

  it.each([
    '(',
    ')',
    'a)',
    '[',
    '[a',
    '[b-a]',
    '*',
    'a**',
    'a+*',
    '(?=a)',
    '(?!a)',
    '(?<=a)',
    '(?<!a)',
    '(a)\\1',
    '\\',
    '\\y',
    '\\Z',
    '\\C',
    'a{3,2}',
    'a{1001}',
    '(?x)a',
    '\\p{Nope}',
    '[[:nope:]]',
    '\\x{110000}',
  ])('refuses %j, as RE2 does', (pattern) =>
    expect(errorOf(() => compilePattern(pattern))).toMatchObject({ code: 'pattern_invalid' }),
  );

  it('refuses one that is long, deep, or long once its repetitions are written out', () => {
    for (const pattern of ['a'.repeat(1_001), '('.repeat(60) + ')'.repeat(60), '((a{100}){100}){100}', '(a{1000}){3}']) {
      expect(errorOf(() => compilePattern(pattern))).toMatchObject({ code: 'pattern_invalid' });
    }
  });

  it.each([
    '(a+)+b',
    '(a|a)*b',
    '(a|aa)+b',
    '(.*)*b',
    '(a?){100}a{100}b',
    '.*.*.*.*.*.*b',
    '([a-z]+)*[0-9]',
    '(a*a*)*b',
    `${'a?'.repeat(200)}${'a'.repeat(200)}b`,
  ])('like %s, which takes exponential time elsewhere, is answered at once', (pattern) => {
    const matches = compilePattern(pattern);
    const began = performance.now();
    expect(matches('a'.repeat(2_000))).toBe(false);
    expect(performance.now() - began).toBeLessThan(2_000);
  });

  it('of an Alertmanager has a dot that takes no line feed, whichever flags follow', () => {
    const matches = compilePattern('a.b|(?s)c.d', false);
    expect(['axb', 'a\nb', 'c\nd'].map(matches)).toEqual([true, false, true]);
  });

  it('agrees with RegExp of JavaScript where both know the syntax', () => {
    const atom = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '(?:a|b)', '(?:ab|b|)', '(?:a*b)', '\\w', '$', '^', '\\b');
    const suffix = fc.constantFrom('', '', '*', '+', '?', '{2}', '{1,2}', '{0,1}', '*?');
    const pattern = fc.array(
      fc.tuple(atom, suffix).map(([what, times]) => (/^([$^]|\\b)$/.test(what) ? what : what + times)),
      { maxLength: 6 },
    );
    const source = fc
      .array(
        pattern.map((parts) => parts.join('')),
        { minLength: 1, maxLength: 3 },
      )
      .map((branches) => branches.join('|'));
    fc.assert(
      fc.property(source, fc.string({ unit: fc.constantFrom('a', 'b', 'c', '\n', ' '), maxLength: 8 }), (text, input) => {
        expect(compilePattern(text)(input)).toBe(new RegExp(`^(?:${text})$`, 'su').test(input));
      }),
      { numRuns: 5_000 },
    );
  });

  it('of any text is taken or refused with a coded error', () => {
    const part = fc.constantFrom(
      'a',
      '(',
      ')',
      '[',
      ']',
      '{',
      '}',
      '2',
      ',',
      '*',
      '+',
      '?',
      '|',
      '\\',
      '^',
      '$',
      '.',
      ':',
      '-',
      'i',
      'p',
      'Q',
      'E',
      'x',
      '<',
      '=',
      '😀',
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 20 }), fc.string({ maxLength: 10 }), (parts, input) => {
        try {
          compilePattern(parts.join(''))(input);
        } catch (error) {
          expect(error).toMatchObject({ code: 'pattern_invalid' });
        }
      }),
      { numRuns: 10_000 },
    );
  });
});
