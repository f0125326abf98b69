import { jsonValue, take, type Bytes, type Step } from './bytes.ts';

const MOST_EXACT_DIGITS = 15;
const LONGEST_NUMBER = 400;
/** Powers of ten up to this one are exact. */
const MOST_EXACT_POWER = 22;
const MOST_LOW_DIGITS = 4;
const POWERS_OF_TEN = Float64Array.from({ length: MOST_EXACT_POWER + 1 }, (_, power) => Number(`1e${power}`));
/** Veltkamp's constant, which splits a double into two halves. */
const SPLITTER = 2 ** 27 + 1;
/** More than the relative error of the correction in `longDecimal`. */
const DOUBT = 2 ** -40;
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
 * gives the bits that `Number()` gives; longer ones up to 19 digits go through `longDecimal`, all others through `Number()`.
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
    let significant = 0;
    let low = 0;
    let lowDigits = 0;
    let places = -1;
    const digitsAt = at;
    while (at < end) {
      byte = buffer[at] ?? 0;
      if (byte >= 0x30 && byte <= 0x39) {
        if (significant < MOST_EXACT_DIGITS) {
          mantissa = mantissa * 10 + (byte - 0x30);
          if (mantissa !== 0) significant++;
        } else {
          low = low * 10 + (byte - 0x30);
          lowDigits++;
        }
        if (places >= 0) places++;
      } else if (byte === 0x2e && places < 0) places = 0;
      else break;
      at++;
    }
    let value: number;
    const written = at - digitsAt - (places < 0 ? 0 : 1);
    if (byte === 0x22 && written > 0 && at < end) {
      if (lowDigits > MOST_LOW_DIGITS || places > MOST_EXACT_POWER) value = NaN;
      else if (lowDigits > 0) value = longDecimal(mantissa, low, lowDigits, Math.max(places, 0));
      else value = places > 0 ? mantissa / (POWERS_OF_TEN[places] ?? 1) : mantissa;
      if (negative) value = -value;
      if (Number.isNaN(value)) value = Number(bytes.text(valueAt, at));
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

/**
 * The double next to (high * 10^lowDigits + low) / 10^places, by a quotient and its exact remainder (Dekker, A
 * floating-point technique for extending the available precision, 1971), which takes a fifth of the time of `Number()`.
 *
 * @param high up to 15 digits
 * @param low the 1 to 4 digits behind them
 * @returns NaN where the true value is too close to the middle between two doubles to tell
 */
function longDecimal(high: number, low: number, lowDigits: number, places: number): number {
  const shift = POWERS_OF_TEN[lowDigits] ?? 1;
  const divisor = POWERS_OF_TEN[places] ?? 1;
  // The numerator as an exact sum of two doubles: the upper and lower part of `high` times 10^n are exact by themselves.
  const lowerPart = high % 67_108_864;
  const upper = (high - lowerPart) * shift;
  const lower = lowerPart * shift + low;
  const numerator = upper + lower;
  const rest = lower - (numerator - upper);
  const quotient = numerator / divisor;
  // quotient * divisor as an exact sum of two doubles.
  const product = quotient * divisor;
  let split = SPLITTER * quotient;
  const quotientHigh = split - (split - quotient);
  const quotientLow = quotient - quotientHigh;
  split = SPLITTER * divisor;
  const divisorHigh = split - (split - divisor);
  const divisorLow = divisor - divisorHigh;
  const error =
    quotientHigh * divisorHigh - product + quotientHigh * divisorLow + quotientLow * divisorHigh + quotientLow * divisorLow;
  const correction = (numerator - product - error + rest) / divisor;
  const least = quotient + correction * (1 - DOUBT);
  return least === quotient + correction * (1 + DOUBT) ? least : NaN;
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
