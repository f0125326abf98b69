import { open, readFile, rename, stat, type FileHandle } from 'node:fs/promises';
import { CodedError, sentenceOf } from '../errors.ts';
import type { ChainEnd } from './chain.ts';
import type { SinkTarget } from './journal-sink.ts';

const CHUNK_BYTES = 65_536;
const NEWLINE = 0x0a;

/**
 * A file that entries are appended to, each flushed to the disk. Where it stands is kept beside it in `PATH.cursor`, so
 * that a rotated file is gone on with in a new one; a line that a crash has cut is taken away and comes again.
 *
 * Every method throws CodedError `journal_sink_failed` (retryable)
 */
export function fileSink(path: string): SinkTarget {
  let handle: FileHandle | undefined;
  let inode = 0;

  const release = async (): Promise<void> => {
    const held = handle;
    handle = undefined;
    await held?.close();
  };

  /** The file at the path, which is another one after a rotation. */
  const current = async (): Promise<FileHandle> => {
    if (handle !== undefined && (await inodeOf(path)) === inode) return handle;
    await release();
    handle = await open(path, 'a+', 0o600);
    inode = (await handle.stat()).ino;
    return handle;
  };

  const guarded = async <T>(act: () => Promise<T>): Promise<T> => {
    try {
      return await act();
    } catch (error) {
      // What was written half is looked at anew.
      await release().catch(() => {});
      throw new CodedError(
        'journal_sink_failed',
        `The journal cannot be written to ${path} (${sentenceOf(error)}). Make room, or check journal.path and its permissions.`,
        { retryable: true, cause: error, details: { path } },
      );
    }
  };

  return {
    name: path,

    position: () =>
      guarded(async () => {
        const file = await current();
        const last = await lastLine(file);
        const kept = await readCursor(`${path}.cursor`);
        // The file is ahead when the process ended between the two.
        return last !== null && last.number >= (kept?.number ?? 0) ? last : kept;
      }),

    write: (text, end) =>
      guarded(async () => {
        const file = await current();
        await file.appendFile(text);
        await file.datasync();
        await writeCursor(`${path}.cursor`, end);
      }),

    close: () => guarded(release),
  };
}

async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The last whole line as a place in the chain; what follows it is cut off the file. */
async function lastLine(file: FileHandle): Promise<ChainEnd | null> {
  const { size } = await file.stat();
  let tail = Buffer.alloc(0);
  let from = size;
  let wholeEnd = -1;
  let lineStart = -1;
  while (from > 0 && lineStart < 0) {
    const length = Math.min(CHUNK_BYTES, from);
    from -= length;
    const chunk = Buffer.alloc(length);
    await file.read(chunk, 0, length, from);
    tail = Buffer.concat([chunk, tail]);
    const newline = tail.lastIndexOf(NEWLINE);
    wholeEnd = newline < 0 ? -1 : newline + 1;
    const before = newline < 1 ? -1 : tail.lastIndexOf(NEWLINE, newline - 1);
    if (before >= 0) lineStart = before + 1;
    else if (from === 0) lineStart = 0;
  }
  const keep = wholeEnd < 0 ? 0 : from + wholeEnd;
  if (keep < size) {
    await file.truncate(keep);
    await file.datasync();
  }
  if (wholeEnd < 0) return null;
  return placeIn(tail.subarray(lineStart, wholeEnd).toString('utf8'));
}

async function readCursor(path: string): Promise<ChainEnd | null> {
  try {
    return placeIn(await readFile(path, 'utf8'));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** @throws Error for a file that is somebody else's: nothing is appended to it */
function placeIn(json: string): ChainEnd {
  const value: unknown = JSON.parse(json);
  if (typeof value === 'object' && value !== null && 'number' in value && 'hash' in value) {
    const { number, hash } = value;
    if (typeof number === 'number' && typeof hash === 'string') return { number, hash };
  }
  throw new Error('it holds something that is not a journal');
}

/** Replaced as a whole, so that a crash leaves the old one or the new one. */
async function writeCursor(path: string, { number, hash }: ChainEnd): Promise<void> {
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(JSON.stringify({ number, hash }));
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
