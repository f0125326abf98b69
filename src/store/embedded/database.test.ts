import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, open as openFile, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Worker } from 'node:worker_threads';
import { gunzipSync } from 'node:zlib';
import Database from 'libsql';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../clock.ts';
import { CodedError } from '../../errors.ts';
import { firstBreak } from '../chain.ts';
import { MAX_PENDING_REQUESTS, openEmbedded } from './database.ts';
import { SCHEMA_VERSION } from './migrations.ts';
import type { EmbeddedDatabase } from './port.ts';
import { createEmbeddedStore } from './store.ts';

const run = promisify(execFile);
const COMPILED = new URL('../../../dist/src/store/embedded/database.js', import.meta.url).href;

let parent: string;
let folder: string;
let file: string;
const opened: EmbeddedDatabase[] = [];

async function open(options: { requestTimeoutMs?: number; restoring?: boolean } = {}): Promise<EmbeddedDatabase> {
  const database = await openEmbedded({ folder, clock: systemClock, ...options });
  opened.push(database);
  return database;
}

async function refusal(promise: Promise<unknown>): Promise<CodedError> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CodedError);
  return error as CodedError;
}

/** A database with some records, closed. */
async function written(records = 1): Promise<void> {
  const database = await open();
  const store = createEmbeddedStore(database);
  const value = { text: 'x'.repeat(1_000) };
  await Promise.all(
    Array.from({ length: records }, (_, n) =>
      store.commit([{ kind: 'analysis', id: `a${n}`, expect: 0, createdAt: n, index: { open: true }, value }]),
    ),
  );
  await database.close();
}

async function damage(path: string, from: number, bytes: number): Promise<void> {
  const handle = await openFile(path, 'r+');
  await handle.write(Buffer.alloc(bytes, 0xa5), 0, bytes, from);
  await handle.close();
}

/** Changes the closed file as somebody with an SQLite shell would. */
function tamper(sql: string): void {
  const connection = new Database(file);
  connection.exec(sql);
  connection.close();
}

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'davylamp-store-'));
  folder = join(parent, 'data');
  file = join(folder, 'davylamp.db');
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((database) => database.close()));
  await rm(parent, { recursive: true });
});

describe('opening the embedded database', () => {
  it('makes the folder and its files for the owner only', async () => {
    const database = await open();
    await createEmbeddedStore(database).commit([{ kind: 'analysis', id: 'a', expect: 0, createdAt: 0, index: {}, value: 1 }]);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    const files = await readdir(folder);
    expect(files.toSorted()).toEqual(['davylamp.db', 'davylamp.db-wal']);
    for (const name of files) expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
  });

  it('keeps the mode of a folder that was there, and takes other readers off a file that was copied in', async () => {
    await written();
    await run('chmod', ['750', folder]);
    await run('chmod', ['644', file]);
    await open();
    expect((await stat(folder)).mode & 0o777).toBe(0o750);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it('refuses a folder that this process has open already, and leaves the lock where it is', async () => {
    await open();
    for (const _ of [1, 2]) {
      const error = await refusal(open());
      expect(error).toMatchObject({ code: 'store_locked', retryable: false });
      expect(error.message).toContain(folder);
      expect(error.message).toContain('Another davylamp runs on');
    }
    expect(await openElsewhere()).toBe('store_locked');
  });

  it('refuses a folder that another process has open, at once', async () => {
    await open();
    const started = performance.now();
    expect(await openElsewhere()).toBe('store_locked');
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it('opens for one of two processes that start on a new folder at the same time', async () => {
    const results = await Promise.all([openElsewhere(), openElsewhere(), openElsewhere()]);
    expect(results.filter((result) => result !== 'open' && result !== 'store_locked')).toEqual([]);
    expect(results).toContain('open');
  });

  it('opens again after it was closed', async () => {
    await (await open()).close();
    await (await open()).close();
    expect(await readdir(folder)).toEqual(['davylamp.db']);
  });

  it('refuses a schema that is newer than it knows, and changes nothing', async () => {
    await written();
    tamper("UPDATE meta SET value = 99 WHERE key = 'schema'; UPDATE meta SET value = '9.9.9' WHERE key = 'written_by'");
    const error = await refusal(open());
    expect(error).toMatchObject({ code: 'store_newer', retryable: false, details: { found: 99 } });
    expect(error.message).toContain('version 9.9.9');
    tamper(`UPDATE meta SET value = ${SCHEMA_VERSION} WHERE key = 'schema'`);
    expect(await createEmbeddedStore(await open()).get('analysis', 'a0')).toBeDefined();
  });

  describe('with the schema of an older version', () => {
    beforeEach(async () => {
      await mkdir(folder);
      const packed = await readFile(new URL('../../../test/fixtures/store/embedded-schema-1.db.gz', import.meta.url));
      await writeFile(file, gunzipSync(packed), { mode: 0o600 });
    });

    it('brings a file of schema 1 up to date and keeps what it holds', async () => {
      const database = await open();
      const store = createEmbeddedStore(database);
      expect(await store.get('analysis', 'a1')).toMatchObject({ version: 1, value: { phase: 'Failed', ä: [1.5, null] } });
      expect(await store.get('analysis', 'a2')).toMatchObject({ version: 2, value: { phase: 'Running' } });
      const journal = await store.journal({ limit: 10 });
      expect(journal.map(({ subject }) => subject)).toEqual(['a1', 'a2', 'r1']);
      expect(firstBreak(journal, null)).toBeNull();
      expect(await database.request('job.counts', null)).toMatchObject({ tick: { waiting: 1 } });
      expect(await store.prune('analysis', { before: Date.now(), limit: 10 })).toBe(1);
      const epoch = await store.epoch();
      await database.close();
      expect(await createEmbeddedStore(await open()).epoch()).toBe(epoch);
    });

    it('is brought up to date once when two processes start at the same time', async () => {
      const results = await Promise.all([openElsewhere(), openElsewhere(), openElsewhere()]);
      expect(results.filter((result) => result !== 'open' && result !== 'store_locked')).toEqual([]);
      expect(results).toContain('open');
      expect((await createEmbeddedStore(await open()).journal({ limit: 10 })).length).toBe(3);
    });
  });

  it('refuses a data set that a restore has not finished, but for that restore', async () => {
    await written();
    tamper("INSERT INTO meta (key, value) VALUES ('restoring', 1)");
    const error = await refusal(open());
    expect(error).toMatchObject({ code: 'restore_incomplete', retryable: false });
    expect(error.message).toContain(folder);
    await open({ restoring: true });
  });

  it('goes on where a process was killed while it made the database', async () => {
    await mkdir(folder);
    await writeFile(`${file}.new`, '', { mode: 0o600 });
    await (await open()).close();
    expect(await readdir(folder)).toEqual(['davylamp.db']);
  });

  it('says which folder cannot be used', async () => {
    await writeFile(folder, 'a file, not a folder');
    const error = await refusal(open());
    expect(error.code).toBe('store_folder');
    expect(error.message).toContain(folder);
  });

  async function openElsewhere(): Promise<string> {
    const script = `
      import { openEmbedded } from ${JSON.stringify(COMPILED)};
      try {
        const database = await openEmbedded({ folder: process.argv[1], clock: { now: () => Date.now() } });
        await new Promise((resolve) => setTimeout(resolve, 200));
        await database.close();
        console.log('open');
      } catch (error) { console.log(error.code ?? error); }`;
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script, folder]);
    return stdout.trim();
  }
});

describe('a damaged database', () => {
  const damages: [string, () => Promise<void>][] = [
    ['whose file is no database', () => writeFile(file, 'this is no database\n'.repeat(1_000))],
    ['whose file is empty', () => truncate(file, 0)],
    ['whose file was cut', async () => truncate(file, (await stat(file)).size - 3 * 4_096)],
    ['whose header was overwritten', () => damage(file, 0, 100)],
    ['with an overwritten page', async () => damage(file, Math.floor((await stat(file)).size / 2 / 4_096) * 4_096, 4_096)],
    ['of another program', async () => tamper('DROP TABLE meta')],
    [
      'whose main file is missing beside its log',
      async () => {
        await writeFile(`${file}-wal`, 'log');
        await rm(file);
      },
    ],
  ];

  it.each(damages)('%s is refused with what to do, and left as it is', async (_, harm) => {
    await written(200);
    await harm();
    const copy = join(parent, 'copy');
    await cp(folder, copy, { recursive: true });
    const error = await refusal(open());
    expect(error).toMatchObject({ code: 'store_corrupt', retryable: false });
    expect(error.message).toContain(folder);
    expect(error.message).toContain('put a backup in its place');
    expect((await readdir(folder)).includes('davylamp.db')).toBe((await readdir(copy)).includes('davylamp.db'));
    expect(await refusal(open())).toMatchObject({ code: 'store_corrupt' });
  });
});

describe('the journal on the disk', () => {
  it('shows an entry that somebody has changed in the file', async () => {
    const entry = {
      at: 1,
      event: 'rollback.held',
      application: 'shop',
      subject: 'r',
      code: 'guard',
      sentence: 'Held.',
      details: {},
    };
    const database = await open();
    const store = createEmbeddedStore(database);
    for (let n = 0; n < 5; n += 1) await store.append({ ...entry, details: { n } });
    expect(firstBreak(await store.journal({ limit: 10 }), null)).toBeNull();
    await database.close();
    tamper(`UPDATE journal SET entry = replace(entry, 'Held.', 'Done.') WHERE number = 3`);
    expect(firstBreak(await createEmbeddedStore(await open()).journal({ limit: 10 }), null)).toEqual({
      number: 3,
      fault: 'hash',
    });
  });
});

describe('a database in trouble', () => {
  /** Valid JSON that keeps the thread busy for a while. */
  const lists = (count: number) => `{"details":[${'[],'.repeat(count)}[]]}`;

  it('rejects every pending call when its thread dies, says so, and refuses what comes later', async () => {
    const made = once(process, 'worker') as Promise<[Worker]>;
    const database = await open();
    const [thread] = await made;
    const store = createEmbeddedStore(database);
    const pending = [
      database.request('record.commit', { writes: [], entries: [lists(1_000_000)], epoch: database.epoch }),
      store.get('analysis', 'a'),
      store.commit([{ kind: 'analysis', id: 'a', expect: 0, createdAt: 0, index: {}, value: 1 }]),
    ].map(refusal);
    await new Promise((resolve) => setImmediate(resolve));
    await thread.terminate();
    for (const each of pending) expect(await each).toMatchObject({ code: 'store_unavailable', retryable: true });
    expect(await database.lost).toMatchObject({ code: 'store_unavailable' });
    expect(await refusal(store.get('analysis', 'a'))).toMatchObject({ code: 'store_unavailable', retryable: true });
    await database.close();
    expect(await createEmbeddedStore(await open()).get('analysis', 'a')).toBeUndefined();
  });

  it.each([
    ['was removed', () => rm(folder, { recursive: true })],
    [
      'was replaced by another one',
      async () => {
        await cp(folder, `${folder}-copy`, { recursive: true });
        await rename(folder, `${folder}-old`);
        await rename(`${folder}-copy`, folder);
      },
    ],
  ])('says that its state is lost when its file %s, and has to be started anew', async (_, harm) => {
    const database = await open();
    const store = createEmbeddedStore(database);
    const write = (id: string) => store.commit([{ kind: 'analysis', id, expect: 0, createdAt: 0, index: {}, value: 1 }]);
    await write('a');
    await harm();
    expect(await refusal(write('b'))).toMatchObject({ code: 'state_lost', retryable: true });
    expect(await store.condition()).toMatchObject({ ok: false, code: 'state_lost' });
    expect(await database.lost).toMatchObject({ code: 'state_lost' });
  });

  it('writes nothing into a data set of another identity', async () => {
    const database = await open();
    const commit = database.request('record.commit', { writes: [], entries: ['{}'], epoch: 'another' });
    expect(await refusal(commit)).toMatchObject({ code: 'state_lost', retryable: true });
    expect(await createEmbeddedStore(database).journal({ limit: 10 })).toEqual([]);
  });

  it('rejects a call that takes too long and serves the next ones', async () => {
    const database = await open({ requestTimeoutMs: 20 });
    const slow = database.request('record.commit', { writes: [], entries: [lists(1_000_000)], epoch: database.epoch });
    expect(await refusal(slow)).toMatchObject({ code: 'store_unavailable', retryable: true });
    const store = createEmbeddedStore(database);
    for (;;) {
      const answer = await store.get('analysis', 'a').catch((error: CodedError) => error);
      if (answer === undefined) break;
      expect(answer).toMatchObject({ code: 'store_unavailable' });
    }
  });

  it('refuses at once what would wait behind more calls than it keeps', async () => {
    const store = createEmbeddedStore(await open());
    const results = await Promise.allSettled(Array.from({ length: MAX_PENDING_REQUESTS + 5 }, () => store.get('analysis', 'a')));
    const refused = results.filter(({ status }) => status === 'rejected');
    expect(refused).toHaveLength(5);
    expect(refused[0]).toMatchObject({ reason: { code: 'store_unavailable', retryable: true } });
  });

  it('answers what was asked before the close, and refuses what comes after', async () => {
    const database = await open();
    const store = createEmbeddedStore(database);
    const early = store.commit([{ kind: 'analysis', id: 'a', expect: 0, createdAt: 0, index: {}, value: 1 }]);
    const closing = database.close();
    expect(await refusal(store.get('analysis', 'a'))).toMatchObject({ code: 'store_unavailable', retryable: true });
    await Promise.all([early, closing]);
    expect(await createEmbeddedStore(await open()).get('analysis', 'a')).toMatchObject({ version: 1 });
  });
});
