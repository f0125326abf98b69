import type { WriteStream } from 'node:tty';

const PLAIN_PROGRESS_EVERY_MS = 5_000;
const WIDTH = 110;

type Output = Pick<WriteStream, 'write'> & { isTTY?: boolean; columns?: number };

/** Tells the story on a terminal or in a log: each step with its time, and how it stands while it waits. */
export class Narrator {
  readonly #out: Output;
  readonly #from: number;
  readonly #now: () => number;
  readonly #colour: boolean;
  #progressAt: number;
  #hasProgress = false;

  constructor(out: Output, now: () => number, colour: boolean) {
    this.#out = out;
    this.#now = now;
    this.#from = now();
    this.#progressAt = this.#from;
    this.#colour = colour;
  }

  /** A line of its own, without a time. */
  line(text = ''): void {
    this.#clear();
    this.#out.write(`${text}\n`);
  }

  act(title: string): void {
    this.line();
    this.line(this.#painted('1', title));
  }

  /** Something happened just now. */
  step(text: string): void {
    const [first = '', ...rest] = wrapped(text, WIDTH - 9);
    this.line(`${this.#time()}  ${first}`);
    for (const line of rest) this.line(`         ${line}`);
    this.#progressAt = this.#now();
  }

  good(text: string): void {
    this.step(this.#painted('32', text));
  }

  bad(text: string): void {
    this.step(this.#painted('31', text));
  }

  /** How it stands: one line that is overwritten on a terminal, a line every few seconds elsewhere. */
  progress(text: string): void {
    if (this.#out.isTTY === true) {
      // Some terminals do not know their width and say 0.
      const room = Math.max(20, (this.#out.columns || WIDTH) - 1);
      this.#out.write(`\r\u001b[2K${`${this.#time()}  ... ${text}`.slice(0, room)}`);
      this.#hasProgress = true;
    } else if (this.#now() - this.#progressAt >= PLAIN_PROGRESS_EVERY_MS) {
      this.#progressAt = this.#now();
      this.line(`${this.#time()}  ... ${text}`);
    }
  }

  #time(): string {
    return `${((this.#now() - this.#from) / 1_000).toFixed(1).padStart(5)} s`;
  }

  #painted(code: string, text: string): string {
    return this.#colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  }

  #clear(): void {
    if (this.#hasProgress) this.#out.write('\r\u001b[2K');
    this.#hasProgress = false;
  }
}

/** Breaks a text at spaces into lines of at most `width` characters; a longer word stays whole. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines;
}
