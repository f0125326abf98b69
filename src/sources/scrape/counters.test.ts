import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodedError } from '../../errors.ts';
import { sumBuckets } from '../buckets.ts';
import {
  MAX_CURSOR_SERIES,
  advance,
  type CounterSeries,
  type Increase,
  type TargetReading,
  type TargetStates,
} from './counters.ts';

const T0 = 1_800_000_000_000;

function series(values: Record<string, number>, extra: Partial<CounterSeries> = {}): CounterSeries[] {
  return Object.entries(values).map(([key, value]) => ({ key, group: null, value, born: null, ...extra }));
}

/** Reads one target several times, a second apart; null is a page that could not be read. */
function follow(...pages: (TargetReading | null)[]): { increases: Record<string, Increase>; priming: boolean; other: boolean }[] {
  let states: TargetStates | null = null;
  return pages.map((page, tick) => {
    const readings = new Map(page === null ? [] : [['t', page] as const]);
    const step: ReturnType<typeof advance> = advance(states, readings, ['t'], T0 + tick * 1_000, 's');
    // What goes into the store and comes back is JSON.
    states = JSON.parse(JSON.stringify(step.states)) as TargetStates;
    const own = step.increases.get('t');
    return {
      increases: Object.fromEntries(own?.series ?? []),
      priming: own?.priming ?? false,
      other: own?.otherProcess ?? false,
    };
  });
}

function page(values: Record<string, number>, started: number | null = null): TargetReading {
  return { started, series: series(values) };
}

describe('counters', () => {
  it('only prime at the first reading, then count the difference', () => {
    const [first, second, third] = follow(page({ a: 100, b: 5 }), page({ a: 130, b: 5 }), page({ a: 131.5, b: 6 }));
    expect(first).toMatchObject({ priming: true, increases: { a: 'priming', b: 'priming' } });
    expect(second).toMatchObject({ priming: false, increases: { a: 30, b: 0 } });
    expect(third).toMatchObject({ increases: { a: 1.5, b: 1 } });
  });

  it('count their new value after they went down', () => {
    expect(follow(page({ a: 100 }), page({ a: 7 }), page({ a: 9 }))[1]?.increases).toEqual({ a: 7 });
  });

  it('count from 0 when they were not on the page before: the errors of a release are born with the first one', () => {
    const readings = follow(page({ total: 50 }), page({ total: 80, errors: 12 }));
    expect(readings[1]?.increases).toEqual({ total: 30, errors: 12 });
  });

  it('catch up after pages that could not be read', () => {
    const readings = follow(page({ a: 100 }), null, null, page({ a: 160, b: 3 }));
    expect(readings[1]).toMatchObject({ increases: {} });
    expect(readings[3]?.increases).toEqual({ a: 60, b: 3 });
  });

  it('prime with the first page that can be read, when the first ones could not', () => {
    expect(follow(null, page({ a: 100 }), page({ a: 101 })).map((reading) => reading.increases)).toEqual([
      {},
      { a: 'priming' },
      { a: 1 },
    ]);
  });

  it('go on from their old value after they vanished and came back', () => {
    const readings = follow(page({ a: 100, b: 1 }), page({ b: 2 }), page({ a: 104, b: 3 }));
    expect(readings[1]?.increases).toEqual({ b: 1 });
    expect(readings[2]?.increases).toEqual({ a: 4, b: 1 });
  });

  it('count from 0 after a restart, although they have passed their old value already', () => {
    const start = T0 / 1_000 - 5_000;
    const restart = T0 / 1_000 + 0.5;
    const readings = follow(page({ a: 10, b: 3 }, start), page({ a: 25 }, restart), page({ a: 26, b: 2 }, restart));
    expect(readings[1]).toMatchObject({ priming: false, increases: { a: 25 } });
    // The old value of b belongs to the process before.
    expect(readings[2]?.increases).toEqual({ a: 1, b: 2 });
  });

  it('do not take the jitter of a clock for a restart', () => {
    const start = T0 / 1_000;
    const readings = follow(page({ a: 1_000 }, start), page({ a: 1_010 }, start + 1), page({ a: 1_011 }, start));
    expect(readings.map((reading) => reading.increases['a'])).toEqual(['priming', 10, 1]);
  });

  it('prime anew when the address answers for another process that was running all the time', () => {
    const one = T0 / 1_000 - 5_000;
    const two = T0 / 1_000 - 4_000;
    const readings = follow(page({ a: 10 }, one), page({ a: 9_000 }, two), page({ a: 11 }, one), page({ a: 12 }, one));
    expect(readings.map((reading) => reading.increases['a'])).toEqual(['priming', 'priming', 'priming', 1]);
    expect(readings.map((reading) => reading.other)).toEqual([false, true, true, false]);
  });

  it('count from 0 when their created time says that they were born again', () => {
    const at = T0 / 1_000;
    const readings = follow(
      { started: null, series: series({ a: 10 }, { born: at - 100 }) },
      { started: null, series: series({ a: 25 }, { born: at + 1 }) },
      { started: null, series: series({ a: 26 }, { born: at + 1 }) },
    );
    expect(readings.map((reading) => reading.increases['a'])).toEqual(['priming', 25, 1]);
  });

  it('prime when they are new on the page but say that they are older than its last reading', () => {
    const readings = follow(page({ a: 1 }), {
      started: null,
      series: [
        ...series({ a: 2 }),
        ...series({ b: 90_000 }, { born: T0 / 1_000 - 3_600 }),
        ...series({ c: 4 }, { born: T0 / 1_000 }),
      ],
    });
    expect(readings[1]?.increases).toEqual({ a: 1, b: 'priming', c: 4 });
  });

  it('reset the buckets of a histogram together', () => {
    const group = { group: 'h' };
    const readings = follow(
      { started: null, series: series({ 'le=1': 3, 'le=inf': 100 }, group) },
      { started: null, series: series({ 'le=1': 5, 'le=inf': 50 }, group) },
    );
    expect(readings[1]?.increases).toEqual({ 'le=1': 5, 'le=inf': 50 });
  });

  it.each([NaN, Infinity, -Infinity, -1])('say nothing while their value is %d, and lose nothing by it', (strange) => {
    const readings = follow(page({ a: 10 }), page({ a: strange }), page({ a: 15 }));
    expect(readings.map((reading) => reading.increases['a'])).toEqual(['priming', 'not_a_number', 5]);
  });

  it('hold back a whole histogram while one of its buckets has no value', () => {
    const group = { group: 'h' };
    const readings = follow(
      { started: null, series: series({ low: 1, inf: 10 }, group) },
      { started: null, series: series({ low: NaN, inf: 15 }, group) },
      { started: null, series: series({ low: 3, inf: 17 }, group) },
    );
    expect(readings[1]?.increases).toEqual({ low: 'not_a_number', inf: 'not_a_number' });
    expect(readings[2]?.increases).toEqual({ low: 2, inf: 7 });
  });

  it('do not count from 0 when they were there before without a value', () => {
    const readings = follow(page({ a: NaN }), page({ a: 90_000 }), page({ a: 90_001 }));
    expect(readings.map((reading) => reading.increases['a'])).toEqual(['not_a_number', 'priming', 1]);
  });

  it('prime anew when the selectors changed, because series that nobody followed are not new', () => {
    const first = advance(null, new Map([['t', page({ a: 1 })]]), ['t'], T0, 'one');
    const second = advance(first.states, new Map([['t', page({ a: 2, b: 9_000 })]]), ['t'], T0 + 1_000, 'two');
    expect(Object.fromEntries(second.increases.get('t')?.series ?? [])).toEqual({ a: 'priming', b: 'priming' });
  });

  it('forget targets that are not configured any more', () => {
    const first = advance(null, new Map([['t', page({ a: 1 })]]), ['t'], T0, 's');
    expect(advance(first.states, new Map(), ['u'], T0, 's').states).toEqual({});
  });

  it('refuse more series than a cursor may hold, over all targets', () => {
    const half = page(Object.fromEntries(Array.from({ length: MAX_CURSOR_SERIES / 2 }, (_, at) => [`s${at}`, 1])));
    const more = page(Object.fromEntries(Array.from({ length: MAX_CURSOR_SERIES / 2 + 1 }, (_, at) => [`s${at}`, 1])));
    expect(() =>
      advance(
        null,
        new Map([
          ['t', half],
          ['u', half],
        ]),
        ['t', 'u'],
        T0,
        's',
      ),
    ).not.toThrow();
    expect(() =>
      advance(
        null,
        new Map([
          ['t', half],
          ['u', more],
        ]),
        ['t', 'u'],
        T0,
        's',
      ),
    ).toThrow(CodedError);
  });

  it('add up to what was counted, whatever was unreadable and however often the process restarted', () => {
    const step = fc.record({ added: fc.nat({ max: 50 }), restart: fc.boolean(), readable: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
        let value = 1_000;
        let started = T0 / 1_000 - 500;
        let expected = 0;
        let unread = 0;
        const pages: (TargetReading | null)[] = [page({ a: value }, started)];
        for (const [tick, { added, restart, readable }] of steps.entries()) {
          if (restart) {
            // What was counted since the last reading is lost with the process.
            unread = 0;
            value = 0;
            started = T0 / 1_000 + tick * 10;
          }
          value += added;
          unread += added;
          pages.push(readable ? page({ a: value }, started) : null);
          if (readable) {
            expected += unread;
            unread = 0;
          }
        }
        const sum = follow(...pages).reduce(
          (total, reading) => total + (typeof reading.increases['a'] === 'number' ? reading.increases['a'] : 0),
          0,
        );
        expect(sum).toBe(expected);
      }),
    );
  });
});

describe('buckets', () => {
  const histogram = (counts: Record<string, number>) =>
    new Map(Object.entries(counts).map(([bound, count]) => [Number(bound), count] as const));

  it('become counts of each bucket, without infinity among the bounds, summed over histograms', () => {
    expect(sumBuckets([histogram({ 0.1: 1, 0.5: 3, Infinity: 4 }), histogram({ Infinity: 10, 0.5: 10, 0.1: 0 })])).toEqual({
      kind: 'sum',
      bounds: [0.1, 0.5],
      counts: [1, 12, 1],
      clamped: false,
    });
  });

  it('with different bounds are not added up', () => {
    expect(sumBuckets([histogram({ 1: 1, Infinity: 1 }), histogram({ 2: 1, Infinity: 1 })])).toMatchObject({
      code: 'bounds_differ',
    });
    expect(sumBuckets([histogram({ 1: 1, Infinity: 1 }), histogram({ Infinity: 1 })])).toMatchObject({ code: 'bounds_differ' });
  });

  it('without an infinite one are refused', () => {
    expect(sumBuckets([histogram({ 1: 1, 2: 3 })])).toMatchObject({ kind: 'fault', code: 'not_buckets' });
  });

  it('that go down are raised to the one below', () => {
    expect(sumBuckets([histogram({ 1: 5, 2: 4, Infinity: 6 })])).toEqual({
      kind: 'sum',
      bounds: [1, 2],
      counts: [5, 0, 1],
      clamped: true,
    });
  });

  it('never have a negative count and sum to the largest cumulative one', () => {
    const some = fc.uniqueArray(fc.double({ noNaN: true, min: 0, max: 1e3 }), { maxLength: 10 });
    fc.assert(
      fc.property(some, fc.infiniteStream(fc.nat({ max: 1_000 })), (bounds, stream) => {
        const values = [...bounds, Infinity].map((bound) => [bound, Number(stream.next().value)] as const);
        const sum = sumBuckets([new Map(values)]);
        if (sum.kind !== 'sum') throw new Error(sum.code);
        expect(Math.min(...sum.counts)).toBeGreaterThanOrEqual(0);
        expect(sum.counts.reduce((a, b) => a + b, 0)).toBe(Math.max(...values.map(([, value]) => value)));
      }),
    );
  });
});
