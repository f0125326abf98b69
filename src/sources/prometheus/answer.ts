import { Bytes, elements, jsonValue, members, nothingMore, peek, restOfElements, skipValue, take, type Step } from './bytes.ts';
import { SampleBuffer, numberOf, readPlainSamples, readSample } from './samples.ts';

export type LabelSet = Readonly<Record<string, string>>;

export interface NativeBucket {
  upper: number;
  count: number;
}
export interface NativeSample {
  /** Seconds since the epoch. */
  time: number;
  count: number;
  buckets: readonly NativeBucket[];
}
export interface SampledSeries {
  labels: LabelSet;
  /** Seconds since the epoch, as they were sent. */
  times: Float64Array;
  values: Float64Array;
  /** Native histograms, where the series is one. */
  histograms: readonly NativeSample[];
}

/** An answer of the query endpoints of the HTTP API. */
export interface QueryAnswer {
  status: string;
  errorType: string;
  error: string;
  /** `warnings` and `infos` together. */
  notes: readonly string[];
  /** What answered did not have everything, or is not sure of it: there are `warnings`, or `isPartial` (VictoriaMetrics). */
  partial: boolean;
  /** scalar, string, vector or matrix; '' when there is none. */
  resultType: string;
  series: readonly SampledSeries[];
  /** Of a scalar; NaN for every other type. */
  scalar: number;
}

const LONGEST_KEY = 1_000;
const LONGEST_TEXT = 65_536;
const LONGEST_LABELS = 262_144;
const LONGEST_HISTOGRAM = 1_048_576;
const MOST_NOTES = 20;
const MOST_SERIES = 200_000;

export interface AnswerDecoder {
  /** @throws CodedError `answer_invalid`, `answer_truncated` (retryable) */
  push(piece: Uint8Array): void;
  /** The answer, when all pieces were pushed. @throws as `push` */
  end(): QueryAnswer;
}

/**
 * Reads the JSON of `/api/v1/query` and `/api/v1/query_range` from its bytes, in pieces of any size, straight into typed
 * arrays: the body is never held as a whole. Keys may come in any order, unknown ones are passed over.
 *
 * Source: https://prometheus.io/docs/prometheus/latest/querying/api/#expression-query-result-formats
 */
export function createAnswerDecoder(): AnswerDecoder {
  const bytes = new Bytes();
  const answer: { -readonly [K in keyof QueryAnswer]: QueryAnswer[K] } = {
    status: '',
    errorType: '',
    error: '',
    notes: [],
    partial: false,
    resultType: '',
    series: [],
    scalar: NaN,
  };
  const reading = readAnswer(bytes, answer);
  let done = false;
  const go = () => {
    if (reading.next().done === true) done = true;
  };
  return {
    push(piece) {
      if (piece.length === 0 || done) return;
      bytes.push(piece);
      go();
      bytes.settle();
    },
    end() {
      bytes.finished = true;
      while (!done) go();
      return answer;
    },
  };
}

function* readAnswer(bytes: Bytes, into: { -readonly [K in keyof QueryAnswer]: QueryAnswer[K] }): Step<void> {
  yield* members(
    bytes,
    function* (key) {
      switch (key) {
        case 'status':
        case 'error':
        case 'errorType':
          into[key] = textOf(yield* jsonValue(bytes, LONGEST_TEXT), bytes);
          return;
        case 'warnings':
        case 'infos': {
          const notes = notesOf(yield* jsonValue(bytes, LONGEST_TEXT));
          if (key === 'warnings' && notes.length > 0) into.partial = true;
          into.notes = [...into.notes, ...notes].slice(0, MOST_NOTES);
          return;
        }
        case 'isPartial':
          if ((yield* jsonValue(bytes, LONGEST_KEY)) === true) into.partial = true;
          return;
        case 'data':
          if ((yield* peek(bytes)) === 0x7b) yield* readData(bytes, into);
          else yield* skipValue(bytes);
          return;
        default:
          yield* skipValue(bytes);
      }
    },
    LONGEST_KEY,
  );
  yield* nothingMore(bytes);
}

function* readData(bytes: Bytes, into: { -readonly [K in keyof QueryAnswer]: QueryAnswer[K] }): Step<void> {
  yield* members(
    bytes,
    function* (key) {
      if (key === 'resultType') into.resultType = textOf(yield* jsonValue(bytes, LONGEST_TEXT), bytes);
      else if (key === 'result') yield* readResult(bytes, into);
      else yield* skipValue(bytes);
    },
    LONGEST_KEY,
  );
}

/** A list of series, or one pair of time and text: what it is shows at its first element, wherever `resultType` stands. */
function* readResult(bytes: Bytes, into: { -readonly [K in keyof QueryAnswer]: QueryAnswer[K] }): Step<void> {
  if ((yield* peek(bytes)) !== 0x5b) {
    if ((yield* jsonValue(bytes, LONGEST_TEXT)) !== null) throw bytes.malformed('expected a list as the result');
    return;
  }
  bytes.at++;
  const first = yield* peek(bytes);
  if (first !== 0x7b && first !== 0x5d) {
    yield* jsonValue(bytes, LONGEST_TEXT);
    yield* take(bytes, ',');
    into.scalar = numberOf(textOf(yield* jsonValue(bytes, LONGEST_TEXT), bytes)) ?? NaN;
    yield* take(bytes, ']');
    return;
  }
  const samples = new SampleBuffer();
  const series: SampledSeries[] = [];
  yield* restOfElements(bytes, function* () {
    if (series.length === MOST_SERIES) throw bytes.malformed(`expected at most ${MOST_SERIES} series`);
    series.push(yield* readSeries(bytes, samples));
  });
  into.series = series;
}

function* readSeries(bytes: Bytes, samples: SampleBuffer): Step<SampledSeries> {
  let labels: LabelSet = {};
  let histograms: NativeSample[] = [];
  samples.count = 0;
  yield* members(
    bytes,
    function* (key) {
      switch (key) {
        case 'metric':
          labels = labelsOf(yield* jsonValue(bytes, LONGEST_LABELS), bytes);
          return;
        case 'value':
          samples.count = 0;
          yield* readSample(bytes, samples);
          return;
        case 'values':
          samples.count = 0;
          yield* elements(bytes, function* () {
            if (!readPlainSamples(bytes, samples)) yield* readSample(bytes, samples);
          });
          return;
        case 'histogram':
          histograms = [nativeSampleOf(yield* jsonValue(bytes, LONGEST_HISTOGRAM), bytes)];
          return;
        case 'histograms': {
          const read: NativeSample[] = [];
          yield* elements(bytes, function* () {
            read.push(nativeSampleOf(yield* jsonValue(bytes, LONGEST_HISTOGRAM), bytes));
          });
          histograms = read;
          return;
        }
        default:
          yield* skipValue(bytes);
      }
    },
    LONGEST_KEY,
  );
  return { labels, ...samples.taken(), histograms };
}

function textOf(value: unknown, bytes: Bytes): string {
  if (typeof value === 'string') return value;
  throw bytes.malformed('expected a text before it');
}

function notesOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((note) => typeof note === 'string') : [];
}

function labelsOf(value: unknown, bytes: Bytes): LabelSet {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bytes.malformed('expected labels before it');
  // Without a prototype, so that a label named __proto__ or constructor is a label like any other.
  const labels: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [name, text] of Object.entries(value)) labels[name] = textOf(text, bytes);
  return labels;
}

/** `[time, {count, sum, buckets: [[rule, lower, upper, count], ...]}]`; everything but the time and the rule is text. */
function nativeSampleOf(value: unknown, bytes: Bytes): NativeSample {
  const wrong = () => bytes.malformed('expected a native histogram before it');
  if (!Array.isArray(value) || value.length !== 2) throw wrong();
  const [time, histogram] = value as [unknown, unknown];
  if (typeof time !== 'number' || typeof histogram !== 'object' || histogram === null) throw wrong();
  const number = (text: unknown): number => {
    const read = typeof text === 'string' ? numberOf(text) : null;
    if (read === null) throw wrong();
    return read;
  };
  const { count, buckets = [] } = histogram as { count?: unknown; buckets?: unknown };
  if (!Array.isArray(buckets)) throw wrong();
  return {
    time,
    count: number(count),
    buckets: (buckets as unknown[]).map((bucket) => {
      if (!Array.isArray(bucket) || bucket.length !== 4) throw wrong();
      const [, , upper, inside] = bucket as unknown[];
      return { upper: number(upper), count: number(inside) };
    }),
  };
}
