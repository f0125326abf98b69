import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { MetricSource, SourceAnswer, SourceQuery, SourceReading } from '../../src/sources/port.ts';

export interface FarSeries {
  name: string;
  labels?: Record<string, string>;
  value: number;
}
export type Side = 'canary' | 'baseline';
export type SourceFault =
  | 'refuse'
  | '401'
  | '429'
  | '500'
  | '503'
  | 'hang'
  | 'drop'
  | 'truncated'
  /** An answer without a body. */
  | 'nothing'
  | 'wrong type'
  | 'not understood'
  | 'huge';

/** A source under test with a far side that does what the suite says. */
export interface SourceHarness {
  source: MetricSource;
  /** Labels by which queries tell the sides. */
  labels: Record<Side, Record<string, string>>;
  /** A time-out that the source was configured with; short, the suite waits for it. */
  timeoutMs: number;
  /** What stands in addresses or headers and must stay secret. */
  secrets: readonly string[];
  /** A selector in the language of the source. */
  selector(name: string, labels?: Record<string, string>): string;
  /** From now on the far side knows these series (counters as totals since the start of their process), and no fault. */
  show(series: Record<Side, readonly FarSeries[]>): Promise<void>;
  fail(fault: SourceFault): Promise<void>;
  /** Up to the next `show` the far side knows the series as before, and has heard nothing new of them. */
  late?(): Promise<void>;
  /** Resolves when the far side has got a request after the last `show` or `fail`. */
  asked(): Promise<void>;
  /** Another source with the same configuration, as after a restart of the service. */
  reopen(): Promise<MetricSource>;
  close(): Promise<void>;
}

const TICK_MS = 1_000;
const HISTORY = 1_000_000;

/**
 * What every metric source must do, whatever it reads.
 *
 * @param options.holds what is on the far side: series that count (none of them is absent), or documents that are
 *   counted (none of them is 0, as long as they were all looked through)
 * @param options.fails whether the far side can be made to fail; a real program cannot
 */
export function describeMetricSource(
  name: string,
  start: () => Promise<SourceHarness>,
  { holds = 'series', fails = true }: { holds?: 'series' | 'documents'; fails?: boolean } = {},
): void {
  const faults: SourceFault[] = fails
    ? ['refuse', '429', '500', '503', 'hang', 'drop', 'truncated', 'wrong type', 'not understood', 'huge']
    : [];
  const ofSeries = (title: string, test: () => Promise<void>) => {
    if (holds === 'series') it(title, test);
  };
  const none: SourceAnswer = holds === 'series' ? { kind: 'absent' } : { kind: 'count', value: 0 };
  describe(`metric source ${name}`, () => {
    let far: SourceHarness;
    let source: MetricSource;
    let cursor: unknown;
    let at: number;

    beforeEach(async () => {
      far = await start();
      source = far.source;
      cursor = undefined;
      at = 1_800_000_000_000;
    });
    afterEach(async () => {
      await source.close();
      await far.close();
    });

    function query(
      id: string,
      shape: SourceQuery['shape'],
      side: Side,
      text: string,
      aggregate: SourceQuery['aggregate'] = 'avg',
    ): SourceQuery {
      return { id, shape, text, finished: false, labels: far.labels[side], aggregate };
    }

    function questions(): SourceQuery[] {
      return (['canary', 'baseline'] as const).flatMap((side) => [
        query(`${side} total`, 'counter', side, far.selector('requests_total', { service: 'shop' })),
        query(`${side} events`, 'counter', side, far.selector('requests_total', { service: 'shop', code: '500' })),
        query(`${side} buckets`, 'buckets', side, far.selector('duration_seconds_bucket', { service: 'shop' })),
        query(`${side} memory`, 'gauge', side, far.selector('memory_bytes', { service: 'shop' })),
      ]);
    }

    /** Reads as the service does: the cursor goes through the store, that is through JSON. */
    async function read(queries = questions()): Promise<Record<string, SourceAnswer>> {
      const reading: SourceReading = await source.read(
        queries,
        { from: at, to: at + TICK_MS },
        cursor,
        new AbortController().signal,
      );
      at += TICK_MS;
      const stored: unknown = reading.cursor === undefined ? undefined : JSON.parse(JSON.stringify(reading.cursor));
      expect(stored).toEqual(reading.cursor);
      cursor = stored;
      expect([...reading.answers.keys()].sort()).toEqual(queries.map(({ id }) => id).sort());
      return Object.fromEntries([...reading.answers].map(([id, answer]) => [id, withoutSeries(id, answer)]));
    }

    /** How many series there were is told where it is known, and never is 0. */
    function withoutSeries(id: string, answer: SourceAnswer): SourceAnswer {
      if (!('series' in answer)) return answer;
      const { series, ...rest } = answer;
      expect(series, id).toBeGreaterThan(0);
      return rest;
    }

    function world(counts: { ok: number; bad?: number; fast: number; all: number; memory: number }): FarSeries[] {
      const labels = { service: 'shop' };
      return [
        { name: 'requests_total', labels: { ...labels, code: '200' }, value: counts.ok },
        ...(counts.bad === undefined ? [] : [{ name: 'requests_total', labels: { ...labels, code: '500' }, value: counts.bad }]),
        { name: 'duration_seconds_bucket', labels: { ...labels, le: '0.1' }, value: counts.fast },
        { name: 'duration_seconds_bucket', labels: { ...labels, le: '+Inf' }, value: counts.all },
        { name: 'memory_bytes', labels, value: counts.memory },
        { name: 'requests_total', labels: { service: 'other', code: '500' }, value: at },
      ];
    }
    const before = () => world({ ok: HISTORY, fast: HISTORY, all: 2 * HISTORY, memory: 1 });

    async function begin(): Promise<void> {
      await far.show({ canary: before(), baseline: before() });
      await read();
    }

    it('answers counts, buckets and gauges of each side since the last tick', async () => {
      await begin();
      await far.show({
        canary: world({ ok: HISTORY + 10, bad: 2, fast: HISTORY + 3, all: 2 * HISTORY + 5, memory: 7 }),
        baseline: world({ ok: HISTORY + 90, fast: HISTORY + 40, all: 2 * HISTORY + 41, memory: 8 }),
      });
      expect(await read()).toEqual({
        'canary total': { kind: 'count', value: 12 },
        'canary events': { kind: 'count', value: 2 },
        'canary buckets': { kind: 'buckets', bounds: [0.1], counts: [3, 2] },
        'canary memory': { kind: 'gauge', value: 7 },
        'baseline total': { kind: 'count', value: 90 },
        'baseline events': none,
        'baseline buckets': { kind: 'buckets', bounds: [0.1], counts: [40, 1] },
        'baseline memory': { kind: 'gauge', value: 8 },
      });
    });

    it('never counts what was counted before the analysis began', async () => {
      await far.show({ canary: before(), baseline: before() });
      for (const [id, answer] of Object.entries(await read())) {
        if (answer.kind === 'count') expect(answer.value, id).toBeLessThan(HISTORY);
        if (answer.kind === 'buckets') expect(Math.max(...answer.counts), id).toBeLessThan(HISTORY);
      }
    });

    it('counts a series that is born during the analysis from 0', async () => {
      await begin();
      await far.show({
        canary: [...before(), { name: 'requests_total', labels: { service: 'shop', code: '500' }, value: 9 }],
        baseline: before(),
      });
      const answers = await read();
      expect(answers['canary events']).toEqual({ kind: 'count', value: 9 });
      expect(answers['canary total']).toEqual({ kind: 'count', value: 9 });
    });

    ofSeries('counts a counter that was reset by its new value', async () => {
      await begin();
      await far.show({ canary: world({ ok: 4, fast: 1, all: 4, memory: 1 }), baseline: before() });
      const answers = await read();
      expect(answers['canary total']).toEqual({ kind: 'count', value: 4 });
      expect(answers['canary buckets']).toEqual({ kind: 'buckets', bounds: [0.1], counts: [1, 3] });
      expect(answers['baseline total']).toEqual({ kind: 'count', value: 0 });
    });

    ofSeries('counts the parts of a proportion together or not at all, on all sides', async () => {
      const paired = () =>
        questions().flatMap((one): SourceQuery[] => {
          const [side = '', part = ''] = one.id.split(' ');
          return part === 'total' || part === 'events' ? [{ ...one, pair: { metric: 'errors', side, part } }] : [];
        });
      const side = (counts: number, bad: number) => world({ ok: HISTORY + counts, bad, fast: 1, all: 1, memory: 1 });
      await far.show({ canary: side(0, 0), baseline: side(0, 0) });
      await read(paired());
      await far.show({ canary: side(5, 1), baseline: side(50, 2) });
      await read(paired());
      const strange = (series: FarSeries[]) =>
        series.map((one) => (one.labels?.['code'] === '500' && one.labels['service'] === 'shop' ? { ...one, value: NaN } : one));
      await far.show({ canary: strange(side(10, 2)), baseline: side(100, 5) });
      for (const answer of Object.values(await read(paired()))) expect(answer).toMatchObject({ kind: 'missing' });
      await far.show({ canary: side(20, 4), baseline: side(200, 9) });
      expect(await read(paired())).toEqual({
        'canary total': { kind: 'count', value: 15 + 3 },
        'canary events': { kind: 'count', value: 3 },
        'baseline total': { kind: 'count', value: 150 + 7 },
        'baseline events': { kind: 'count', value: 7 },
      });
    });

    ofSeries('calls a side that has no series absent, and the other side not', async () => {
      await begin();
      await far.show({ canary: [], baseline: before() });
      const answers = await read();
      for (const id of ['total', 'events', 'buckets', 'memory']) expect(answers[`canary ${id}`], id).toEqual({ kind: 'absent' });
      expect(answers['baseline total']).toEqual({ kind: 'count', value: 0 });
    });

    ofSeries('calls everything absent when nothing was ever there, and never 0', async () => {
      await far.show({ canary: [], baseline: [] });
      for (const answer of Object.values(await read())) expect(['absent', 'missing']).toContain(answer.kind);
      for (const answer of Object.values(await read())) expect(answer).toEqual({ kind: 'absent' });
    });

    for (const strange of [NaN, Infinity])
      ofSeries(`calls ${strange} missing, in counters and in gauges`, async () => {
        await begin();
        await far.show({ canary: world({ ok: strange, fast: strange, all: 1, memory: strange }), baseline: before() });
        const answers = await read();
        for (const id of ['total', 'buckets', 'memory']) expect(answers[`canary ${id}`], id).toMatchObject({ kind: 'missing' });
        expect(answers['baseline total']).toEqual({ kind: 'count', value: 0 });
      });

    it('aggregates the gauges of a side as the query says', async () => {
      const gauges = [1, 2, 6].map((value) => ({ name: 'memory_bytes', labels: { service: 'shop', pod: `p${value}` }, value }));
      await far.show({ canary: gauges, baseline: [] });
      const aggregates = ['sum', 'avg', 'max', 'min'] as const;
      const answers = await read(
        aggregates.map((aggregate) =>
          query(aggregate, 'gauge', 'canary', far.selector('memory_bytes', { service: 'shop' }), aggregate),
        ),
      );
      expect(answers).toEqual({
        sum: { kind: 'gauge', value: 9 },
        avg: { kind: 'gauge', value: 3 },
        max: { kind: 'gauge', value: 6 },
        min: { kind: 'gauge', value: 1 },
      });
    });

    ofSeries('does not add up histograms with different bounds', async () => {
      await begin();
      const other = { name: 'duration_seconds_bucket', labels: { service: 'shop', pod: 'b', le: '+Inf' }, value: 1 };
      await far.show({ canary: [...before(), other], baseline: before() });
      expect((await read())['canary buckets']).toMatchObject({ kind: 'missing', code: 'bounds_differ' });
    });

    it.each(faults)('answers missing when the far side does this: %s; and afterwards nothing was lost', async (fault) => {
      await begin();
      await far.fail(fault);
      const began = performance.now();
      for (const [id, answer] of Object.entries(await read())) {
        if (answer.kind !== 'missing') throw new Error(`${id} was answered with ${answer.kind}`);
        expect(answer.code).toMatch(/^[a-z][a-z_]+$/);
        expect(answer.sentence.length).toBeGreaterThan(10);
        for (const secret of far.secrets) expect(answer.sentence).not.toContain(secret);
      }
      expect(performance.now() - began).toBeLessThan(far.timeoutMs + 5_000);
      await far.show({
        canary: world({ ok: HISTORY + 10, bad: 1, fast: HISTORY + 1, all: 2 * HISTORY + 2, memory: 7 }),
        baseline: before(),
      });
      expect(await read()).toMatchObject({
        'canary total': { kind: 'count', value: 11 },
        'canary events': { kind: 'count', value: 1 },
        'canary buckets': { kind: 'buckets', counts: [1, 1] },
        'canary memory': { kind: 'gauge', value: 7 },
        'baseline total': { kind: 'count', value: 0 },
      });
    });

    const cancelled = 'rejects with the reason of the caller when the caller cancels';
    it.each(fails ? [cancelled] : [])('%s', async () => {
      await far.fail('hang');
      const controller = new AbortController();
      const call = source.read(questions(), { from: at, to: at + TICK_MS }, undefined, controller.signal);
      await far.asked();
      controller.abort(new Error('the analysis was cancelled'));
      await expect(call).rejects.toThrow('the analysis was cancelled');
    });

    it('goes on where it was after a restart of the service', async () => {
      await begin();
      await source.close();
      source = await far.reopen();
      await far.show({
        canary: world({ ok: HISTORY + 5, bad: 1, fast: HISTORY, all: 2 * HISTORY, memory: 1 }),
        baseline: before(),
      });
      expect(await read()).toMatchObject({
        'canary total': { kind: 'count', value: 6 },
        'canary events': { kind: 'count', value: 1 },
      });
    });

    it('calls a query that it cannot understand missing and answers the others', async () => {
      await begin();
      const answers = await read([...questions(), query('broken', 'counter', 'canary', '{{{')]);
      expect(answers['broken']).toMatchObject({ kind: 'missing' });
      expect(answers['canary memory']).toEqual({ kind: 'gauge', value: 1 });
    });
  });
}
