const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['a', '\u0007'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
  ['\\', '\\'],
]);
const NUMERIC_ESCAPE = /x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}/y;

/**
 * Reads a string literal: double or single quotes with the escapes of Go, back-ticks without any.
 *
 * Source: https://prometheus.io/docs/prometheus/latest/querying/basics/#string-literals
 *
 * @param at place of the quote
 * @param fail throws; `where` is a place in the text
 */
export function readString(
  text: string,
  at: number,
  fail: (what: string, where: number) => never,
): { value: string; end: number } {
  const quote = text[at] ?? '';
  if (quote !== '"' && quote !== "'" && quote !== '`') fail('expected a text in quotes', at);
  let value = '';
  let next = at + 1;
  for (;;) {
    const letter = text[next];
    if (letter === undefined || (letter === '\n' && quote !== '`')) fail('the quote is not closed', at);
    if (letter === quote) return { value, end: next + 1 };
    if (letter === '\\' && quote !== '`') {
      const escape = readEscape(text, next, quote, fail);
      value += escape.value;
      next = escape.end;
    } else {
      value += letter;
      next++;
    }
  }
}

function readEscape(
  text: string,
  at: number,
  quote: string,
  fail: (what: string, where: number) => never,
): { value: string; end: number } {
  const letter = text[at + 1] ?? '';
  const simple = letter === quote ? quote : ESCAPES.get(letter);
  if (simple !== undefined) return { value: simple, end: at + 2 };
  NUMERIC_ESCAPE.lastIndex = at + 1;
  const numeric = NUMERIC_ESCAPE.exec(text)?.[0];
  if (numeric === undefined) fail('this escape is not known; a backslash itself is written \\\\', at);
  const octal = /^[0-7]/.test(numeric);
  const code = octal ? Number.parseInt(numeric, 8) : Number.parseInt(numeric.slice(1), 16);
  // Go takes \x and octal for bytes of UTF-8, which may be no text at all.
  if ((octal || numeric.startsWith('x')) && code > 0x7f) fail('write characters beyond ASCII as \\u', at);
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) fail('there is no such character', at);
  return { value: String.fromCodePoint(code), end: at + 1 + numeric.length };
}

/** A literal in double quotes that reads as the value again. */
export function quoted(value: string): string {
  return `"${escapedFor(value, '"')}"`;
}

/** @param quote " or ', in which the value is to stand */
export function escapedFor(value: string, quote: string): string {
  return value.replaceAll(/[\\"'\p{Cc}\p{Zl}\p{Zp}]/gu, (sign) => {
    if (sign === '"' || sign === "'") return sign === quote ? `\\${sign}` : sign;
    if (sign === '\\') return '\\\\';
    if (sign === '\n') return '\\n';
    return `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** The regular expression (RE2) that matches just this text, also within a class of signs. */
export function literalPattern(value: string): string {
  return value.replaceAll(/[\\^$.*+?()[\]{}|-]/g, (sign) => `\\${sign}`);
}
