import { jsonValue, take, type Bytes, type Step } from './bytes.ts';

const MOST_EXACT_DIGITS = 15;
const LONGEST_NUMBER = 400;
const POWERS_OF_TEN = Float64Array.from({ length: MOST_EXACT_DIGITS + 1 }, (_, power) => 10 ** power);
const FIRST_CAPACITY = 1_024;

/** Where the samples of one series are gathered; used again for the next series. */
export class SampleBuffer {
  times = new Float64Array(FIRST_CAPACITY);
  values = new Float64Array(FIRST_CAPACITY);
  count = 0;

  add(time: number, value: number): void {
    if (this.count === this.times.length) {
      this.times = grown(this.times);
      this.values = grown(this.values);
    }
    this.times[this.count] = time;
    this.values[this.count] = value;
    this.count++;
  }

  /** What was gathered, in arrays of its own; the buffer is empty then. */
  taken(): { times: Float64Array; values: Float64Array } {
    const taken = { times: this.times.slice(0, this.count), values: this.values.slice(0, this.count) };
    this.count = 0;
    return taken;
  }
}

function grown(from: Float64Array): Float64Array<ArrayBuffer> {
  const to = new Float64Array(2 * from.length);
  to.set(from);
  return to;
}

/**
 * Reads as many samples `[1795419201.535,"3252"],` as lie whole in the piece and are written without white space, as
 * Prometheus does.
 *
 * Numbers of at most 15 digits are an integer divided by a power of ten, both of which are exact, so the one rounding
 * gives the bits that `Number()` gives; all others go through `Number()`.
 *
 * @returns true when the reader stands behind a sample afterwards, false when it stands at one that is still to be read
 */
export function readPlainSamples(bytes: Bytes, into: SampleBuffer): boolean {
  const { buffer, end } = bytes;
  for (;;) {
    let at = bytes.at;
    if (at + 8 > end || buffer[at] !== 0x5b) return false;
    at++;
    let mantissa = 0;
    let digits = 0;
    let point = -1;
    const numberAt = at;
    let byte = buffer[at] ?? 0;
    while (at < end) {
      byte = buffer[at] ?? 0;
      if (byte >= 0x30 && byte <= 0x39) {
        mantissa = mantissa * 10 + (byte - 0x30);
        digits++;
      } else if (byte === 0x2e && point < 0) point = digits;
      else break;
      at++;
    }
    // What JSON does not allow (1. .5 01) and what is signed, long or has an exponent is read with more care.
    if (byte !== 0x2c || digits === 0 || digits > MOST_EXACT_DIGITS || point === 0 || point === digits) return false;
    if (buffer[numberAt] === 0x30 && digits > 1 && point !== 1) return false;
    const time = point < 0 ? mantissa : mantissa / (POWERS_OF_TEN[digits - point] ?? 1);
    at++;
    if (buffer[at] !== 0x22) return false;
    at++;
    const valueAt = at;
    let negative = false;
    if (buffer[at] === 0x2d) {
      negative = true;
      at++;
    }
    mantissa = 0;
    digits = 0;
    point = -1;
    while (at < end) {
      byte = buffer[at] ?? 0;
      if (byte >= 0x30 && byte <= 0x39) {
        mantissa = mantissa * 10 + (byte - 0x30);
        digits++;
      } else if (byte === 0x2e && point < 0) point = digits;
      else break;
      at++;
    }
    let value: number;
    if (byte === 0x22 && digits > 0 && digits <= MOST_EXACT_DIGITS && at < end) {
      value = point < 0 ? mantissa : mantissa / (POWERS_OF_TEN[digits - point] ?? 1);
      if (negative) value = -value;
    } else {
      const quoteAt = plainEnd(buffer, at, end);
      if (quoteAt < 0) return false;
      const read = numberOf(bytes.text(valueAt, quoteAt));
      if (read === null) return false;
      value = read;
      at = quoteAt;
    }
    at++;
    if (at + 1 >= end || buffer[at] !== 0x5d) return false;
    at++;
    into.add(time, value);
    bytes.at = at;
    if (buffer[at] !== 0x2c || at + 1 >= end || buffer[at + 1] !== 0x5b) return true;
    bytes.at++;
  }
}

/** Place of the quote that ends a text of plain signs; -1 when it does not lie in the piece or holds others. */
function plainEnd(buffer: Uint8Array, from: number, end: number): number {
  for (let at = from; at < end && at - from < LONGEST_NUMBER; at++) {
    const byte = buffer[at] ?? 0;
    if (byte === 0x22) return at;
    if (byte === 0x5c || byte < 0x20 || byte > 0x7e) return -1;
  }
  return -1;
}

/** Reads one `[time, "value"]`, however it is written. */
export function* readSample(bytes: Bytes, into: SampleBuffer): Step<void> {
  yield* take(bytes, '[');
  const time = yield* jsonValue(bytes, LONGEST_NUMBER);
  yield* take(bytes, ',');
  const text = yield* jsonValue(bytes, LONGEST_NUMBER);
  yield* take(bytes, ']');
  const value = typeof text === 'string' ? numberOf(text) : null;
  if (typeof time !== 'number' || value === null) throw bytes.malformed('expected a sample [time, "value"] before it');
  into.add(time, value);
}

/** The texts that Prometheus writes for a float; null for any other. */
export function numberOf(text: string): number | null {
  if (/^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/.test(text)) return Number(text);
  if (/^[+-]?Inf$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity;
  return /^nan$/i.test(text) ? NaN : null;
}
