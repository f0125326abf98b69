import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matchesGlob } from './glob.ts';
import { heldBy, modeFor, type GuardFacts } from './guards.ts';
import { isWithin } from './paths.ts';
import type { Policy } from './policy.ts';
import type { Rollback } from './record.ts';

const policy: Policy = {
  application: 'shop',
  repository: 'deploy',
  branch: 'main',
  paths: ['apps/shop'],
  mode: 'rollback',
  maxPerDay: 3,
  approvalPaths: ['**/migrations/**'],
  onConfounded: 'propose',
  onUndeployable: 'propose',
};
const rollback = { approvedBy: null } as Rollback;
const facts: GuardFacts = {
  rollback,
  policy,
  badCommit: { subject: 'shop 1.2.0', message: 'shop 1.2.0\n' },
  changed: ['apps/shop/rollout.yaml'],
  pushedToday: 0,
  sameContent: 0,
  unhelpful: null,
};

describe('guards', () => {
  it('let an ordinary bad commit pass', () => {
    expect(heldBy(facts)).toBeNull();
  });

  it.each([
    ['our own', { subject: 'Revert "shop 1.2.0"', message: 'Revert "shop 1.2.0"\n\nDavylamp-Rollback: rb-1\n' }],
    ["git's", { subject: 'take it back', message: `take it back\n\nThis reverts commit ${'a'.repeat(40)}.\n` }],
    ['a trailer', { subject: 'x', message: 'x\n\nReverts: abc1234\n' }],
  ])('hold when the bad commit is itself a revert: %s', (_, badCommit) => {
    expect(heldBy({ ...facts, badCommit })?.code).toBe('reverts_a_revert');
  });

  it('hold after a rollback that did not help', () => {
    expect(heldBy({ ...facts, unhelpful: 'rb-1' })?.code).toBe('last_rollback_did_not_help');
  });

  it('hold a loop after one repeat', () => {
    expect(heldBy({ ...facts, sameContent: 1 })).toBeNull();
    expect(heldBy({ ...facts, sameContent: 2 })?.code).toBe('loop');
  });

  it('hold at the limit of the day, and a limit of 0 always holds', () => {
    expect(heldBy({ ...facts, pushedToday: 2 })).toBeNull();
    expect(heldBy({ ...facts, pushedToday: 3 })?.code).toBe('limit_per_day');
    expect(heldBy({ ...facts, policy: { ...policy, maxPerDay: 0 } })?.code).toBe('limit_per_day');
  });

  it('hold when a path needs an approval, and name it', () => {
    const held = heldBy({ ...facts, changed: ['apps/shop/migrations/0001.sql'] });
    expect(held?.code).toBe('approval_needed');
    expect(held?.sentence).toContain('apps/shop/migrations/0001.sql');
  });

  it('are released by a person', () => {
    expect(heldBy({ ...facts, pushedToday: 9, rollback: { approvedBy: 'ada' } as Rollback })).toBeNull();
  });
});

describe('mode without a live baseline', () => {
  it('proposes at most, unless the application opted in', () => {
    expect(modeFor(policy, { confounded: true })).toBe('propose');
    expect(modeFor({ ...policy, onConfounded: 'rollback' }, { confounded: true })).toBe('rollback');
    expect(modeFor({ ...policy, mode: 'shadow' }, { confounded: true })).toBe('shadow');
    expect(modeFor(policy, { confounded: false })).toBe('rollback');
    expect(modeFor(policy, { confounded: false, undeployable: true })).toBe('propose');
    expect(modeFor({ ...policy, onUndeployable: 'rollback' }, { confounded: false, undeployable: true })).toBe('rollback');
  });
});

describe('paths', () => {
  it.each([
    ['apps/shop/a.yaml', ['apps/shop'], true],
    ['apps/shop', ['apps/shop'], true],
    ['apps/shop-eu/a.yaml', ['apps/shop'], false],
    ['apps/shop/a.yaml', ['apps/shop/'], true],
    ['anything/at/all', ['.'], true],
    ['apps', ['apps/shop'], false],
  ])('%s within %j: %s', (path, roots, within) => {
    expect(isWithin(path, roots)).toBe(within);
  });

  it.each([
    ['db/migrations/1.sql', '**/migrations/**', true],
    ['migrations/1.sql', '**/migrations/**', true],
    ['migrations', '**/migrations/**', true],
    ['db/migration/1.sql', '**/migrations/**', false],
    ['a/b.yaml', '*.yaml', false],
    ['b.yaml', '*.yaml', true],
    ['a/b/c.yaml', 'a/**/c.yaml', true],
    ['a/c.yaml', 'a/**/c.yaml', true],
    ['abc', 'a?c', true],
    ['a/c', 'a?c', false],
    ['a.c', 'a.c', true],
    ['abc', 'a.c', false],
  ])('%s matches %s: %s', (path, glob, matches) => {
    expect(matchesGlob(path, glob)).toBe(matches);
  });

  it('answers at once for any glob', () => {
    const started = process.hrtime.bigint();
    expect(matchesGlob('a'.repeat(400), `${'*a'.repeat(200)}b`)).toBe(false);
    expect(Number(process.hrtime.bigint() - started) / 1e6).toBeLessThan(1_000);
    fc.assert(fc.property(fc.string(), fc.string(), (path, glob) => typeof matchesGlob(path, glob) === 'boolean'));
  });
});
