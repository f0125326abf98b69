import { conflict, type RowWrite } from '../limits.ts';
import type { RecordIndex, RecordKind } from '../port.ts';
import type { ListInput, Operations, RecordRow } from './port.ts';
import { prepare, type Connection, type Sql } from './sql.ts';

/** As a `SELECT *` of records gives it. */
export interface Row {
  id: string;
  version: number;
  created_at: number;
  application: string | null;
  state: string | null;
  open: number | null;
  json: string;
}

type Name = 'record.get' | 'record.getMany' | 'record.list' | 'record.prune';
type Handlers = { [Each in Name]: (input: Operations[Each]['input']) => Operations[Each]['output'] } & {
  write: (writes: readonly RowWrite[]) => void;
};

/** The operations on records, inside the transaction that the thread has begun. */
export function recordHandlers(connection: Connection): Handlers {
  const find = prepare<Row>(connection, 'SELECT * FROM records WHERE kind = ? AND id = ?');
  const insert = prepare(
    connection,
    `INSERT INTO records (kind, id, version, created_at, application, state, open, json) VALUES (?, ?, 1, ?, ?, ?, ?, ?)
     ON CONFLICT DO NOTHING`,
  );
  const update = prepare(
    connection,
    `UPDATE records SET version = version + 1, created_at = ?, application = ?, state = ?, open = ?, json = ?
     WHERE kind = ? AND id = ? AND version = ?`,
  );

  const write = (row: RowWrite): void => {
    const { kind, id, expect, createdAt, index, json } = row;
    const columns = [createdAt, index.application ?? null, index.state ?? null, flag(index.open), json];
    const changed = expect === 0 ? insert.run(kind, id, ...columns) : update.run(...columns, kind, id, expect);
    if (changed !== 1) throw conflict(row, find.get(kind, id)?.version ?? 0);
  };

  const closed = (condition: string) =>
    prepare<{ id: string }>(
      connection,
      `SELECT id FROM records AS r WHERE kind = ? AND open IS NOT 1 AND created_at < ? ${condition}
       ORDER BY created_at, id LIMIT ?`,
    );
  const oldest = closed('');
  // Measurements go with their analysis, and never while it runs.
  const oldestMeasurements = closed("AND NOT EXISTS (SELECT 1 FROM records AS a WHERE a.kind = 'analysis' AND a.id = r.id)");
  const remove = prepare(connection, 'DELETE FROM records WHERE kind = ? AND id = ?');

  const pages = new Map<string, Sql<Row>>();

  return {
    'record.get': ({ kind, id }) => {
      const row = find.get(kind, id);
      return row && fromRow(kind, row);
    },
    'record.getMany': ({ kind, ids }) =>
      ids.map((id) => {
        const row = find.get(kind, id);
        return row && fromRow(kind, row);
      }),
    'record.prune': ({ kind, before, limit }) => {
      const rows = (kind === 'measurements' ? oldestMeasurements : oldest).all(kind, before, limit);
      for (const { id } of rows) {
        remove.run(kind, id);
        if (kind === 'analysis') remove.run('measurements', id);
      }
      return rows.length;
    },
    write: (writes) => {
      for (const each of writes) write(each);
    },
    'record.list': (input) => {
      // One row at a time: a page of large values must not be in memory before its size is known.
      const rows: RecordRow[] = [];
      let characters = 0;
      let before = input.before;
      for (;;) {
        const { text, parameters } = nextRow({ ...input, before });
        const statement = pages.get(text) ?? prepare<Row>(connection, text);
        pages.set(text, statement);
        const row = statement.get(...parameters);
        if (row === undefined) return { rows, more: false };
        if (rows.length === input.limit || (rows.length > 0 && characters + row.json.length > input.maxCharacters)) {
          return { rows, more: true };
        }
        rows.push(fromRow(input.kind, row));
        characters += row.json.length;
        before = { createdAt: row.created_at, id: row.id };
      }
    },
  };
}

/** At most 32 different texts, so that they may be kept prepared. */
function nextRow(input: ListInput): { text: string; parameters: (string | number)[] } {
  const conditions = ['kind = ?'];
  const parameters: (string | number)[] = [input.kind];
  const where = (condition: string, ...values: (string | number)[]) => {
    conditions.push(condition);
    parameters.push(...values);
  };
  if (input.application !== undefined) where('application = ?', input.application);
  if (input.state !== undefined) where('state = ?', input.state);
  // Literal, because a partial index is not considered for a parameter.
  if (input.open !== undefined) where(input.open ? 'open = 1' : 'open = 0');
  if (input.since !== undefined) where('created_at >= ?', input.since);
  if (input.before !== undefined) where('(created_at, id) < (?, ?)', input.before.createdAt, input.before.id);
  return {
    text: `SELECT * FROM records WHERE ${conditions.join(' AND ')} ORDER BY created_at DESC, id DESC LIMIT 1`,
    parameters,
  };
}

export function fromRow(kind: RecordKind, row: Row): RecordRow {
  const index: RecordIndex = {};
  if (row.application !== null) index.application = row.application;
  if (row.state !== null) index.state = row.state;
  if (row.open !== null) index.open = row.open === 1;
  return { kind, id: row.id, version: row.version, createdAt: row.created_at, index, json: row.json };
}

function flag(value: boolean | undefined): number | null {
  return value === undefined ? null : Number(value);
}
