import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { CodedError } from '../errors.ts';

const MAX_SECRET_BYTES = 65_536;

/**
 * Reads a secret from its file; the one newline that editors put at the end is not part of it. Read anew at every use,
 * so that a rotated secret is taken up. The content never becomes part of an error.
 *
 * @param folder where relative paths start: the folder of the configuration file
 * @param key the configuration key that names the file, for the message
 * @throws CodedError `secret_unreadable` (retryable: mounted secrets are replaced while we run)
 */
export async function readSecret(folder: string, file: string, key: string): Promise<string> {
  const path = resolve(folder, file);
  const refuse = (why: string) =>
    new CodedError('secret_unreadable', `${key}: ${why} ${path}`, { retryable: true, details: { key, path } });
  let text: string;
  try {
    const handle = await open(path, 'r');
    try {
      // One byte more than allowed shows that a file is too large, even one without a size such as a pipe.
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(MAX_SECRET_BYTES + 1), 0, MAX_SECRET_BYTES + 1, null);
      if (bytesRead > MAX_SECRET_BYTES) throw refuse(`more than ${MAX_SECRET_BYTES} bytes are no secret; check the file`);
      text = buffer.toString('utf8', 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof CodedError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    throw refuse(`cannot read (${code}) the file`);
  }
  const secret = text.replace(/\r?\n$/, '');
  if (secret === '') throw refuse('nothing stands in the file');
  return secret;
}
