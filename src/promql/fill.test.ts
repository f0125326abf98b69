import { parser } from '@prometheus-io/lezer-promql';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodedError } from '../errors.ts';
import { fillPromql } from './fill.ts';
import { readString } from './strings.ts';

/** The tree of a query: kinds of nodes and, of everything but literals and names, the text. */
function shapeOf(text: string): string {
  const nodes: string[] = [];
  parser.parse(text).iterate({
    enter: ({ name }) => void nodes.push(`${name}(`),
    leave: () => void nodes.push(')'),
  });
  return nodes.join('');
}

function hasError(text: string): boolean {
  const cursor = parser.parse(text).cursor();
  do if (cursor.type.isError) return true;
  while (cursor.next());
  return false;
}

function fill(text: string, value: string): string | null {
  try {
    return fillPromql(text, () => value);
  } catch (error) {
    if (error instanceof CodedError && error.code === 'argument_unsafe') return null;
    throw error;
  }
}

/** Values that a person would give, and everything that could break out. */
const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.string({ unit: fc.constantFrom(...Array.from('"\'`\\{}[]()|.*+?^$#,=~!\n\r\t \u0000/-x1mas_:')), maxLength: 12 }),
  fc.constantFrom(
    '"} or up{a="',
    "'",
    '`',
    '\\',
    '\\"',
    '${x}',
    '# ',
    '*/',
    'sum',
    'by',
    'on',
    'NaN',
    'inf',
    'offset',
    'rate',
    'time',
    'and',
    'bool',
    'start',
    'end',
    '1h',
    '5',
    '0x1',
    '1e5',
    '1m1m',
    '5ms1s',
    '-1',
    '5.5',
    'up',
    'a:b',
    'group',
    'fill',
    'step',
  ),
);

/** Queries with a benign value that shows their shape. */
const QUERIES: readonly (readonly [query: string, benign: readonly string[]])[] = [
  ['up{a="${v}"}', ['x']],
  ['up{a=\'x${v}y\',b="${v}"}', ['x']],
  ['up{a=`${v}`}', ['x']],
  ['up{a=~"${v}.*",b!~\'(${v}|z)\',c=~`[${v}]+`}', ['x']],
  ['up{a=~"${v}+"} # it\'s ${v}\n / ignoring(b) up{c="${v}"}', ['x']],
  ['up{a="# ${v}",b="\\\\${v}"}', ['x']],
  ['label_replace(up, "a", "${v}", "b", "(.*)")', ['x']],
  ['${v}{a="b"}', ['x']],
  ['rate(${v}[5m])', ['x']],
  ['http_${v}_total', ['x']],
  ['rate(up[${v}])', ['5m']],
  ['up offset ${v}', ['5m']],
  ['max_over_time(up[1h:${v}])', ['5m']],
  ['sum by (${v}) (up)', ['x']],
  ['sum(up) by (a, ${v})', ['x']],
  ['up{${v}="b"}', ['x']],
  ['topk(${v}, up)', ['5', 'x', '5m']],
  ['up > ${v}', ['5', 'x', '5m']],
  ['up * 1${v}', ['1']],
  ['${v}', ['x', '5', '5m']],
];

describe('filling arguments into PromQL', () => {
  it.each(QUERIES)('keeps the shape of %s whatever the argument is, or refuses it', (query, benign) => {
    const shapes = benign.map((value) => shapeOf(fillPromql(query, () => value)));
    fc.assert(
      fc.property(hostile, (value) => {
        const filled = fill(query, value);
        if (filled === null) return;
        expect(hasError(filled), filled).toBe(false);
        expect(shapes, filled).toContain(shapeOf(filled));
      }),
      { numRuns: 500 },
    );
  });

  it('reads a string literal back as the argument', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 30 }), (value) => {
        for (const quote of ['"', "'"]) {
          const filled = fill(`up{a=${quote}\${v}${quote}}`, value) ?? '';
          const read = readString(filled, 5, (what) => expect.fail(what));
          expect(read).toEqual({ value, end: filled.length - 1 });
          // JSON has the same escapes, but for the single quote.
          if (quote === '"') expect(JSON.parse(filled.slice(5, -1))).toBe(value);
        }
      }),
    );
  });

  it.each([
    ['a{b=~"${v}.*"}', 'shop|.+', 'a{b=~"shop\\\\|\\\\.\\\\+.*"}'],
    ['a{b=~`${v}`}', 'a.b', 'a{b=~`a\\.b`}'],
    ['a{b=~"${v}+"}', 'ab', 'a{b=~"(?:ab)+"}'],
    ['a{b=~ # pattern\n "${v}"}', 'a.b', 'a{b=~ # pattern\n "a\\\\.b"}'],
    ['a{b="${v}"}', 'line\nbreak', 'a{b="line\\nbreak"}'],
    ['rate(a[${v}])', '1h30m', 'rate(a[1h30m])'],
    ['a > ${v}', '0.5', 'a > 0.5'],
  ])('writes %s with %s as %s', (query, value, expected) => {
    expect(fillPromql(query, () => value)).toBe(expected);
  });

  it.each([
    ['a{b="\\${v}"}', 'x', 'behind a backslash'],
    ['a{b=~"\\\\${v}"}', '.', 'behind a backslash'],
    ['a{b=`${v}`}', '`', 'back-tick'],
    ['${v}(a)', 'rate', 'a function'],
    ['${v}', 'sum', 'part of the language'],
    ['s${v}', 'um', 'part of the language'],
    ['a[${v}]', 'x', 'only a duration'],
    ['sum by (${v}) (a)', '5m', 'only the name of a label'],
  ])('refuses in %s the argument %s and says why', (query, value, why) => {
    expect(() => fillPromql(query, () => value)).toThrow(
      expect.objectContaining({ code: 'argument_unsafe', message: expect.stringContaining(why) }),
    );
  });
});
