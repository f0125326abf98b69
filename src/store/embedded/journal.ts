import { link, plainEntry, type ChainEnd } from '../chain.ts';
import type { ChainedEntry, JournalEntry } from '../port.ts';
import type { Operations } from './port.ts';
import { prepare, type Connection } from './sql.ts';

interface Row {
  number: number;
  previous: string;
  hash: string;
  entry: string;
}

interface Handlers {
  /** @param json a `JournalEntry` */
  append: (json: string) => ChainedEntry;
  'journal.read': (input: Operations['journal.read']['input']) => ChainedEntry[];
}

/** The operations on the journal, inside the transaction that the thread has begun. */
export function journalHandlers(connection: Connection): Handlers {
  const last = prepare<ChainEnd>(connection, 'SELECT number, hash FROM journal ORDER BY number DESC LIMIT 1');
  const insert = prepare(connection, 'INSERT INTO journal (number, subject, previous, hash, entry) VALUES (?, ?, ?, ?, ?)');
  const all = prepare<Row>(connection, 'SELECT * FROM journal WHERE number > ? ORDER BY number LIMIT ?');
  const ofSubject = prepare<Row>(connection, 'SELECT * FROM journal WHERE subject = ? AND number > ? ORDER BY number LIMIT ?');

  return {
    append: (json) => {
      // The end is read anew each time: an entry before this one may have been rolled back.
      const entry = link(JSON.parse(json) as JournalEntry, last.get() ?? null);
      insert.run(entry.number, entry.subject, entry.previous, entry.hash, JSON.stringify(plainEntry(entry)));
      return entry;
    },
    'journal.read': ({ after, subject, limit }) =>
      (subject === undefined ? all.all(after, limit) : ofSubject.all(subject, after, limit)).map(fromRow),
  };
}

function fromRow({ number, previous, hash, entry }: Row): ChainedEntry {
  return { ...(JSON.parse(entry) as JournalEntry), number, previous, hash };
}
