import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodedError } from '../errors.ts';
import { matchesSeries, parseSelector } from './selector.ts';

function selects(selector: string, name: string, labels: Record<string, string> = {}): boolean {
  return matchesSeries(parseSelector(selector), name, Object.entries(labels));
}

function errorOf(act: () => unknown): CodedError {
  try {
    act();
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
  throw new Error('it was taken');
}

describe('a selector', () => {
  it('selects by name and labels with all four operators', () => {
    const labels = { service: 'shop', code: '503' };
    expect(selects('http_requests_total', 'http_requests_total', labels)).toBe(true);
    expect(selects('http_requests_total', 'http_requests', labels)).toBe(false);
    expect(selects('a{service="shop",code=~"5.."}', 'a', labels)).toBe(true);
    expect(selects('a{service="shop",code!~"5.."}', 'a', labels)).toBe(false);
    expect(selects('a{service!="shop"}', 'a', labels)).toBe(false);
    expect(selects(' { __name__ =~ "a|b" , code = "503" , } ', 'b', labels)).toBe(true);
    expect(selects('{__name__="job:errors"}', 'job:errors')).toBe(true);
  });

  it('takes a missing label for an empty one', () => {
    expect(selects('a{code=""}', 'a')).toBe(true);
    expect(selects('a{code!=""}', 'a')).toBe(false);
    expect(selects('a{code=~".*"}', 'a')).toBe(true);
    expect(selects('a{code=~".+"}', 'a')).toBe(false);
    expect(selects('a{code!="5"}', 'a')).toBe(true);
  });

  it('anchors a regular expression at both ends, all branches of it', () => {
    expect(selects('a{x=~"5.."}', 'a', { x: '5034' })).toBe(false);
    expect(selects('a{x=~"b|c"}', 'a', { x: 'bc' })).toBe(false);
    expect(selects('a{x=~"b|c"}', 'a', { x: 'c' })).toBe(true);
  });

  it('reads strings in all three quotes, with the escapes of PromQL', () => {
    expect(parseSelector(`a{x="\\"\\\\\\n\\t\\x41\\u00fc\\U0001F600\\101'"}`)[1]?.value).toBe('"\\\n\tAü😀A\'');
    expect(parseSelector(`a{x='it\\'s "x"'}`)[1]?.value).toBe('it\'s "x"');
    expect(parseSelector('a{x=`\\d+\n"`}')[1]?.value).toBe('\\d+\n"');
    expect(parseSelector('a{x=~"\\\\d+"}')[1]?.value).toBe('\\d+');
  });

  it.each([
    ['', 1],
    ['5', 1],
    ['a{', 3],
    ['a{x}', 4],
    ['a{x=y}', 5],
    ['a{x="y}', 5],
    ['a{x="y" z="1"}', 9],
    ['a{,}', 3],
    ['a{x=="y"}', 5],
    ['a{x="\\q"}', 6],
    ['a{x="\\\'"}', 6],
    ['a{x="\\xff"}', 6],
    ['a{x="\\ud800"}', 6],
    ['a{x="\n"}', 5],
    ['a{__name__="b"}', 3],
    ['a{x=~"("}', 6],
    ['a{x=~"(?=a)"}', 6],
    ['a{x=~"(a)\\\\1"}', 6],
    ['a[5m]', 2],
    ['a offset 5m', 3],
    ['rate(a[5m])', 5],
    ['a + b', 3],
    ['a{} # all', 5],
    ['{x=~".*"}', 1],
    ['{}', 1],
  ])('refuses %j at column %i', (text, column) => {
    const error = errorOf(() => parseSelector(text));
    expect(error).toMatchObject({ code: 'selector_invalid', retryable: false, details: { column } });
  });

  it('of any text is taken or refused with a coded error', () => {
    const part = fc.constantFrom('a', '{', '}', '=', '~', '!', '"', "'", '`', '\\', ',', 'x', '(', '[', ']', '*', ' ', 'é', '?');
    const text = fc.oneof(
      fc.array(part, { maxLength: 40 }).map((parts) => parts.join('')),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(text, (selector) => {
        try {
          parseSelector(selector);
        } catch (error) {
          expect(error).toMatchObject({ code: 'selector_invalid' });
        }
      }),
      { numRuns: 5_000 },
    );
  });

  it('with any label value in quotes selects just this value', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (value, other) => {
        const quoted = JSON.stringify(value).replaceAll('\\b', '\\x08');
        fc.pre(!/\\ud[89a-f]/.test(quoted));
        expect(selects(`a{x=${quoted}}`, 'a', { x: value })).toBe(true);
        expect(selects(`a{x=${quoted}}`, 'a', { x: other })).toBe(other === value);
      }),
    );
  });
});
