import { describe, expect, it } from 'vitest';
import type { SourceAnswer } from '../sources/port.ts';
import { unlikeSides } from './reading.ts';

const count = (series?: number): SourceAnswer => ({ kind: 'count', value: 1, ...(series === undefined ? {} : { series }) });
const answers = (entries: Record<string, SourceAnswer>) => new Map(Object.entries(entries));

describe('sides with different numbers of series', () => {
  const unlike = answers({ 'errors/canary/total': count(1), 'errors/baseline/total': count(3) });

  it('are warned of, with both numbers', () => {
    expect(unlikeSides(unlike, [])).toEqual([
      'errors (total): the two sides have different numbers of series, 1 on the canary side and 3 on the baseline side',
    ]);
  });

  it('are warned of once, though the numbers change', () => {
    const later = answers({ 'errors/canary/total': count(2), 'errors/baseline/total': count(5) });
    expect(unlikeSides(later, unlikeSides(unlike, []))).toEqual([]);
  });

  it('are told for each part by itself', () => {
    const events = answers({ 'errors/canary/events': count(1), 'errors/baseline/events': count(2) });
    expect(unlikeSides(events, unlikeSides(unlike, []))).toHaveLength(1);
  });

  it.each<[string, Record<string, SourceAnswer>]>([
    ['as many on both', { 'errors/canary/total': count(3), 'errors/baseline/total': count(3) }],
    ['a source that does not count them', { 'errors/canary/total': count(), 'errors/baseline/total': count(3) }],
    ['no series on one side', { 'errors/canary/events': { kind: 'absent' }, 'errors/baseline/events': count(2) }],
    ['no baseline', { 'errors/canary/total': count(3) }],
  ])('are not seen in %s', (_what, given) => {
    expect(unlikeSides(answers(given), [])).toEqual([]);
  });
});
