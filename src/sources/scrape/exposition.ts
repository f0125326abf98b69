import { CodedError } from '../../errors.ts';

/** `prometheus` is text 0.0.4, `openmetrics` is OpenMetrics 1.0. */
export type Format = 'prometheus' | 'openmetrics';

/** Name and value, sorted by name, without empty values (an empty label is the same as no label). */
export type Labels = readonly (readonly [string, string])[];

export interface Sample {
  name: string;
  labels: Labels;
  /** May be NaN or infinite. */
  value: number;
  /** When the page says it; most pages do not. */
  timestampMs: number | null;
}

export interface Page {
  samples: Sample[];
  /** Type by metric family, as the page's TYPE lines say. */
  types: ReadonlyMap<string, string>;
}

export interface ParseOptions {
  format: Format;
  /** Only samples with such a name are kept; the others are checked and let go. */
  keep?: (name: string) => boolean;
  /**
   * The transport vouches that the body is whole (a content length or chunks). Without that, a last line of text
   * 0.0.4 that does not end in a line feed is taken for cut off: half a number looks like a counter that was reset.
   */
  framed?: boolean;
}

export const MAX_LINE_LENGTH = 65_536;
export const MAX_LABELS = 100;
export const MAX_KEPT_SAMPLES = 200_000;

const FORM = /[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?/y;
const SPECIAL: ReadonlyMap<string, number> = new Map([
  ['nan', NaN],
  ['inf', Infinity],
  ['+inf', Infinity],
  ['-inf', -Infinity],
  ['infinity', Infinity],
  ['+infinity', Infinity],
  ['-infinity', -Infinity],
]);
const LONGEST_NUMBER = 64;

/**
 * Reads a metrics page. One pass, in time linear to its length.
 *
 * Lenient where the meaning is clear (CRLF, blank lines, runs of spaces, a trailing comma, unknown comments and types),
 * strict where a wrong reading would be a wrong number. Exemplars are checked and left out.
 *
 * Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ (text 0.0.4) and
 * https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md (1.0, its ABNF).
 *
 * @throws CodedError `page_invalid`, `page_truncated`, `page_too_large`; the message names the line, never its text
 */
export function parseExposition(text: string, options: ParseOptions): Page {
  const types = new Map<string, string>();
  const samples: Sample[] = [];
  const { format, keep, framed = false } = options;
  if (format === 'openmetrics' && !endsWithEof(text)) {
    throw new CodedError('page_truncated', 'the page does not end with "# EOF", so a part of it is missing');
  }
  let line = 0;
  let ended = false;
  for (let start = 0; start < text.length;) {
    line++;
    let end = text.indexOf('\n', start);
    if (end === -1) {
      end = text.length;
      if (format === 'prometheus' && !framed) {
        throw new CodedError(
          'page_truncated',
          `line ${line} does not end with a line feed, so a part of the page is missing; or let the server send a content length`,
          { details: { line } },
        );
      }
    }
    const next = end + 1;
    if (end > start && text.charCodeAt(end - 1) === CARRIAGE_RETURN) end--;
    if (end - start > MAX_LINE_LENGTH) {
      throw new CodedError('page_too_large', `line ${line} has more than ${MAX_LINE_LENGTH} characters`, { details: { line } });
    }
    const scanner = new Scanner(text, start, end, line);
    scanner.skipBlanks();
    if (!scanner.done()) {
      if (ended) scanner.fail('something follows "# EOF"');
      if (scanner.peek() === HASH) ended = readComment(text.slice(start, end), types) && format === 'openmetrics';
      else {
        const sample = readSample(scanner, format, keep);
        if (sample !== null) {
          if (samples.length === MAX_KEPT_SAMPLES) {
            throw new CodedError(
              'page_too_large',
              `more than ${MAX_KEPT_SAMPLES} series of the page are asked for; narrow the selectors`,
              {
                details: { line },
              },
            );
          }
          samples.push(sample);
        }
      }
    }
    start = next;
  }
  return { samples, types };
}

/**
 * The name under which OpenMetrics exposes when a series was born: `x_created` for `x_total`, `x_bucket`, `x_count`
 * and `x_sum`. Only there, and only in families that can have one: elsewhere `orders_created` may count orders.
 */
export function createdNameOf(name: string, types: ReadonlyMap<string, string>): string | null {
  const match = /^(.+)_(total|bucket|count|sum)$/.exec(name);
  const family = match?.[1];
  if (family === undefined) return null;
  const type = types.get(family);
  const fits = match?.[2] === 'total' ? type === 'counter' : type === 'histogram' || type === 'summary';
  return fits ? `${family}_created` : null;
}

function endsWithEof(text: string): boolean {
  const end = text.endsWith('\r\n') ? text.length - 2 : text.endsWith('\n') ? text.length - 1 : text.length;
  const start = end - '# EOF'.length;
  return text.startsWith('# EOF', start) && (start === 0 || text[start - 1] === '\n');
}

/** @returns whether the line is the end mark */
function readComment(line: string, types: Map<string, string>): boolean {
  if (line === '# EOF') return true;
  const words = line.trim().split(/[ \t]+/, 4);
  if (words[0] === '#' && words[1] === 'TYPE' && words[2] !== undefined && words[3] !== undefined) types.set(words[2], words[3]);
  return false;
}

function readSample(scanner: Scanner, format: Format, keep: ParseOptions['keep']): Sample | null {
  const name = scanner.name(true);
  const kept = keep === undefined || keep(name);
  scanner.skipBlanks();
  const labels = scanner.peek() === OPEN ? readLabels(scanner, kept) : [];
  scanner.skipBlanks();
  const value = scanner.number('a value');
  scanner.skipBlanks();
  let timestampMs: number | null = null;
  if (!scanner.done() && scanner.peek() !== HASH) {
    const stamp = scanner.number('a timestamp');
    timestampMs = format === 'openmetrics' ? stamp * 1_000 : stamp;
    scanner.skipBlanks();
  }
  if (!scanner.done() && format === 'openmetrics' && scanner.peek() === HASH) readExemplar(scanner);
  if (!scanner.done()) scanner.fail('something follows the value');
  return kept ? { name, labels, value, timestampMs } : null;
}

function readExemplar(scanner: Scanner): void {
  scanner.take(HASH, '"#"');
  scanner.skipBlanks();
  readLabels(scanner, false);
  scanner.skipBlanks();
  scanner.number('the value of an exemplar');
  scanner.skipBlanks();
  if (!scanner.done()) scanner.number('the timestamp of an exemplar');
  scanner.skipBlanks();
}

function readLabels(scanner: Scanner, kept: boolean): Labels {
  const labels: [string, string][] = [];
  scanner.take(OPEN, '"{"');
  scanner.skipBlanks();
  let count = 0;
  while (scanner.peek() !== CLOSE) {
    if (++count > MAX_LABELS) scanner.fail(`more than ${MAX_LABELS} labels`);
    const name = scanner.name(false);
    scanner.skipBlanks();
    scanner.take(EQUALS, '"="');
    scanner.skipBlanks();
    const value = scanner.quoted(kept);
    if (kept) labels.push([name, value]);
    scanner.skipBlanks();
    if (scanner.peek() !== CLOSE) scanner.take(COMMA, '"," or "}"');
    scanner.skipBlanks();
  }
  scanner.take(CLOSE, '"}"');
  if (labels.length > 1) {
    labels.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
    for (let at = 1; at < labels.length; at++) {
      if (labels[at]?.[0] === labels[at - 1]?.[0]) scanner.fail('a label is there twice');
    }
  }
  return labels.filter(([, value]) => value !== '');
}

const TAB = 9;
const CARRIAGE_RETURN = 13;
const SPACE = 32;
const QUOTE = 34;
const HASH = 35;
const COMMA = 44;
const COLON = 58;
const EQUALS = 61;
const BACKSLASH = 92;
const UNDERSCORE = 95;
const OPEN = 123;
const CLOSE = 125;

/** Walks over one line; -1 stands for its end. */
class Scanner {
  readonly #text: string;
  readonly #end: number;
  readonly #line: number;
  readonly #start: number;
  #at: number;

  constructor(text: string, start: number, end: number, line: number) {
    this.#text = text;
    this.#start = start;
    this.#at = start;
    this.#end = end;
    this.#line = line;
  }

  done(): boolean {
    return this.#at >= this.#end;
  }

  peek(): number {
    return this.#at < this.#end ? this.#text.charCodeAt(this.#at) : -1;
  }

  skipBlanks(): void {
    for (let code = this.peek(); code === SPACE || code === TAB; code = this.peek()) this.#at++;
  }

  take(code: number, what: string): void {
    if (this.peek() !== code) this.fail(`${what} is missing`);
    this.#at++;
  }

  name(colons: boolean): string {
    const from = this.#at;
    for (let code = this.peek(); isNameCharacter(code, this.#at === from, colons); code = this.peek()) this.#at++;
    if (this.#at === from) this.fail(colons ? 'a metric name is missing' : 'a label name is missing');
    return this.#text.slice(from, this.#at);
  }

  /** A quoted label value; `\\`, `\"` and `\n` are escapes, any other backslash stands for itself. */
  quoted(wanted: boolean): string {
    this.take(QUOTE, '"""');
    let from = this.#at;
    let value = '';
    for (;;) {
      const code = this.peek();
      if (code === -1) this.fail('a label value is not closed');
      if (code === QUOTE) break;
      this.#at++;
      if (code !== BACKSLASH) continue;
      const escaped = this.peek();
      if (escaped === -1) this.fail('a label value is not closed');
      const meaning = escaped === BACKSLASH ? '\\' : escaped === QUOTE ? '"' : escaped === 110 ? '\n' : null;
      if (wanted && meaning !== null) {
        value += this.#text.slice(from, this.#at - 1) + meaning;
        from = this.#at + 1;
      }
      this.#at++;
    }
    if (wanted) value += this.#text.slice(from, this.#at);
    this.#at++;
    return value;
  }

  number(what: string): number {
    FORM.lastIndex = this.#at;
    let to = this.#at;
    while (to < this.#end && !isBlank(this.#text.charCodeAt(to)) && to - this.#at <= LONGEST_NUMBER) to++;
    const matched = FORM.test(this.#text) ? FORM.lastIndex : -1;
    const word = this.#text.slice(this.#at, to);
    const value = matched === to ? Number(word) : SPECIAL.get(word.toLowerCase());
    if (value === undefined || to - this.#at > LONGEST_NUMBER) return this.fail(`${what} is missing or is not a number`);
    this.#at = to;
    return value;
  }

  fail(what: string): never {
    const column = this.#at - this.#start + 1;
    throw new CodedError('page_invalid', `line ${this.#line}, column ${column}: ${what}`, {
      details: { line: this.#line, column },
    });
  }
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}

function isNameCharacter(code: number, first: boolean, colons: boolean): boolean {
  return (
    (code >= 97 && code <= 122) ||
    (code >= 65 && code <= 90) ||
    code === UNDERSCORE ||
    (code === COLON && colons) ||
    (!first && code >= 48 && code <= 57)
  );
}
