import { codeOf, sentenceOf } from '../../errors.ts';
import { fromCursor, toCursor } from '../cursor.ts';
import { checkIds, closedStore, commitTexts, pageLimit, stateLost } from '../limits.ts';
import type { ChainedEntry, JournalEntry, RecordWrite, Store, StoredRecord } from '../port.ts';
import type { EmbeddedDatabase, RecordRow } from './port.ts';

/** A page of records ends early at this size; the cursor goes on from there. */
const MAX_PAGE_CHARACTERS = 16 * 1_048_576;

/**
 * The store on the embedded database. Closing it refuses further calls; the database is closed by who opened it.
 * Beyond the port's errors: `record_too_large`, `cursor_invalid`, `store_corrupt`.
 */
export function createEmbeddedStore(database: EmbeddedDatabase): Store {
  let closed = false;
  let epoch = database.epoch;
  const request: EmbeddedDatabase['request'] = (name, input, characters) =>
    closed ? Promise.reject(closedStore()) : database.request(name, input, characters);

  const commit = async (writes: readonly RecordWrite[], entries: readonly JournalEntry[]): Promise<ChainedEntry[]> => {
    if (writes.length + entries.length === 0) return [];
    const { rows, lines, characters } = commitTexts(writes, entries);
    return request('record.commit', { writes: rows, entries: lines, epoch }, characters);
  };

  return {
    async get(kind, id) {
      const row = await request('record.get', { kind, id });
      return row && fromRow(row);
    },

    async getMany(kind, ids) {
      checkIds(ids);
      if (ids.length === 0) return [];
      const rows = await request('record.getMany', { kind, ids });
      return rows.map((row) => row && fromRow(row));
    },

    commit: (writes, entries = []) => commit(writes, entries),

    async list(kind, { before, limit, ...filters }) {
      const { rows, more } = await request('record.list', {
        kind,
        ...filters,
        ...(before === undefined ? {} : { before: fromCursor(before) }),
        limit: pageLimit(limit),
        maxCharacters: MAX_PAGE_CHARACTERS,
      });
      const last = rows.at(-1);
      return { records: rows.map(fromRow), next: more && last !== undefined ? toCursor(last) : null };
    },

    async append(entry) {
      const [chained] = await commit([], [entry]);
      if (chained === undefined) throw new Error('the database answered a commit without its entry');
      return chained;
    },

    async journal({ after, subject, limit }) {
      return request('journal.read', {
        after: after ?? 0,
        ...(subject === undefined ? {} : { subject }),
        limit: pageLimit(limit),
      });
    },

    async epoch() {
      epoch = await request('store.epoch', null);
      return epoch;
    },

    async condition() {
      try {
        const found = await request('store.epoch', null);
        if (found === epoch) return { ok: true, code: 'ok', sentence: 'the embedded database answers' };
        const { code, message } = stateLost(database.folder, 'it has another identity');
        return { ok: false, code, sentence: message };
      } catch (error) {
        return { ok: false, code: codeOf(error), sentence: sentenceOf(error) };
      }
    },

    prune: (kind, { before, limit }) => request('record.prune', { kind, before, limit: pageLimit(limit) }),

    async close() {
      closed = true;
    },
  };
}

function fromRow({ kind, id, version, createdAt, index, json }: RecordRow): StoredRecord {
  return { kind, id, version, createdAt, index, value: JSON.parse(json) };
}
