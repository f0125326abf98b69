import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodedError } from '../../errors.ts';
import { MAX_LABELS, MAX_LINE_LENGTH, createdNameOf, parseExposition, type Format, type Sample } from './exposition.ts';

function samples(text: string, format: Format = 'prometheus'): Sample[] {
  return parseExposition(text, { format }).samples;
}

function errorOf(text: string, format: Format = 'prometheus'): CodedError {
  try {
    parseExposition(text, { format });
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
  throw new Error('the page was taken');
}

describe('Prometheus text 0.0.4', () => {
  it('reads names, labels, values and timestamps', () => {
    const page = [
      '# HELP http_requests_total The total number of HTTP requests.',
      '# TYPE http_requests_total counter',
      'http_requests_total{method="post",code="200"} 1027 1395066363000',
      'http_requests_total{method="post",code="400"}    3 1395066363000',
      '',
      'metric_without_timestamp_and_labels 12.47',
      'something_weird{problem="division by zero"} +Inf -3982045',
      '  job:sum \t 1.458255915e9  ',
      '',
    ].join('\n');
    expect(samples(page)).toEqual([
      {
        name: 'http_requests_total',
        labels: [
          ['code', '200'],
          ['method', 'post'],
        ],
        value: 1027,
        timestampMs: 1395066363000,
      },
      {
        name: 'http_requests_total',
        labels: [
          ['code', '400'],
          ['method', 'post'],
        ],
        value: 3,
        timestampMs: 1395066363000,
      },
      { name: 'metric_without_timestamp_and_labels', labels: [], value: 12.47, timestampMs: null },
      { name: 'something_weird', labels: [['problem', 'division by zero']], value: Infinity, timestampMs: -3982045 },
      { name: 'job:sum', labels: [], value: 1458255915, timestampMs: null },
    ]);
    expect(parseExposition(page, { format: 'prometheus' }).types).toEqual(new Map([['http_requests_total', 'counter']]));
  });

  it('undoes the escapes of label values and keeps every other character, unicode included', () => {
    const [sample] = samples(
      'a{path="C:\\\\DIR\\\\FILE.TXT",error="Cannot find:\\n\\"FILE\\"",city="Zürich 😀 {,}=#",re="\\d"} 1\n',
    );
    expect(sample?.labels).toEqual([
      ['city', 'Zürich 😀 {,}=#'],
      ['error', 'Cannot find:\n"FILE"'],
      ['path', 'C:\\DIR\\FILE.TXT'],
      ['re', '\\d'],
    ]);
  });

  it.each([
    ['NaN', NaN],
    ['nan', NaN],
    ['+Inf', Infinity],
    ['-Inf', -Infinity],
    ['Inf', Infinity],
    ['1e-3', 0.001],
    ['.5', 0.5],
    ['5.', 5],
    ['-0', -0],
    ['+7', 7],
  ])('reads the value %s', (text, value) => expect(samples(`a ${text}\n`)[0]?.value).toBe(value));

  it.each(['', 'x', '0x10', '1_000', '1,5', '--1', 'Infinit', 'e5', '.', '1'.repeat(65)])('refuses the value "%s"', (text) =>
    expect(errorOf(`a ${text}\n`)).toMatchObject({ code: 'page_invalid', details: { line: 1 } }),
  );

  it('takes an empty label for no label', () => {
    expect(samples('a{x="",y="1",} 1\n')[0]?.labels).toEqual([['y', '1']]);
  });

  it('takes CRLF, blank lines, free comments and unknown types', () => {
    expect(samples('# a comment\r\n#\r\n\r\n# TYPE a strange\r\na{b="c"} 1\r\n')).toMatchObject([{ name: 'a', value: 1 }]);
  });

  it('takes a page that is cut inside its last line for truncated, unless the transport vouches for it', () => {
    expect(errorOf('a 100\na 12')).toMatchObject({ code: 'page_truncated' });
    expect(parseExposition('a 100', { format: 'prometheus', framed: true }).samples).toHaveLength(1);
  });

  it('takes the empty page', () => expect(samples('')).toEqual([]));

  it.each([
    ['a{b="c} 1\n', 1],
    ['ok 1\na{b=c} 1\n', 2],
    ['ok 1\nok 2\na{b="c"\n', 3],
    ['a{b="c",,} 1\n', 1],
    ['a{1b="c"} 1\n', 1],
    ['a{b="1",b="2"} 1\n', 1],
    ['1a 1\n', 1],
    ['a 1 2 3\n', 1],
    ['a 1 # {b="c"} 1\n', 1],
    ['<html><body>Bad gateway</body></html>\n', 1],
    ['{"a":1}\n', 1],
  ])('refuses %j and names line %i', (text, line) => {
    const error = errorOf(text);
    expect(error).toMatchObject({ code: 'page_invalid', details: { line } });
    expect(error.message).toContain(`line ${line}`);
  });

  it('tells no label value in an error', () => {
    expect(errorOf('a{token="s3cr3t"} x\n').message).not.toContain('s3cr3t');
  });

  it('bounds the length of a line and the number of labels', () => {
    expect(errorOf(`ok 1\na{b="${'x'.repeat(MAX_LINE_LENGTH)}"} 1\n`)).toMatchObject({
      code: 'page_too_large',
      details: { line: 2 },
    });
    const labels = Array.from({ length: MAX_LABELS + 1 }, (_, at) => `l${at}="x"`).join(',');
    expect(errorOf(`a{${labels}} 1\n`)).toMatchObject({ code: 'page_invalid' });
  });

  it('keeps only the names that are asked for, and checks the other lines all the same', () => {
    const keep = (name: string) => name === 'b';
    expect(parseExposition('a{x="1"} 1\nb 2\n', { format: 'prometheus', keep }).samples).toMatchObject([{ name: 'b' }]);
    expect(() => parseExposition('a{x="1} 1\nb 2\n', { format: 'prometheus', keep })).toThrow(/line 1/);
  });
});

describe('OpenMetrics 1.0', () => {
  it('reads counters with exemplars, created times, units and timestamps in seconds', () => {
    const page = [
      '# TYPE acme_http_router_request_seconds histogram',
      '# UNIT acme_http_router_request_seconds seconds',
      '# HELP acme_http_router_request_seconds Latency though all of ACME\'s "HTTP" request router.',
      'acme_http_router_request_seconds_bucket{le="0.1"} 8.0 # {} 0.054',
      'acme_http_router_request_seconds_bucket{le="+Inf"} 17 1520879607.789 # {trace_id="oHg5SJYRHA0 }\\""} 9.8 1520879607.789',
      'acme_http_router_request_seconds_created 1605281325.0',
      '# TYPE go_goroutines gauge',
      'go_goroutines 69',
      '# TYPE foo counter',
      'foo_total{a="b"} 17.0 1520879607.5 # {trace_id="x"} 1',
      'foo_created{a="b"} 1520430000.123',
      '# EOF',
      '',
    ].join('\n');
    const read = parseExposition(page, { format: 'openmetrics' });
    expect(read.samples.map((sample) => [sample.name, sample.value, sample.timestampMs])).toEqual([
      ['acme_http_router_request_seconds_bucket', 8, null],
      ['acme_http_router_request_seconds_bucket', 17, 1520879607789],
      ['acme_http_router_request_seconds_created', 1605281325, null],
      ['go_goroutines', 69, null],
      ['foo_total', 17, 1520879607500],
      ['foo_created', 1520430000.123, null],
    ]);
    expect(createdNameOf('foo_total', read.types)).toBe('foo_created');
    expect(createdNameOf('acme_http_router_request_seconds_bucket', read.types)).toBe('acme_http_router_request_seconds_created');
  });

  it('knows a created time only where the family can have one', () => {
    const types = new Map([['orders', 'gauge']]);
    expect(createdNameOf('orders_total', types)).toBeNull();
    expect(createdNameOf('orders_total', new Map([['orders', 'histogram']]))).toBeNull();
    expect(createdNameOf('orders_bucket', new Map([['orders', 'counter']]))).toBeNull();
    expect(createdNameOf('goroutines', new Map([['goroutines', 'gauge']]))).toBeNull();
  });

  it.each(['', 'a 1\n', 'a 1\n# EO', 'a 1\n#EOF\n', 'a 1\nb{c="# EOF', '# HELP a b # EOF\n'])(
    'takes %j for truncated, because the end mark is missing',
    (text) => expect(errorOf(text, 'openmetrics')).toMatchObject({ code: 'page_truncated' }),
  );

  it.each(['# EOF', '# EOF\n', '# EOF\r\n', 'a 1\r\n# EOF\r\n'])('takes %j for whole', (text) => {
    expect(() => samples(text, 'openmetrics')).not.toThrow();
  });

  it('refuses lines behind the end mark', () => {
    expect(errorOf('a 1\n# EOF\na 2\n# EOF\n', 'openmetrics')).toMatchObject({ code: 'page_invalid', details: { line: 3 } });
  });

  it.each(['a 1 # 5\n# EOF\n', 'a 1 # {x="1"}\n# EOF\n', 'a 1 # {x="1} 1\n# EOF\n', 'a 1 # {} 1 2 3\n# EOF\n'])(
    'refuses the broken exemplar in %j',
    (text) => expect(errorOf(text, 'openmetrics')).toMatchObject({ code: 'page_invalid', details: { line: 1 } }),
  );
});

const metricName = fc.stringMatching(/^[a-zA-Z_:][a-zA-Z0-9_:]{0,20}$/);
const labelName = fc.stringMatching(/^[a-zA-Z_][a-zA-Z0-9_]{0,10}$/);
const labelValue = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 });
const sample = fc.record({
  name: metricName,
  labels: fc.uniqueArray(fc.tuple(labelName, labelValue), { selector: ([name]) => name, maxLength: 6 }),
  value: fc.oneof(fc.double(), fc.nat()),
  timestamp: fc.option(fc.integer({ min: -1e12, max: 1e14 })),
});

function render(
  from: { name: string; labels: [string, string][]; value: number; timestamp: number | null },
  format: Format,
): string {
  const escape = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
  const labels = from.labels.map(([name, text]) => `${name}="${escape(text)}"`).join(',');
  const value =
    from.value === Infinity ? '+Inf' : from.value === -Infinity ? '-Inf' : Object.is(from.value, -0) ? '-0' : String(from.value);
  const stamp = from.timestamp === null ? '' : ` ${format === 'openmetrics' ? from.timestamp / 1_000 : from.timestamp}`;
  return `${from.name}${labels === '' ? '' : `{${labels}}`} ${value}${stamp}`;
}

describe('any page', () => {
  it.each<Format>(['prometheus', 'openmetrics'])('of generated series comes back as it was written (%s)', (format) => {
    fc.assert(
      fc.property(fc.array(sample, { maxLength: 20 }), fc.constantFrom('\n', '\r\n'), (series, newline) => {
        const lines = series.map((one) => render(one, format) + newline).join('');
        const read = samples(format === 'openmetrics' ? `${lines}# EOF${newline}` : lines, format);
        expect(read.length).toBe(series.length);
        for (const [at, written] of series.entries()) {
          expect(read[at]?.name).toBe(written.name);
          expect(Object.is(read[at]?.value, written.value)).toBe(true);
          expect(Object.fromEntries(read[at]?.labels ?? [])).toEqual(Object.fromEntries(written.labels));
          if (written.timestamp === null) expect(read[at]?.timestampMs).toBeNull();
          else expect(read[at]?.timestampMs).toBeCloseTo(written.timestamp, 0);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('however broken, is taken or refused with a coded error', () => {
    const pieces = fc.constantFrom(
      'a',
      '{',
      '}',
      '"',
      '\\',
      '=',
      ',',
      ' ',
      '\n',
      '\r',
      '#',
      '# EOF',
      '1',
      'NaN',
      '+Inf',
      '# TYPE a',
      'le',
      '\u0000',
      'é',
      '\ud800',
    );
    const page = fc.oneof(
      fc.array(pieces, { maxLength: 60 }).map((parts) => parts.join('')),
      fc.string({ unit: 'binary', maxLength: 200 }),
    );
    fc.assert(
      fc.property(page, fc.constantFrom<Format>('prometheus', 'openmetrics'), fc.boolean(), (text, format, framed) => {
        try {
          parseExposition(format === 'openmetrics' ? `${text}\n# EOF\n` : text, { format, framed });
        } catch (error) {
          expect(error).toBeInstanceOf(CodedError);
        }
      }),
      { numRuns: 5_000 },
    );
  });

  it.each([
    ['one unclosed quote', `a{b="${'\\'.repeat(60_000)}`],
    ['an unclosed brace', `a{${'b="",'.repeat(10_000)}`],
    ['a run of blanks', `a${' '.repeat(60_000)}`],
    ['a run of digits', `a ${'1'.repeat(60_000)}`],
    ['a run of letters', 'a'.repeat(60_000)],
  ])('with %s on each of 100 lines is refused at once', (_name, line) => {
    const began = performance.now();
    expect(() => parseExposition(`ok 1\n${line}\n`.repeat(100), { format: 'prometheus' })).toThrow(CodedError);
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  it('takes time that grows with its length and not faster', () => {
    const page = (series: number) =>
      Array.from({ length: series }, (_, at) => `http_requests_total{path="/p/${at}",code="200"} ${at}\n`).join('');
    // Processor time, because other processes share the machine; nothing kept, because collecting garbage has its own pace.
    const time = (text: string) => {
      let best = Infinity;
      for (let run = 0; run < 5; run++) {
        const before = process.cpuUsage();
        parseExposition(text, { format: 'prometheus', keep: () => false });
        best = Math.min(best, process.cpuUsage(before).user);
      }
      return best;
    };
    const small = page(10_000);
    const large = page(160_000);
    time(small);
    expect(time(large) / time(small)).toBeLessThan(64);
  });
});
