import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSecret } from './secrets.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'davylamp-secrets-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(content: string): Promise<string> {
  await writeFile(join(folder, 'secret'), content);
  return readSecret(folder, './secret', 'repositories.deploy.tokenFile');
}

describe('a secret from a file', () => {
  it.each([
    ['abc', 'abc'],
    ['abc\n', 'abc'],
    ['abc\r\n', 'abc'],
    ['abc\n\n', 'abc\n'],
    [' abc ', ' abc '],
  ])('of content %j is %j', async (content, secret) => {
    expect(await read(content)).toBe(secret);
  });

  it('is read anew every time', async () => {
    expect(await read('one\n')).toBe('one');
    expect(await read('two\n')).toBe('two');
  });

  it('that is empty or far too large is refused without its content', async () => {
    await expect(read('\n')).rejects.toMatchObject({ code: 'secret_unreadable', retryable: true });
    await expect(read('')).rejects.toMatchObject({ code: 'secret_unreadable' });
    const large = await read('s3cret'.repeat(20_000)).catch((error: unknown) => error);
    expect(large).toMatchObject({ code: 'secret_unreadable', message: expect.stringContaining('65536 bytes') });
    expect(String(large)).not.toContain('s3cret');
  });

  it('that is not there is named by its key and its path', async () => {
    await expect(readSecret(folder, 'absent', 'sources.logs.apiKeyFile')).rejects.toMatchObject({
      code: 'secret_unreadable',
      message: `sources.logs.apiKeyFile: cannot read (ENOENT) the file ${join(folder, 'absent')}`,
      details: { key: 'sources.logs.apiKeyFile', path: join(folder, 'absent') },
    });
    await expect(readSecret(folder, '.', 'x')).rejects.toMatchObject({ code: 'secret_unreadable' });
  });
});
