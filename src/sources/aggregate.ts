import type { SourceQuery } from './port.ts';

/** @param values of all series of a side, at least one */
export function aggregated(values: readonly number[], aggregate: SourceQuery['aggregate']): number {
  let sum = 0;
  let least = Infinity;
  let most = -Infinity;
  for (const value of values) {
    sum += value;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  switch (aggregate) {
    case 'sum':
      return sum;
    case 'avg':
      return sum / values.length;
    case 'max':
      return most;
    case 'min':
      return least;
  }
}
