import { describe, expect, it } from 'vitest';
import { faultOf, seededRandom } from './releases.ts';

describe('the fault of the bad release', () => {
  it('is the same for the same seed', () => {
    expect(faultOf(42)).toEqual(faultOf(42));
    expect(faultOf(42)).not.toEqual(faultOf(43));
  });

  it('begins after the warm-up of 3 s and concerns 15 to 45 % of the answers, for every seed', () => {
    for (let seed = 0; seed < 2_000; seed += 1) {
      const { afterMs, share } = faultOf(seed);
      expect(afterMs).toBeGreaterThanOrEqual(4_000);
      expect(afterMs).toBeLessThanOrEqual(8_000);
      expect(share).toBeGreaterThanOrEqual(0.15);
      expect(share).toBeLessThanOrEqual(0.45);
    }
  });

  it('comes from numbers that fill the interval evenly', () => {
    const random = seededRandom(5);
    const tenths = Array.from({ length: 10 }, () => 0);
    for (let draw = 0; draw < 10_000; draw += 1) {
      const tenth = Math.floor(random() * 10);
      tenths[tenth] = (tenths[tenth] ?? 0) + 1;
    }
    for (const count of tenths) expect(Math.abs(count - 1_000)).toBeLessThan(150);
  });
});
