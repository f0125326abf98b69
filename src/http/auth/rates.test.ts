import { describe, expect, it } from 'vitest';
import { Rates } from './rates.ts';

function limited(rates: Partial<{ reads: number; writes: number; judgements: number }> = {}) {
  const clock = { at: 1_000_000, now: () => clock.at };
  return { clock, rates: new Rates({ reads: 2, writes: 1, judgements: 0, ...rates }, clock) };
}

describe('the rate of a caller', () => {
  it('lets ten seconds of it through at once, then as many as come back', () => {
    const { clock, rates } = limited();
    for (let n = 0; n < 20; n += 1) expect(rates.take('ci', 'reads')).toBe(0);
    expect(rates.take('ci', 'reads')).toBe(1);
    clock.at += 500;
    expect(rates.take('ci', 'reads')).toBe(0);
    expect(rates.take('ci', 'reads')).toBe(1);
    clock.at += 3_600_000;
    expect(Array.from({ length: 30 }, () => rates.take('ci', 'reads')).filter((wait) => wait === 0)).toHaveLength(20);
  });

  it('is of its own for each caller and kind of call; 0 is no limit', () => {
    const { rates } = limited();
    for (let n = 0; n < 10; n += 1) rates.take('ci', 'writes');
    expect(rates.take('ci', 'writes')).toBe(1);
    expect(rates.take('ops', 'writes')).toBe(0);
    expect(rates.take('ci', 'reads')).toBe(0);
    for (let n = 0; n < 1_000; n += 1) expect(rates.take('ci', 'judgements')).toBe(0);
  });

  it('gives nothing for a clock that is set back', () => {
    const { clock, rates } = limited();
    for (let n = 0; n < 10; n += 1) rates.take('ci', 'writes');
    clock.at -= 3_600_000;
    expect(rates.take('ci', 'writes')).toBe(1);
    clock.at += 1_000;
    expect(rates.take('ci', 'writes')).toBe(0);
  });

  it('takes bounded memory', () => {
    const { rates } = limited();
    for (let n = 0; n < 25_000; n += 1) rates.take(`caller ${n}`, 'reads');
    expect(rates.size).toBe(10_000);
  });
});
