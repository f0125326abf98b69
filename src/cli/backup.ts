import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { readSecret } from '../config/secrets.ts';
import { EXIT, readArguments, usage, type Command } from './command-line.ts';
import { complainAbout } from './config-errors.ts';

/** Of a backup, for a person. */
export interface BackupSummary {
  records: number;
  entries: number;
  end: { number: number; hash: string } | null;
}

/** Fetches a backup; src/app/offline.ts makes it. */
export type FetchBackup = (
  from: { url: string; token: string | null },
  take: (bytes: Uint8Array) => void,
) => Promise<BackupSummary>;

/**
 * Writes the backup of a running service to a file, or to the standard output. A file has its name only when it is
 * complete and was checked.
 */
export function backupWith(fetchBackup: FetchBackup): Command {
  return async (args, { write, complain }) => {
    const { values } = readArguments(args, { values: ['url', 'token-file', 'out'] });
    const url = values.get('url');
    if (url === undefined) throw usage('name the service with --url, for example --url http://127.0.0.1:8080');
    const tokenFile = values.get('token-file');
    const out = values.get('out');
    if (out !== undefined && existsSync(out)) throw usage(`${out} exists; name another file`);
    try {
      const token = tokenFile === undefined ? null : await readSecret('.', tokenFile, '--token-file');
      const target = out === undefined ? printed(write) : filed(out);
      let summary: BackupSummary;
      try {
        summary = await fetchBackup({ url, token }, target.take);
      } catch (error) {
        target.drop();
        throw error;
      }
      target.keep();
      complain(`${summaryOf(summary)}\n`);
      return EXIT.done;
    } catch (error) {
      return complainAbout(error, complain);
    }
  };
}

/** The last hash is worth keeping elsewhere: it shows later whether the journal was cut. */
export function summaryOf({ records, entries, end }: BackupSummary): string {
  const journal =
    end === null ? 'no journal entries' : `${entries} journal entries, the last one number ${end.number}, hash ${end.hash}`;
  return `${records} records, ${journal}`;
}

interface Target {
  take: (bytes: Uint8Array) => void;
  keep: () => void;
  drop: () => void;
}

function printed(write: (text: string) => void): Target {
  const decoder = new TextDecoder();
  return { take: (bytes) => write(decoder.decode(bytes, { stream: true })), keep: () => {}, drop: () => {} };
}

function filed(path: string): Target {
  const part = `${path}.part`;
  const descriptor = openSync(part, 'w', 0o600);
  return {
    take(bytes) {
      for (let done = 0; done < bytes.length;) done += writeSync(descriptor, bytes, done);
    },
    keep() {
      fsyncSync(descriptor);
      closeSync(descriptor);
      renameSync(part, path);
    },
    drop() {
      closeSync(descriptor);
      rmSync(part);
    },
  };
}
