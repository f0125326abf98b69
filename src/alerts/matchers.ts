import { CodedError, codeOf, sentenceOf } from '../errors.ts';
import { createLabelMatcher, type LabelMatcher } from '../patterns/label-matcher.ts';

const MAX_MATCHERS = 100;
const MAX_REMEMBERED = 1_000;
const CLASSIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;

/**
 * Reads matchers as an Alertmanager does: `name="value"`, `name=~pattern`, or several of them with commas, in braces or
 * without. Names may be any UTF-8 text, in double quotes where they hold a sign of the language.
 *
 * As in its default mode, the older rules hold where both know a text: a backslash before another letter than n, " and \
 * stays, and a value without quotes goes to the next comma. Patterns are RE2's, match whole values, and their dot takes
 * no line feed.
 *
 * Source: https://prometheus.io/docs/alerting/latest/configuration/#matcher
 *
 * @throws CodedError `matcher_invalid`; `details.column` counts from 1
 */
export function parseMatchers(text: string): LabelMatcher[] {
  const reader = new Reader(text);
  reader.skipBlanks();
  const matchers: LabelMatcher[] = [];
  if (reader.take('{')) reader.endAtBrace();
  reader.skipBlanks();
  while (!reader.done()) {
    if (matchers.length === MAX_MATCHERS) reader.fail(`one text may have at most ${MAX_MATCHERS} matchers`);
    matchers.push(readMatcher(reader));
    reader.skipBlanks();
    if (!reader.done() && !reader.take(',')) reader.fail('expected "," or the end');
    reader.skipBlanks();
  }
  if (matchers.length === 0) reader.fail('there is no matcher, so every alert would match');
  return matchers;
}

function readMatcher(reader: Reader): LabelMatcher {
  const quotedName = reader.sees('"');
  const label = quotedName ? reader.quoted(true) : reader.name();
  if (label === '') reader.fail('expected the name of a label');
  reader.skipBlanks();
  const operator = (['=~', '!~', '!=', '='] as const).find((known) => reader.take(known));
  if (operator === undefined) reader.fail('expected =, !=, =~ or !~');
  reader.skipBlanks();
  const column = reader.column;
  const value = reader.sees('"') ? reader.quoted(quotedName || !CLASSIC_NAME.test(label)) : reader.bare();
  try {
    return createLabelMatcher(label, operator, value, { dotTakesLines: false, remembered: MAX_REMEMBERED });
  } catch (error) {
    if (codeOf(error) !== 'pattern_invalid') throw error;
    return reader.fail(`the regular expression cannot be used: ${sentenceOf(error)}`, column, error);
  }
}

const GO_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['a', '\u0007'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
  ['\\', '\\'],
  ['"', '"'],
]);

class Reader {
  readonly #text: string;
  #at = 0;
  #end: number;

  constructor(text: string) {
    this.#text = text;
    this.#end = text.length;
  }

  get column(): number {
    return this.#at + 1;
  }

  done(): boolean {
    return this.#at >= this.#end;
  }

  sees(part: string): boolean {
    return this.#at < this.#end && this.#text.startsWith(part, this.#at);
  }

  take(part: string): boolean {
    if (!this.sees(part)) return false;
    this.#at += part.length;
    return true;
  }

  skipBlanks(): void {
    while (this.#at < this.#end && /\s/.test(this.#text[this.#at] ?? '')) this.#at++;
  }

  /** The brace that was opened closes at the very end. */
  endAtBrace(): void {
    const last = this.#text.trimEnd().length - 1;
    if (last < this.#at || this.#text[last] !== '}') this.fail('expected "}" at the end', this.#text.length + 1);
    this.#end = last;
  }

  name(): string {
    const form = /[^\s{}!=~,\\"'`]*/y;
    form.lastIndex = this.#at;
    const found = (form.exec(this.#text)?.[0] ?? '').slice(0, this.#end - this.#at);
    this.#at += found.length;
    return found;
  }

  /** A value without quotes: up to the next comma. */
  bare(): string {
    const comma = this.#text.indexOf(',', this.#at);
    const end = comma === -1 || comma > this.#end ? this.#end : comma;
    const value = this.#text.slice(this.#at, end).trimEnd();
    const odd = /["'`{}]/.exec(value);
    // A pattern may hold braces in pairs; anything else was meant to be something else.
    if (odd !== null && !/^[^"'`{}]*(\{[0-9,]*\}[^"'`{}]*)*$/.test(value))
      this.fail('put this value into double quotes', this.column + odd.index);
    this.#at = end;
    return value;
  }

  /** @param go whether the escapes are those of Go's strings, and no others are taken */
  quoted(go: boolean): string {
    const open = this.column;
    this.#at++;
    let value = '';
    for (;;) {
      const letter = this.#at < this.#end ? this.#text[this.#at] : undefined;
      if (letter === undefined) this.fail('the quote is not closed', open);
      if (letter === '"') break;
      if (letter === '\\') value += go ? this.#goEscape() : this.#classicEscape();
      else {
        value += letter;
        this.#at++;
      }
    }
    this.#at++;
    return value;
  }

  #classicEscape(): string {
    const letter = this.#text[this.#at + 1] ?? '';
    this.#at += 2;
    if (letter === 'n') return '\n';
    return letter === '"' || letter === '\\' ? letter : `\\${letter}`;
  }

  #goEscape(): string {
    const start = this.column;
    const simple = GO_ESCAPES.get(this.#text[this.#at + 1] ?? '');
    if (simple !== undefined) {
      this.#at += 2;
      return simple;
    }
    const form = /\\(?:x([0-7][0-9a-fA-F])|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([01][0-7]{2}))/y;
    form.lastIndex = this.#at;
    const found = form.exec(this.#text);
    if (found === null) this.fail('this escape is not known; a backslash itself is written \\\\', start);
    const [whole, byte, short, long, octal] = found;
    const code = octal === undefined ? Number.parseInt(byte ?? short ?? long ?? '', 16) : Number.parseInt(octal, 8);
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) this.fail('there is no such character', start);
    this.#at += whole.length;
    return String.fromCodePoint(code);
  }

  fail(what: string, column = this.column, cause?: unknown): never {
    throw new CodedError('matcher_invalid', `column ${column}: ${what}`, { cause, details: { column } });
  }
}
