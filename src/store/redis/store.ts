import { randomUUID } from 'node:crypto';
import { codeOf, sentenceOf } from '../../errors.ts';
import { fromCursor, toCursor } from '../cursor.ts';
import { checkIds, closedStore, commitTexts, pageLimit, stateLost } from '../limits.ts';
import type { ChainedEntry, JournalEntry, RecordIndex, RecordKind, Store, StoreCondition, StoredRecord } from '../port.ts';
import { asking, evaluate } from './evaluate.ts';
import { CommitLane, optional } from './lane.ts';
import { layoutOf, sortable, subjectMember } from './layout.ts';
import { openDataSet } from './opening.ts';
import type { RedisConnection } from './port.ts';
import { LIST, PRUNE } from './scripts.ts';

/** A page of records ends early at this size, because Redis does nothing else while it reads it. */
const MAX_PAGE_BYTES = 4 * 1_048_576;
/** Members of a sorted set that one call looks at; further ones are looked at by the next call. */
const MAX_LOOKS = 2_000;

/** v, c, a, s, o, j; what is absent is null. */
type Row = [string, string, string | null, string | null, string | null, string];

/**
 * The store on Redis. Closing it refuses further calls; the connection is closed by who opened it.
 * Beyond the port's errors: `record_too_large`, `cursor_invalid`, `store_full` (retryable: Redis has no memory left),
 * `store_newer`.
 *
 * @param options.version of davylamp; the data set says which one wrote it last
 * @throws CodedError `store_newer`, `restore_incomplete`, `store_unavailable`
 */
export async function createRedisStore(connection: RedisConnection, options: { version: string }): Promise<Store> {
  const { version } = options;
  const layout = layoutOf(connection.keyPrefix);
  const self = randomUUID();
  const lane = new CommitLane(connection, self, await openDataSet(connection, { version, self }));
  let closed = false;
  /** Calls that were made before the close. */
  const open = <T>(call: () => Promise<T>): Promise<T> => (closed ? Promise.reject(closedStore()) : call());
  const ask = <T>(call: () => Promise<T>): Promise<T> => open(() => asking(connection, call));

  const commit: Store['commit'] = async (writes, entries = []) => {
    if (writes.length + entries.length === 0) return [];
    const texts = commitTexts(writes, entries);
    return open(() => lane.commit(texts));
  };

  const readEntries = async (numbers: readonly number[]): Promise<ChainedEntry[]> => {
    if (numbers.length === 0) return [];
    const found = await ask(() => connection.client.hmget(layout.journal, ...numbers.map(String)));
    return found.flatMap((json) => (json === null ? [] : [JSON.parse(json) as ChainedEntry]));
  };

  return {
    async get(kind, id) {
      const row = await ask(() => connection.client.hmget(layout.record(kind, id), 'v', 'c', 'a', 's', 'o', 'j'));
      return toRecord(kind, id, row);
    },

    async getMany(kind, ids) {
      checkIds(ids);
      if (ids.length === 0) return [];
      const rows = await ask(async () => {
        const pipeline = connection.client.pipeline();
        for (const id of ids) pipeline.hmget(layout.record(kind, id), 'v', 'c', 'a', 's', 'o', 'j');
        const answers = (await pipeline.exec()) ?? [];
        return answers.map(([error, row]) => {
          if (error !== null) throw error;
          return row as (string | null)[];
        });
      });
      return ids.map((id, at) => toRecord(kind, id, rows[at] ?? []));
    },

    commit,

    async list(kind, { before, limit, application, state, open: isOpen, since }) {
      const records: StoredRecord[] = [];
      const most = pageLimit(limit);
      const position = before === undefined ? undefined : fromCursor(before);
      let upper = position === undefined ? '+' : `(${sortable(position.createdAt)}${position.id}`;
      const lower = since === undefined ? '-' : `[${sortable(since)}`;
      const filters = [application, state, isOpen === undefined ? undefined : String(Number(isOpen))].map(optional);
      for (;;) {
        const args = [layout.base, kind, ...filters, upper, lower, most - records.length, MAX_PAGE_BYTES, MAX_LOOKS];
        const [stopped, more, rows] = await open(() =>
          evaluate<[string, 0 | 1, [string, ...Row][]]>(connection, LIST, [layout.meta], args),
        );
        for (const [id, ...row] of rows) {
          const record = toRecord(kind, id, row);
          if (record !== undefined) records.push(record);
        }
        const last = records.at(-1);
        if (more === 1) return { records, next: last === undefined ? null : toCursor(last) };
        if (stopped === '') return { records, next: null };
        upper = stopped;
      }
    },

    async append(entry) {
      const [chained] = await commit([], [entry]);
      if (chained === undefined) throw new Error('the script answered a commit without its entry');
      return chained;
    },

    async journal({ after = 0, subject, limit }) {
      const most = pageLimit(limit);
      if (subject === undefined) return readEntries(Array.from({ length: most }, (_, n) => after + n + 1));
      const [from, to] = [`(${subjectMember(subject, after)}`, `(${subject}\u0001`];
      const members = await ask(() => connection.client.zrangebylex(layout.subjects, from, to, 'LIMIT', 0, most));
      const entries = await readEntries(members.map((member) => Number(member.slice(member.lastIndexOf('\u0000') + 1))));
      return entries.filter((entry: JournalEntry) => entry.subject === subject);
    },

    async epoch() {
      const dataSet = await open(() => openDataSet(connection, { version, self, known: lane.dataSet }));
      lane.accept(dataSet);
      return dataSet.epoch;
    },

    async condition() {
      try {
        const { epoch, count } = lane.dataSet;
        const [found, counted] = await ask(() =>
          Promise.all([connection.client.hget(layout.meta, 'epoch'), connection.client.get(layout.count(self))]),
        );
        if (found === epoch && Number(counted) >= count) return conditionOf(connection);
        const { code, message } = stateLost(
          `Redis under ${connection.keyPrefix}`,
          found === epoch ? 'it has lost what was written last' : 'it was emptied or replaced',
        );
        return { ok: false, code, sentence: message };
      } catch (error) {
        return { ok: false, code: codeOf(error), sentence: sentenceOf(error) };
      }
    },

    async prune(kind, { before, limit }) {
      const most = pageLimit(limit);
      let gone = 0;
      let lower = '-';
      do {
        const args = [layout.base, kind, lower, `(${sortable(before)}`, most - gone, MAX_LOOKS];
        const from = await open(() => evaluate<[number, string]>(connection, PRUNE, [layout.meta], args));
        gone += from[0];
        lower = from[1];
      } while (lower !== '' && gone < most);
      return gone;
    },

    async close() {
      closed = true;
      await lane.drained();
    },
  };
}

/** What the connection knows of its Redis, in the words of the store. */
function conditionOf(connection: RedisConnection): StoreCondition {
  const { ok, code, sentence } = connection.condition();
  const words: Readonly<Record<string, string>> = { redis_unavailable: 'store_unavailable', redis_full: 'store_full' };
  return { ok, code: words[code] ?? code, sentence };
}

function toRecord(kind: RecordKind, id: string, row: readonly (string | null)[]): StoredRecord | undefined {
  const [version = null, createdAt = null, application = null, state = null, open = null, json = null] = row;
  if (version === null || json === null) return undefined;
  const index: RecordIndex = {};
  if (application !== null) index.application = application;
  if (state !== null) index.state = state;
  if (open !== null) index.open = open === '1';
  return { kind, id, version: Number(version), createdAt: Number(createdAt), index, value: JSON.parse(json) };
}
