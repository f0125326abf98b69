import type Database from 'libsql';
import { CodedError } from '../../errors.ts';

export type Connection = Database.Database;
type Parameter = string | number | null;

/** A prepared statement whose rows have the named shape: the one place where rows get their type. */
export interface Sql<Row> {
  get(...parameters: Parameter[]): Row | undefined;
  all(...parameters: Parameter[]): Row[];
  /** @returns how many rows changed */
  run(...parameters: Parameter[]): number;
}

export function prepare<Row = never>(connection: Connection, text: string): Sql<Row> {
  const statement = connection.prepare<Parameter[][]>(text);
  // Parameters go in as one array: a lone object or null would be taken for named parameters.
  return {
    get: (...parameters) => statement.get(parameters) as Row | undefined,
    all: (...parameters) => statement.all(parameters) as Row[],
    run: (...parameters) => statement.run(parameters).changes,
  };
}

/** SQLite's symbolic result code, for example `SQLITE_FULL`; undefined for any other error. */
export function sqliteCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  return error.code.startsWith('SQLITE_') ? error.code : undefined;
}

const isOneOf = (code: string, ...families: string[]) =>
  families.some((family) => code === family || code.startsWith(`${family}_`));

export function corrupt(folder: string, what: string, cause?: unknown): CodedError {
  return new CodedError(
    'store_corrupt',
    `The database in ${folder} is damaged: ${what}. Stop davylamp, keep a copy of the folder, and put a backup in its place. ` +
      'Moving the folder away starts an empty database: running analyses and the journal are lost then, Git is not touched.',
    { cause, details: { folder } },
  );
}

/**
 * What a failure of the database means for the caller. A broken statement is a bug and stays what it is.
 *
 * @see https://sqlite.org/rescode.html
 */
export function explained(error: unknown, folder: string): unknown {
  const code = sqliteCode(error);
  if (code === undefined || !(error instanceof Error)) return error;
  const details = { folder, sqlite: code };
  if (isOneOf(code, 'SQLITE_BUSY', 'SQLITE_LOCKED')) {
    return new CodedError(
      'store_locked',
      `Another davylamp runs on ${folder}. Stop it, or give this one a folder of its own in storage.path.`,
      { cause: error, details },
    );
  }
  if (isOneOf(code, 'SQLITE_CORRUPT', 'SQLITE_NOTADB')) return corrupt(folder, error.message, error);
  if (isOneOf(code, 'SQLITE_FULL')) {
    return new CodedError('store_unavailable', `The disk that holds ${folder} is full. Make room; nothing was lost.`, {
      retryable: true,
      cause: error,
      details,
    });
  }
  if (isOneOf(code, 'SQLITE_IOERR', 'SQLITE_CANTOPEN', 'SQLITE_READONLY', 'SQLITE_PERM', 'SQLITE_NOMEM')) {
    return new CodedError(
      'store_unavailable',
      `The database in ${folder} cannot be read or written (${error.message}). Check the disk and the permissions of the folder.`,
      { retryable: true, cause: error, details },
    );
  }
  return error;
}
