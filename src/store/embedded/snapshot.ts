import { randomUUID } from 'node:crypto';
import { CodedError } from '../../errors.ts';
import type { ChainedEntry } from '../port.ts';
import { plainEntry } from '../chain.ts';
import type { Operations, RecordRow } from './port.ts';
import { fromRow, type Row } from './records.ts';
import { prepare, type Connection, type Sql } from './sql.ts';

/** A reader that asked for nothing for this long is gone; the next one may begin. */
const SESSION_MS = 60_000;

type Name = Extract<keyof Operations, `archive.${string}`>;
type Handlers = { [Each in Name]: (input: Operations[Each]['input']) => Operations[Each]['output'] };

interface Session {
  id: string;
  lastSeen: number;
  /** After the last unchanged record come those that changed meanwhile, as they were. */
  part: 'unchanged' | 'changed';
  unchanged: Sql<Row & { kind: RecordRow['kind'] }>;
  changed: Sql<Row & { kind: RecordRow['kind'] }>;
}

/**
 * A snapshot while the store works on. Records are read in the order of kind and id; triggers keep what a record was
 * when it changes before it was read. `snapshot_rows` is a table of the file and not of memory: it may become large.
 */
const TRIGGERS = `
  CREATE TEMP TRIGGER snapshot_insert AFTER INSERT ON main.records
  WHEN (NEW.kind, NEW.id) > (SELECT kind, id FROM snapshot_position)
  BEGIN INSERT OR IGNORE INTO snapshot_rows (kind, id, version) VALUES (NEW.kind, NEW.id, 0); END;
  ${['UPDATE', 'DELETE']
    .map(
      (change) => `
  CREATE TEMP TRIGGER snapshot_${change.toLowerCase()} BEFORE ${change} ON main.records
  WHEN (OLD.kind, OLD.id) > (SELECT kind, id FROM snapshot_position)
  BEGIN
    INSERT OR IGNORE INTO snapshot_rows (kind, id, version, created_at, application, state, open, json)
    VALUES (OLD.kind, OLD.id, OLD.version, OLD.created_at, OLD.application, OLD.state, OLD.open, OLD.json);
  END;`,
    )
    .join('')}`;
const DROP_TRIGGERS = ['insert', 'update', 'delete'].map((name) => `DROP TRIGGER IF EXISTS snapshot_${name};`).join('');
const FORGET = 'DELETE FROM snapshot_rows; DELETE FROM snapshot_position;';

/** What a snapshot of a process that was killed has left. */
export function forgetSnapshot(connection: Connection): void {
  connection.exec(FORGET);
}

/** The operations of backup and restore, inside the transaction that the thread has begun. */
export function archiveHandlers(connection: Connection): Handlers {
  const filled = prepare<{ filled: number }>(
    connection,
    'SELECT EXISTS (SELECT 1 FROM records) OR EXISTS (SELECT 1 FROM journal) AS filled',
  );
  const last = prepare<{ number: number | null }>(connection, 'SELECT max(number) AS number FROM journal');
  const place = prepare(connection, 'UPDATE snapshot_position SET kind = ?, id = ?');
  const insertRecord = prepare(
    connection,
    'INSERT INTO records (kind, id, version, created_at, application, state, open, json) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const insertEntry = prepare(connection, 'INSERT INTO journal (number, subject, previous, hash, entry) VALUES (?, ?, ?, ?, ?)');
  const setMeta = prepare(connection, 'INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');
  const removeMeta = prepare(connection, 'DELETE FROM meta WHERE key = ?');
  let session: Session | null = null;

  const end = () => {
    connection.exec(DROP_TRIGGERS + FORGET);
    session = null;
  };
  const current = (id: string, now?: number): Session => {
    if (session?.id !== id) {
      throw new CodedError('backup_interrupted', 'The backup was not read for too long and has ended. Begin it again.', {
        retryable: true,
      });
    }
    if (now !== undefined) session.lastSeen = now;
    return session;
  };

  return {
    'archive.isEmpty': () => filled.get()?.filled !== 1,
    'archive.begin': ({ now }) => {
      if (session !== null && now - session.lastSeen < SESSION_MS) {
        throw new CodedError('backup_running', 'Another backup is being read. Begin this one when that has ended.', {
          retryable: true,
        });
      }
      end();
      connection.exec(`INSERT INTO snapshot_position (kind, id) VALUES ('', ''); ${TRIGGERS}`);
      session = {
        id: randomUUID(),
        lastSeen: now,
        part: 'unchanged',
        unchanged: prepare(
          connection,
          `SELECT * FROM records AS r WHERE (kind, id) > (SELECT kind, id FROM snapshot_position)
             AND NOT EXISTS (SELECT 1 FROM snapshot_rows AS s WHERE s.kind = r.kind AND s.id = r.id)
           ORDER BY kind, id LIMIT 1`,
        ),
        changed: prepare(
          connection,
          `SELECT * FROM snapshot_rows WHERE version > 0 AND (kind, id) > (SELECT kind, id FROM snapshot_position)
           ORDER BY kind, id LIMIT 1`,
        ),
      };
      return { session: session.id, end: last.get()?.number ?? 0 };
    },
    'archive.records': ({ session: id, now, limit, maxCharacters }) => {
      const reading = current(id, now);
      const rows: RecordRow[] = [];
      let characters = 0;
      while (rows.length < limit && characters < maxCharacters) {
        const row = reading[reading.part].get();
        if (row === undefined && reading.part === 'changed') break;
        if (row === undefined) {
          // Nothing is changed behind our back any more: all of it was read, or is kept.
          connection.exec(DROP_TRIGGERS);
          place.run('', '');
          reading.part = 'changed';
          continue;
        }
        place.run(row.kind, row.id);
        rows.push(fromRow(row.kind, row));
        characters += row.json.length;
      }
      return rows;
    },
    'archive.end': ({ session: id }) => {
      if (session?.id === id) end();
      return undefined;
    },
    'archive.load': ({ rows, entries }) => {
      setMeta.run('restoring', 1);
      for (const { kind, id, version, createdAt, index, json } of rows) {
        const { application = null, state = null, open } = index;
        insertRecord.run(kind, id, version, createdAt, application, state, open === undefined ? null : Number(open), json);
      }
      for (const entry of entries) insertEntry.run(...entryColumns(entry));
      return undefined;
    },
    'archive.finish': () => {
      setMeta.run('epoch', randomUUID());
      removeMeta.run('restoring');
      return undefined;
    },
  };
}

function entryColumns(entry: ChainedEntry): [number, string, string, string, string] {
  return [entry.number, entry.subject, entry.previous, entry.hash, JSON.stringify(plainEntry(entry))];
}
