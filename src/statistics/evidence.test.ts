import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Generator } from '../../bench/generator.ts';
import { LogRatioMean } from './log-ratio-mean.ts';
import { RateEvidence } from './rate-evidence.ts';
import { RateRatio, smallestSeenRatio } from './rate-ratio.ts';
import { RatioEvidence } from './ratio-evidence.ts';

function choose(n: number, k: number): number {
  let product = 1;
  for (let i = 1; i <= k; i++) product *= (n - k + i) / i;
  return product;
}

function binomial(n: number, k: number, p: number): number {
  return choose(n, k) * p ** k * (1 - p) ** (n - k);
}

const bet = (starts: number, mostPerTick = 8) => ({ starts, mostPerTick });
const counts = (canaryEvents: number, canaryTotal: number, baselineEvents: number, baselineTotal: number) => ({
  canaryEvents,
  canaryTotal,
  baselineEvents,
  baselineTotal,
});

describe('evidence against a ratio of rates', () => {
  it('is expected to be at most 1 after a tick at the boundary, for any rate, by summing over all outcomes', () => {
    for (const [canaryTotal, baselineTotal] of [
      [1, 1],
      [3, 9],
      [8, 5],
    ] as const) {
      for (const rate of [0.01, 0.1, 0.5, 0.8]) {
        for (const boundary of [1, 1.1, 1.25]) {
          let expected = 0;
          for (let c = 0; c <= canaryTotal; c++) {
            for (let b = 0; b <= baselineTotal; b++) {
              const evidence = new RatioEvidence(boundary, bet(1));
              evidence.add(counts(c, canaryTotal, b, baselineTotal));
              expected += binomial(canaryTotal, c, rate * boundary) * binomial(baselineTotal, b, rate) * Math.exp(evidence.logE);
            }
          }
          expect(expected).toBeLessThanOrEqual(1 + 1e-9);
          expect(expected).toBeGreaterThan(0);
        }
      }
    }
  });

  it('crosses 1/alpha in at most alpha of all runs at the boundary, looking at every tick', () => {
    const random = new Generator(7);
    const runs = 600;
    let crossed = 0;
    for (let run = 0; run < runs; run++) {
      const evidence = new RatioEvidence(1.1, bet(40));
      let highest = 0;
      for (let tick = 0; tick < 40; tick++) {
        const common = 0.05 * random.noise(0.5);
        evidence.add(counts(random.poisson(60 * 1.1 * common), 60, random.poisson(540 * common), 540));
        highest = Math.max(highest, evidence.logE);
      }
      if (highest >= Math.log(20)) crossed += 1;
    }
    // At most 5 % are allowed; 7.7 % is three standard errors more.
    expect(crossed / runs).toBeLessThan(0.05 + 3 * Math.sqrt((0.05 * 0.95) / runs));
  });

  it('does not depend on the unit of traffic', () => {
    const small = new RatioEvidence(1.1, bet(10));
    const large = new RatioEvidence(1.1, bet(10));
    for (let tick = 0; tick < 10; tick++) {
      small.add(counts(3, 60, 9, 540));
      large.add(counts(3, 6_000, 9, 54_000));
    }
    expect(large.logE).toBeCloseTo(small.logE, 9);
  });

  it('grows when an event moves from the baseline to the canary', () => {
    fc.assert(
      fc.property(fc.nat(50), fc.integer({ min: 1, max: 50 }), fc.integer({ min: 60, max: 5_000 }), (canary, baseline, total) => {
        const before = new RatioEvidence(1.1, bet(5));
        const after = new RatioEvidence(1.1, bet(5));
        before.add(counts(canary, total, baseline, 9 * total));
        after.add(counts(canary + 1, total, baseline - 1, 9 * total));
        expect(after.logE).toBeGreaterThanOrEqual(before.logE);
      }),
    );
  });

  it('is multiplied in one tick by at most what is allowed', () => {
    const evidence = new RatioEvidence(1.1, bet(20, 5));
    for (let tick = 1; tick <= 5; tick++) {
      evidence.add(counts(60, 60, 0, 540));
      expect(evidence.logE).toBeLessThanOrEqual(tick * Math.log(5) + 1e-9);
    }
    expect(evidence.logE).toBeGreaterThan(Math.log(1_000));
  });

  it('finds trouble that begins late nearly as fast as trouble that begins at once', () => {
    const ticksToFind = (onset: number): number => {
      const evidence = new RatioEvidence(1.1, bet(60));
      for (let tick = 0; tick < 60; tick++) {
        evidence.add(counts(tick >= onset ? 4 : 1, 60, 11, 540));
        if (evidence.logE >= Math.log(100)) return tick - onset + 1;
      }
      return Infinity;
    };
    expect(ticksToFind(0)).toBeLessThan(10);
    expect(ticksToFind(40)).toBeLessThan(ticksToFind(0) + 6);
  });
});

describe('evidence against a limit', () => {
  it('is expected to be at most 1 after a tick at the limit, by summing over all outcomes', () => {
    for (const limit of [0.001, 0.05, 0.6]) {
      let expected = 0;
      for (let events = 0; events <= 12; events++) {
        const evidence = new RateEvidence(limit, bet(1));
        evidence.add(events, 12);
        expected += binomial(12, events, limit) * Math.exp(evidence.logE);
      }
      expect(expected).toBeLessThanOrEqual(1 + 1e-9);
    }
  });

  it('rises above the limit and falls below it', () => {
    const [above, below] = [new RateEvidence(0.05, bet(20)), new RateEvidence(0.05, bet(20))];
    for (let tick = 0; tick < 20; tick++) {
      above.add(12, 100);
      below.add(2, 100);
    }
    expect(above.logE).toBeGreaterThan(Math.log(1_000));
    expect(below.logE).toBeLessThan(0);
  });
});

describe('the ratio of two rates', () => {
  const ratioOf = (...ticks: ReturnType<typeof counts>[]): RateRatio => {
    const ratio = new RateRatio();
    for (const tick of ticks) ratio.add(tick);
    return ratio;
  };

  it('is estimated within ticks, so that a growing share of traffic does not disturb it', () => {
    // Both sides 1 % in the first tick and 10 % in the second; the canary gets more of the second.
    const ratio = ratioOf(counts(1, 100, 99, 9_900), counts(500, 5_000, 500, 5_000));
    expect(ratio.estimate).toBeCloseTo(1, 6);
  });

  it('holds the estimate in its interval, and one side turned over gives the inverse', () => {
    fc.assert(
      fc.property(fc.integer({ min: 5, max: 300 }), fc.integer({ min: 5, max: 300 }), (canary, baseline) => {
        const ratio = ratioOf(counts(canary, 1_000, baseline, 3_000));
        const turned = ratioOf(counts(baseline, 3_000, canary, 1_000));
        const { low, high } = ratio.interval(0.05);
        const estimate = ratio.estimate ?? Number.NaN;
        expect(low).toBeLessThan(estimate);
        expect(high).toBeGreaterThan(estimate);
        expect(estimate).toBeCloseTo((3 * canary) / baseline, 6);
        expect(turned.interval(0.05).low).toBeCloseTo(1 / (high ?? Number.NaN), 6);
      }),
      { numRuns: 40 },
    );
  });

  it('covers the truth at all looks at once in at least 95 of 100 runs', () => {
    const random = new Generator(3);
    const runs = 200;
    let missed = 0;
    for (let run = 0; run < runs; run++) {
      const ratio = new RateRatio();
      let outside = false;
      for (let tick = 0; tick < 20; tick++) {
        ratio.add(counts(random.poisson(6), 100, random.poisson(18), 900));
        const { low, high } = ratio.interval(0.05);
        outside ||= (low ?? 0) > 3 || (high ?? Infinity) < 3;
      }
      if (outside) missed += 1;
    }
    expect(missed / runs).toBeLessThan(0.05 + 3 * Math.sqrt((0.05 * 0.95) / runs));
  });

  it('says what it does not know when one side has no events', () => {
    const none = ratioOf(counts(0, 100, 0, 900));
    expect([none.estimate, none.interval(0.05), none.upperBound(0.05)]).toEqual([null, { low: null, high: null }, Infinity]);
    const canaryOnly = ratioOf(counts(30, 100, 0, 900));
    expect(canaryOnly.estimate).toBeNull();
    expect(canaryOnly.interval(0.05).high).toBeNull();
    expect(canaryOnly.interval(0.05).low).toBeGreaterThan(10);
    expect(canaryOnly.upperBound(0.05)).toBe(Infinity);
    const baselineOnly = ratioOf(counts(0, 100, 90, 900));
    expect(baselineOnly.estimate).toBe(0);
    expect(baselineOnly.upperBound(0.05)).toBeLessThan(0.5);
  });

  it('needs more traffic to see less', () => {
    const little = smallestSeenRatio(counts(2, 100, 18, 900), 1.1, Math.log(200));
    const much = smallestSeenRatio(counts(200, 10_000, 1_800, 90_000), 1.1, Math.log(200));
    expect(much).toBeLessThan(little);
    expect(much).toBeGreaterThan(1.1);
    expect(smallestSeenRatio(counts(0, 0, 0, 0), 1.1, Math.log(200))).toBe(Infinity);
  });
});

describe('the mean of log ratios', () => {
  const falseAlarms = (spread: number, correlation: number): number => {
    const random = new Generator(11);
    let crossed = 0;
    for (let run = 0; run < 400; run++) {
      const mean = new LogRatioMean();
      let value = 0;
      let highest = 0;
      for (let tick = 0; tick < 60; tick++) {
        value = correlation * value + spread * Math.sqrt(1 - correlation ** 2) * random.normal();
        mean.add(tick, value);
        highest = Math.max(highest, mean.logE(0));
      }
      if (highest >= Math.log(100)) crossed += 1;
    }
    return crossed / 400;
  };

  it.each([
    [0.05, 0],
    [0.3, 0],
    [0.3, 0.5],
    [0.1, 0.7],
  ])('raises few false alarms at the boundary with spread %d and correlation %d', (spread, correlation) => {
    expect(falseAlarms(spread, correlation)).toBeLessThanOrEqual(0.02);
  });

  it('says nothing before 5 ticks, whatever the values are', () => {
    const mean = new LogRatioMean();
    for (let tick = 0; tick < 4; tick++) mean.add(tick, 2);
    expect(mean.logE(0)).toBe(0);
    expect(mean.interval(0.05)).toBeNull();
    mean.add(4, 2);
    expect(mean.logE(0)).toBeGreaterThan(Math.log(1_000));
  });
});
