import { describe, expect, it } from 'vitest';
import type { DeliveryState } from '../delivery/port.ts';
import type { LedgerEntry } from './record.ts';
import { isAtLeast, looked, outweighs, personNamed, seedsOf, type Claim, type Watched } from './rules.ts';

const MINUTE = 60_000;
const LOOK_MS = 15_000;
const BAKE_MS = 60 * MINUTE;
const [A, B, C] = ['a', 'b', 'c'].map((digit) => digit.repeat(40)) as [string, string, string];
const T0 = Date.parse('2026-01-01T12:00:00.000Z');

function entry(change: Partial<LedgerEntry>): LedgerEntry {
  return {
    application: 'shop',
    revision: A,
    standing: 'good',
    rank: 'baked',
    since: new Date(T0).toISOString(),
    by: 'delivery',
    reason: 'it ran',
    reference: null,
    content: null,
    firstLiveAt: null,
    updatedAt: new Date(T0).toISOString(),
    ...change,
  };
}

function claim(change: Partial<Claim>): Claim {
  return { standing: 'good', rank: 'baked', by: 'delivery', reason: 'it ran', reference: null, at: T0 + MINUTE, ...change };
}

describe('a claim about a revision', () => {
  it('is news where nothing is known', () => {
    expect(outweighs(claim({}), null)).toBe(true);
    expect(outweighs(claim({}), entry({ standing: 'unknown', rank: null }))).toBe(true);
  });

  it('raises the rank and never lowers it: proved, completed, baked, seeded', () => {
    const ranks = ['proved', 'completed', 'baked', 'seeded'] as const;
    ranks.forEach((rank, at) => {
      for (const [other, claimed] of ranks.entries()) {
        expect(outweighs(claim({ rank: claimed }), entry({ rank }))).toBe(other < at);
        expect(isAtLeast(claimed, rank)).toBe(other <= at);
      }
      expect(isAtLeast(null, rank)).toBe(false);
    });
  });

  it('makes a good revision bad, and never a bad one good', () => {
    expect(outweighs(claim({ standing: 'bad', rank: null }), entry({ rank: 'proved' }))).toBe(true);
    expect(outweighs(claim({ rank: 'proved', by: 'analysis' }), entry({ standing: 'bad', rank: null }))).toBe(false);
    expect(outweighs(claim({ rank: 'proved', by: 'analysis' }), entry({ standing: 'suspect', rank: null }))).toBe(false);
  });

  it('5.5: makes a bad revision suspect when its rollback did not help, and suspect it stays until a person says more', () => {
    expect(outweighs(claim({ standing: 'suspect', rank: null }), entry({ standing: 'bad', rank: null }))).toBe(true);
    const suspect = entry({ standing: 'suspect', rank: null });
    expect(outweighs(claim({ standing: 'bad', rank: null }), suspect)).toBe(false);
    expect(outweighs(claim({ standing: 'bad', rank: null, by: 'ada' }), suspect)).toBe(true);
  });

  it('of a person goes before all, and gives way to a person only', () => {
    const ada = { by: 'ada', reason: 'I looked' };
    for (const standing of ['good', 'bad', 'suspect', 'unknown'] as const) {
      expect(outweighs(claim({ ...ada, standing: 'good', rank: null }), entry({ standing }))).toBe(true);
      expect(outweighs(claim({ ...ada, standing: 'bad', rank: null }), entry({ standing }))).toBe(true);
    }
    const bad = entry({ ...ada, standing: 'bad', rank: null });
    const good = entry({ ...ada, rank: null });
    expect(outweighs(claim({ standing: 'suspect', rank: null }), bad)).toBe(false);
    expect(outweighs(claim({ rank: 'proved', by: 'analysis' }), good)).toBe(false);
    expect(outweighs(claim({ standing: 'bad', rank: null, by: 'analysis' }), good)).toBe(false);
    expect(outweighs(claim({ ...ada, rank: null }), good)).toBe(false);
    expect(outweighs(claim({ ...ada, by: 'bob', standing: 'bad', rank: null }), good)).toBe(true);
  });

  it('of a person whose credential is named as a part of davylamp is a person’s all the same', () => {
    expect(personNamed('ada')).toBe('ada');
    const known = entry({ by: personNamed('delivery'), standing: 'bad', rank: null });
    expect(outweighs(claim({ standing: 'suspect', rank: null, by: 'rollback' }), known)).toBe(false);
  });
});

type Look = Partial<DeliveryState> & { ms?: number };

/** What is noted while an application is looked at, one look after the other. */
function watch(looks: readonly Look[], before: Watched | null = null) {
  let watched = before;
  let now = before === null ? T0 : before.lookedAt;
  const notes: string[] = [];
  const lives: string[] = [];
  for (const { ms = LOOK_MS, ...state } of looks) {
    now += ms;
    const result = looked(watched, { canary: null, stable: A, synced: null, phase: 'healthy', ...state }, now, BAKE_MS);
    watched = result.watched;
    lives.push(...result.live.map((revision) => revision.slice(0, 1)));
    notes.push(...result.noted.map(({ revision, rank }) => `${revision.slice(0, 1)} ${rank}`));
  }
  return { notes, lives, watched };
}
const times = (count: number, look: Look): Look[] => Array.from({ length: count }, () => look);
const LOOKS_TO_BAKE = BAKE_MS / LOOK_MS;

describe('what looks at an application say', () => {
  it('the stable revision of the first look of all is seeded, later ones are not', () => {
    expect(watch([{}, { stable: B }]).notes).toEqual(['a seeded']);
    expect(watch([{ phase: 'progressing', canary: B }]).notes).toEqual(['a seeded']);
  });

  it('a stable revision that is degraded at the first look is nothing to go back to', () => {
    expect(watch([{ phase: 'degraded' }]).notes).toEqual([]);
    expect(watch([{ phase: 'degraded', canary: B }]).notes).toEqual(['a seeded']);
    expect(watch([{ trouble: { revision: A, code: 'crash_loop', sentence: '' } }]).notes).toEqual([]);
  });

  it('a canary that is the stable revision then, and healthy, is completed', () => {
    const release = { phase: 'progressing', canary: B } as const;
    expect(watch([{}, release, release, { stable: B, phase: 'progressing' }]).notes).toEqual(['a seeded']);
    expect(watch([{}, release, { stable: B, phase: 'progressing' }, { stable: B }, { stable: B }]).notes).toEqual([
      'a seeded',
      'b completed',
    ]);
    expect(watch([{}, release, { stable: B, phase: 'degraded' }]).notes).toEqual(['a seeded']);
  });

  it('a canary that was aborted is nothing, and the stable revision before it stays what it was', () => {
    const { notes } = watch([
      {},
      { phase: 'progressing', canary: B },
      ...times(LOOKS_TO_BAKE * 2, { phase: 'aborted', canary: B }),
    ]);
    expect(notes).toEqual(['a seeded']);
  });

  it('a stable revision that was healthy for bakeTime is baked, once', () => {
    expect(watch(times(LOOKS_TO_BAKE, {})).notes).toEqual(['a seeded']);
    expect(watch(times(LOOKS_TO_BAKE * 3, {})).notes).toEqual(['a seeded', 'a baked']);
  });

  it('baking begins anew when the revision was degraded or another one ran, and waits while a release is under way', () => {
    const most = times(LOOKS_TO_BAKE - 1, {});
    expect(watch([...most, { phase: 'degraded' }, ...most]).notes).toEqual(['a seeded']);
    expect(watch([...most, { stable: B }, ...most]).notes).toEqual(['a seeded']);
    const release = times(4, { phase: 'progressing', canary: B });
    expect(watch([...most, ...release, ...times(4, {})]).notes).toEqual(['a seeded', 'a baked']);
    expect(watch([...most, ...times(100, { phase: 'unknown' })]).notes).toEqual(['a seeded']);
  });

  it('time in which nobody looked does not bake', () => {
    const { notes } = watch([{}, {}, { ms: 24 * 60 * MINUTE }, {}]);
    expect(notes).toEqual(['a seeded']);
  });

  it('each revision goes live once, an aborted canary and an unknown stable revision not at all', () => {
    const { lives } = watch([
      {},
      { phase: 'progressing', canary: B },
      { phase: 'progressing', canary: B, stable: null },
      { phase: 'aborted', canary: C },
      { stable: B },
      { stable: A },
    ]);
    expect(lives).toEqual(['a', 'b', 'a']);
  });
});

describe('what ran before davylamp looked', () => {
  const state: DeliveryState = { canary: null, stable: A, synced: null, phase: 'healthy' };
  const stable = { revision: A, from: T0 - 2 * BAKE_MS, to: null, role: 'stable' as const };

  it('is known from the cluster: the present stable revision is baked when it ran for so long', () => {
    const { noted, live } = seedsOf({ history: [stable], good: [], state }, T0, BAKE_MS);
    expect(noted).toMatchObject([{ revision: A, rank: 'baked', by: 'delivery' }]);
    expect(live).toEqual([{ revision: A, at: stable.from }]);
    expect(seedsOf({ history: [{ ...stable, from: T0 - MINUTE }], good: [], state }, T0, BAKE_MS).noted).toEqual([]);
    expect(seedsOf({ history: [stable], good: [], state: { ...state, phase: 'degraded' } }, T0, BAKE_MS).noted).toEqual([]);
  });

  it('counts for nothing where it was replaced: an aborted canary looks the same afterwards', () => {
    const gone = { revision: B, from: T0 - 9 * BAKE_MS, to: T0 - 2 * BAKE_MS, role: 'stable' as const };
    expect(seedsOf({ history: [gone], good: [], state }, T0, BAKE_MS).noted).toEqual([]);
  });

  it('is known from the operator: baked when it stayed for bakeTime, else seeded, and never what is being released', () => {
    const good = [
      { revision: C, since: T0 - MINUTE, how: 'status.history' },
      { revision: A, since: T0 - MINUTE - BAKE_MS, how: 'status.history' },
      { revision: B, since: T0 - 2 * MINUTE - BAKE_MS, how: 'status.history' },
    ];
    const { noted } = seedsOf({ history: [], good, state: { ...state, canary: C, phase: 'progressing' } }, T0, BAKE_MS);
    expect(noted).toMatchObject([
      { revision: A, rank: 'baked', by: 'operator' },
      { revision: B, rank: 'seeded', by: 'operator' },
    ]);
    expect(seedsOf({ history: [], good, state }, T0, BAKE_MS).noted[0]).toMatchObject({ revision: C, rank: 'seeded' });
  });

  it('is seeded only where the operator does not know that it was healthy, however long it stayed', () => {
    const [since, how] = [T0 - 9 * BAKE_MS, 'status.history'];
    const good = [
      { revision: A, since, how, healthyFor: 0 },
      { revision: B, since, how, healthyFor: BAKE_MS },
    ];
    expect(seedsOf({ history: [], good, state }, T0, BAKE_MS).noted.map(({ rank }) => rank)).toEqual(['seeded', 'baked']);
  });
});
