import { describe, expect, it } from 'vitest';
import { saysItReverts } from './reverting.ts';

const sha = 'c0ffee5deadbeef'.padEnd(40, '0');
const says = (title: string, body: string | null = null, subject = 'Raise the limit') =>
  saysItReverts({ title, body }, { sha, subject });

describe('a proposal that takes a commit out', () => {
  it.each([
    ['Revert "Raise the limit"', null],
    ['Revert "Raise the limit" (#7)', ''],
    ['Back out', `This reverts commit ${sha}.`],
    ['Back out', `Reverting ${sha.slice(0, 8)} until Monday`],
    ['Back out', `Some words.\n\nReverts: ${sha}`],
    ['Revert: limits', `reverts ${sha.toUpperCase()}`],
  ])('is one by its title or by its words: %s / %s', (title, body) => {
    expect(says(title, body)).toBe(true);
  });

  it.each([
    ['Reapply "Raise the limit"', `This reverts commit ${'9'.repeat(40)}.`],
    ['Revert "Revert "Raise the limit""', `> This reverts commit ${sha}.`],
    ['Raise the limit', sha],
    ['Revert "Raise the limits"', null],
    ['Fix', `Mends what ${sha} broke.\nDoes not need a revert.`],
    ['Fix', `Reverts commit ${sha.slice(0, 6)}`],
    ['Revert "Lower"', `> This reverts commit ${sha}.`],
  ])('is none when it speaks of something else: %s / %s', (title, body) => {
    expect(says(title, body)).toBe(false);
  });

  it("knows what the forges' buttons make of squashes and merges", () => {
    expect(says('Revert "Raise the limit"', 'Reverts acme/deploy#12', 'Raise the limit (#12)')).toBe(true);
    expect(says('Undo', 'Reverts acme/deploy#12', 'Merge pull request #12 from robin/limit')).toBe(true);
    expect(says('Undo', 'Reverts acme/deploy#123', 'Raise the limit (#12)')).toBe(false);
  });

  it('knows a subject that the forge has cut', () => {
    const subject = 'Raise the limit of the connections of the recommender to four hundred';
    expect(says('Revert "Raise the limit of the connections of the recomm…', null, subject)).toBe(true);
    expect(says('Revert "Raise…', null, subject)).toBe(false);
  });
});
