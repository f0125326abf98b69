import type { Clock } from '../../clock.ts';
import { MAX_PAGE } from '../limits.ts';
import type { Archive, ArchivedPart, ChainedEntry } from '../port.ts';
import type { EmbeddedDatabase, RecordRow } from './port.ts';

/** What one page of a snapshot holds; it is in memory as a whole. */
const PAGE_RECORDS = 200;
const PAGE_CHARACTERS = 2 * 1_048_576;

/** Backup and restore of the embedded database; it has to be open with `restoring` to be restored into. */
export function createEmbeddedArchive(database: EmbeddedDatabase, { clock }: { clock: Clock }): Archive {
  return {
    isEmpty: () => database.request('archive.isEmpty', null),

    async *snapshot() {
      const { session, end } = await database.request('archive.begin', { now: clock.now() });
      try {
        for (;;) {
          const page = { session, now: clock.now(), limit: PAGE_RECORDS, maxCharacters: PAGE_CHARACTERS };
          const rows = await database.request('archive.records', page);
          if (rows.length === 0) break;
          yield rows.map(toPart);
        }
      } finally {
        await database.request('archive.end', { session });
      }
      // What was appended since then follows after the end.
      for (let after = 0; after < end;) {
        const entries = await database.request('journal.read', { after, limit: Math.min(MAX_PAGE, end - after) });
        after = entries.at(-1)?.number ?? end;
        yield entries.map((entry) => ({ entry }));
      }
    },

    async load(parts) {
      const rows: RecordRow[] = [];
      const entries: ChainedEntry[] = [];
      let characters = 0;
      for (const part of parts) {
        if ('entry' in part) {
          entries.push(part.entry);
          continue;
        }
        const { value, ...rest } = part.record;
        const json = JSON.stringify(value);
        characters += json.length;
        rows.push({ ...rest, json });
      }
      await database.request('archive.load', { rows, entries }, characters);
    },

    finish: () => database.request('archive.finish', null),
  };
}

function toPart({ json, ...rest }: RecordRow): ArchivedPart {
  return { record: { ...rest, value: JSON.parse(json) } };
}
