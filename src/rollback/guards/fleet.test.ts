import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FLEET, MINUTE, NOW, guardFacts, rollbackOf } from '../../../test/support/guard-facts.ts';
import type { FleetPolicy } from '../fleet.ts';
import type { Analysed, BadOne, GuardFacts } from './facts.ts';
import { fleetBreaker, settlesUntil } from './fleet.ts';
import { heldBy } from './guards.ts';

const DECIDED = NOW - 10_000;
const names = Array.from({ length: 40 }, (_, at) => `app-${String(at).padStart(2, '0')}`);
const shares = new Map([
  ...names.map((name): [string, string[]] => [name, ['source prom', 'repository deploy']]),
  ['shop', ['source prom', 'repository deploy']],
  ['lonely', ['source logs', 'repository own']],
]);
const fleet: FleetPolicy = { ...FLEET, shares };
const breaker = (change: Partial<FleetPolicy['breaker']>): FleetPolicy => ({
  ...fleet,
  breaker: { ...FLEET.breaker, ...change },
});
const bad = (application: string, at = DECIDED, commit = `commit of ${application}`): BadOne => ({ application, commit, at });
const analysed = (application: string, change: Partial<Analysed> = {}): Analysed => ({
  application,
  leans: false,
  nextAt: NOW + 20_000,
  lastAt: NOW - 40_000,
  ...change,
});
const facts = (change: Partial<GuardFacts['crowd']> & { now?: number; fleet?: FleetPolicy; application?: string }): GuardFacts =>
  guardFacts({
    now: change.now ?? NOW,
    fleet: change.fleet ?? fleet,
    rollback: rollbackOf({ application: change.application ?? 'shop', decidedAt: new Date(DECIDED).toISOString() }),
    crowd: { bad: change.bad ?? [bad('shop')], analysed: change.analysed ?? [], incident: change.incident ?? null },
  });

describe('5.2 a shared fault never rolls back a release: the fleet breaker', () => {
  it('lets one and two bad applications pass and holds three that share a source', () => {
    expect(fleetBreaker(facts({ bad: [bad('shop'), bad('app-00')] }))).toBeNull();
    const held = fleetBreaker(facts({ bad: [bad('shop'), bad('app-00'), bad('app-01')] }));
    expect(held?.code).toBe('fleet_breaker');
    expect(held?.sentence).toContain('3 applications on repository deploy turned bad within 10m');
    expect(held?.approvable).toBe(true);
  });

  it('counts each application once', () => {
    expect(fleetBreaker(facts({ bad: [bad('shop'), bad('shop'), bad('shop', NOW), bad('app-00')] }))).toBeNull();
  });

  it('counts only what turned bad within the time of one another', () => {
    const spread = [bad('app-00', DECIDED - 6 * MINUTE), bad('shop'), bad('app-01', DECIDED + 6 * MINUTE)];
    const now = DECIDED + 7 * MINUTE;
    expect(fleetBreaker(facts({ now, bad: spread }))).toBeNull();
    expect(fleetBreaker(facts({ now, bad: [...spread, bad('app-02', DECIDED + 1)] }))).not.toBeNull();
    expect(fleetBreaker(facts({ bad: [bad('shop'), bad('app-00', DECIDED - 11 * MINUTE), bad('app-01')] }))).toBeNull();
  });

  it('still holds what was decided in the event and comes to its push an hour later', () => {
    const crowd = [bad('shop'), bad('app-00'), bad('app-01')];
    expect(fleetBreaker(facts({ now: NOW + 60 * MINUTE, bad: crowd }))?.code).toBe('fleet_breaker');
  });

  it('does not take applications that share nothing for a fleet', () => {
    const alone = new Map([
      ['shop', ['source a']],
      ['app-00', ['source b']],
      ['app-01', ['source c']],
    ]);
    const three = [bad('shop'), bad('app-00'), bad('app-01')];
    expect(fleetBreaker(facts({ bad: three, fleet: { ...fleet, shares: alone } }))).toBeNull();
  });

  it('holds every automatic rollback meanwhile, of applications that share nothing with it, too', () => {
    const crowd = [bad('lonely'), bad('app-00'), bad('app-01'), bad('app-02')];
    expect(fleetBreaker(facts({ application: 'lonely', bad: crowd }))?.code).toBe('fleet_breaker');
  });

  it('holds at a share of those that are analysed, from four of them and two bad commits on', () => {
    const large = breaker({ applications: 20 });
    const two = [bad('shop'), bad('app-00')];
    const others = (count: number) => names.slice(1, 1 + count).map((name) => analysed(name));
    expect(fleetBreaker(facts({ fleet: large, bad: two, analysed: others(2) }))?.code).toBe('fleet_breaker');
    expect(fleetBreaker(facts({ fleet: large, bad: two, analysed: others(1) }))).toBeNull();
    expect(fleetBreaker(facts({ fleet: large, bad: two, analysed: others(3) }))).toBeNull();
    const sameCommit = [bad('shop', DECIDED, 'one'), bad('app-00', DECIDED, 'one')];
    expect(fleetBreaker(facts({ fleet: large, bad: sameCommit, analysed: others(2) }))).toBeNull();
  });

  it('lets a commit that is bad for two applications be rolled back for both', () => {
    const two = [bad('shop', DECIDED, 'one'), bad('app-00', DECIDED, 'one')];
    expect(heldBy(facts({ bad: two }))).toBeNull();
  });

  it('can be switched off, and does not hold what a person asked for', () => {
    const three = [bad('shop'), bad('app-00'), bad('app-01')];
    expect(fleetBreaker(facts({ bad: three, fleet: breaker({ isEnabled: false }) }))).toBeNull();
    const asked = { ...facts({ bad: three }), rollback: rollbackOf({ trigger: 'manual', requestedBy: 'ada' }) };
    expect(heldBy(asked)).toBeNull();
  });

  it('gives all of one event the same incident, however many are known when each is held', () => {
    const all = names.map((name, at) => bad(name, DECIDED - 30_000 + at * 500));
    const incidents = [3, 10, 40].map((count) => fleetBreaker(facts({ bad: all.slice(0, count) }))?.incident);
    expect(new Set(incidents).size).toBe(1);
    expect(incidents[0]).toMatch(/^fleet-[0-9a-f]{12}$/);
    expect(fleetBreaker(facts({ bad: all, incident: 'fleet-known' }))?.incident).toBe('fleet-known');
  });
});

describe('a fault of everything', () => {
  /** Every application is looked at once a minute, and fails at its first look after the fault. */
  function pushedOf(looks: readonly number[]): number {
    const crowdAt = (now: number) => ({
      bad: looks.flatMap((at, n) => (at <= now ? [bad(names[n] ?? '', at)] : [])),
      analysed: looks.flatMap((at, n) => (at > now ? [analysed(names[n] ?? '', { nextAt: at, lastAt: at - MINUTE })] : [])),
      incident: null,
    });
    return looks.filter((decided, n) => {
      const rollback = rollbackOf({ application: names[n] ?? '', decidedAt: new Date(decided).toISOString() });
      for (let now = decided; ;) {
        const at = guardFacts({ now, fleet, rollback, crowd: crowdAt(now) });
        if (fleetBreaker(at) !== null) return false;
        const until = settlesUntil(at);
        if (until === null) return true;
        now = until;
      }
    }).length;
  }

  it('seen by 40 applications within a minute, in any order and at any distance, pushes nothing', () => {
    const moments = fc.array(fc.integer({ min: 0, max: MINUTE - 1 }), { minLength: 40, maxLength: 40 });
    const spread = fc.uniqueArray(fc.integer({ min: 0, max: 11 }), { minLength: 12, maxLength: 12 });
    fc.assert(
      fc.property(moments, spread, (offsets, slots) => {
        // A dozen of them are spread over the minute, as looks of analyses that began at different times are.
        const looks = offsets.map((offset, n) => NOW + (n < 12 ? (slots[n] ?? 0) * 5_000 + (offset % 5_000) : offset));
        return pushedOf(looks) === 0;
      }),
      { numRuns: 300 },
    );
  });

  it('of one application alone is none: it is rolled back', () => {
    expect(pushedOf([NOW])).toBe(1);
  });
});

describe('settling', () => {
  const others = names.map((name) => analysed(name));

  it('is waited for only where enough others are being analysed', () => {
    expect(settlesUntil(facts({ now: DECIDED }))).toBeNull();
    expect(settlesUntil(facts({ now: DECIDED, analysed: others.slice(0, 1) }))).toBeNull();
    expect(settlesUntil(facts({ now: DECIDED, analysed: others.slice(0, 2) }))).toBe(DECIDED + 5_000);
    expect(settlesUntil(facts({ now: DECIDED, analysed: others, application: 'lonely', bad: [bad('lonely')] }))).toBeNull();
  });

  it('is over after its time when nobody looks bad', () => {
    expect(settlesUntil(facts({ now: DECIDED + 4_999, analysed: others }))).toBe(DECIDED + 5_000);
    expect(settlesUntil(facts({ now: DECIDED + 5_000, analysed: others }))).toBeNull();
  });

  it('takes a few looks at others that show nothing, where they come soon', () => {
    const soon = names.slice(0, 4).map((name, at) => analysed(name, { nextAt: DECIDED + 6_000 + at * 1_000 }));
    expect(settlesUntil(facts({ now: DECIDED + 5_000, analysed: soon }))).toBe(DECIDED + 6_500);
    const [first, second, ...rest] = soon.map((one) => ({ ...one, lastAt: DECIDED + 5_000 }));
    if (first === undefined || second === undefined) throw new Error('too few');
    expect(settlesUntil(facts({ now: DECIDED + 5_000, analysed: [first, ...soon.slice(1)] }))).toBe(DECIDED + 7_500);
    expect(settlesUntil(facts({ now: DECIDED + 5_000, analysed: [first, second, ...rest] }))).toBeNull();
    expect(settlesUntil(facts({ now: DECIDED + 15_000, analysed: soon }))).toBeNull();
  });

  it('goes on to the next look of the others while one of them looks bad, and no longer than a minute', () => {
    const leaning = [analysed('app-00', { leans: true, nextAt: NOW + 20_000 }), analysed('app-01', { nextAt: NOW + 3_000 })];
    expect(settlesUntil(facts({ analysed: leaning }))).toBe(NOW + 3_500);
    const another = [bad('shop'), bad('app-05')];
    expect(settlesUntil(facts({ bad: another, analysed: others }))).toBe(NOW + 20_500);
    expect(settlesUntil(facts({ now: DECIDED + MINUTE, bad: another, analysed: others }))).toBeNull();
    const slow = [
      analysed('app-00', { leans: true, nextAt: NOW + 5 * MINUTE }),
      analysed('app-01', { nextAt: NOW + 5 * MINUTE }),
    ];
    expect(settlesUntil(facts({ analysed: slow }))).toBeNull();
    const looked = [analysed('app-00', { leans: true, lastAt: DECIDED }), analysed('app-01', { lastAt: NOW })];
    expect(settlesUntil(facts({ analysed: looked }))).toBeNull();
  });

  it('is waited for after an alert, which comes without an analysis and in bursts', () => {
    const alert = {
      ...facts({ now: DECIDED }),
      rollback: rollbackOf({ requestedBy: 'alert', analysis: null, trigger: 'alert' }),
    };
    expect(settlesUntil(alert)).toBe(DECIDED + 5_000);
  });

  it('is not waited for by a person, nor where it is switched off', () => {
    const asked = { ...facts({ now: DECIDED, analysed: others }), rollback: rollbackOf({ trigger: 'manual' }) };
    expect(settlesUntil(asked)).toBeNull();
    expect(settlesUntil(facts({ now: DECIDED, analysed: others, fleet: breaker({ settle: 0 }) }))).toBeNull();
    expect(settlesUntil(facts({ now: DECIDED, analysed: others, fleet: breaker({ isEnabled: false }) }))).toBeNull();
  });
});
