import { CodedError } from '../../errors.ts';
import { plainEntry } from '../chain.ts';
import type { JournalEntry, RecordWrite, Store, StoredRecord } from '../port.ts';
import type { EmbeddedDatabase, Position, RecordRow } from './port.ts';

/** Largest value of a record and largest journal entry, in bytes of JSON. */
export const MAX_RECORD_BYTES = 8 * 1_048_576;
export const MAX_ENTRY_BYTES = 256 * 1_024;
/** Most records or entries of one answer, whatever limit was asked for. */
export const MAX_PAGE = 1_000;
/** Most writes of one commit. */
export const MAX_WRITES = 100;
/** A page of records ends early at this size; the cursor goes on from there. */
const MAX_PAGE_CHARACTERS = 16 * 1_048_576;

/**
 * The store on the embedded database. Closing it refuses further calls; the database is closed by who opened it.
 * Beyond the port's errors: `record_too_large`, `cursor_invalid`, `store_corrupt`.
 */
export function createEmbeddedStore(database: EmbeddedDatabase): Store {
  let closed = false;
  const request: EmbeddedDatabase['request'] = (name, input, characters) => {
    if (!closed) return database.request(name, input, characters);
    return Promise.reject(
      new CodedError('store_unavailable', 'The store is closed. Try again when davylamp runs.', { retryable: true }),
    );
  };

  return {
    async get(kind, id) {
      const row = await request('record.get', { kind, id });
      return row && fromRow(row);
    },

    async commit(writes, entries = []) {
      if (writes.length + entries.length === 0) return [];
      if (writes.length + entries.length > MAX_WRITES) {
        throw new CodedError(
          'record_too_large',
          `A commit takes at most ${MAX_WRITES} writes, not ${writes.length + entries.length}. Split it.`,
        );
      }
      const rows = writes.map(toRow);
      const lines = entries.map(entryJson);
      const characters = [...rows.map(({ json }) => json), ...lines].reduce((sum, json) => sum + json.length, 0);
      return request('record.commit', { writes: rows, entries: lines }, characters);
    },

    async list(kind, { before, limit, ...filters }) {
      const { rows, more } = await request('record.list', {
        kind,
        ...filters,
        ...(before === undefined ? {} : { before: fromCursor(before) }),
        limit: bounded(limit),
        maxCharacters: MAX_PAGE_CHARACTERS,
      });
      const last = rows.at(-1);
      return { records: rows.map(fromRow), next: more && last !== undefined ? toCursor(last) : null };
    },

    async append(entry) {
      const json = entryJson(entry);
      return request('journal.append', { json }, json.length);
    },

    async journal({ after, subject, limit }) {
      return request('journal.read', { after: after ?? 0, ...(subject === undefined ? {} : { subject }), limit: bounded(limit) });
    },

    async close() {
      closed = true;
    },
  };
}

function entryJson(entry: JournalEntry): string {
  return toJson(plainEntry(entry), MAX_ENTRY_BYTES, `journal entry ${entry.event} of ${entry.subject}`);
}

function toRow({ kind, id, expect, createdAt, index, value }: RecordWrite) {
  return { kind, id, expect, createdAt, index, json: toJson(value, MAX_RECORD_BYTES, `${kind} record ${id}`) };
}

function fromRow({ kind, id, version, createdAt, index, json }: RecordRow): StoredRecord {
  return { kind, id, version, createdAt, index, value: JSON.parse(json) };
}

function toJson(value: unknown, maxBytes: number, what: string): string {
  const json = JSON.stringify(value) ?? 'null';
  // The length is a lower bound of the size, so that a hopeless text is not measured.
  const bytes = json.length > maxBytes ? json.length : Buffer.byteLength(json);
  if (bytes <= maxBytes) return json;
  throw new CodedError(
    'record_too_large',
    `The ${what} has ${bytes} bytes, the store takes ${maxBytes}. Keep less of it, for example fewer metrics or a longer interval.`,
    { details: { bytes, maxBytes } },
  );
}

function bounded(limit: number): number {
  return Math.min(Math.max(1, Math.floor(limit)), MAX_PAGE);
}

function toCursor({ createdAt, id }: Position): string {
  return Buffer.from(JSON.stringify([createdAt, id])).toString('base64url');
}

function fromCursor(cursor: string): Position {
  const invalid = (cause?: unknown) =>
    new CodedError('cursor_invalid', 'The cursor is not one that this listing has returned. Begin again without it.', { cause });
  try {
    const position: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    const [createdAt, id] = Array.isArray(position) ? (position as unknown[]) : [];
    if (typeof createdAt === 'number' && typeof id === 'string') return { createdAt, id };
  } catch (error) {
    throw invalid(error);
  }
  throw invalid();
}
