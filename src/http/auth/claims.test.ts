import { describe, expect, it } from 'vitest';
import { claimsMatch } from './claims.ts';

describe('claims', () => {
  it.each<[Record<string, unknown>, Record<string, string>, boolean]>([
    [{ repository: 'acme/shop' }, { repository: 'acme/shop' }, true],
    [{ repository: 'acme/shop' }, { repository: 'acme/*' }, true],
    [{ repository: 'acme/team/shop' }, { repository: 'acme/*' }, false],
    [{ repository: 'acme/team/shop' }, { repository: 'acme/**' }, true],
    [{ repository: 'acme-evil/shop' }, { repository: 'acme/**' }, false],
    [{ repository: 'evil/acme/shop' }, { repository: 'acme/shop' }, false],
    [{ repository: 'Acme/shop' }, { repository: 'acme/shop' }, false],
    [{ repository: 'acme/shop\n' }, { repository: 'acme/shop' }, false],
    [{ repository: 'acmeXshop' }, { repository: 'acme.shop' }, false],
    [{ ref: 'refs/heads/release/1' }, { ref: 'refs/heads/release/*' }, true],
    [{ groups: ['dev', 'ops'] }, { groups: 'ops' }, true],
    [{ groups: ['dev', 'ops-evil'] }, { groups: 'ops' }, false],
    [{ run: 7, protected: true }, { run: '7', protected: 'true' }, true],
    [{ repository: 'acme/shop' }, { repository: 'acme/shop', ref: 'refs/heads/main' }, false],
    [{ repository: { toString: 'acme/shop' } }, { repository: '**' }, false],
    [{ repository: null }, { repository: '**' }, false],
    [{}, { toString: '**' }, false],
    [{}, { repository: '**' }, false],
    [{ repository: '' }, { repository: '*' }, true],
  ])('%j meet %j: %s', (claims, match, met) => {
    expect(claimsMatch(claims, match)).toBe(met);
  });

  it('of any length are matched in bounded time', () => {
    const before = performance.now();
    expect(claimsMatch({ sub: 'a'.repeat(1_000) }, { sub: '*a'.repeat(240) + 'b' })).toBe(false);
    expect(claimsMatch({ sub: 'a'.repeat(100_000) }, { sub: '**' })).toBe(false);
    expect(performance.now() - before).toBeLessThan(2_000);
  });
});
