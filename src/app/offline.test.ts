import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { standIns } from '../../test/support/http-stand-ins.ts';
import { startRedis } from '../../test/support/redis.ts';
import { auditWith } from '../cli/audit.ts';
import { backupWith } from '../cli/backup.ts';
import type { Command } from '../cli/command-line.ts';
import { restoreWith } from '../cli/restore.ts';
import { systemClock as clock } from '../clock.ts';
import { createServer } from '../http/server.ts';
import { writeBackup } from '../store/backup.ts';
import { createEmbeddedArchive } from '../store/embedded/archive.ts';
import { openEmbedded } from '../store/embedded/database.ts';
import { createEmbeddedStore } from '../store/embedded/store.ts';
import { openRedis } from '../store/redis/connection.ts';
import { createRedisStore } from '../store/redis/store.ts';
import type { Store, StoredRecord } from '../store/port.ts';
import { auditJournal, fetchBackup, restoreInto } from './offline.ts';

const TOKEN = 'a-token-of-the-administrator';
const READER = 'a-token-that-reads';
const RECORDS = 500;
const digest = (token: string) => createHash('sha256').update(token).digest('hex');

let folder: string;
const closers: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'davylamp-offline-'));
});
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  await rm(folder, { recursive: true });
});

async function run(command: Command, ...args: string[]) {
  let written = '';
  let complained = '';
  const code = await command(args, {
    environment: {},
    write: (text) => (written += text),
    complain: (text) => (complained += text),
    stop: new AbortController().signal,
    onHangup: () => undefined,
  });
  return { code, written, complained };
}
const backup = (...args: string[]) => run(backupWith(fetchBackup), ...args);
const restore = (...args: string[]) => run(restoreWith(restoreInto), ...args);
const audit = (...args: string[]) => run(auditWith(auditJournal), ...args);

/** A store with content. */
async function store(name = 'data') {
  const database = await openEmbedded({ folder: join(folder, name), clock });
  closers.push(() => database.close());
  const made = createEmbeddedStore(database);
  const text = 'ä⛏️\u2028'.repeat(1_000);
  await Promise.all(
    Array.from({ length: RECORDS }, (_, n) =>
      made.commit(
        [{ kind: 'analysis', id: `a${n}`, expect: 0, createdAt: n, index: { open: true }, value: { n, text } }],
        [{ at: n, event: 'analysis.ended', application: 'shop', subject: `a${n}`, code: 'ok', sentence: 'Ended.', details: {} }],
      ),
    ),
  );
  return { store: made, archive: createEmbeddedArchive(database, { clock }) };
}

/** A service that can be backed up. */
async function serve(change: Parameters<typeof standIns>[0]): Promise<{ url: string; app: FastifyInstance }> {
  const tokens = [
    { name: 'admin', sha256: digest(TOKEN), scopes: ['admin' as const] },
    { name: 'reader', sha256: digest(READER), scopes: ['analyses:read' as const] },
  ];
  const app = createServer(standIns({ tokens, ...change }).deps);
  closers.push(() => app.close());
  await app.listen({ port: 0, host: '127.0.0.1' });
  return { url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`, app };
}

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

async function served() {
  const made = await store();
  const facts = { version: '1.2.3', createdAt: '2026-01-01T00:00:00.000Z', epoch: 'e' };
  const { url } = await serve({ backup: () => writeBackup(made.archive, facts) });
  return { ...made, url, token: await file('token', `${TOKEN}\n`), out: join(folder, 'backup.jsonl') };
}

async function all(from: Store): Promise<StoredRecord[]> {
  const records: StoredRecord[] = [];
  for (let before: string | null | undefined; before !== null;) {
    const page = await from.list('analysis', { limit: 1_000, ...(before === undefined ? {} : { before }) });
    records.push(...page.records);
    before = page.next;
  }
  return records;
}

describe('davylamp backup', () => {
  it('writes a file for its owner only, and says what it holds', async () => {
    const { url, token, out } = await served();
    const { code, complained } = await backup('--url', `${url}/`, '--token-file', token, '--out', out);
    expect([code, complained]).toEqual([
      0,
      expect.stringMatching(/^500 records, 500 journal entries, the last one number 500, hash \w{64}\n$/),
    ]);
    expect((await stat(out)).mode & 0o777).toBe(0o600);
    expect(existsSync(`${out}.part`)).toBe(false);
  });

  it('prints the same without a file, whole characters only', async () => {
    const { url, token, out } = await served();
    await backup('--url', url, '--token-file', token, '--out', out);
    const { code, written } = await backup('--url', url, '--token-file', token);
    expect(code).toBe(0);
    expect(written).toBe(await readFile(out, 'utf8'));
  });

  it('needs the scope of an administrator', async () => {
    const { url, out } = await served();
    const { code, complained } = await backup('--url', url, '--token-file', await file('reader', READER), '--out', out);
    expect([code, complained]).toEqual([1, expect.stringContaining('admin')]);
    expect((await backup('--url', url, '--out', out)).complained).toContain('unauthenticated');
    expect(existsSync(out) || existsSync(`${out}.part`)).toBe(false);
  });

  it('keeps no half of a file when the service breaks off', async () => {
    const { archive } = await store();
    const facts = { version: '1', createdAt: '', epoch: 'e' };
    const { url } = await serve({
      async *backup() {
        let pieces = 0;
        for await (const text of writeBackup(archive, facts)) {
          if ((pieces += 1) === 3) throw new Error('the store has gone');
          yield text;
        }
      },
    });
    const out = join(folder, 'backup.jsonl');
    const { code, complained } = await backup('--url', url, '--token-file', await file('token', TOKEN), '--out', out);
    expect([code, complained]).toEqual([1, expect.stringContaining('backup_truncated')]);
    expect(existsSync(out) || existsSync(`${out}.part`)).toBe(false);
  });

  it('says when another one is being read, and does not touch a file that is there', async () => {
    const { archive, url, token, out } = await served();
    const first = archive.snapshot();
    await first.next();
    const busy = await backup('--url', url, '--token-file', token, '--out', out);
    expect([busy.code, busy.complained]).toEqual([1, expect.stringContaining('backup_running')]);
    await first.return();
    await writeFile(out, 'mine');
    await expect(backup('--url', url, '--token-file', token, '--out', out)).rejects.toMatchObject({ code: 'usage' });
    expect(await readFile(out, 'utf8')).toBe('mine');
  });

  it('says when nobody is there, or somebody else', async () => {
    const { app, url } = await serve({});
    expect((await backup('--url', url, '--token-file', await file('token', TOKEN))).complained).toContain('route_unknown');
    await app.close();
    expect(await backup('--url', url)).toMatchObject({ code: 1, complained: expect.stringContaining('connect_failed') });
    await expect(backup()).rejects.toMatchObject({ code: 'usage' });
  });
});

describe('davylamp restore', () => {
  it('fills an empty embedded storage, which then holds the same', async () => {
    const { store: source, url, token, out } = await served();
    await backup('--url', url, '--token-file', token, '--out', out);
    const config = await file('config.yaml', 'storage: { kind: embedded, path: ./restored }\n');
    const { code, written } = await restore(out, '--config', config);
    expect([code, written]).toEqual([0, expect.stringContaining('restored 500 records, 500 journal entries')]);
    const database = await openEmbedded({ folder: join(folder, 'restored'), clock });
    closers.push(() => database.close());
    expect(await all(createEmbeddedStore(database))).toEqual(await all(source));
    expect(await createEmbeddedStore(database).epoch()).not.toBe(await source.epoch());
  });

  it('moves an embedded data set to Redis', async () => {
    const { store: source, url, token, out } = await served();
    await backup('--url', url, '--token-file', token, '--out', out);
    const server = await startRedis();
    closers.push(() => server.stop());
    const config = await file('config.yaml', `storage: { kind: redis, url: "${server.url}", prefix: moved }\n`);
    expect(await restore(out, '--config', config)).toMatchObject({ code: 0 });
    const settings = { url: server.url, prefix: 'moved', acceptNotDurable: false, acceptUnverified: false };
    const connection = await openRedis(settings);
    closers.push(() => connection.close());
    const target = await createRedisStore(connection, { version: '1' });
    expect(await all(target)).toEqual(await all(source));
    expect(await target.journal({ limit: 1_000 })).toEqual(await source.journal({ limit: 1_000 }));
    expect(await restore(out, '--config', config)).toMatchObject({
      code: 1,
      complained: expect.stringContaining('restore_not_empty'),
    });
  });

  it('refuses a storage that a davylamp uses, one with data, and a file that was cut', async () => {
    const { url, token, out } = await served();
    await backup('--url', url, '--token-file', token, '--out', out);
    const used = await file('used.yaml', 'storage: { kind: embedded, path: ./data }\n');
    expect(await restore(out, '--config', used)).toMatchObject({ code: 1, complained: expect.stringContaining('store_locked') });
    const empty = await file('empty.yaml', 'storage: { kind: embedded, path: ./empty }\n');
    await truncate(out, (await stat(out)).size - 200);
    expect(await restore(out, '--config', empty)).toMatchObject({
      code: 1,
      complained: expect.stringContaining('backup_truncated'),
    });
    expect(await restore(join(folder, 'nothing'), '--config', empty)).toMatchObject({ code: 1 });
    await expect(restore(out)).rejects.toMatchObject({ code: 'usage' });
  });
});

describe('davylamp audit verify', () => {
  it('says that a chain holds, with the last hash', async () => {
    const { url, token, out } = await served();
    await backup('--url', url, '--token-file', token, '--out', out);
    const { code, written } = await audit('verify', out);
    expect([code, written]).toEqual([0, expect.stringMatching(/500 entries, 1 to 500: the chain holds; last hash \w{64}\n$/)]);
  });

  it('names the first break by number and line, and fails', async () => {
    const { store: source } = await store();
    const lines = (await source.journal({ limit: 1_000 })).map((entry) => JSON.stringify(entry));
    const name = async (changed: string[]) => audit('verify', await file('journal.jsonl', `${changed.join('\n')}\n`));
    expect(await name(lines)).toMatchObject({ code: 0 });
    expect(await name(lines.slice(100))).toMatchObject({ code: 0, written: expect.stringContaining('101 to 500') });
    const edited = lines.map((line, at) => (at === 41 ? line.replace('Ended.', 'Never.') : line));
    expect(await name(edited)).toMatchObject({
      code: 1,
      written: expect.stringContaining('number 42 (line 42): its content was changed'),
    });
    expect(await name(lines.toSpliced(41, 1))).toMatchObject({
      code: 1,
      written: expect.stringContaining('number 43 (line 42)'),
    });
  });

  it('refuses what is no journal, and what is not there', async () => {
    expect(await audit('verify', await file('log', '{"level":30}\n'))).toMatchObject({
      code: 1,
      complained: expect.stringContaining('audit_unreadable'),
    });
    expect(await audit('verify', join(folder, 'nothing'))).toMatchObject({
      code: 1,
      complained: expect.stringContaining('file_unreadable'),
    });
    await expect(audit('show', 'x')).rejects.toMatchObject({ code: 'usage' });
    await expect(audit('verify')).rejects.toMatchObject({ code: 'usage' });
    const closed = join(folder, 'closed');
    await mkdir(closed);
    await chmod(closed, 0o700);
    expect(await audit('verify', closed)).toMatchObject({ code: 1 });
  });
});
