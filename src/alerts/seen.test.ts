import { describe, expect, it } from 'vitest';
import type { Notice } from './notice.ts';
import { RecentNotices } from './seen.ts';

const NOON = Date.parse('2026-05-04T12:00:00Z');
const MINUTE = 60_000;

function notice(
  change: { fingerprint?: string; startsAt?: string; application?: string; status?: Notice['status'] } = {},
): Notice {
  const { fingerprint = 'aa', startsAt = '2026-05-04T11:59:00.000Z', application = 'shop', status = 'firing' } = change;
  const alert = { name: 'Slow', fingerprint, startsAt, labels: {} };
  return { application, consequence: 'analyze', alert, status, endsAt: null, ignored: null };
}

function storing(notices: readonly Notice[], now = NOON): RecentNotices {
  const recent = new RecentNotices();
  for (const each of notices) recent.claim(each, now);
  recent.confirm(now);
  return recent;
}

describe('what was stored lately', () => {
  it('is known by fingerprint, beginning, application and status', () => {
    const recent = storing([notice()]);
    expect(recent.has(notice(), NOON)).toBe(true);
    expect(recent.claim(notice(), NOON)).toBe(false);
    const others = [
      { fingerprint: 'ab' },
      { startsAt: '2026-05-04T11:59:01.000Z' },
      { startsAt: '2026-05-03T11:59:00.000Z' },
      { application: 'cart' },
      { status: 'resolved' as const },
    ];
    for (const other of others) expect(recent.has(notice(other), NOON)).toBe(false);
  });

  it('is not known before its write has ended, and is taken for one write only', () => {
    const recent = new RecentNotices();
    expect(recent.claim(notice(), NOON)).toBe(true);
    expect(recent.claim(notice(), NOON)).toBe(false);
    expect(recent.has(notice(), NOON)).toBe(false);
    recent.confirm(NOON);
    expect(recent.has(notice(), NOON)).toBe(true);
  });

  it('is forgotten after a minute, after a fault, and by a clock that was set back', () => {
    const recent = storing([notice()]);
    expect(recent.has(notice(), NOON + MINUTE - 1)).toBe(true);
    expect(recent.has(notice(), NOON + MINUTE)).toBe(false);
    expect(recent.has(notice(), NOON - 1)).toBe(false);
    expect(recent.claim(notice(), NOON + MINUTE)).toBe(true);
    recent.clear();
    expect(recent.has(notice(), NOON + MINUTE)).toBe(false);
    expect(recent.claim(notice(), NOON + MINUTE)).toBe(true);
  });

  it('says of nothing that it is stored which is not, however many there are', () => {
    const all = Array.from({ length: 100_000 }, (_, at) => notice({ fingerprint: at.toString(16).padStart(16, '0') }));
    const recent = new RecentNotices();
    const stored = all.filter((_, at) => at % 2 === 0);
    for (let from = 0; from < stored.length; from += 1_000) {
      for (const each of stored.slice(from, from + 1_000)) expect(recent.claim(each, NOON + from)).toBe(true);
      recent.confirm(NOON + from);
    }
    const now = NOON + stored.length;
    expect(all.filter((each, at) => at % 2 === 1 && recent.has(each, now))).toEqual([]);
    expect(stored.slice(-4_000).every((each) => recent.has(each, now))).toBe(true);
  });
});
