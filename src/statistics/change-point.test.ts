import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changeOfMean, changeOfRate } from './change-point.ts';

const steps = (before: number, after: number, one: number, other: number) => [
  ...Array.from({ length: before }, () => one),
  ...Array.from({ length: after }, () => other),
];

describe('where a rate changed', () => {
  it('is the entry at which the share of events steps up', () => {
    const found = changeOfRate(steps(10, 5, 2, 30), steps(10, 5, 1_000, 1_000));
    expect(found?.index).toBe(10);
    expect(found?.gain).toBeGreaterThan(20);
  });

  it('is not where only the traffic steps', () => {
    const found = changeOfRate(steps(10, 10, 20, 200), steps(10, 10, 1_000, 10_000));
    expect(found?.gain).toBeCloseTo(0, 9);
  });

  it('leaves out what was not measured', () => {
    const events = [1, null, 1, 1, null, 40, 41];
    const total = [500, 500, 500, null, 500, 500, 500];
    expect(changeOfRate(events, total)?.index).toBe(5);
    expect(changeOfRate([1, null], [5, 5])).toBeNull();
    expect(changeOfRate([], [])).toBeNull();
  });

  it('has the largest likelihood of all splits, counted out by hand', () => {
    const entry = fc.tuple(fc.nat(50), fc.integer({ min: 1, max: 50 }));
    fc.assert(
      fc.property(fc.array(entry, { minLength: 2, maxLength: 12 }), (pairs) => {
        const events = pairs.map(([a, b]) => Math.min(a, b));
        const total = pairs.map(([, b]) => b);
        const sum = (values: number[]) => values.reduce((one, other) => one + other, 0);
        const likelihood = (e: number, n: number) =>
          (e > 0 ? e * Math.log(e / n) : 0) + (n > e ? (n - e) * Math.log((n - e) / n) : 0);
        const gains = total.map((_, at) =>
          at === 0
            ? -1
            : likelihood(sum(events.slice(0, at)), sum(total.slice(0, at))) +
              likelihood(sum(events.slice(at)), sum(total.slice(at))) -
              likelihood(sum(events), sum(total)),
        );
        const found = changeOfRate(events, total);
        expect(found?.gain).toBeCloseTo(Math.max(0, ...gains), 6);
      }),
    );
  });
});

describe('where a mean changed', () => {
  it('is the entry at which the values step, whatever their unit', () => {
    const values = [1, 1.1, 0.9, 1, null, 5, 5.2, 4.9];
    expect(changeOfMean(values)?.index).toBe(5);
    expect(changeOfMean(values.map((value) => (value === null ? null : value * 1e-9)))?.index).toBe(5);
    expect(changeOfMean(values.map((value) => (value === null ? null : value + 1e6)))?.index).toBe(5);
  });

  it('is nowhere in constant, short or empty series', () => {
    expect(changeOfMean([3, 3, 3, 3])).toBeNull();
    expect(changeOfMean([1, 2])).toBeNull();
    expect(changeOfMean([NaN, Infinity, null])).toBeNull();
  });
});
