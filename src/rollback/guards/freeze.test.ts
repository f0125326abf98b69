import { describe, expect, it } from 'vitest';
import { FLEET, guardFacts } from '../../../test/support/guard-facts.ts';
import type { FreezeWindow } from '../fleet.ts';
import { frozen, isTimezone, isWithinWindow } from './freeze.ts';

const ALL = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'] as const;
const weekly = (change: Partial<Extract<Required<FreezeWindow>, { from: string }>>): Required<FreezeWindow> => ({
  days: [...ALL],
  from: '17:00',
  to: '08:00',
  timezone: 'UTC',
  ...change,
});

describe('freeze windows', () => {
  // 2026-05-08 is a Friday.
  it.each<[string, Required<FreezeWindow>, string, boolean]>([
    ['in the middle', weekly({ from: '09:00', to: '10:00' }), '2026-05-08T09:30:00Z', true],
    ['at its first minute', weekly({ from: '09:00', to: '10:00' }), '2026-05-08T09:00:00Z', true],
    ['not at its end', weekly({ from: '09:00', to: '10:00' }), '2026-05-08T10:00:00Z', false],
    ['on the evening of its day', weekly({ days: ['friday'] }), '2026-05-08T23:00:00Z', true],
    ['on the morning after', weekly({ days: ['friday'] }), '2026-05-09T07:59:00Z', true],
    ['not on the morning before', weekly({ days: ['friday'] }), '2026-05-08T07:59:00Z', false],
    ['not on the evening after', weekly({ days: ['friday'] }), '2026-05-09T18:00:00Z', false],
    [
      'the whole day, when it ends as it begins',
      weekly({ from: '00:00', to: '00:00', days: ['friday'] }),
      '2026-05-08T13:00:00Z',
      true,
    ],
    ['by an offset', weekly({ from: '17:00', to: '18:00', timezone: '+02:00' }), '2026-05-08T15:30:00Z', true],
    [
      'by a negative offset',
      weekly({ from: '23:00', to: '23:30', timezone: '-03:30', days: ['thursday'] }),
      '2026-05-08T02:45:00Z',
      true,
    ],
    ['by a name, in summer', weekly({ from: '17:00', to: '18:00', timezone: 'Europe/Berlin' }), '2026-07-01T15:30:00Z', true],
    ['by a name, in winter', weekly({ from: '17:00', to: '18:00', timezone: 'Europe/Berlin' }), '2026-12-01T15:30:00Z', false],
    [
      'by a name, the day there',
      weekly({ days: ['saturday'], from: '00:00', to: '06:00', timezone: 'Asia/Tokyo' }),
      '2026-05-08T16:00:00Z',
      true,
    ],
    ['once', { start: '2026-12-20T00:00:00+01:00', end: '2027-01-02T00:00:00+01:00' }, '2026-12-19T23:00:00Z', true],
    ['not before', { start: '2026-12-20T00:00:00+01:00', end: '2027-01-02T00:00:00+01:00' }, '2026-12-19T22:59:59Z', false],
  ])('count %s', (_, window, at, within) => {
    expect(isWithinWindow(window, Date.parse(at))).toBe(within);
  });

  it('hold rollbacks only where the freeze is for them, too', () => {
    const now = Date.parse('2026-05-08T18:00:00Z');
    expect(frozen(guardFacts({ now }))).toBeNull();
    const held = frozen(guardFacts({ now, fleet: { ...FLEET, frozen: [weekly({})] } }));
    expect(held).toMatchObject({ code: 'frozen', approvable: true });
    expect(held?.sentence).toContain('until 08:00 UTC');
  });

  it.each([
    ['UTC', true],
    ['Europe/Berlin', true],
    ['+02:00', true],
    ['-0330', true],
    ['+24:00', false],
    ['Middle/Earth', false],
    ['', false],
  ])('know whether %j is a timezone: %s', (timezone, known) => {
    expect(isTimezone(timezone)).toBe(known);
  });
});
