import { CodedError, codeOf, sentenceOf } from '../errors.ts';
import { createLabelMatcher, type LabelMatcher, type Operator } from '../patterns/label-matcher.ts';
import { readString } from './strings.ts';

/** Pairs of name and value, without the metric name. */
type Labels = readonly (readonly [name: string, value: string])[];

export const NAME = '__name__';
export const MAX_SELECTOR_LENGTH = 4_000;
const MAX_MATCHERS = 100;
const MAX_REMEMBERED = 10_000;

/**
 * Reads PromQL's instant vector selector: `name`, `{label="value", ...}` or both, with `=`, `!=`, `=~`, `!~` and strings
 * in double, single or back quotes. Names of metrics and labels may be quoted, too, as `{"http.requests", "a.b"="c"}`.
 * Ranges, offsets, functions and arithmetic are not part of it.
 *
 * Source: https://prometheus.io/docs/prometheus/latest/querying/basics/#time-series-selectors and #string-literals.
 *
 * @throws CodedError `selector_invalid`; `details.column` counts from 1
 */
export function parseSelector(text: string): LabelMatcher[] {
  if (text.length > MAX_SELECTOR_LENGTH) {
    throw new CodedError('selector_invalid', `a selector may have at most ${MAX_SELECTOR_LENGTH} characters`, {
      details: { column: MAX_SELECTOR_LENGTH + 1 },
    });
  }
  const reader = new Reader(text);
  const matchers: LabelMatcher[] = [];
  reader.skipBlanks();
  const name = reader.word(/[a-zA-Z_:][a-zA-Z0-9_:]*/y);
  if (name !== null) matchers.push(createMatcher(NAME, '=', name));
  let named = name !== null;
  reader.skipBlanks();
  if (reader.take('{')) {
    reader.skipBlanks();
    while (!reader.take('}')) {
      if (matchers.length === MAX_MATCHERS) reader.fail(`a selector may have at most ${MAX_MATCHERS} conditions`);
      const { matcher, isName } = readMatcher(reader, named);
      matchers.push(matcher);
      named ||= isName;
      reader.skipBlanks();
      if (!reader.sees('}') && !reader.take(',')) reader.fail('expected "," or "}"');
      reader.skipBlanks();
    }
  } else if (name === null) reader.fail('expected a metric name or "{"');
  reader.skipBlanks();
  if (!reader.done()) {
    reader.fail('expected the end: a counter or gauge is a plain selector, without range, offset, function or arithmetic');
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

function readMatcher(reader: Reader, named: boolean): { matcher: LabelMatcher; isName: boolean } {
  const start = reader.column;
  const quoted = reader.seesQuote();
  const label = quoted ? reader.quoted() : reader.word(/[a-zA-Z_][a-zA-Z0-9_]*/y);
  if (label === null || label === '') reader.fail('expected a label name', start);
  reader.skipBlanks();
  const isName = quoted && (reader.sees(',') || reader.sees('}'));
  if ((isName || label === NAME) && named) reader.fail('the metric name is given twice', start);
  if (isName) return { matcher: createMatcher(NAME, '=', label), isName };
  const operator = (['=~', '!~', '!=', '='] as const).find((known) => reader.take(known));
  if (operator === undefined)
    reader.fail(reader.sees('"') || reader.sees("'") ? 'expected = before the text' : 'expected =, !=, =~ or !~');
  if (reader.sees('=')) reader.fail('expected a text in quotes; equality is written with one =');
  reader.skipBlanks();
  const column = reader.column;
  if (!reader.seesQuote() && !reader.done()) reader.fail('expected a text in quotes, such as "shop"');
  const value = reader.quoted();
  try {
    return { matcher: createMatcher(label, operator, value), isName };
  } catch (error) {
    if (codeOf(error) !== 'pattern_invalid') throw error;
    return reader.fail(`the regular expression cannot be used: ${sentenceOf(error)}`, column, error);
  }
}

/** @throws CodedError `pattern_invalid` */
export function createMatcher(label: string, operator: Operator, value: string): LabelMatcher {
  return createLabelMatcher(label, operator, value, { dotTakesLines: true, remembered: MAX_REMEMBERED });
}

export function matchesSeries(matchers: readonly LabelMatcher[], name: string, labels: Labels): boolean {
  return matchers.every((matcher) => {
    if (matcher.label === NAME) return matcher.matches(name);
    return matcher.matches(labels.find(([label]) => label === matcher.label)?.[1] ?? '');
  });
}

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

  seesQuote(): boolean {
    return /["'`]/.test(this.#text[this.#at] ?? '');
  }

  quoted(): string {
    const { value, end } = readString(this.#text, this.#at, (what, at) => this.fail(what, at + 1));
    this.#at = end;
    return value;
  }

  fail(what: string, column = this.column, cause?: unknown): never {
    throw new CodedError('selector_invalid', `selector, column ${column}: ${what}`, { cause, details: { column } });
  }
}
