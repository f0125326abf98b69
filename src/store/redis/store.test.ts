import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { compiledChild } from '../../../test/conformance/killed.ts';
import { redisPlace } from '../../../test/conformance/redis-place.ts';
import { startRedis, type RedisConfig, type RedisServer } from '../../../test/support/redis.ts';
import { CodedError } from '../../errors.ts';
import { chainHash, firstBreak } from '../chain.ts';
import type { ArchivedPart, ChainedEntry, JournalEntry, RecordWrite, Store } from '../port.ts';
import { createRedisArchive } from './archive.ts';
import { openRedis } from './connection.ts';
import { sortable } from './layout.ts';
import { openDataSet } from './opening.ts';
import type { RedisConnection } from './port.ts';
import { createRedisStore } from './store.ts';

const PROCESSES = 4;
const CHILD_COMMITS = 150;

const record = (id: string, changes: Partial<RecordWrite> = {}): RecordWrite => ({
  kind: 'analysis',
  id,
  expect: 0,
  createdAt: 1_000,
  index: { application: 'shop', open: true },
  value: { id },
  ...changes,
});

const entry = (subject: string): JournalEntry => ({
  at: 1,
  event: 'rollback.held',
  application: 'shop',
  subject,
  code: 'guard',
  sentence: 'Held.',
  details: { ä: [1.5, null, 'x'] },
});

async function refusal(promise: Promise<unknown>): Promise<CodedError> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CodedError);
  return error as CodedError;
}

async function wholeJournal(store: Store): Promise<ChainedEntry[]> {
  const all: ChainedEntry[] = [];
  for (;;) {
    const page = await store.journal({ after: all.length, limit: 1_000 });
    if (page.length === 0) return all;
    all.push(...page);
  }
}

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.toReversed()) await close();
  closers.length = 0;
});

/** A Redis for one test. */
async function alone(config: RedisConfig = {}) {
  const server = await startRedis(config);
  closers.push(() => server.stop());
  const settings = { url: server.url, prefix: 'p', acceptNotDurable: true, acceptUnverified: false };
  const connection = await openRedis(settings, { times: { inspectMs: 50, commandMs: 2_000 } });
  closers.push(() => connection.close());
  const store = await createRedisStore(connection, { version: '1.2.3' });
  return { server, settings, connection, store };
}

/** Waits for an answer of the store again; the deadline is generous, the bench has the figure. */
async function answersAgain(store: Store): Promise<void> {
  await expect.poll(async () => (await store.condition()).code, { timeout: 20_000, interval: 20 }).not.toBe('store_unavailable');
}

let shared: RedisServer;
beforeAll(async () => {
  shared = await startRedis();
}, 400_000);
afterAll(() => shared.stop());

describe('one journal of several processes', () => {
  it(`has one unbroken chain after ${PROCESSES} processes wrote to it, and each confirmed entry`, async () => {
    const place = await redisPlace(shared);
    const children = Array.from({ length: PROCESSES }, async (_, n) => {
      const script = compiledChild('write-records.js');
      const child = spawn(process.execPath, [script, place.child.adapter, place.child.place, `p${n}`], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const lines: string[] = [];
      createInterface({ input: child.stdout }).on('line', (line) => {
        lines.push(line);
        if (lines.length >= CHILD_COMMITS) child.kill('SIGKILL');
      });
      await once(child, 'close');
      return lines;
    });
    const lines = (await Promise.all(children)).flat();
    expect(lines.length).toBeGreaterThanOrEqual(PROCESSES * CHILD_COMMITS);
    const { store, close } = await place.openStore();
    closers.push(place.remove, close);
    const journal = await wholeJournal(store);
    expect(firstBreak(journal, null)).toBeNull();
    const hashes = new Set(journal.map(({ hash }) => hash));
    expect(hashes.size).toBe(journal.length);
    const confirmed = lines.filter((line) => line.startsWith('appended ')).map((line) => line.slice('appended '.length));
    expect(confirmed.filter((hash) => !hashes.has(hash))).toEqual([]);
  }, 60_000);

  it('lets every one of eight connections get its entries in while the others write without a pause', async () => {
    const place = await redisPlace(shared);
    closers.push(place.remove);
    const stores = await Promise.all(Array.from({ length: 8 }, () => place.openStore()));
    for (const { close } of stores) closers.push(close);
    await Promise.all(
      stores.map(async ({ store }, n) => {
        for (let turn = 0; turn < 40; turn += 1) await store.commit([record(`s${n}-${turn}`)], [entry(`s${n}`)]);
      }),
    );
    const journal = await wholeJournal(stores[0]?.store ?? expect.fail());
    expect(journal).toHaveLength(8 * 40);
    expect(firstBreak(journal, null)).toBeNull();
  });

  it('hashes as the embedded store does, whatever the entry holds', async () => {
    const place = await redisPlace(shared);
    const { store, close } = await place.openStore();
    closers.push(place.remove, close);
    const odd: JournalEntry = { ...entry('Ünïcödé ⛏️ \u2028'), at: 1e21, details: { b: -0, a: { z: 1e-7, ['__proto__x']: [] } } };
    const first = await store.append(odd);
    expect(first.hash).toBe(chainHash(1, '0'.repeat(64), odd));
    const [read] = await store.journal({ limit: 1, subject: odd.subject });
    expect(read).toEqual(JSON.parse(JSON.stringify(first)));
    expect(firstBreak([read ?? expect.fail()], null)).toBeNull();
  });

  it('keeps the entries of commits beside one that conflicts', async () => {
    const place = await redisPlace(shared);
    const { store, close } = await place.openStore();
    closers.push(place.remove, close);
    await store.commit([record('taken')]);
    const results = await Promise.allSettled(
      ['a', 'taken', 'b', 'taken', 'c'].map((id) => store.commit([record(id)], [entry(id), entry(id)])),
    );
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled']);
    const journal = await wholeJournal(store);
    expect(journal.map(({ subject }) => subject).toSorted()).toEqual(['a', 'a', 'b', 'b', 'c', 'c']);
    expect(firstBreak(journal, null)).toBeNull();
  });

  it('does not mix subjects of which one begins with the other', async () => {
    const place = await redisPlace(shared);
    const { store, close } = await place.openStore();
    closers.push(place.remove, close);
    for (const subject of ['r1', 'r10', 'r1', 'r', 'r1:x']) await store.append(entry(subject));
    expect((await store.journal({ subject: 'r1', limit: 10 })).map(({ number }) => number)).toEqual([1, 3]);
  });
});

describe('scripts', () => {
  it('are sent again to a server that has forgotten them', async () => {
    const { store, connection } = await alone();
    await store.commit([record('a')], [entry('a')]);
    await connection.client.script('FLUSH');
    await store.commit([record('b')], [entry('b')]);
    expect((await store.list('analysis', { limit: 10 })).records).toHaveLength(2);
    expect(firstBreak(await store.journal({ limit: 10 }), null)).toBeNull();
  });

  it('keep to one slot of a cluster', async () => {
    const server = await startRedis({ 'cluster-enabled': 'yes', 'cluster-announce-ip': '127.0.0.1' });
    closers.push(() => server.stop());
    const node = new Redis(server.url);
    await node.cluster('ADDSLOTSRANGE', 0, 16_383);
    await expect.poll(() => node.cluster('INFO'), { timeout: 15_000 }).toContain('cluster_state:ok');
    closers.push(async () => node.disconnect());
    const connection = await openRedis({ url: server.url, prefix: 'p', acceptNotDurable: false, acceptUnverified: false });
    closers.push(() => connection.close());
    const store = await createRedisStore(connection, { version: 'test' });
    await Promise.all(Array.from({ length: 50 }, (_, n) => store.commit([record(`a${n}`), record(`b${n}`)], [entry(`a${n}`)])));
    await store.commit([record('a1', { expect: 1, index: { state: 'Failed', open: false } })]);
    expect((await store.list('analysis', { application: 'shop', open: true, limit: 200 })).records).toHaveLength(99);
    expect(await store.getMany('analysis', ['a0', 'b0'])).toHaveLength(2);
    expect(await store.prune('analysis', { before: 2_000, limit: 10 })).toBe(1);
    expect(firstBreak(await wholeJournal(store), null)).toBeNull();
    const slots = await Promise.all((await node.keys('*')).map((key) => node.cluster('KEYSLOT', key)));
    expect(new Set(slots).size).toBe(1);
  }, 60_000);
});

describe('a user of an ACL', () => {
  it('needs the commands that the reference page lists, and no others', async () => {
    const page = await readFile(new URL('../../../docs/reference/storage.md', import.meta.url), 'utf8');
    const listed = /An ACL user needs these commands.*?`(EVAL [^`]+)`/s.exec(page)?.[1]?.split(/\s+/) ?? [];
    expect(listed.length).toBeGreaterThan(20);
    const { server, connection: admin } = await alone();
    const rules = ['on', '>secret', '~{p}*', '+@connection', ...listed.map((command) => `+${command.toLowerCase()}`)];
    await admin.client.call('ACL', 'SETUSER', 'davylamp', ...rules);
    const settings = { url: server.url, prefix: 'p', acceptNotDurable: true, acceptUnverified: false };
    const connection = await openRedis({ ...settings, username: 'davylamp', readPassword: async () => 'secret' });
    closers.push(() => connection.close());
    const store = await createRedisStore(connection, { version: 'test' });
    await store.commit([record('a'), record('b')], [entry('a')]);
    await store.commit([record('a', { expect: 1, index: { state: 'Failed', open: false } })]);
    await store.list('analysis', { application: 'shop', limit: 5 });
    await store.getMany('analysis', ['a', 'b']);
    await store.journal({ subject: 'a', limit: 5 });
    const archive = createRedisArchive(connection, { version: 'test' });
    const parts: ArchivedPart[] = [];
    for await (const page of archive.snapshot()) {
      parts.push(...page);
      await store.prune('analysis', { before: 2_000, limit: 5 });
      await store.commit([record('b', { expect: 1 })]).catch(() => {});
    }
    expect(await store.condition()).toMatchObject({ ok: true });
    await admin.client.flushall();
    expect(await archive.isEmpty()).toBe(true);
    await archive.load(parts);
    await archive.finish();
    expect(await store.epoch()).toMatch(/^[0-9a-f-]{36}$/);
    expect(await store.get('analysis', 'a')).toMatchObject({ version: 2 });
  });
});

describe('a Redis that is away', () => {
  it('is said at once, and everything confirmed is there when it is back', async () => {
    // Once a second, Redis puts writes off while a flush is under way: killed then, it loses what it has confirmed.
    const { server, store } = await alone({ appendfsync: 'always' });
    await store.commit([record('a')], [entry('a')]);
    await server.kill();
    await expect.poll(async () => (await store.condition()).code).toBe('store_unavailable');
    for (const call of [
      () => store.get('analysis', 'a'),
      () => store.commit([record('b')], [entry('b')]),
      () => store.list('analysis', { limit: 1 }),
      () => store.epoch(),
    ]) {
      const started = performance.now();
      expect(await refusal(call())).toMatchObject({ code: 'store_unavailable', retryable: true });
      // No call waits for the server; the bound is far above what a refusal takes, and far below every time-out.
      expect(performance.now() - started).toBeLessThan(1_000);
    }
    await server.start();
    await answersAgain(store);
    expect(await store.get('analysis', 'a')).toMatchObject({ version: 1 });
    await store.commit([record('b')], [entry('b')]);
    expect(firstBreak(await store.journal({ limit: 10 }), null)).toBeNull();
    expect(await store.condition()).toMatchObject({ ok: true });
  });

  it('does neither lose nor double what was under way when it was killed', async () => {
    const { server, store } = await alone({ appendfsync: 'always' });
    const confirmed: string[] = [];
    let refused = 0;
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let turn = 0; refused < 8; turn += 1) {
        const id = `${writer}-${turn}`;
        try {
          await store.commit([record(id)], [entry(id)]);
          confirmed.push(id);
          if (confirmed.length === 200) void server.kill();
        } catch (error) {
          expect(error).toMatchObject({ code: 'store_unavailable', retryable: true });
          refused += 1;
        }
      }
    });
    await Promise.all(writers);
    await server.kill();
    await server.start();
    await answersAgain(store);
    const journal = await wholeJournal(store);
    expect(firstBreak(journal, null)).toBeNull();
    const subjects = journal.map(({ subject }) => subject);
    expect(new Set(subjects).size).toBe(subjects.length);
    const found = await store.getMany('analysis', confirmed);
    expect(found.filter((each) => each?.version !== 1)).toEqual([]);
    // A commit whose answer was lost is whole or not there.
    for (const subject of subjects) expect(await store.get('analysis', subject)).toMatchObject({ version: 1 });
  });

  it('is unavailable while it loads its data, and not a fault of ours', async () => {
    const { server, store } = await alone({
      appendfsync: 'always',
      'key-load-delay': '2000',
      'enable-debug-command': 'yes',
      save: [''],
    });
    await Promise.all(Array.from({ length: 300 }, (_, n) => store.commit([record(`a${n}`, { value: 'x'.repeat(1_000) })])));
    await server.kill();
    const starting = server.start();
    const seen = new Set<string>();
    let done = false;
    void starting.then(() => (done = true));
    while (!done) {
      const error: unknown = await store.get('analysis', 'a1').then(
        () => null,
        (reason: unknown) => reason,
      );
      if (error !== null) seen.add(error instanceof CodedError ? error.code : 'not coded');
      await new Promise((next) => setTimeout(next, 5));
    }
    expect([...seen]).toEqual(['store_unavailable']);
    await answersAgain(store);
    expect(await store.get('analysis', 'a1')).toBeDefined();
  });

  it('refuses writes of a primary that became a replica', async () => {
    const other = await startRedis();
    closers.push(() => other.stop());
    const { connection, store } = await alone();
    await store.commit([record('a')]);
    // Of itself it cannot be a replica; of a port where nobody listens it keeps its data.
    await connection.client.call('REPLICAOF', '127.0.0.1', '1');
    const error = await refusal(store.commit([record('b')]));
    expect(error).toMatchObject({ code: 'store_unavailable', retryable: true });
  });
});

describe('a full Redis', () => {
  it('says so, keeps nothing half, and goes on when it has memory again', async () => {
    const { connection, store } = await alone();
    await store.commit([record('before')], [entry('before')]);
    await connection.client.config('SET', 'maxmemory', '1');
    const writes = [record('a'), record('before', { expect: 1, index: { state: 'Failed', open: false } })];
    for (const call of [
      () => store.commit(writes, [entry('a'), entry('a')]),
      () => store.append(entry('b')),
      () => store.commit([record('before', { expect: 1, index: {} })]),
    ]) {
      expect(await refusal(call())).toMatchObject({ code: 'store_full', retryable: true });
    }
    expect(await store.get('analysis', 'a')).toBeUndefined();
    expect(await store.get('analysis', 'before')).toMatchObject({ version: 1, index: { application: 'shop', open: true } });
    expect(await store.journal({ limit: 10 })).toHaveLength(1);
    await expect.poll(async () => (await store.condition()).code).toBe('store_full');
    await connection.client.config('SET', 'maxmemory', '0');
    await store.commit(writes, [entry('a')]);
    expect(firstBreak(await store.journal({ limit: 10 }), null)).toBeNull();
    await expect.poll(async () => (await store.condition()).ok).toBe(true);
  });
});

describe('a Redis that has lost its data', () => {
  it.each([
    ['emptied', async (_: RedisServer, connection: RedisConnection) => void (await connection.client.flushall())],
    [
      'restarted without an append-only file',
      async (server: RedisServer) => {
        await server.kill();
        await server.start();
      },
    ],
  ])('%s: nothing is written before the new data set is accepted', async (_, lose) => {
    const { server, connection, store } = await alone({ appendonly: 'no' });
    const before = await store.epoch();
    await store.commit([record('a')], [entry('a')]);
    await lose(server, connection);
    await answersAgain(store);
    for (const call of [() => store.commit([record('b')]), () => store.append(entry('b'))]) {
      expect(await refusal(call())).toMatchObject({ code: 'state_lost', retryable: true });
    }
    expect(await store.condition()).toMatchObject({ ok: false, code: 'state_lost' });
    expect(await store.get('analysis', 'b')).toBeUndefined();
    expect(await store.journal({ limit: 10 })).toEqual([]);
    const after = await store.epoch();
    expect(after).not.toBe(before);
    expect((await store.condition()).code).not.toBe('state_lost');
    await store.commit([record('b')], [entry('b')]);
    expect(firstBreak(await store.journal({ limit: 10 }), null)).toBeNull();
  });

  it('is told to every process, each of which accepts it for itself', async () => {
    const { settings, connection, store } = await alone();
    const second = await openRedis(settings);
    closers.push(() => second.close());
    const other = await createRedisStore(second, { version: 'test' });
    await connection.client.flushall();
    const epoch = await store.epoch();
    await store.commit([record('a')]);
    expect(await other.condition()).toMatchObject({ code: 'state_lost' });
    expect(await refusal(other.commit([record('b')]))).toMatchObject({ code: 'state_lost' });
    expect(await other.epoch()).toBe(epoch);
    await other.commit([record('b')]);
    expect(await store.condition()).toMatchObject({ ok: true });
  });

  it.each([
    ['a journal entry', (store: Store) => store.append(entry('lost'))],
    ['a record alone', (store: Store) => store.commit([record('lost')])],
  ])('is another data set when %s that was written last is gone, whatever others wrote since', async (_, lose) => {
    // A snapshot on the disk and no append-only file: after the kill, Redis is where it was at the snapshot.
    const { server, settings, connection, store } = await alone({ appendonly: 'no' });
    await store.commit([record('kept')], [entry('kept')]);
    const before = await store.epoch();
    await connection.client.save();
    await lose(store);
    await server.kill();
    await server.start();
    await answersAgain(store);
    const second = await openRedis(settings);
    closers.push(() => second.close());
    const other = await createRedisStore(second, { version: 'test' });
    for (let n = 0; n < 5; n += 1) await other.commit([record(`other-${n}`)], [entry(`other-${n}`)]);
    expect(await store.condition()).toMatchObject({ code: 'state_lost' });
    expect(await refusal(store.commit([record('a')]))).toMatchObject({ code: 'state_lost' });
    const after = await store.epoch();
    expect(after).not.toBe(before);
    expect(await other.condition()).toMatchObject({ code: 'state_lost' });
    expect(await other.epoch()).toBe(after);
    await Promise.all([store.append(entry('a')), other.append(entry('b'))]);
    expect(await store.get('analysis', 'kept')).toBeDefined();
    expect(firstBreak(await wholeJournal(store), null)).toBeNull();
  });

  it('is the same data set after a call whose answer was lost', async () => {
    const { connection, store } = await alone({ appendfsync: 'always' });
    await store.append(entry('first'));
    const epoch = await store.epoch();
    const commits = Array.from({ length: 20 }, (_, n) => store.append(entry(`n${n}`)).catch(() => null));
    await new Promise((next) => setImmediate(next));
    await connection.client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'no').catch(() => null);
    await Promise.all(commits);
    await answersAgain(store);
    expect(await store.condition()).toMatchObject({ ok: true });
    expect(await store.epoch()).toBe(epoch);
    await store.append(entry('last'));
    expect(firstBreak(await wholeJournal(store), null)).toBeNull();
  });
});

describe('the schema of the data set', () => {
  let place: Awaited<ReturnType<typeof redisPlace>>;
  let connection: RedisConnection;
  beforeEach(async () => {
    place = await redisPlace(shared);
    connection = await openRedis(place.settings);
    closers.push(place.remove, () => connection.close());
  });
  const meta = () => `${connection.keyPrefix}:store:meta`;

  it('is refused when it is newer than this version knows, with who wrote it', async () => {
    await createRedisStore(connection, { version: '0.1.0' });
    await connection.client.hset(meta(), 'schema', 7, 'writtenBy', '9.9.9');
    const error = await refusal(createRedisStore(connection, { version: '0.1.0' }));
    expect(error).toMatchObject({ code: 'store_newer', retryable: false, details: { found: 7, writtenBy: '9.9.9' } });
    expect(error.message).toContain('version 9.9.9');
  });

  it('is not written to by a process of the old version once a new one has brought it up to date', async () => {
    const old = await createRedisStore(connection, { version: '0.1.0' });
    await old.commit([record('a')]);
    await openDataSet(connection, { version: '0.2.0', self: 'new', migrations: [async () => {}] });
    expect(await refusal(old.commit([record('b')]))).toMatchObject({ code: 'store_newer', retryable: false });
    expect(await old.get('analysis', 'b')).toBeUndefined();
  });

  it('goes forward step by step, once, however many processes start at the same time', async () => {
    await (await createRedisStore(connection, { version: '0.1.0' })).commit([record('a')], [entry('a')]);
    const steps: string[] = [];
    const step =
      (name: string) =>
      async ({ client }: RedisConnection) => {
        steps.push(name);
        await client.rpush(`${connection.keyPrefix}:steps`, name);
      };
    const others = await Promise.all([1, 2, 3].map(() => openRedis(place.settings)));
    for (const other of others) closers.push(() => other.close());
    const migrations = [step('to 2'), step('to 3')];
    const opened = await Promise.all(
      others.map((other, n) => openDataSet(other, { version: '0.2.0', self: `p${n}`, migrations })),
    );
    expect(steps).toEqual(['to 2', 'to 3']);
    expect(new Set(opened.map(({ epoch }) => epoch)).size).toBe(1);
    expect(opened[0]?.end.number).toBe(1);
    expect(await connection.client.hmget(meta(), 'schema', 'writtenBy')).toEqual(['3', '0.2.0']);
  });

  it('stays at the old one when a step fails, and the next start tries it again', async () => {
    await createRedisStore(connection, { version: '0.1.0' });
    const failing = openDataSet(connection, {
      version: '0.2.0',
      self: 'new',
      migrations: [() => Promise.reject(new Error('broken'))],
    });
    await expect(failing).rejects.toThrow('broken');
    expect(await connection.client.hget(meta(), 'schema')).toBe('1');
    await connection.client.del(`${connection.keyPrefix}:store:migrating`);
    await openDataSet(connection, { version: '0.2.0', self: 'new', migrations: [async () => {}] });
    expect(await connection.client.hget(meta(), 'schema')).toBe('2');
  });

  it('is not opened while a restore has not ended', async () => {
    await connection.client.hset(meta(), 'schema', 1, 'restoring', 1);
    expect(await refusal(createRedisStore(connection, { version: '1' }))).toMatchObject({ code: 'restore_incomplete' });
  });
});

describe('times as they are sorted', () => {
  it('keep the order of the numbers, fractions and negative ones included', () => {
    const times = [-1e15, -1.5, -1, -0.25, 0, 0.25, 1, 1.5, 1_763_900_000_000, 1_763_900_000_000.5, 1e15];
    expect(times.map(sortable).toSorted()).toEqual(times.map(sortable));
    for (const each of times.map(sortable)) expect(each).toMatch(/^[0-9a-f]{16}$/);
  });
});
