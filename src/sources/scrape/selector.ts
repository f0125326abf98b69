import { CodedError, codeOf, sentenceOf } from '../../errors.ts';
import type { Labels } from './exposition.ts';
import { compilePattern } from '../../patterns/pattern.ts';

export type Operator = '=' | '!=' | '=~' | '!~';

/** One condition on one label; the metric name is the label `__name__`. */
export interface Matcher {
  label: string;
  operator: Operator;
  value: string;
  /** @param value of the label; '' when the series does not have it */
  matches(value: string): boolean;
}

export const NAME = '__name__';
export const MAX_SELECTOR_LENGTH = 4_000;
const MAX_MATCHERS = 100;
const MAX_REMEMBERED = 10_000;

/**
 * Reads PromQL's instant vector selector: `name`, `{label="value", ...}` or both, with `=`, `!=`, `=~`, `!~` and strings
 * in double, single or back quotes. Ranges, offsets, functions and arithmetic are not part of it.
 *
 * Source: https://prometheus.io/docs/prometheus/latest/querying/basics/#time-series-selectors and #string-literals.
 *
 * @throws CodedError `selector_invalid`; `details.column` counts from 1
 */
export function parseSelector(text: string): Matcher[] {
  if (text.length > MAX_SELECTOR_LENGTH) {
    throw new CodedError('selector_invalid', `a selector may have at most ${MAX_SELECTOR_LENGTH} characters`, {
      details: { column: MAX_SELECTOR_LENGTH + 1 },
    });
  }
  const reader = new Reader(text);
  const matchers: Matcher[] = [];
  reader.skipBlanks();
  const name = reader.word(/[a-zA-Z_:][a-zA-Z0-9_:]*/y);
  if (name !== null) matchers.push(createMatcher(NAME, '=', name));
  reader.skipBlanks();
  if (reader.take('{')) {
    reader.skipBlanks();
    while (!reader.take('}')) {
      if (matchers.length === MAX_MATCHERS) reader.fail(`a selector may have at most ${MAX_MATCHERS} conditions`);
      matchers.push(readMatcher(reader, name !== null));
      reader.skipBlanks();
      if (!reader.sees('}') && !reader.take(',')) reader.fail('expected "," or "}"');
      reader.skipBlanks();
    }
  } else if (name === null) reader.fail('expected a metric name or "{"');
  reader.skipBlanks();
  if (!reader.done()) {
    reader.fail(
      'expected the end: a source of type scrape takes a plain selector, without range, offset, function or arithmetic',
    );
  }
  if (!matchers.some((matcher) => !matcher.matches(''))) {
    throw new CodedError(
      'selector_invalid',
      'the selector matches every series; give a name or one label that must not be empty',
      {
        details: { column: 1 },
      },
    );
  }
  return matchers;
}

function readMatcher(reader: Reader, named: boolean): Matcher {
  const start = reader.column;
  const label = reader.word(/[a-zA-Z_][a-zA-Z0-9_]*/y);
  if (label === null) reader.fail('expected a label name');
  if (label === NAME && named) reader.fail('the metric name is given twice', start);
  reader.skipBlanks();
  const operator = (['=~', '!~', '!=', '='] as const).find((known) => reader.take(known));
  if (operator === undefined) reader.fail('expected =, !=, =~ or !~');
  reader.skipBlanks();
  const column = reader.column;
  const value = reader.quoted();
  try {
    return createMatcher(label, operator, value);
  } catch (error) {
    if (codeOf(error) !== 'pattern_invalid') throw error;
    return reader.fail(`the regular expression cannot be used: ${sentenceOf(error)}`, column, error);
  }
}

/** @throws CodedError `pattern_invalid` */
export function createMatcher(label: string, operator: Operator, value: string): Matcher {
  if (operator === '=') return { label, operator, value, matches: (text) => text === value };
  if (operator === '!=') return { label, operator, value, matches: (text) => text !== value };
  const pattern = compilePattern(value);
  const remembered = new Map<string, boolean>();
  const wanted = operator === '=~';
  return {
    label,
    operator,
    value,
    // A page has few different values of a label, and each comes back with every series and every tick.
    matches(text) {
      let known = remembered.get(text);
      if (known === undefined) {
        known = pattern(text) === wanted;
        if (remembered.size < MAX_REMEMBERED) remembered.set(text, known);
      }
      return known;
    },
  };
}

export function matchesSeries(matchers: readonly Matcher[], name: string, labels: Labels): boolean {
  return matchers.every((matcher) => {
    if (matcher.label === NAME) return matcher.matches(name);
    return matcher.matches(labels.find(([label]) => label === matcher.label)?.[1] ?? '');
  });
}

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

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get column(): number {
    return this.#at + 1;
  }

  done(): boolean {
    return this.#at >= this.#text.length;
  }

  sees(part: string): boolean {
    return this.#text.startsWith(part, this.#at);
  }

  take(part: string): boolean {
    if (!this.sees(part)) return false;
    this.#at += part.length;
    return true;
  }

  skipBlanks(): void {
    while (/[ \t\r\n]/.test(this.#text[this.#at] ?? '')) this.#at++;
  }

  word(form: RegExp): string | null {
    form.lastIndex = this.#at;
    const found = form.exec(this.#text)?.[0] ?? null;
    if (found !== null) this.#at += found.length;
    return found;
  }

  quoted(): string {
    const open = this.#at;
    const quote = this.#text[this.#at] ?? '';
    if (quote !== '"' && quote !== "'" && quote !== '`') this.fail('expected a text in quotes');
    this.#at++;
    let value = '';
    for (;;) {
      const letter = this.#text[this.#at];
      if (letter === undefined || (letter === '\n' && quote !== '`')) this.fail('the quote is not closed', open + 1);
      if (letter === quote) break;
      if (letter === '\\' && quote !== '`') value += this.#escape(quote);
      else {
        value += letter;
        this.#at++;
      }
    }
    this.#at++;
    return value;
  }

  /** The escapes of Go's string literals, which PromQL takes over. */
  #escape(quote: string): string {
    const start = this.column;
    this.#at++;
    const letter = this.#text[this.#at] ?? '';
    const simple = letter === quote ? quote : ESCAPES.get(letter);
    if (simple !== undefined) {
      this.#at++;
      return simple;
    }
    const numeric = this.word(/x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}/y);
    if (numeric === null) this.fail('this escape is not known; a backslash itself is written \\\\', start);
    const octal = /^[0-7]/.test(numeric);
    const code = octal ? Number.parseInt(numeric, 8) : Number.parseInt(numeric.slice(1), 16);
    // Go takes \x and octal for bytes of UTF-8, which may be no text at all.
    if ((octal || numeric.startsWith('x')) && code > 0x7f) this.fail('write characters beyond ASCII as \\u', start);
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) this.fail('there is no such character', start);
    return String.fromCodePoint(code);
  }

  fail(what: string, column = this.column, cause?: unknown): never {
    throw new CodedError('selector_invalid', `selector, column ${column}: ${what}`, { cause, details: { column } });
  }
}
