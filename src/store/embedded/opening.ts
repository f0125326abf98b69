import { chmodSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'libsql';
import { CodedError } from '../../errors.ts';
import { MIGRATIONS, SCHEMA_VERSION } from './migrations.ts';
import { corrupt, explained, prepare, sqliteCode, type Connection } from './sql.ts';

const FILE = 'davylamp.db';
/** A whole check reads every page; larger files are checked page by page as they are used. */
const WHOLE_CHECK_MAX_BYTES = 16 * 1_048_576;
/** What the log may keep of its largest size after it was copied into the database. */
const LOG_KEEP_BYTES = 16 * 1_048_576;

/**
 * Opens the database of a folder for this process alone, makes it when there is none, brings its schema up to date.
 *
 * The folder's files must never be opened by any other means in this process while the database is open: closing any
 * descriptor of a file drops all POSIX locks that the process holds on it, the one that keeps a second davylamp out
 * included (https://sqlite.org/howtocorrupt.html 2.2).
 *
 * @throws CodedError `store_locked`, `store_newer`, `store_corrupt`, `store_folder`, `store_unavailable`, `restore_incomplete`
 */
export function openConnection(options: { folder: string; version: string; restoring: boolean }): {
  connection: Connection;
  epoch: string;
} {
  const { folder } = options;
  const path = databaseFile(folder);
  try {
    makeFolder(folder);
    if (!existsSync(path)) make(path, folder);
    const { size, mode } = statSync(path);
    if (size === 0) throw corrupt(folder, `${FILE} is empty`);
    if ((mode & 0o077) !== 0) chmodSync(path, 0o600);
    const connection = lock(new Database(path));
    check(connection, folder, size);
    migrate(connection, options);
    return { connection, epoch: identify(connection, options) };
  } catch (error) {
    if (sqliteCode(error) === undefined && error instanceof Error && 'syscall' in error) {
      throw new CodedError(
        'store_folder',
        `The folder ${folder} cannot be used for the database (${error.message}). Check storage.path and its permissions.`,
        { cause: error, details: { folder } },
      );
    }
    throw explained(error, folder);
  }
}

export function databaseFile(folder: string): string {
  return join(folder, FILE);
}

function makeFolder(folder: string): void {
  // A folder that exists keeps its mode: a mounted volume often belongs to somebody else, and the files are closed anyway.
  if (!existsSync(folder)) mkdirSync(folder, { recursive: true, mode: 0o700 });
}

/**
 * Makes the file under another name, because a file under the real name that is not a complete database means damage,
 * and a crash in the middle must not look like that. Two processes may do this at once: both end with one file, and
 * the lock decides between them afterwards.
 */
function make(path: string, folder: string): void {
  if (existsSync(`${path}-wal`)) throw corrupt(folder, `${FILE} is missing, but its log ${FILE}-wal is there`);
  const building = `${path}.new`;
  createClosed(building);
  const connection = new Database(building);
  connection.exec(
    'BEGIN EXCLUSIVE; CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID; COMMIT;',
  );
  connection.close();
  try {
    renameSync(building, path);
  } catch (error) {
    if (!existsSync(path)) throw error;
  }
  syncFolder(folder);
}

/** SQLite gives its side files the mode of the main one, so this is enough to close them all. */
function createClosed(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (!existsSync(path)) throw error;
  }
}

/** A rename is durable when the folder is. */
function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Exclusive mode has to be chosen before the first read; the log is then kept without shared memory, and the lock until the end. */
function lock(connection: Connection): Connection {
  for (const pragma of [
    'locking_mode = EXCLUSIVE',
    'journal_mode = WAL',
    'synchronous = FULL',
    `journal_size_limit = ${LOG_KEEP_BYTES}`,
  ]) {
    prepare<unknown>(connection, `PRAGMA ${pragma}`).all();
  }
  connection.exec('BEGIN EXCLUSIVE; COMMIT;');
  return connection;
}

function check(connection: Connection, folder: string, bytes: number): void {
  if (bytes <= WHOLE_CHECK_MAX_BYTES) {
    const found = prepare<{ quick_check: string }>(connection, 'PRAGMA quick_check(1)').all()[0];
    if (found?.quick_check !== 'ok') throw corrupt(folder, found?.quick_check ?? 'the check gave no answer');
  }
  const meta = prepare<unknown>(connection, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'meta'").get();
  if (meta === undefined) throw corrupt(folder, `${FILE} is not a database of davylamp`);
}

function migrate(connection: Connection, { folder, version: running }: { folder: string; version: string }): void {
  const version = Number(meta(connection, 'schema') ?? 0);
  const writer = meta(connection, 'written_by');
  if (version > SCHEMA_VERSION) {
    throw new CodedError(
      'store_newer',
      `The database in ${folder} was written by a newer davylamp (${writer === undefined ? '' : `version ${writer}, `}schema ` +
        `${version}; this one knows ${SCHEMA_VERSION}). Run that version or a later one, or put back the backup that was made ` +
        'before the update, or give this one a folder of its own in storage.path.',
      { details: { folder, found: version, known: SCHEMA_VERSION, writtenBy: writer ?? null } },
    );
  }
  if (version === SCHEMA_VERSION && writer === running) return;
  const set = prepare(connection, 'INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');
  connection.exec('BEGIN');
  for (const step of MIGRATIONS.slice(version)) connection.exec(step);
  set.run('schema', SCHEMA_VERSION);
  set.run('written_by', running);
  connection.exec('COMMIT');
}

/** @returns the epoch */
function identify(connection: Connection, { folder, restoring }: { folder: string; restoring: boolean }): string {
  if (meta(connection, 'restoring') !== undefined && !restoring) {
    throw new CodedError(
      'restore_incomplete',
      `A restore into ${folder} did not come to its end. Remove the folder and run davylamp restore again.`,
      { details: { folder } },
    );
  }
  const epoch = meta(connection, 'epoch');
  if (epoch === undefined) throw corrupt(folder, 'it has no identity');
  return epoch;
}

function meta(connection: Connection, key: string): string | undefined {
  const row = prepare<{ value: string | number }>(connection, 'SELECT value FROM meta WHERE key = ?').get(key);
  return row === undefined ? undefined : String(row.value);
}
