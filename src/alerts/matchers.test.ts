import { describe, expect, it } from 'vitest';
import { CodedError } from '../errors.ts';
import { parseMatchers } from './matchers.ts';

const read = (text: string) => parseMatchers(text).map(({ label, operator, value }) => [label, operator, value]);
const matches = (text: string, value: string) => parseMatchers(text).every((matcher) => matcher.matches(value));

function errorOf(text: string): CodedError {
  try {
    parseMatchers(text);
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
  throw new Error('it was taken');
}

describe('matchers', () => {
  it.each([
    ['severity="critical"', [['severity', '=', 'critical']]],
    ['severity=critical', [['severity', '=', 'critical']]],
    [' severity != "info" ', [['severity', '!=', 'info']]],
    ['job=~"api|web"', [['job', '=~', 'api|web']]],
    ['job!~api.*', [['job', '!~', 'api.*']]],
    [
      '{a="1", b!="2",c=~"3",}',
      [
        ['a', '=', '1'],
        ['b', '!=', '2'],
        ['c', '=~', '3'],
      ],
    ],
    [
      'a="1",b="2"',
      [
        ['a', '=', '1'],
        ['b', '=', '2'],
      ],
    ],
    ['empty=""', [['empty', '=', '']]],
    ['empty=', [['empty', '=', '']]],
    ['a="b,c}"', [['a', '=', 'b,c}']]],
    ['"service name"="shop"', [['service name', '=', 'shop']]],
    ['größe=~"x+"', [['größe', '=~', 'x+']]],
    ['"a\\"b"="c"', [['a"b', '=', 'c']]],
    ['service.name="shop"', [['service.name', '=', 'shop']]],
    ['title=hello world', [['title', '=', 'hello world']]],
    ['code=~[45][0-9]{2}', [['code', '=~', '[45][0-9]{2}']]],
  ])('%j is read as an Alertmanager reads it', (text, expected) => {
    expect(read(text)).toEqual(expected);
  });

  it('keep a backslash that escapes nothing, as patterns need it; \\n, \\" and \\\\ are escapes', () => {
    expect(read('host=~"a\\.b\\d"')).toEqual([['host', '=~', 'a\\.b\\d']]);
    expect(read('text="a\\nb\\"c\\\\d"')).toEqual([['text', '=', 'a\nb"c\\d']]);
  });

  it('with a name in UTF-8 take the escapes of Go and no others', () => {
    expect(read('"größe"="\\t\\u00e4\\x41\\101"')).toEqual([['größe', '=', '\tÄ'.replace('Ä', 'ä') + 'AA']]);
    expect(errorOf('größe="\\d"').message).toBe('column 8: this escape is not known; a backslash itself is written \\\\');
  });

  it.each([
    ['', 1, 'there is no matcher'],
    ['{}', 2, 'there is no matcher'],
    ['severity', 9, 'expected =, !=, =~ or !~'],
    ['="x"', 1, 'expected the name of a label'],
    ['severity=="x"', 11, 'put this value into double quotes'],
    ['severity="crit', 10, 'the quote is not closed'],
    ['a="b" c="d"', 7, 'expected "," or the end'],
    ['{a="b"', 7, 'expected "}" at the end'],
    ['a="b"}', 6, 'expected "," or the end'],
    ["a='b'", 3, 'put this value into double quotes'],
    ['a=~"b(c"', 4, 'a group is not closed'],
    ['a=~"(?=b)"', 4, 'lookahead'],
    ['a=~"(b)\\\\1"', 4, 'backreferences'],
    ['a,b="c"', 2, 'expected =, !=, =~ or !~'],
  ])('%j is refused at column %i', (text, column, message) => {
    const error = errorOf(text);
    expect(error.code).toBe('matcher_invalid');
    expect(error.message).toContain(message);
    expect(error.details['column']).toBe(column);
  });

  it('match whole values, and a label that is not there is an empty one', () => {
    expect(['api', 'api2', 'xapi', ''].map((value) => matches('job=~"api|web"', value))).toEqual([true, false, false, false]);
    expect(['api', ''].map((value) => matches('job!~"api|web"', value))).toEqual([false, true]);
    expect(['x', ''].map((value) => matches('job!="x"', value))).toEqual([false, true]);
    expect(['x', ''].map((value) => matches('job=""', value))).toEqual([false, true]);
    expect(['x', ''].map((value) => matches('job=~".*"', value))).toEqual([true, true]);
  });

  it('have a dot that takes no line feed', () => {
    expect(['a b', 'a\nb'].map((value) => matches('text=~"a.b"', value))).toEqual([true, false]);
  });

  it('answer at once where a backtracking engine takes exponential time', () => {
    const began = performance.now();
    expect(matches('text=~"(a+)+b"', 'a'.repeat(5_000))).toBe(false);
    expect(performance.now() - began).toBeLessThan(2_000);
  });
});
