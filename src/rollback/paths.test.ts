import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matchesGlob } from './glob.ts';
import { isWithin } from './paths.ts';

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
