import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CodedError } from '../../src/errors.ts';
import { firstBreak } from '../../src/store/chain.ts';
import type { JournalEntry, RecordWrite, Store, StoredRecord } from '../../src/store/port.ts';
import { runUntilKilled, type ChildAccess } from './killed.ts';

/** An empty place that an adapter keeps its records in. */
export interface StorePlace {
  /** Opens the store of the place; again after `close`, also after another process was killed on it. */
  open: () => Promise<{ store: Store; close: () => Promise<void> }>;
  child: ChildAccess;
  remove(): Promise<void>;
}

const KILLS = 5;

function record(id: string, changes: Partial<RecordWrite> = {}): RecordWrite {
  return { kind: 'analysis', id, expect: 0, createdAt: 1_000, index: {}, value: { id }, ...changes };
}

function entry(changes: Partial<JournalEntry> = {}): JournalEntry {
  return {
    at: 1_700_000_000_000,
    event: 'rollback.planned',
    application: 'shop',
    subject: 'r1',
    code: 'verdict_fail',
    sentence: 'The release is bad.',
    details: {},
    ...changes,
  };
}

async function rejection(promise: Promise<unknown>): Promise<CodedError> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CodedError);
  return error as CodedError;
}

const ids = (records: readonly StoredRecord[]) => records.map(({ id }) => id);

/** What every store keeps; each adapter runs it. */
export function describeStore(name: string, limits: { maxRecordBytes: number }, makePlace: () => Promise<StorePlace>): void {
  describe(`store: ${name}`, () => {
    let place: StorePlace;
    let store: Store;
    let close: () => Promise<void>;

    const open = async () => {
      ({ store, close } = await place.open());
    };
    beforeEach(async () => {
      place = await makePlace();
      await open();
    });
    afterEach(async () => {
      await close();
      await place.remove();
    });

    const allPages = async (query: Omit<Parameters<Store['list']>[1], 'before'>) => {
      const found: StoredRecord[] = [];
      let before: string | null = null;
      do {
        const page: Awaited<ReturnType<Store['list']>> = await store.list(
          'analysis',
          before === null ? query : { ...query, before },
        );
        found.push(...page.records);
        before = page.next;
      } while (before !== null);
      return found;
    };

    describe('records', () => {
      it('returns what was committed, as version 1', async () => {
        const index = { application: 'shop', state: 'Running', open: true };
        await store.commit([record('a', { createdAt: 5, index, value: { phase: 'Running' } })]);
        expect(await store.get('analysis', 'a')).toEqual({
          kind: 'analysis',
          id: 'a',
          version: 1,
          createdAt: 5,
          index,
          value: { phase: 'Running' },
        });
      });

      it('knows nothing of an id that was not committed, nor of one of another kind', async () => {
        await store.commit([record('a')]);
        expect(await store.get('analysis', 'b')).toBeUndefined();
        expect(await store.get('rollback', 'a')).toBeUndefined();
      });

      it('raises the version by one with each write and keeps the last value and index', async () => {
        await store.commit([record('a', { index: { application: 'shop', open: true }, value: 1 })]);
        await store.commit([record('a', { expect: 1, index: { state: 'Failed' }, value: 2 })]);
        await store.commit([record('a', { expect: 2, index: { state: 'Failed', open: false }, value: 3 })]);
        expect(await store.get('analysis', 'a')).toMatchObject({ version: 3, value: 3, index: { state: 'Failed', open: false } });
      });

      it.each([
        ['a record that is there already', 0],
        ['an older version', 1],
        ['a version that is not there yet', 3],
      ])('refuses a write that expects %s', async (_, expected) => {
        await store.commit([record('a', { value: 'first' })]);
        await store.commit([record('a', { expect: 1, value: 'second' })]);
        const error = await rejection(store.commit([record('a', { expect: expected, value: 'third' })]));
        expect(error).toMatchObject({ code: 'conflict', retryable: false });
        expect(await store.get('analysis', 'a')).toMatchObject({ version: 2, value: 'second' });
      });

      it('refuses to update a record that does not exist', async () => {
        expect(await rejection(store.commit([record('a', { expect: 1 })]))).toMatchObject({ code: 'conflict' });
        expect(await store.get('analysis', 'a')).toBeUndefined();
      });

      it('lets exactly one of twenty writers that read the same version win', async () => {
        await store.commit([record('a')]);
        const results = await Promise.allSettled(
          Array.from({ length: 20 }, (_, writer) => store.commit([record('a', { expect: 1, value: { writer } })])),
        );
        const winners = results.flatMap(({ status }, writer) => (status === 'fulfilled' ? [writer] : []));
        expect(winners).toHaveLength(1);
        expect(await store.get('analysis', 'a')).toMatchObject({ version: 2, value: { writer: winners[0] } });
      });

      it('writes all records of a commit or none', async () => {
        await store.commit([record('b', { value: 'old' })]);
        const error = await rejection(
          store.commit([record('a'), record('b', { expect: 1, value: 'new' }), record('c', { expect: 7 }), record('d')]),
        );
        expect(error.code).toBe('conflict');
        expect(await store.get('analysis', 'a')).toBeUndefined();
        expect(await store.get('analysis', 'b')).toMatchObject({ version: 1, value: 'old' });
        expect(await store.get('analysis', 'd')).toBeUndefined();
        await store.commit([record('a'), record('b', { expect: 1, value: 'new' }), record('a', { kind: 'rollback' })]);
        expect(await store.get('analysis', 'b')).toMatchObject({ version: 2, value: 'new' });
        expect(await store.get('rollback', 'a')).toMatchObject({ version: 1 });
      });

      it('keeps the commits beside one that conflicts', async () => {
        await store.commit([record('taken')]);
        const results = await Promise.allSettled(
          ['a', 'taken', 'b', 'taken', 'c'].map((id, turn) => store.commit([record(`side-${turn}`), record(id)])),
        );
        expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled']);
        expect(ids(await allPages({ limit: 100 })).toSorted()).toEqual(['a', 'b', 'c', 'side-0', 'side-2', 'side-4', 'taken']);
      });

      it('takes a commit of nothing', async () => {
        await store.commit([]);
        expect(await allPages({ limit: 10 })).toEqual([]);
      });

      it('takes 2,000 commits at the same time', async () => {
        await Promise.all(Array.from({ length: 2_000 }, (_, n) => store.commit([record(`n${n}`, { createdAt: n })])));
        expect(await allPages({ limit: 500 })).toHaveLength(2_000);
      });

      it.each([
        ['an object', { nested: { list: [1, 'two', null, true, { three: 3.5 }] } }],
        ['nothing', null],
        ['a number', -1.5e-7],
        ['text in many scripts', 'Grubenlampe ⛏️ – Ünïcödé, 坑灯, مصباح, 𝔘𝔫𝔦, \u0000, \u2028, "quotes", \\ and \n'],
        ['keys that objects have anyway', JSON.parse('{"__proto__": 1, "constructor": 2, "toString": 3}')],
        ['1 MB', { text: 'ä'.repeat(524_288) }],
      ])('gives %s back as it was', async (_, value) => {
        await store.commit([record('zeche-⛏️', { value, index: { application: 'grube-ä', state: '待機' } })]);
        const found = await store.get('analysis', 'zeche-⛏️');
        expect(JSON.stringify(found?.value)).toBe(JSON.stringify(value));
        expect(found?.index).toEqual({ application: 'grube-ä', state: '待機' });
      });

      it('refuses a value above the limit and stores nothing of its commit', async () => {
        const tooLarge = record('large', { value: 'x'.repeat(limits.maxRecordBytes - 1) });
        expect(await rejection(store.commit([record('small'), tooLarge]))).toMatchObject({
          code: 'record_too_large',
          retryable: false,
        });
        expect(await store.get('analysis', 'small')).toBeUndefined();
      });

      it('measures the limit in bytes and takes a value that just fits', async () => {
        const characters = (limits.maxRecordBytes - 2) / 2;
        await store.commit([record('fits', { value: 'ä'.repeat(characters) })]);
        expect((await store.get('analysis', 'fits'))?.value).toHaveLength(characters);
        const over = store.commit([record('over', { value: 'ä'.repeat(characters + 1) })]);
        expect(await rejection(over)).toMatchObject({ code: 'record_too_large' });
      });
    });

    describe('several records at once', () => {
      it('come in the order of the ids, and nothing where there is none', async () => {
        await store.commit([record('a'), record('b', { value: 'second' }), record('b', { kind: 'rollback', value: 'other' })]);
        const found = await store.getMany('analysis', ['b', 'nobody', 'a', 'b']);
        expect(found.map((each) => each?.id)).toEqual(['b', undefined, 'a', 'b']);
        expect(found[0]).toEqual(await store.get('analysis', 'b'));
      });

      it('are none for no ids, and at most 1,000', async () => {
        expect(await store.getMany('analysis', [])).toEqual([]);
        const many = Array.from({ length: 1_000 }, (_, n) => `n${n}`);
        expect(await store.getMany('analysis', many)).toHaveLength(1_000);
        await expect(store.getMany('analysis', [...many, 'one more'])).rejects.toThrow(RangeError);
      });
    });

    it.each(['webhook', 'alert', 'sighting', 'state', 'idempotency', 'measurements'] as const)(
      'keeps records of kind %s',
      async (kind) => {
        await store.commit([record('a', { kind, value: { of: kind } })]);
        expect(await store.get(kind, 'a')).toMatchObject({ kind, version: 1, value: { of: kind } });
        expect(ids((await store.list(kind, { limit: 10 })).records)).toEqual(['a']);
      },
    );

    describe('the identity of the data set', () => {
      it('is made once and stays', async () => {
        const first = await store.epoch();
        expect(first).toMatch(/^[0-9a-f-]{36}$/);
        await store.commit([record('a')]);
        expect(await store.epoch()).toBe(first);
        await close();
        await open();
        expect(await store.epoch()).toBe(first);
      });

      it('is another one in another place', async () => {
        const other = await makePlace();
        const { store: elsewhere, close: closeElsewhere } = await other.open();
        expect(await elsewhere.epoch()).not.toBe(await store.epoch());
        await closeElsewhere();
        await other.remove();
      });

      it('is in order as long as nothing happens', async () => {
        expect(await store.condition()).toMatchObject({ ok: true });
        await store.close();
        expect(await store.condition()).toMatchObject({ ok: false, code: 'store_unavailable' });
      });
    });

    describe('pruning', () => {
      const at = (id: string, createdAt: number, open?: boolean, changes: Partial<RecordWrite> = {}) =>
        record(id, {
          createdAt,
          index: { application: 'shop', state: 's', ...(open === undefined ? {} : { open }) },
          ...changes,
        });

      it('removes the oldest closed records that are old enough, so many at a time', async () => {
        await store.commit([at('a', 1, false), at('b', 2, true), at('c', 3), at('d', 4, false), at('e', 5, false)]);
        expect(await store.prune('analysis', { before: 5, limit: 2 })).toBe(2);
        expect(ids(await allPages({ limit: 10 }))).toEqual(['e', 'd', 'b']);
        expect(await store.prune('analysis', { before: 5, limit: 2 })).toBe(1);
        expect(await store.prune('analysis', { before: 5, limit: 2 })).toBe(0);
        expect(ids(await allPages({ limit: 10 }))).toEqual(['e', 'b']);
        for (const query of [{ application: 'shop' }, { state: 's' }]) {
          expect(ids(await allPages({ ...query, limit: 10 }))).toEqual(['e', 'b']);
        }
        expect(ids(await allPages({ open: false, limit: 10 }))).toEqual(['e']);
        expect(await store.get('analysis', 'a')).toBeUndefined();
      });

      it('never removes an open record, and removes one that was closed since', async () => {
        await store.commit([at('a', 1, true)]);
        expect(await store.prune('analysis', { before: 100, limit: 10 })).toBe(0);
        await store.commit([at('a', 1, false, { expect: 1 })]);
        expect(await store.prune('analysis', { before: 100, limit: 10 })).toBe(1);
      });

      it('takes measurements along with their analysis and leaves those of a kept one', async () => {
        const measurements = (id: string) => at(id, 1, undefined, { kind: 'measurements' });
        await store.commit([at('old', 1, false), measurements('old'), at('running', 1, true), measurements('running')]);
        await store.commit([measurements('orphan')]);
        expect(await store.prune('measurements', { before: 100, limit: 10 })).toBe(1);
        expect(await store.get('measurements', 'orphan')).toBeUndefined();
        expect(await store.get('measurements', 'old')).toBeDefined();
        expect(await store.prune('analysis', { before: 100, limit: 10 })).toBe(1);
        expect(await store.get('measurements', 'old')).toBeUndefined();
        expect(await store.get('measurements', 'running')).toBeDefined();
        expect((await store.list('measurements', { limit: 10 })).records).toHaveLength(1);
      });

      it('keeps to its kind and to the journal', async () => {
        await store.commit([at('a', 1, false), at('a', 1, false, { kind: 'webhook' })], [entry()]);
        expect(await store.prune('webhook', { before: 100, limit: 10 })).toBe(1);
        expect(await store.get('analysis', 'a')).toBeDefined();
        expect(await store.journal({ limit: 10 })).toHaveLength(1);
      });

      it('lets a pruned id be used again, from version 1', async () => {
        await store.commit([at('a', 1, false)]);
        await store.prune('analysis', { before: 100, limit: 10 });
        expect(await rejection(store.commit([at('a', 1, false, { expect: 1 })]))).toMatchObject({ code: 'conflict' });
        await store.commit([at('a', 2, false)]);
        expect(await store.get('analysis', 'a')).toMatchObject({ version: 1 });
      });
    });

    describe('listing', () => {
      const releases: RecordWrite[] = [
        record('a', { createdAt: 10, index: { application: 'shop', state: 'Running', open: true } }),
        record('b', { createdAt: 20, index: { application: 'shop', state: 'Failed', open: false } }),
        record('c', { createdAt: 20, index: { application: 'search', state: 'Running', open: true } }),
        record('d', { createdAt: 30, index: { application: 'search', state: 'Running', open: false } }),
        record('e', { createdAt: 5, index: {} }),
        record('f', { createdAt: 40, kind: 'rollback', index: { application: 'shop', open: true } }),
      ];

      it.each([
        ['everything of the kind', {}, ['d', 'c', 'b', 'a', 'e']],
        ['an application', { application: 'shop' }, ['b', 'a']],
        ['a state', { state: 'Running' }, ['d', 'c', 'a']],
        ['open ones', { open: true }, ['c', 'a']],
        ['closed ones', { open: false }, ['d', 'b']],
        ['a time and later', { since: 20 }, ['d', 'c', 'b']],
        ['application and state', { application: 'search', state: 'Running' }, ['d', 'c']],
        ['all filters', { application: 'search', state: 'Running', open: true, since: 20 }, ['c']],
        ['what does not exist', { application: 'nobody' }, []],
      ])('lists %s, newest first', async (_, query, expected) => {
        await store.commit(releases);
        const { records, next } = await store.list('analysis', { ...query, limit: 100 });
        expect(ids(records)).toEqual(expected);
        expect(next).toBeNull();
        expect(ids(await allPages({ ...query, limit: 1 }))).toEqual(expected);
      });

      it('lists whole records', async () => {
        await store.commit(releases);
        const { records } = await store.list('analysis', { state: 'Failed', limit: 5 });
        expect(records[0]).toEqual(await store.get('analysis', 'b'));
      });

      it('ends a page at its limit with a cursor, and the last page without one', async () => {
        await store.commit(releases);
        const first = await store.list('analysis', { limit: 3 });
        expect(first.records).toHaveLength(3);
        expect(first.next).not.toBeNull();
        const second = await store.list('analysis', { limit: 2, before: first.next ?? '' });
        expect(ids(second.records)).toEqual(['a', 'e']);
        expect(second.next).toBeNull();
      });

      it('shows each record once while newer ones arrive between the pages', async () => {
        const old = Array.from({ length: 25 }, (_, n) => record(`old-${n}`, { createdAt: Math.floor(n / 3) }));
        await store.commit(old);
        const seen: string[] = [];
        let before: string | null = null;
        let arrivals = 0;
        do {
          const page: Awaited<ReturnType<Store['list']>> = await store.list('analysis', {
            limit: 4,
            ...(before === null ? {} : { before }),
          });
          seen.push(...ids(page.records));
          before = page.next;
          arrivals += 1;
          await store.commit([record(`new-${arrivals}`, { createdAt: 100 + arrivals })]);
        } while (before !== null);
        expect(seen.toSorted()).toEqual(old.map(({ id }) => id).toSorted());
      });

      it('follows a record to its new state', async () => {
        await store.commit([record('a', { index: { state: 'Running', open: true } })]);
        await store.commit([record('a', { expect: 1, index: { state: 'Successful', open: false } })]);
        expect((await store.list('analysis', { open: true, limit: 10 })).records).toEqual([]);
        expect((await store.list('analysis', { state: 'Running', limit: 10 })).records).toEqual([]);
        expect(ids((await store.list('analysis', { state: 'Successful', limit: 10 })).records)).toEqual(['a']);
      });

      it('ends a page of large values early and goes on from there', async () => {
        const value = 'x'.repeat(limits.maxRecordBytes - 2);
        for (const n of [1, 2, 3, 4]) await store.commit([record(`large-${n}`, { createdAt: n, value })]);
        const { records, next } = await store.list('analysis', { limit: 100 });
        expect(records.length).toBeGreaterThan(0);
        expect(records.length).toBeLessThan(4);
        expect(next).not.toBeNull();
        expect(ids(await allPages({ limit: 100 }))).toEqual(['large-4', 'large-3', 'large-2', 'large-1']);
      });

      it.each(['', 'nonsense', 'bnVsbA', Buffer.from('[1]').toString('base64url'), Buffer.from('{"a":1}').toString('base64url')])(
        'refuses the cursor "%s", which it has not made',
        async (before) => {
          expect(await rejection(store.list('analysis', { limit: 10, before }))).toMatchObject({
            code: 'cursor_invalid',
            retryable: false,
          });
        },
      );
    });

    describe('journal', () => {
      it('takes entries together with records, chained', async () => {
        const [first] = await store.commit([record('a')], [entry({ subject: 'one' })]);
        const [second, third] = await store.commit([], [entry({ subject: 'two' }), entry({ subject: 'three' })]);
        expect([second?.previous, third?.previous]).toEqual([first?.hash, second?.hash]);
        expect(await store.journal({ limit: 10 })).toEqual([first, second, third]);
      });

      it('keeps no entry of a commit that lost against another one', async () => {
        await store.commit([record('a')], [entry({ subject: 'won' })]);
        await expect(store.commit([record('a')], [entry({ subject: 'lost' })])).rejects.toMatchObject({ code: 'conflict' });
        expect((await store.journal({ limit: 10 })).map(({ subject }) => subject)).toEqual(['won']);
      });

      it('numbers entries from 1 and chains each to the one before', async () => {
        const first = await store.append(entry({ details: { b: 1, a: [true, null, 'ä⛏️'] } }));
        const second = await store.append(entry());
        expect(first).toMatchObject({
          ...entry({ details: { b: 1, a: [true, null, 'ä⛏️'] } }),
          number: 1,
          previous: '0'.repeat(64),
        });
        expect(second).toMatchObject({ number: 2, previous: first.hash });
        expect(await store.journal({ limit: 10 })).toEqual([first, second]);
        expect(firstBreak([first, second], null)).toBeNull();
      });

      it('keeps one unbroken chain under 200 appends at the same time', async () => {
        const appended = await Promise.all(
          Array.from({ length: 200 }, (_, n) => store.append(entry({ subject: `s${n}`, details: { n } }))),
        );
        const kept = await store.journal({ limit: 1_000 });
        expect(kept.map(({ number }) => number)).toEqual(Array.from({ length: 200 }, (_, n) => n + 1));
        expect(firstBreak(kept, null)).toBeNull();
        expect(new Set(kept.map(({ hash }) => hash))).toEqual(new Set(appended.map(({ hash }) => hash)));
      });

      it('lets an entry with the same event, subject and code repeat', async () => {
        await store.append(entry());
        await store.append(entry());
        expect(await store.journal({ limit: 10 })).toHaveLength(2);
      });

      it('pages by number, oldest first, and by subject', async () => {
        for (const subject of ['x', 'y', 'x', 'y', 'x']) await store.append(entry({ subject }));
        const numbers = async (query: Parameters<Store['journal']>[0]) =>
          (await store.journal(query)).map(({ number }) => number);
        expect(await numbers({ limit: 2 })).toEqual([1, 2]);
        expect(await numbers({ after: 2, limit: 2 })).toEqual([3, 4]);
        expect(await numbers({ after: 5, limit: 2 })).toEqual([]);
        expect(await numbers({ subject: 'x', limit: 2 })).toEqual([1, 3]);
        expect(await numbers({ subject: 'x', after: 3, limit: 2 })).toEqual([5]);
        expect(await numbers({ subject: 'z', limit: 2 })).toEqual([]);
      });

      it('refuses an entry that is too large and goes on with the same chain', async () => {
        const first = await store.append(entry());
        const large = store.append(entry({ details: { log: 'x'.repeat(limits.maxRecordBytes) } }));
        expect(await rejection(large)).toMatchObject({ code: 'record_too_large', retryable: false });
        expect(await store.append(entry())).toMatchObject({ number: 2, previous: first.hash });
      });
    });

    it('has everything again after it was closed and opened, and goes on with the chain', async () => {
      await store.commit([record('a', { value: 'kept' })]);
      const last = await store.append(entry());
      await close();
      await open();
      expect(await store.get('analysis', 'a')).toMatchObject({ version: 1, value: 'kept' });
      expect(await store.append(entry())).toMatchObject({ number: 2, previous: last.hash });
    });

    it('finishes what was asked before the close, and refuses everything after', async () => {
      const early = store.commit([record('early')]);
      await store.close();
      for (const late of [
        store.get('analysis', 'a'),
        store.getMany('analysis', ['a']),
        store.epoch(),
        store.prune('analysis', { before: 1, limit: 1 }),
        store.commit([record('late')]),
        store.list('analysis', { limit: 1 }),
        store.append(entry()),
        store.journal({ limit: 1 }),
      ]) {
        expect(await rejection(late)).toMatchObject({ code: 'store_unavailable', retryable: true });
      }
      await early;
      await close();
      await open();
      expect(await store.get('analysis', 'early')).toBeDefined();
      expect(await store.get('analysis', 'late')).toBeUndefined();
    });

    it(`has every confirmed write, whole, after ${KILLS} processes were killed in the middle of writing`, async () => {
      await close();
      const lines: string[] = [];
      for (let round = 0; round < KILLS; round += 1) {
        const moment = 20 + Math.floor(Math.random() * 400);
        lines.push(...(await runUntilKilled('write-records.js', place.child, `round${round}`, ({ length }) => length >= moment)));
      }
      await open();
      const stored = new Set(ids(await allPages({ limit: 1_000 })));
      const names = lines.filter((line) => line.startsWith('committed ')).map((line) => line.slice('committed '.length));
      expect(names.length).toBeGreaterThan(0);
      expect(names.filter((name) => !stored.has(`${name}-left`) || !stored.has(`${name}-right`))).toEqual([]);
      const halves = [...stored].filter(
        (id) => !stored.has(id.replace(/left$|right$/, (side) => (side === 'left' ? 'right' : 'left'))),
      );
      expect(halves).toEqual([]);

      const hashes = new Set<string>();
      let last: Awaited<ReturnType<Store['append']>> | null = null;
      for (;;) {
        const page: Awaited<ReturnType<Store['journal']>> = await store.journal({ after: last?.number ?? 0, limit: 500 });
        if (page.length === 0) break;
        expect(firstBreak(page, last)).toBeNull();
        for (const { hash } of page) hashes.add(hash);
        last = page.at(-1) ?? last;
      }
      const confirmed = lines.filter((line) => line.startsWith('appended ')).map((line) => line.slice('appended '.length));
      expect(confirmed.filter((hash) => !hashes.has(hash))).toEqual([]);
    }, 60_000);
  });
}
