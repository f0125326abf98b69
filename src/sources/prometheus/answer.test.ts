import { Buffer } from 'node:buffer';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodedError } from '../../errors.ts';
import { createAnswerDecoder, type QueryAnswer } from './answer.ts';

const FIXTURES = fileURLToPath(new URL('../../../test/fixtures/prometheus', import.meta.url));

/** @param sizes of the pieces, taken in turn */
function decoded(text: string, sizes: readonly number[] = [65_536]): QueryAnswer {
  const decoder = createAnswerDecoder();
  const bytes = Buffer.from(text);
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = Math.max(1, sizes[turn % sizes.length] ?? 1);
    // A copy, because a socket may use its memory again.
    const piece = Uint8Array.from(bytes.subarray(at, at + size));
    decoder.push(piece);
    piece.fill(0x21);
    at += size;
  }
  return decoder.end();
}

function codeOf(text: string): string {
  try {
    decoded(text, [7]);
    return 'read';
  } catch (error) {
    if (error instanceof CodedError) return error.code;
    throw error;
  }
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Writes JSON as anybody may: any white space, any order of keys, any escapes. */
function written(value: Json, random: () => number): string {
  const blank = () => ['', '', '', ' ', '\n', '\t ', '\r\n'][Math.floor(random() * 7)] ?? '';
  const text = (plain: string) =>
    random() < 0.8
      ? JSON.stringify(plain)
      : `"${[...Array(plain.length).keys()].map((at) => `\\u${plain.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')}"`;
  const inner = (): string => {
    if (typeof value === 'string') return text(value);
    if (typeof value !== 'object' || value === null) return JSON.stringify(value);
    if (Array.isArray(value)) return `[${value.map((one) => written(one, random)).join(',') || blank()}]`;
    const members = Object.entries(value).map(([key, one]) => `${blank()}${text(key)}${blank()}:${written(one, random)}`);
    members.sort(() => random() - 0.5);
    return `{${members.join(',') || blank()}}`;
  };
  return `${blank()}${inner()}${blank()}`;
}

const numberText = fc.oneof(
  fc.double({ noDefaultInfinity: true, noNaN: true }).map(String),
  fc.integer().map(String),
  fc
    .tuple(fc.bigInt(0n, 10n ** 19n), fc.nat(19))
    .map(([digits, at]) => `${digits}`.padStart(20, '0').replace(new RegExp(`(.{${at}})$`), '.$1')),
  fc.tuple(fc.integer({ min: 0, max: 99_999_999 }), fc.integer({ min: 0, max: 9_999_999 })).map(([a, b]) => `${a}.${b}`),
  fc.constantFrom('NaN', '+Inf', '-Inf', '0', '-0', '1e+21', '0.1', '123456789012345', '1234567890123456', '0.000000000000001'),
);
const time = fc.oneof(
  fc.integer({ min: 0, max: 4_000_000_000 }),
  fc.integer({ min: 0, max: 4_000_000_000_000 }).map((ms) => ms / 1_000),
  fc.double({ noDefaultInfinity: true, noNaN: true }),
);
const sample = fc.tuple(time, numberText);
const labels = fc.dictionary(fc.string({ maxLength: 8 }), fc.string({ unit: 'binary', maxLength: 12 }), { maxKeys: 5 });
const series = fc.record({ metric: labels, values: fc.array(sample, { maxLength: 12 }), unknown: fc.jsonValue({ maxDepth: 2 }) });
const answers = fc.record({
  status: fc.constant('success'),
  data: fc.record({ resultType: fc.constant('matrix'), result: fc.array(series, { maxLength: 5 }), stats: fc.jsonValue() }),
  warnings: fc.array(fc.string(), { maxLength: 3 }),
  more: fc.jsonValue(),
});

function expected(text: string): number {
  return text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text);
}

const bits = (values: ArrayLike<number>) => Buffer.from(Float64Array.from(values).buffer).toString('hex');

describe('an answer of Prometheus', () => {
  it('is read to the bit as JSON.parse and Number read it, however it is written and cut into pieces', () => {
    fc.assert(
      fc.property(
        answers,
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 }),
        fc.noShrink(fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }))),
        (answer, sizes, random) => {
          const text = written(JSON.parse(JSON.stringify(answer)) as Json, () => random.next().value as number);
          const whole = JSON.parse(text) as typeof answer;
          const read = decoded(text, sizes);
          expect(read.status).toBe('success');
          expect(read.resultType).toBe('matrix');
          expect(read.notes).toEqual(whole.warnings);
          expect(read.series.length).toBe(whole.data.result.length);
          for (const [at, one] of whole.data.result.entries()) {
            const got = read.series[at];
            expect({ ...got?.labels }).toEqual({ ...one.metric });
            expect(bits(got?.times ?? [])).toBe(bits(one.values.map(([seconds]) => seconds)));
            expect(bits(got?.values ?? [])).toBe(bits(one.values.map(([, value]) => expected(value))));
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('that is cut off, or has a byte changed, is an answer or a coded error and nothing else', () => {
    const text = readFileSync(join(FIXTURES, 'query-matrix-instant.json'), 'utf8');
    const body = JSON.stringify((JSON.parse(text) as { body: unknown }).body);
    for (let length = 0; length < body.length; length++)
      expect(codeOf(body.slice(0, length)), body.slice(0, length)).toBe('answer_truncated');
    expect(codeOf(body)).toBe('read');
    fc.assert(
      fc.property(fc.nat(body.length - 1), fc.integer({ min: 0, max: 127 }), (at, byte) => {
        const changed = body.slice(0, at) + String.fromCharCode(byte) + body.slice(at + 1);
        expect(['read', 'answer_invalid', 'answer_truncated']).toContain(codeOf(changed));
      }),
    );
  });

  it.each([
    ['{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,""]}]}}', 'answer_invalid'],
    ['{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"0x10"]}]}}', 'answer_invalid'],
    ['{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[01,"1"]}]}}', 'answer_invalid'],
    ['{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[01,"1"]]}]}}', 'answer_invalid'],
    ['{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"],]}]}}', 'answer_invalid'],
    ['{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,1]]}]}}', 'answer_invalid'],
    ['{"status":"success","data":{"resultType":"matrix","result":[{"metric":[],"values":[]}]}}', 'answer_invalid'],
    ['{"status":"success"} x', 'answer_invalid'],
    ['[]', 'answer_invalid'],
    ['', 'answer_truncated'],
  ])('with %s is refused', (text, code) => {
    expect(codeOf(text)).toBe(code);
  });

  it('keeps a label named __proto__ as a label', () => {
    const read = decoded(
      '{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__proto__":"x","a":"b"},"value":[1,"2"]}]}}',
    );
    expect(Object.entries(read.series[0]?.labels ?? {})).toEqual([
      ['__proto__', 'x'],
      ['a', 'b'],
    ]);
  });

  it('passes over what it does not know, however large, without keeping it', () => {
    const decoder = createAnswerDecoder();
    decoder.push(Buffer.from('{"status":"success","unknown":["'));
    const before = process.memoryUsage().arrayBuffers;
    const piece = Buffer.alloc(65_536, 'x');
    for (let at = 0; at < 1_000; at++) decoder.push(piece);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000);
    decoder.push(Buffer.from('"],"data":{"resultType":"scalar","result":[1,"5"]}}'));
    expect(decoder.end()).toMatchObject({ resultType: 'scalar', scalar: 5 });
  });

  it('refuses labels without an end', () => {
    const decoder = createAnswerDecoder();
    decoder.push(Buffer.from('{"status":"success","data":{"result":[{"metric":{"a":"'));
    const piece = Buffer.alloc(65_536, 'x');
    expect(() => {
      for (let at = 0; at < 100; at++) decoder.push(piece);
    }).toThrow(expect.objectContaining({ code: 'answer_invalid' }));
  });

  const recorded = readdirSync(FIXTURES).filter((name) => name.startsWith('query') || name.startsWith('error-4'));
  it.each(recorded)('as recorded in %s is read in pieces of any size', (name) => {
    const { body } = JSON.parse(readFileSync(join(FIXTURES, name), 'utf8')) as { body: { __raw?: string } & Recorded };
    if (body.__raw !== undefined) return;
    for (const [indent, size] of [
      [0, 1],
      [2, 13],
      [0, 65_536],
    ] as const) {
      const read = decoded(JSON.stringify(body, null, indent), [size]);
      expect(read.status).toBe(body.status);
      expect(read.error).toBe(body.error ?? '');
      const result = body.data?.result ?? [];
      if (!isSeries(result)) continue;
      expect(read.series.map(({ values }) => [...values])).toEqual(
        result.map(({ value, values }) => (value === undefined ? (values ?? []) : [value]).map(([, text]) => expected(text))),
      );
      expect(read.series.map(({ histograms }) => histograms.length)).toEqual(
        result.map(({ histogram, histograms }) => (histogram === undefined ? (histograms ?? []).length : 1)),
      );
    }
  });
});

interface RecordedSeries {
  value?: [number, string];
  values?: [number, string][];
  histogram?: unknown;
  histograms?: unknown[];
}
interface Recorded {
  status: string;
  error?: string;
  data?: { resultType: string; result: RecordedSeries[] | [number, string] };
}

function isSeries(result: RecordedSeries[] | [number, string]): result is RecordedSeries[] {
  return typeof result[0] !== 'number';
}
