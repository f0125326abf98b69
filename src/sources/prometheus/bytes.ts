import { Buffer } from 'node:buffer';
import { CodedError } from '../../errors.ts';

/** A reader that goes on where it stopped as soon as more bytes are there: it yields whenever it needs some. */
export type Step<T> = Generator<undefined, T, undefined>;

/** Part of Buffer in every version of Node.js, and not of its types. */
type PlainBuffer = Buffer & { latin1Slice(from: number, to: number): string };

const SPARE_BYTES = 4_096;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Bytes of an answer as they come. Only what was not read yet is held. */
export class Bytes {
  buffer: Buffer = Buffer.alloc(0);
  at = 0;
  end = 0;
  /** Nothing more will come. */
  finished = false;
  /** Bytes before the buffer. */
  #before = 0;
  #own: Buffer | null = null;

  /** Where the reader stands in the whole answer, from 0. */
  get offset(): number {
    return this.#before + this.at;
  }

  push(piece: Uint8Array): void {
    const rest = this.end - this.at;
    if (rest === 0) {
      // A piece that nothing is left before is read where it lies.
      this.#before += this.at;
      this.buffer = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
      this.at = 0;
      this.end = piece.length;
      return;
    }
    this.#hold(piece.length);
    this.buffer.set(piece, this.end);
    this.end += piece.length;
  }

  /** Copies what was not read out of the piece, whose memory belongs to who pushed it. */
  settle(): void {
    if (this.at < this.end && this.buffer !== this.#own) this.#hold(0);
  }

  /** Moves the rest into memory of our own that has room for so many bytes more. */
  #hold(room: number): void {
    const own = this.#own;
    if (this.buffer === own && own.length - this.end >= room) return;
    const rest = this.end - this.at;
    const next = own !== null && own.length >= rest + room ? own : Buffer.allocUnsafe(2 * (rest + room) + SPARE_BYTES);
    this.buffer.copy(next, 0, this.at, this.end);
    this.#before += this.at;
    this.#own = next;
    this.buffer = next;
    this.at = 0;
    this.end = rest;
  }

  /** Plain signs as text. The check of arguments in `toString` would cost more than the copy. */
  text(from: number, to: number): string {
    return (this.buffer as PlainBuffer).latin1Slice(from, to);
  }

  malformed(expected: string): CodedError {
    return new CodedError(
      'answer_invalid',
      `the answer is not what the API of Prometheus sends: byte ${this.offset}: ${expected}`,
      {
        details: { offset: this.offset },
      },
    );
  }
}

/** Waits for more bytes. @throws CodedError `answer_truncated` (retryable) when none will come */
export function* more(bytes: Bytes): Step<void> {
  if (bytes.finished) {
    throw new CodedError('answer_truncated', `the answer ends too early, after ${bytes.offset} bytes`, { retryable: true });
  }
  yield;
}

/** The next byte that is not white space, which is left where it is. */
export function* peek(bytes: Bytes): Step<number> {
  for (;;) {
    while (bytes.at < bytes.end) {
      const byte = bytes.buffer[bytes.at] ?? 0;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte;
      bytes.at++;
    }
    yield* more(bytes);
  }
}

export function* take(bytes: Bytes, sign: string): Step<void> {
  if ((yield* peek(bytes)) !== sign.charCodeAt(0)) throw bytes.malformed(`expected "${sign}"`);
  bytes.at++;
}

/** Nothing but white space up to the end. */
export function* nothingMore(bytes: Bytes): Step<void> {
  for (;;) {
    while (bytes.at < bytes.end) {
      const byte = bytes.buffer[bytes.at] ?? 0;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) throw bytes.malformed('expected the end');
      bytes.at++;
    }
    if (bytes.finished) return;
    yield;
  }
}

/**
 * Reads one JSON value of any kind as its text.
 *
 * @param most bytes that it may have
 */
export function* rawValue(bytes: Bytes, most: number): Step<string> {
  const length = yield* scanValue(bytes, (scanned) => {
    if (scanned > most) throw bytes.malformed(`expected a value of at most ${most} bytes`);
    return false;
  });
  const text = bytes.buffer.toString('utf8', bytes.at, bytes.at + length);
  bytes.at += length;
  return text;
}

/** @throws CodedError `answer_invalid` */
export function* jsonValue(bytes: Bytes, most: number): Step<unknown> {
  const text = yield* rawValue(bytes, most);
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw bytes.malformed('expected JSON before it');
  }
}

/** Passes over one JSON value of any size, without holding it. */
export function* skipValue(bytes: Bytes): Step<void> {
  const length = yield* scanValue(bytes, () => true);
  bytes.at += length;
}

/**
 * Finds the end of the value that begins at the next byte.
 *
 * @param scanned called when the piece is used up; true drops what was scanned
 * @returns bytes from the reader's place to the end of the value
 */
function* scanValue(bytes: Bytes, scanned: (length: number) => boolean): Step<number> {
  const first = yield* peek(bytes);
  const plain = first !== QUOTE && first !== 0x7b && first !== 0x5b;
  let depth = 0;
  let inString = false;
  let escaped = false;
  let begun = false;
  let length = 0;
  for (;;) {
    const { buffer, end } = bytes;
    let at = bytes.at + length;
    for (; at < end; at++) {
      const byte = buffer[at] ?? 0;
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
        if (inString || depth > 0) continue;
        return at + 1 - bytes.at;
      }
      if (plain) {
        if (byte === 0x2c || byte === 0x5d || byte === 0x7d || byte <= 0x20) {
          if (at === bytes.at && !begun) throw bytes.malformed('expected a value');
          return at - bytes.at;
        }
      } else if (byte === QUOTE) inString = true;
      else if (byte === 0x7b || byte === 0x5b) depth++;
      else if (byte === 0x7d || byte === 0x5d) {
        depth--;
        if (depth === 0) return at + 1 - bytes.at;
      }
    }
    length = at - bytes.at;
    begun ||= length > 0;
    if (scanned(length)) {
      bytes.at = at;
      length = 0;
    }
    yield* more(bytes);
  }
}

/** Walks through the members of an object; `each` has to read the value. */
export function* members(bytes: Bytes, each: (key: string) => Step<void>, longestKey: number): Step<void> {
  yield* take(bytes, '{');
  if ((yield* peek(bytes)) === 0x7d) {
    bytes.at++;
    return;
  }
  for (;;) {
    if ((yield* peek(bytes)) !== QUOTE) throw bytes.malformed('expected a key');
    const key = yield* jsonValue(bytes, longestKey);
    yield* take(bytes, ':');
    yield* each(String(key));
    if ((yield* peek(bytes)) !== 0x2c) break;
    bytes.at++;
  }
  yield* take(bytes, '}');
}

/** Walks through the elements of an array; `each` has to read the element. */
export function* elements(bytes: Bytes, each: () => Step<void>): Step<void> {
  yield* take(bytes, '[');
  yield* restOfElements(bytes, each);
}

/** As `elements`, where the bracket has been read. */
export function* restOfElements(bytes: Bytes, each: () => Step<void>): Step<void> {
  if ((yield* peek(bytes)) === 0x5d) {
    bytes.at++;
    return;
  }
  for (;;) {
    yield* each();
    if ((yield* peek(bytes)) !== 0x2c) break;
    bytes.at++;
  }
  yield* take(bytes, ']');
}
