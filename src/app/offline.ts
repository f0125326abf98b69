import { resolve } from 'node:path';
import { systemClock as clock } from '../clock.ts';
import { resolveDefaults } from '../config/defaults.ts';
import type { LoadedConfig } from '../config/load.ts';
import { CodedError } from '../errors.ts';
import { createHttpClient, type HttpHead } from '../net/client.ts';
import { auditFile, type AuditResult } from '../store/audit-file.ts';
import { BackupReader, type BackupFacts } from '../store/backup.ts';
import { LineSplitter } from '../store/lines.ts';
import type { Archive } from '../store/port.ts';
import { restoreBackup } from '../store/restore.ts';
import { readVersion } from '../version.ts';
import { settingsOf } from './storage.ts';

/** Backups are large and links slow; a service that hangs is noticed all the same. */
const DOWNLOAD_TIMEOUT_MS = 6 * 3_600_000;
const BACKUP_PATH = '/api/v1/admin/backup';

/** Verifies the chain of a file; no configuration and no storage is needed for that. */
export function auditJournal(file: string): Promise<AuditResult> {
  return auditFile(file);
}

/**
 * Fetches a backup from a running service and checks it while it comes.
 *
 * @param take gets the bytes in their order; what it throws ends the call
 * @throws CodedError what the service answered, `backup_truncated`, `backup_invalid`, and those of the HTTP client
 */
export async function fetchBackup(
  from: { url: string; token: string | null },
  take: (bytes: Uint8Array) => void,
): Promise<BackupFacts> {
  const http = createHttpClient();
  const reader = new BackupReader();
  const splitter = new LineSplitter();
  let head: HttpHead | undefined;
  try {
    const { status, text } = await http.request(
      {
        method: 'GET',
        url: `${from.url.replace(/\/+$/, '')}${BACKUP_PATH}`,
        headers: from.token === null ? {} : { authorization: `Bearer ${from.token}` },
        timeoutMs: DOWNLOAD_TIMEOUT_MS,
        maxBodyBytes: Number.MAX_SAFE_INTEGER,
        receive: (found) => {
          head = found;
          if (found.status !== 200) return null;
          return (bytes) => {
            for (const line of splitter.push(bytes)) reader.read(line);
            take(bytes);
          };
        },
      },
      new AbortController().signal,
    );
    if (status !== 200) throw refused(status, text);
    return reader.end(splitter.unfinished);
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'connection_lost' || head?.status !== 200) throw error;
    throw new CodedError('backup_truncated', 'The service ended the backup before its end; its log says why. Take another one.', {
      retryable: true,
      cause: error,
    });
  } finally {
    await http.close();
  }
}

/** The service's own words, when it is one. */
function refused(status: number, text: string): CodedError {
  const fallback = new CodedError('backup_refused', `The service answered ${status}. Check --url and the token.`, {
    details: { status },
  });
  try {
    const problem: unknown = JSON.parse(text);
    if (typeof problem !== 'object' || problem === null || !('code' in problem && 'detail' in problem)) return fallback;
    return new CodedError(String(problem.code), String(problem.detail), { details: { status } });
  } catch {
    return fallback;
  }
}

/**
 * Restores a backup into the empty storage of a configuration, which no davylamp may be using.
 *
 * @throws CodedError those of `restoreBackup` and of opening the storage
 */
export async function restoreInto(loaded: LoadedConfig, file: string): Promise<BackupFacts> {
  const { archive, close } = await openToRestore(loaded);
  try {
    return await restoreBackup(file, archive);
  } finally {
    await close();
  }
}

async function openToRestore(loaded: LoadedConfig): Promise<{ archive: Archive; close: () => Promise<void> }> {
  const { storage } = resolveDefaults(loaded.config);
  const version = await readVersion();
  if (storage.kind === 'embedded') {
    const { openEmbedded } = await import('../store/embedded/database.ts');
    const { createEmbeddedArchive } = await import('../store/embedded/archive.ts');
    const database = await openEmbedded({ folder: resolve(loaded.folder, storage.path), clock, version, restoring: true });
    return { archive: createEmbeddedArchive(database, { clock }), close: () => database.close() };
  }
  const { openRedis } = await import('../store/redis/connection.ts');
  const { createRedisArchive } = await import('../store/redis/archive.ts');
  const connection = await openRedis(settingsOf(storage, loaded.folder));
  return { archive: createRedisArchive(connection, { version }), close: () => connection.close() };
}
