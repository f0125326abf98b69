import { CodedError } from '../errors.ts';

/** What one position of the text must be. */
export type Test = (codePoint: number) => boolean;
export type Assertion = 'text-start' | 'text-end' | 'line-start' | 'line-end' | 'word-edge' | 'no-word-edge';

export type Node =
  | { kind: 'character'; test: Test }
  | { kind: 'assertion'; what: Assertion }
  | { kind: 'sequence'; nodes: Node[] }
  | { kind: 'choice'; nodes: Node[] }
  | { kind: 'repeat'; node: Node; least: number; most: number };

interface Flags {
  fold: boolean;
  lines: boolean;
  dot: boolean;
}

export const MAX_PATTERN_LENGTH = 1_000;
/** RE2's own limit. */
const MAX_REPEAT = 1_000;
const MAX_DEPTH = 50;

type Range = readonly [number, number];
const ranges = (list: readonly Range[]): Test => {
  return (code) => list.some(([low, high]) => code >= low && code <= high);
};
const span = (text: string): Range[] => {
  const found: Range[] = [];
  for (let at = 0; at + 1 < text.length; at += 2) found.push([text.charCodeAt(at), text.charCodeAt(at + 1)]);
  return found;
};
const not =
  (test: Test): Test =>
  (code) =>
    !test(code);

const PERL: ReadonlyMap<string, Test> = new Map([
  ['d', ranges(span('09'))],
  ['s', ranges(span('\t\n\f\r  '))],
  ['w', ranges(span('09AZ__az'))],
]);
const POSIX: ReadonlyMap<string, Test> = new Map([
  ['alnum', ranges(span('09AZaz'))],
  ['alpha', ranges(span('AZaz'))],
  ['ascii', ranges([[0, 127]])],
  ['blank', ranges(span('\t\t  '))],
  [
    'cntrl',
    ranges([
      [0, 31],
      [127, 127],
    ]),
  ],
  ['digit', ranges(span('09'))],
  ['graph', ranges(span('!~'))],
  ['lower', ranges(span('az'))],
  ['print', ranges(span(' ~'))],
  ['punct', ranges(span('!/:@[`{~'))],
  ['space', ranges(span('\t\r  '))],
  ['upper', ranges(span('AZ'))],
  ['word', ranges(span('09AZ__az'))],
  ['xdigit', ranges(span('09AFaf'))],
]);
const CONTROL: ReadonlyMap<string, number> = new Map([
  ['a', 7],
  ['f', 12],
  ['t', 9],
  ['n', 10],
  ['r', 13],
  ['v', 11],
]);

/**
 * Reads a regular expression in RE2's syntax (https://github.com/google/re2/wiki/Syntax), which PromQL uses. What RE2
 * refuses (backreferences, lookaround, repeats above 1000) is refused here, too.
 *
 * @param dotTakesLines whether `.` takes line feeds: it does in Prometheus 3, it does not in an Alertmanager
 * @throws CodedError `pattern_invalid`, with `details.offset` in the pattern
 */
export function parsePattern(source: string, dotTakesLines = true): Node {
  if (source.length > MAX_PATTERN_LENGTH) {
    throw new CodedError('pattern_invalid', `a regular expression may have at most ${MAX_PATTERN_LENGTH} characters`, {
      details: { offset: MAX_PATTERN_LENGTH },
    });
  }
  return new Parser(source, dotTakesLines).whole();
}

class Parser {
  readonly #source: string;
  #at = 0;
  #depth = 0;
  #flags: Flags;

  constructor(source: string, dotTakesLines: boolean) {
    this.#source = source;
    this.#flags = { fold: false, lines: false, dot: dotTakesLines };
  }

  whole(): Node {
    const node = this.#choice();
    if (this.#at < this.#source.length) this.#fail('")" closes nothing');
    return node;
  }

  #choice(): Node {
    const nodes = [this.#sequence()];
    while (this.#take('|')) nodes.push(this.#sequence());
    return nodes.length === 1 && nodes[0] !== undefined ? nodes[0] : { kind: 'choice', nodes };
  }

  #sequence(): Node {
    const nodes: Node[] = [];
    while (this.#at < this.#source.length && !this.#sees('|') && !this.#sees(')')) {
      if (this.#takeLiteralRun(nodes)) continue;
      const atom = this.#atom();
      if (atom !== null) nodes.push(this.#repeated(atom));
    }
    return { kind: 'sequence', nodes };
  }

  /** `\Q...\E` */
  #takeLiteralRun(nodes: Node[]): boolean {
    if (!this.#take('\\Q')) return false;
    const close = this.#source.indexOf('\\E', this.#at);
    const end = close === -1 ? this.#source.length : close;
    let last: Node | null = null;
    while (this.#at < end) {
      if (last !== null) nodes.push(last);
      last = this.#literal(this.#codePoint());
    }
    this.#take('\\E');
    if (last !== null) nodes.push(this.#repeated(last));
    return true;
  }

  #repeated(atom: Node): Node {
    const bounds = this.#quantifier();
    if (bounds === null) return atom;
    // Lazy or greedy makes no difference to whether the whole text matches.
    this.#take('?');
    if (this.#quantifier() !== null) this.#fail('two repetitions follow each other; put the first into (?:...)');
    return { kind: 'repeat', node: atom, least: bounds[0], most: bounds[1] };
  }

  #quantifier(): [number, number] | null {
    if (this.#take('*')) return [0, Infinity];
    if (this.#take('+')) return [1, Infinity];
    if (this.#take('?')) return [0, 1];
    const form = /\{([0-9]{1,6})(,([0-9]{0,6}))?\}/y;
    form.lastIndex = this.#at;
    const found = form.exec(this.#source);
    if (found === null) return null;
    const least = Number(found[1]);
    const most = found[2] === undefined ? least : found[3] === '' ? Infinity : Number(found[3]);
    if (least > MAX_REPEAT || (most !== Infinity && most > MAX_REPEAT)) this.#fail(`a repetition may count to ${MAX_REPEAT}`);
    if (most < least) this.#fail('the bounds of a repetition are the wrong way round');
    this.#at = form.lastIndex;
    return [least, most];
  }

  #atom(): Node | null {
    if (this.#sees('*') || this.#sees('+') || this.#sees('?')) this.#fail('a repetition has nothing to repeat');
    if (this.#take('(')) return this.#group();
    if (this.#take('[')) return this.#class();
    if (this.#take('.')) return { kind: 'character', test: this.#flags.dot ? () => true : (code) => code !== 10 };
    if (this.#take('^')) return { kind: 'assertion', what: this.#flags.lines ? 'line-start' : 'text-start' };
    if (this.#take('$')) return { kind: 'assertion', what: this.#flags.lines ? 'line-end' : 'text-end' };
    if (this.#take('\\')) return this.#escape();
    return this.#literal(this.#codePoint());
  }

  /** @returns null for a group that only sets flags */
  #group(): Node | null {
    if (++this.#depth > MAX_DEPTH) this.#fail(`groups may be nested ${MAX_DEPTH} deep`);
    const outer = this.#flags;
    if (this.#take('?')) {
      if (/^(=|!|<=|<!)/.test(this.#source.slice(this.#at, this.#at + 2)))
        this.#fail('lookahead and lookbehind are not known to RE2');
      const name = /P?<[A-Za-z0-9_]+>/y;
      name.lastIndex = this.#at;
      if (name.test(this.#source)) this.#at = name.lastIndex;
      else if (this.#setFlags()) {
        this.#depth--;
        return null;
      }
    }
    const node = this.#choice();
    if (!this.#take(')')) this.#fail('a group is not closed');
    this.#flags = outer;
    this.#depth--;
    return node;
  }

  /** @returns whether the group ends with its flags: `(?i)`, not `(?i:...)` */
  #setFlags(): boolean {
    const form = /([imsU]*)(?:-([imsU]+))?([:)])/y;
    form.lastIndex = this.#at;
    const found = form.exec(this.#source);
    if (found === null) this.#fail('the flags of a group are not known');
    const next = { ...this.#flags };
    for (const [letters, on] of [
      [found[1] ?? '', true],
      [found[2] ?? '', false],
    ] as const) {
      if (letters.includes('i')) next.fold = on;
      if (letters.includes('m')) next.lines = on;
      if (letters.includes('s')) next.dot = on;
    }
    this.#flags = next;
    this.#at = form.lastIndex;
    return found[3] === ')';
  }

  #escape(): Node {
    if (this.#take('A')) return { kind: 'assertion', what: 'text-start' };
    if (this.#take('z')) return { kind: 'assertion', what: 'text-end' };
    if (this.#take('b')) return { kind: 'assertion', what: 'word-edge' };
    if (this.#take('B')) return { kind: 'assertion', what: 'no-word-edge' };
    const set = this.#setEscape();
    if (set !== null) return { kind: 'character', test: this.#folded(set) };
    return this.#literal(this.#characterEscape());
  }

  /** `\d`, `\W`, `\pL`, `\p{Greek}`; the backslash has been taken. */
  #setEscape(): Test | null {
    const letter = this.#source[this.#at] ?? '';
    const perl = PERL.get(letter.toLowerCase());
    if (perl !== undefined) {
      this.#at++;
      return letter === letter.toLowerCase() ? perl : not(perl);
    }
    if (letter !== 'p' && letter !== 'P') return null;
    const form = /[pP](?:([A-Z])|\{(\^?)([A-Za-z_]{1,40})\})/y;
    form.lastIndex = this.#at;
    const found = form.exec(this.#source);
    if (found === null) this.#fail('a Unicode class is written \\pL or \\p{Greek}');
    const test = unicodeClass(found[1] ?? found[3] ?? '');
    if (test === null) this.#fail('this Unicode class is not known');
    this.#at = form.lastIndex;
    return (letter === 'P') !== (found[2] === '^') ? not(test) : test;
  }

  /** The character behind a backslash. */
  #characterEscape(): number {
    const hex = /x(?:([0-9a-fA-F]{2})|\{([0-9a-fA-F]{1,6})\})/y;
    hex.lastIndex = this.#at;
    const found = hex.exec(this.#source);
    if (found !== null) {
      const code = Number.parseInt(found[1] ?? found[2] ?? '', 16);
      if (code > 0x10ffff) this.#fail('there is no such character');
      this.#at = hex.lastIndex;
      return code;
    }
    const octal = /0[0-7]{0,2}|[1-7][0-7]{1,2}/y;
    octal.lastIndex = this.#at;
    const digits = octal.exec(this.#source);
    if (digits !== null) {
      this.#at = octal.lastIndex;
      return Number.parseInt(digits[0], 8);
    }
    const letter = this.#source[this.#at];
    if (letter === undefined) this.#fail('a backslash stands at the end');
    const control = CONTROL.get(letter);
    if (control !== undefined) {
      this.#at++;
      return control;
    }
    if (/[1-9]/.test(letter)) this.#fail('backreferences are not known to RE2');
    if (/[A-Za-z0-9]/.test(letter) || letter > '\u007f') this.#fail(`the escape \\${letter} is not known to RE2`);
    return this.#codePoint();
  }

  #class(): Node {
    const negated = this.#take('^');
    const tests: Test[] = [];
    const singles: Range[] = [];
    let first = true;
    while (first || !this.#sees(']')) {
      if (this.#at >= this.#source.length) this.#fail('a character class is not closed');
      first = false;
      const set = this.#posixClass() ?? (this.#sees('\\') ? this.#setEscapeInClass() : null);
      if (set !== null) {
        tests.push(set);
        continue;
      }
      const low = this.#classCharacter();
      let high = low;
      if (this.#sees('-') && this.#source[this.#at + 1] !== ']' && this.#at + 1 < this.#source.length) {
        this.#at++;
        high = this.#classCharacter();
        if (high < low) this.#fail('a range is the wrong way round');
      }
      singles.push([low, high]);
    }
    this.#at++;
    tests.push(ranges(singles));
    const any = this.#folded((code) => tests.some((test) => test(code)));
    return { kind: 'character', test: negated ? not(any) : any };
  }

  #setEscapeInClass(): Test | null {
    this.#at++;
    const set = this.#setEscape();
    if (set === null) this.#at--;
    return set;
  }

  #posixClass(): Test | null {
    const form = /\[:(\^?)([a-z]{1,10}):\]/y;
    form.lastIndex = this.#at;
    const found = form.exec(this.#source);
    if (found === null) return null;
    const test = POSIX.get(found[2] ?? '');
    if (test === undefined) this.#fail('this character class is not known');
    this.#at = form.lastIndex;
    return found[1] === '^' ? not(test) : test;
  }

  #classCharacter(): number {
    return this.#take('\\') ? this.#characterEscape() : this.#codePoint();
  }

  #literal(code: number): Node {
    return { kind: 'character', test: this.#folded((other) => other === code) };
  }

  #folded(test: Test): Test {
    if (!this.#flags.fold) return test;
    return (code) => {
      const text = String.fromCodePoint(code);
      return test(code) || test(onlyCodePoint(text.toLowerCase(), code)) || test(onlyCodePoint(text.toUpperCase(), code));
    };
  }

  #codePoint(): number {
    const code = this.#source.codePointAt(this.#at);
    if (code === undefined) this.#fail('something is missing at the end');
    this.#at += code > 0xffff ? 2 : 1;
    return code;
  }

  #sees(text: string): boolean {
    return this.#source.startsWith(text, this.#at);
  }

  #take(text: string): boolean {
    if (!this.#sees(text)) return false;
    this.#at += text.length;
    return true;
  }

  #fail(what: string): never {
    throw new CodedError('pattern_invalid', what, { details: { offset: this.#at } });
  }
}

function onlyCodePoint(text: string, otherwise: number): number {
  const code = text.codePointAt(0) ?? otherwise;
  return text.length === (code > 0xffff ? 2 : 1) ? code : otherwise;
}

function unicodeClass(name: string): Test | null {
  for (const property of [name, `Script=${name}`]) {
    try {
      const form = new RegExp(`^\\p{${property}}$`, 'u');
      return (code) => form.test(String.fromCodePoint(code));
    } catch {
      // Not a class of this kind; the other kind may know it.
    }
  }
  return null;
}
