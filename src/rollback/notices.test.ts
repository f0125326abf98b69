import { describe, expect, it } from 'vitest';
import { EXAMPLES } from '../http/examples.ts';
import type { ChainedEntry } from '../store/port.ts';
import { noticesOf } from './notices.ts';
import type { Rollback } from './record.ts';

const entry = (number: number, event: string, code: string, fleet?: string): ChainedEntry => ({
  number,
  hash: 'h',
  previous: 'p',
  at: 1_700_000_000_000 + number,
  event,
  application: 'shop',
  subject: 'rb-1',
  code,
  sentence: 'because',
  details: fleet === undefined ? {} : { fleet },
});
const rollback: Rollback = {
  ...(EXAMPLES['Rollback'] as Rollback),
  id: 'rb-1',
  application: 'shop',
  trigger: 'analysis',
  mode: 'rollback',
};
const told = (...entries: ChainedEntry[]) =>
  noticesOf(rollback, entries, null).map(({ id, incident, urgency }) => `${id} ${incident} ${urgency}`);

describe('what is told of rollbacks that were held together', () => {
  const decided = entry(1, 'rollback.decided', 'decided');
  const held = entry(2, 'rollback.held', 'fleet_breaker', 'fleet-7');

  it('is one page, which is over when the first of them goes on', () => {
    expect(told(decided, held)).toEqual(['rb-1-1 rb-1 info', 'fleet-7-held fleet-7 page']);
    const on = [entry(3, 'rollback.approved', 'approved'), entry(4, 'rollback.executing', 'executing')];
    expect(told(decided, held, ...on).slice(2)).toEqual(['fleet-7-over fleet-7 info', 'rb-1-3 rb-1 info', 'rb-1-4 rb-1 info']);
  });

  it('is not over while it waits for something else', () => {
    expect(told(held, entry(3, 'rollback.stuck', 'not_synced'))).toEqual(['fleet-7-held fleet-7 page', 'rb-1-3 rb-1 page']);
    const later = told(held, entry(3, 'rollback.held', 'fleet_breaker', 'fleet-7'), entry(4, 'rollback.refused', 'refused'));
    expect(later).toEqual([
      'fleet-7-held fleet-7 page',
      'fleet-7-held fleet-7 page',
      'fleet-7-over fleet-7 info',
      'rb-1-4 rb-1 warn',
    ]);
  });
});
