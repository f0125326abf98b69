import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { redisPlace } from '../../test/conformance/redis-place.ts';
import { startRedis, type RedisServer } from '../../test/support/redis.ts';
import { systemClock as clock } from '../clock.ts';
import { auditFile } from './audit-file.ts';
import { writeBackup } from './backup.ts';
import { createEmbeddedArchive } from './embedded/archive.ts';
import { openEmbedded } from './embedded/database.ts';
import { createEmbeddedStore } from './embedded/store.ts';
import type { Archive, Store } from './port.ts';
import { createRedisArchive } from './redis/archive.ts';
import { openRedis } from './redis/connection.ts';
import { createRedisStore } from './redis/store.ts';
import { restoreBackup } from './restore.ts';

const version = '1.2.3';
const KINDS = [
  'analysis',
  'measurements',
  'rollback',
  'idempotency',
  'webhook',
  'alert',
  'sighting',
  'state',
  'revision',
  'notice',
  'switch',
] as const;

let server: RedisServer;
let folder: string;
const closers: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  server = await startRedis();
}, 400_000);
afterAll(() => server.stop());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'davylamp-backup-'));
});
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  await rm(folder, { recursive: true });
});

async function embedded(name: string, restoring = false) {
  const database = await openEmbedded({ folder: join(folder, name), clock, restoring, version });
  const close = () => database.close();
  closers.push(close);
  return { store: createEmbeddedStore(database), archive: createEmbeddedArchive(database, { clock }), close };
}

async function fill(store: Store): Promise<void> {
  const entry = (subject: string) => ({
    at: 1,
    event: 'analysis.ended',
    application: 'shop',
    subject,
    code: 'ok',
    sentence: 'Zeile 1\nZeile 2\u2028 ⛏️',
    details: { list: [1.5, null, { ä: 'ö' }] },
  });
  for (const [n, kind] of KINDS.entries()) {
    for (let id = 0; id < 30; id += 1) {
      const index = { application: 'shop', ...(id % 3 === 0 ? {} : { state: 'Failed', open: id % 2 === 0 }) };
      const value = { id, text: `\u2028"${'x'.repeat(id * 100)}`, proto: JSON.parse('{"__proto__":1}') as unknown };
      await store.commit(
        [{ kind, id: `${kind}-${id}`, expect: 0, createdAt: n * 100 + id + 0.5, index, value }],
        [entry(`${id}`)],
      );
      if (id % 5 === 0) await store.commit([{ kind, id: `${kind}-${id}`, expect: 1, createdAt: n * 100 + id, index, value: id }]);
    }
  }
}

async function backUp(archive: Archive, name: string): Promise<string> {
  const file = join(folder, name);
  let text = '';
  for await (const chunk of writeBackup(archive, { version, createdAt: '2026-11-23T20:00:00.000Z', epoch: 'e' })) text += chunk;
  await writeFile(file, text);
  return file;
}

/** Lines without header and trailer, in an order that does not depend on the adapter. */
async function content(file: string): Promise<string[]> {
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n').slice(1, -1);
  const canonical = (line: string) => {
    const part = JSON.parse(line) as { record?: Record<string, unknown>; entry?: Record<string, unknown> };
    const fields = part.record ?? part.entry ?? {};
    return JSON.stringify(Object.fromEntries(Object.entries(fields).toSorted(([a], [b]) => (a < b ? -1 : 1))));
  };
  return lines.map(canonical).toSorted();
}

describe('a backup', () => {
  it('moves a data set from the embedded store to Redis and back, equal', async () => {
    const source = await embedded('source');
    await fill(source.store);
    const first = await backUp(source.archive, 'first');
    const facts = { records: 330, entries: 330, version, format: 1 };

    const place = await redisPlace(server);
    const connection = await openRedis(place.settings);
    closers.push(() => connection.close());
    const redisArchive = createRedisArchive(connection, { version });
    expect(await restoreBackup(first, redisArchive)).toMatchObject(facts);
    const second = await backUp(redisArchive, 'second');
    expect(await content(second)).toEqual(await content(first));
    const onRedis = await createRedisStore(connection, { version });
    for (const kind of KINDS) {
      const query = { application: 'shop', open: true, limit: 100 };
      expect((await onRedis.list(kind, query)).records).toEqual((await source.store.list(kind, query)).records);
    }

    const target = await embedded('target', true);
    expect(await restoreBackup(second, target.archive)).toMatchObject(facts);
    expect(await content(await backUp(target.archive, 'third'))).toEqual(await content(first));
    await target.close();
    const reopened = await embedded('target');
    expect(await reopened.store.epoch()).not.toBe(await source.store.epoch());
  }, 60_000);

  it('is verified as a journal, too', async () => {
    const source = await embedded('source');
    await fill(source.store);
    expect(await auditFile(await backUp(source.archive, 'b'))).toMatchObject({ entries: 330, last: 330, broken: null });
  });

  it('of an empty store restores to an empty store', async () => {
    const file = await backUp((await embedded('source')).archive, 'b');
    const target = await embedded('target', true);
    expect(await restoreBackup(file, target.archive)).toMatchObject({ records: 0, entries: 0, end: null });
    await target.close();
    await embedded('target');
  });

  it('is not restored over data that is there', async () => {
    const source = await embedded('source');
    await fill(source.store);
    const file = await backUp(source.archive, 'b');
    await expect(restoreBackup(file, source.archive)).rejects.toMatchObject({ code: 'restore_not_empty' });
  });

  describe('that is not whole', () => {
    let lines: string[];
    let original: string;
    beforeEach(async () => {
      const source = await embedded('source');
      await fill(source.store);
      original = await readFile(await backUp(source.archive, 'b'), 'utf8');
      lines = original.trimEnd().split('\n');
    });

    /** The trailer that goes with changed lines: what somebody would write who wants to deceive. */
    const sealed = (changed: string[]) => {
      const body = changed.slice(0, -1).map((line) => `${line}\n`);
      const records = body.filter((line) => line.startsWith('{"record"')).length;
      const sha256 = createHash('sha256').update(body.join('')).digest('hex');
      const trailer = { records, entries: body.length - 1 - records, sha256 };
      return `${body.join('')}${JSON.stringify({ trailer })}\n`;
    };
    const changed = (at: number, change: (line: string) => string) => lines.map((line, n) => (n === at ? change(line) : line));
    const entryAt = () => lines.findIndex((line) => line.startsWith('{"entry"'));

    const damages: [string, string, () => string][] = [
      ['is empty', 'backup_invalid', () => ''],
      ['lacks its last line', 'backup_truncated', () => original.slice(0, original.lastIndexOf('\n{') + 1)],
      ['ends in the middle of a line', 'backup_truncated', () => original.slice(0, original.length / 2)],
      ['lacks its last byte', 'backup_truncated', () => original.slice(0, -1)],
      ['has a changed value', 'backup_invalid', () => changed(3, (line) => line.replace('"shop"', '"shed"')).join('\n') + '\n'],
      ['lacks a record', 'backup_invalid', () => lines.filter((_, at) => at !== 3).join('\n') + '\n'],
      ['has a line that is not JSON', 'backup_invalid', () => changed(3, () => 'nonsense').join('\n') + '\n'],
      ['has a record twice, and says so', 'backup_invalid', () => lines.toSpliced(3, 0, lines[3] ?? '').join('\n') + '\n'],
      ['goes on after its end', 'backup_invalid', () => `${original}${lines[3] ?? ''}\n`],
      ['is something else', 'backup_invalid', () => '{"level":30}\n'],
      ['is of a newer version', 'store_newer', () => sealed(changed(0, (line) => line.replace('"format":1', '"format":2')))],
      [
        'has a changed journal entry under a fitting hash',
        'backup_invalid',
        () => sealed(changed(entryAt() + 5, (line) => line.replace('analysis.ended', 'analysis.ENDED'))),
      ],
      ['lacks a journal entry under a fitting hash', 'backup_invalid', () => sealed(lines.toSpliced(entryAt() + 5, 1))],
      [
        'has a record of a wrong shape under a fitting hash',
        'backup_invalid',
        () => sealed(changed(3, (line) => line.replace(/"version":\d+/, '"version":"1"'))),
      ],
    ];

    it.each(damages)('is refused before anything is written: it %s', async (_, code, damage) => {
      const file = join(folder, 'damaged');
      await writeFile(file, damage());
      const target = await embedded('target', true);
      await expect(restoreBackup(file, target.archive)).rejects.toMatchObject({ code, retryable: false });
      expect(await target.archive.isEmpty()).toBe(true);
      await target.close();
      await embedded('target');
    });

    it('is named by its line', async () => {
      const file = join(folder, 'damaged');
      await writeFile(file, changed(6, () => '{').join('\n'));
      const target = await embedded('target', true);
      await expect(restoreBackup(file, target.archive)).rejects.toMatchObject({ details: { line: 7 } });
    });
  });

  it('that is not there is said to be so', async () => {
    const target = await embedded('target', true);
    const missing = join(folder, 'missing');
    await expect(restoreBackup(missing, target.archive)).rejects.toMatchObject({ code: 'file_unreadable' });
  });
});
