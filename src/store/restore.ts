import { createReadStream } from 'node:fs';
import { CodedError } from '../errors.ts';
import { BackupReader, type BackupFacts } from './backup.ts';
import { LineSplitter } from './lines.ts';
import type { Archive, ArchivedPart } from './port.ts';

/** What one call writes. */
const BATCH_PARTS = 200;
const BATCH_BYTES = 4 * 1_048_576;

/**
 * Restores a backup into an empty place. The whole file is checked before the first write, and again while it is
 * written, because it may have been changed between.
 *
 * @throws CodedError `restore_not_empty`, `backup_invalid`, `backup_truncated`, `store_newer`, `file_unreadable`, and
 *   those of the archive
 */
export async function restoreBackup(file: string, archive: Archive): Promise<BackupFacts> {
  if (!(await archive.isEmpty())) {
    throw new CodedError(
      'restore_not_empty',
      'The store holds data already, and a restore would mix the two. Stop every davylamp that uses it, and name an empty ' +
        'folder in storage.path or another storage.prefix.',
    );
  }
  await readBackup(file, async () => {});
  const facts = await readBackup(file, (parts) => archive.load(parts));
  await archive.finish();
  return facts;
}

async function readBackup(file: string, take: (parts: readonly ArchivedPart[]) => Promise<void>): Promise<BackupFacts> {
  const reader = new BackupReader();
  const splitter = new LineSplitter();
  let parts: ArchivedPart[] = [];
  let bytes = 0;
  for await (const chunk of fileBytes(file)) {
    for (const line of splitter.push(chunk)) {
      const part = reader.read(line);
      if (part === null) continue;
      parts.push(part);
      bytes += line.length;
      if (parts.length < BATCH_PARTS && bytes < BATCH_BYTES) continue;
      await take(parts);
      parts = [];
      bytes = 0;
    }
  }
  const facts = reader.end(splitter.unfinished);
  if (parts.length > 0) await take(parts);
  return facts;
}

/** @throws CodedError `file_unreadable` */
export async function* fileBytes(file: string): AsyncGenerator<Buffer, void, undefined> {
  try {
    for await (const chunk of createReadStream(file)) yield chunk as Buffer;
  } catch (error) {
    if (!(error instanceof Error) || !('syscall' in error)) throw error;
    throw new CodedError('file_unreadable', `The file ${file} cannot be read (${error.message}).`, { cause: error });
  }
}
