import { describe, expect, it } from 'vitest';
import { commitIn } from './revisions.ts';

const SHA = '0123456789abcdef0123456789abcdef01234567';

describe('what tools call a revision', () => {
  it.each([
    [SHA, SHA],
    [SHA.toUpperCase(), SHA],
    [` ${SHA}\n`, SHA],
    ['0123456', '0123456'],
    [`main@sha1:${SHA}`, SHA],
    [`sha1:${SHA}`, SHA],
    [`main/${SHA}`, SHA],
    [`feature/x@sha1:${SHA}`, SHA],
    ['1.2.3+0123456789ab', '0123456789ab'],
  ])('%j holds a commit', (text, commit) => expect(commitIn(text)).toBe(commit));

  it.each([undefined, '', 'main', 'v1.2.3', '012345', `${SHA}-dirty`, `${SHA} and more`, 'x'.repeat(5_000), 'deadbeeg'])(
    '%j holds none',
    (text) => expect(commitIn(text)).toBeNull(),
  );
});
