import { describe, expect, it } from 'vitest';
import { lowest, theilSen } from './slope.ts';

/** Points on a line, moved up and down by a pattern that has no slope. */
function line(slope: number, wobble: number, n = 30) {
  return Array.from({ length: n }, (_, x) => ({ x, y: 100 + slope * x + wobble * Math.sin(x * 2.4) }));
}

describe('the slope of a memory', () => {
  it('is that of the line through the points', () => {
    expect(theilSen(line(0.25, 0))).toEqual({ estimate: 0.25, low: 0.25, high: 0.25 });
  });

  it('is hardly moved by a few odd points', () => {
    const points = line(0.25, 0).map((point) => ([3, 17, 28].includes(point.x) ? { ...point, y: 500 } : point));
    expect(theilSen(points).estimate).toBeCloseTo(0.25, 6);
  });

  it('has an interval that holds the truth and is wider where there is more noise', () => {
    const [calm, wild] = [theilSen(line(1, 1)), theilSen(line(1, 10))];
    for (const { low, high } of [calm, wild]) {
      expect(low).toBeLessThan(1);
      expect(high).toBeGreaterThan(1);
    }
    expect(wild.high - wild.low).toBeGreaterThan(3 * (calm.high - calm.low));
  });

  it('is unknown of a single point', () => {
    expect(theilSen([{ x: 0, y: 1 }]).estimate).toBeNaN();
  });
});

it('takes the lowest point of each stretch', () => {
  const points = [5, 3, 4, 9, 7, 8].map((y, x) => ({ x, y }));
  expect(lowest(points, 3)).toEqual([
    { x: 1, y: 3 },
    { x: 4, y: 7 },
  ]);
});
