import { describe, expect, it } from 'vitest';
import { committed } from './commit.ts';
import { CodedError } from './errors.ts';

const store = (error?: unknown) => ({
  commit: () => (error === undefined ? Promise.resolve([]) : Promise.reject(error as Error)),
});

describe('a commit', () => {
  it('says whether it was made, or somebody else was faster', async () => {
    expect(await committed(store(), [])).toBe(true);
    expect(await committed(store(new CodedError('conflict', 'read it again')), [])).toBe(false);
  });

  it('that fails for another reason is not taken for either', async () => {
    const down = new CodedError('store_unavailable', 'later', { retryable: true });
    await expect(committed(store(down), [])).rejects.toBe(down);
    const bug = new TypeError('a bug');
    await expect(committed(store(bug), [])).rejects.toBe(bug);
  });
});
