import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { firstBreak } from '../../src/store/chain.ts';
import type { Archive, ArchivedPart, ChainedEntry, RecordWrite, Store, StoredRecord } from '../../src/store/port.ts';

/** An empty place that a data set can be taken out of and put into. */
export interface ArchivePlace {
  open: () => Promise<{ store: Store; archive: Archive; close: () => Promise<void> }>;
  /** Opens it to be restored into. */
  openToRestore: () => Promise<{ archive: Archive; close: () => Promise<void> }>;
  remove(): Promise<void>;
}

const write = (id: string, changes: Partial<RecordWrite> = {}): RecordWrite => ({
  kind: 'analysis',
  id,
  expect: 0,
  createdAt: 1_000,
  index: { application: 'shop', open: true },
  value: { id, text: 'ä⛏️\u2028' },
  ...changes,
});
const entry = (subject: string) => ({
  at: 1.5,
  event: 'analysis.ended',
  application: 'shop',
  subject,
  code: 'ok',
  sentence: 'Ended.',
  details: { subject },
});

async function pages<T>(from: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const page of from) all.push(page);
  return all;
}

function sorted(parts: readonly ArchivedPart[]): { records: StoredRecord[]; entries: ChainedEntry[] } {
  const records = parts.flatMap((part) => ('record' in part ? [part.record] : []));
  const name = ({ kind, id }: StoredRecord) => `${kind} ${id}`;
  return {
    records: records.toSorted((a, b) => (name(a) < name(b) ? -1 : 1)),
    entries: parts.flatMap((part) => ('entry' in part ? [part.entry] : [])),
  };
}

/** What every archive keeps; each adapter runs it. */
export function describeArchive(name: string, makePlace: () => Promise<ArchivePlace>): void {
  describe(`archive: ${name}`, () => {
    let place: ArchivePlace;
    let store: Store;
    let archive: Archive;
    let close: () => Promise<void>;
    beforeEach(async () => {
      place = await makePlace();
      ({ store, archive, close } = await place.open());
    });
    afterEach(async () => {
      await close();
      await place.remove();
    });

    const everything = async () => sorted((await pages(archive.snapshot())).flat());

    it('has every record of every kind and the whole journal', async () => {
      await store.commit([write('a'), write('a', { kind: 'webhook', index: {} })], [entry('a')]);
      await store.commit([write('a', { expect: 1, createdAt: -2.5, index: { state: '', open: false } })], [entry('b')]);
      const { records, entries } = await everything();
      expect(records).toEqual([await store.get('analysis', 'a'), await store.get('webhook', 'a')]);
      expect(records[0]?.version).toBe(2);
      expect(entries).toEqual(await store.journal({ limit: 10 }));
    });

    it('is of one moment, whatever is written, moved and pruned while it is read', async () => {
      const count = 900;
      for (let n = 0; n < count; n += 90) {
        const writes = Array.from({ length: 90 }, (_, at) => {
          const id = `r${String(n + at).padStart(3, '0')}`;
          return write(id, {
            createdAt: n + at,
            index: { open: (n + at) % 3 === 0 },
            kind: (n + at) % 2 ? 'rollback' : 'analysis',
          });
        });
        await store.commit(writes, [entry(`at-${n}`)]);
      }
      const all = async (kind: 'analysis' | 'rollback') => {
        const { records } = await store.list(kind, { limit: 1_000 });
        return records;
      };
      const before = sorted([...(await all('analysis')), ...(await all('rollback'))].map((record) => ({ record }))).records;
      const journal = await store.journal({ limit: 1_000 });
      expect(before).toHaveLength(count);

      const seen: ArchivedPart[] = [];
      let page = 0;
      for await (const parts of archive.snapshot()) {
        seen.push(...parts);
        page += 1;
        for (const at of [3, 250, 500, 750, 899]) {
          // To a new value, a new state, and another place of the listing: before, behind, far away.
          const { kind, id, version, index } = before[at] ?? expect.fail();
          const found = await store.get(kind, id);
          if (found === undefined) continue;
          const createdAt = [-5, 5_000, found.createdAt][page % 3] ?? 0;
          await store.commit([{ kind, id, expect: found.version, createdAt, index, value: { page, version } }], [entry('later')]);
        }
        await store.commit([write(`new-${page}`, { createdAt: page * 50 }), write(`s${page}`, { kind: 'state' })]);
        await store.prune('rollback', { before: 600, limit: 40 });
        await store.prune('analysis', { before: 900, limit: 3 });
      }
      expect(page).toBeGreaterThan(3);
      const { records, entries } = sorted(seen);
      expect(records).toEqual(before);
      expect(entries).toEqual(journal);
      // The next one sees what the first did not.
      const later = (await everything()).records;
      expect(later.some(({ id }) => id === 'new-1')).toBe(true);
      expect(later).toHaveLength((await all('analysis')).length + (await all('rollback')).length + page);
    });

    it('is read by one at a time, and free again when a reader stops early', async () => {
      await store.commit([write('a')]);
      const first = archive.snapshot();
      await first.next();
      await expect(archive.snapshot().next()).rejects.toMatchObject({ code: 'backup_running', retryable: true });
      await first.return();
      expect((await everything()).records).toHaveLength(1);
    });

    it('puts a data set into an empty place as it was, under an identity of its own', async () => {
      const big = write('big', { value: { text: 'x'.repeat(1_000_000) } });
      await store.commit([write('a'), write('b', { kind: 'rollback' }), big], [entry('a'), entry('b')]);
      await store.commit([write('a', { expect: 1, index: { state: 'Failed', open: false } })]);
      const parts = (await pages(archive.snapshot())).flat();
      const epoch = await store.epoch();

      const other = await makePlace();
      const target = await other.openToRestore();
      expect(await target.archive.isEmpty()).toBe(true);
      await target.archive.load(parts.slice(0, 2));
      expect(await target.archive.isEmpty()).toBe(false);
      await target.close();
      await expect(other.open()).rejects.toMatchObject({ code: 'restore_incomplete', retryable: false });

      const again = await other.openToRestore();
      await again.archive.load(parts.slice(2));
      await again.archive.finish();
      await again.close();
      const restored = await other.open();
      expect(sorted((await pages(restored.archive.snapshot())).flat())).toEqual(sorted(parts));
      expect(await restored.store.epoch()).not.toBe(epoch);
      expect((await restored.store.list('analysis', { state: 'Failed', open: false, limit: 5 })).records).toHaveLength(1);
      expect(await restored.store.journal({ subject: 'b', limit: 5 })).toHaveLength(1);
      await restored.store.commit([write('a', { expect: 2 })], [entry('after')]);
      expect(firstBreak(await restored.store.journal({ limit: 10 }), null)).toBeNull();
      await restored.close();
      await other.remove();
    });

    it('is not empty with a record or with an entry', async () => {
      expect(await archive.isEmpty()).toBe(true);
      await store.append(entry('a'));
      expect(await archive.isEmpty()).toBe(false);
    });
  });
}
