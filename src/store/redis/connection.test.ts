import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { startRedis, type RedisConfig, type RedisServer } from '../../../test/support/redis.ts';
import { openRedis, type RedisSettings } from './connection.ts';
import type { RedisConnection } from './port.ts';

const SETTINGS = { prefix: 'test', acceptNotDurable: false, acceptUnverified: false };
const QUICK = { inspectMs: 50, openMs: 3_000 };

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.toReversed()) await close();
  closers.length = 0;
});

async function serve(config: RedisConfig = {}): Promise<RedisServer> {
  const server = await startRedis(config);
  closers.push(() => server.stop());
  return server;
}

async function open(server: { url: string }, settings: Partial<RedisSettings> = {}): Promise<RedisConnection> {
  const connection = await openRedis({ ...SETTINGS, url: server.url, ...settings }, { times: QUICK });
  closers.push(() => connection.close());
  return connection;
}

/** An authority and a server's certificate that it signed. */
async function makeCertificates() {
  const folder = await mkdtemp(join(tmpdir(), 'davylamp-tls-'));
  const run = (...parameters: string[]) => promisify(execFile)('openssl', parameters, { cwd: folder });
  await writeFile(join(folder, 'names'), 'subjectAltName=DNS:localhost\n');
  const key = (name: string) => ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', `${name}.key`];
  await run('req', '-x509', ...key('ca'), '-out', 'ca.crt', '-subj', '/CN=authority', '-days', '2');
  await run('req', ...key('server'), '-out', 'server.csr', '-subj', '/CN=localhost');
  const signing = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '1', '-extfile', 'names'];
  await run('x509', '-req', '-in', 'server.csr', '-out', 'server.crt', ...signing);
  return { folder, remove: () => rm(folder, { recursive: true }) };
}

/** One node that holds every slot. */
async function makeClusterOfOne(server: RedisServer): Promise<void> {
  const node = new Redis(server.url);
  await node.cluster('ADDSLOTSRANGE', 0, 16_383);
  await expect.poll(() => node.cluster('INFO'), { timeout: 15_000 }).toContain('cluster_state:ok');
  node.disconnect();
}

const codeNow = (connection: RedisConnection) => () => connection.condition().code;

describe('the connection to Redis', () => {
  it('refuses a Redis that evicts keys, and names the setting', async () => {
    const server = await serve({ 'maxmemory-policy': 'allkeys-lru' });
    await expect(open(server)).rejects.toMatchObject({
      code: 'redis_policy',
      message: expect.stringMatching(/maxmemory-policy allkeys-lru.*noeviction/),
    });
  });

  it('refuses a Redis without an append-only file, but for who accepts it, and says so', async () => {
    const server = await serve({ appendonly: 'no' });
    await expect(open(server)).rejects.toMatchObject({
      code: 'redis_policy',
      message: expect.stringContaining('appendonly yes'),
    });
    const connection = await open(server, { acceptNotDurable: true });
    expect(connection.condition()).toMatchObject({ ok: true, code: 'not_durable' });
  });

  it('refuses a replica', async () => {
    const primary = await serve();
    const replica = await serve({ replicaof: ['127.0.0.1', String(primary.port)] });
    await expect(open(replica)).rejects.toMatchObject({ code: 'redis_readonly' });
  });

  it('tells when the policy changes while it runs', async () => {
    const server = await serve();
    const connection = await open(server);
    expect(connection.condition()).toMatchObject({ ok: true, code: 'ok' });
    await connection.client.config('SET', 'maxmemory-policy', 'volatile-lru');
    await expect.poll(codeNow(connection)).toBe('redis_policy');
    await connection.client.config('SET', 'maxmemory-policy', 'noeviction');
    await connection.client.config('SET', 'appendonly', 'no');
    await expect.poll(codeNow(connection)).toBe('redis_policy');
    await connection.client.config('SET', 'appendonly', 'yes');
    await expect.poll(codeNow(connection)).toBe('ok');
  });

  it('fails a command at once while Redis is away, and connects again within seconds of its return', async () => {
    const server = await serve();
    const connection = await open(server);
    await server.kill();
    await expect.poll(codeNow(connection)).toBe('redis_unavailable');
    const before = performance.now();
    const error: unknown = await connection.client.set('{test}:a', '1').catch((reason: unknown) => reason);
    expect(performance.now() - before).toBeLessThan(100);
    expect(connection.explain(error, 'store_unavailable')).toMatchObject({ code: 'store_unavailable', retryable: true });
    await server.start();
    await expect.poll(codeNow(connection), { timeout: 5_000 }).toBe('ok');
    expect(await connection.client.set('{test}:a', '1')).toBe('OK');
  });

  it('keeps the commands of a patient client until Redis is back', async () => {
    const server = await serve();
    const connection = await open(server);
    const patient = connection.patientClient();
    await server.kill();
    const written = patient.set('{test}:a', '1');
    await server.start();
    expect(await written).toBe('OK');
  });

  it('gives up a command that gets no answer', async () => {
    const server = await serve();
    const connection = await openRedis({ ...SETTINGS, url: server.url }, { times: { commandMs: 100 } });
    closers.push(() => connection.close());
    const other = await open(server);
    await other.client.client('PAUSE', 2_000);
    const error: unknown = await connection.client.set('{test}:a', '1').catch((reason: unknown) => reason);
    expect(connection.explain(error, 'queue_unavailable')).toMatchObject({ code: 'queue_unavailable', retryable: true });
    await expect.poll(codeNow(other), { timeout: 10_000 }).toBe('ok');
  });

  it('names a full Redis, and works on when there is room again', async () => {
    const server = await serve();
    const connection = await open(server);
    await connection.client.config('SET', 'maxmemory', '1mb');
    const error: unknown = await connection.client.set('{test}:a', 'x'.repeat(3_000_000)).catch((reason: unknown) => reason);
    expect(connection.explain(error, 'store_unavailable')).toMatchObject({
      code: 'store_unavailable',
      message: expect.stringContaining('full'),
      details: { redis: 'full' },
    });
    expect(connection.condition().code).toBe('redis_full');
    await connection.client.config('SET', 'maxmemory', '0');
    await expect.poll(codeNow(connection)).toBe('ok');
  });

  it('does not take a mistake of ours for a failure of Redis', async () => {
    const connection = await open(await serve());
    await connection.client.set('{test}:a', 'text');
    const error: unknown = await connection.client.lpush('{test}:a', '1').catch((reason: unknown) => reason);
    expect(connection.explain(error, 'store_unavailable')).toBeUndefined();
  });

  it('says store_unavailable when there is no Redis', async () => {
    const server = await startRedis();
    await server.stop();
    await expect(openRedis({ ...SETTINGS, url: server.url }, { times: { openMs: 200 } })).rejects.toMatchObject({
      code: 'store_unavailable',
      retryable: true,
    });
  });

  describe('with users', () => {
    /** A Redis whose one user has these rights. */
    async function serveUser(rights: string) {
      const folder = await mkdtemp(join(tmpdir(), 'davylamp-acl-'));
      closers.push(() => rm(folder, { recursive: true }));
      const acl = join(folder, 'users.acl');
      const password = join(folder, 'password');
      const setPassword = async (word: string) => {
        await writeFile(acl, `user default off\nuser davylamp on >${word} ~{test}:* ${rights}\n`);
        await writeFile(password, word);
      };
      await setPassword('first');
      const server = await serve({ aclfile: acl });
      return { server, setPassword, login: { username: 'davylamp', readPassword: () => readFile(password, 'utf8') } };
    }

    it('logs in as a user of an ACL whose password comes from a file, and takes up a new one', async () => {
      const { server, setPassword, login } = await serveUser('+@all -@admin -@dangerous +info');
      const connection = await open(server, login);
      expect(await connection.client.set('{test}:a', '1')).toBe('OK');
      await server.kill();
      await setPassword('second');
      await server.start();
      await expect.poll(codeNow(connection), { timeout: 10_000 }).toBe('ok');
    });

    it('refuses at once to start with wrong credentials, without a word of them', async () => {
      const server = await serve({ requirepass: 'right-one' });
      const logged: string[] = [];
      const write = (facts: object, sentence: string) => void logged.push(JSON.stringify(facts) + sentence);
      const log = { info: write, warn: write };
      const before = performance.now();
      const settings = { ...SETTINGS, url: server.url, readPassword: async () => 'wrong-one' };
      const error: unknown = await openRedis(settings, { log }).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'store_unavailable', message: expect.stringContaining('refused the credentials') });
      expect(performance.now() - before).toBeLessThan(5_000);
      expect(JSON.stringify([logged, String(error), error])).not.toMatch(/wrong-one|right-one/);
    });

    it('asks for consent when the user may not run INFO', async () => {
      const { server, login } = await serveUser('+@all -@admin -@dangerous');
      await expect(open(server, login)).rejects.toMatchObject({
        code: 'redis_policy',
        message: expect.stringContaining('storage.acceptUnverified'),
      });
      const connection = await open(server, { ...login, acceptUnverified: true });
      expect(connection.condition()).toMatchObject({ ok: true, code: 'ok', sentence: expect.stringContaining('not known') });
    });
  });

  it('speaks TLS with an authority of its own, and refuses a server that it did not sign', async () => {
    const { folder, remove } = await makeCertificates();
    closers.push(remove);
    const file = (name: string) => join(folder, name);
    const server = await serve({
      'tls-cert-file': file('server.crt'),
      'tls-key-file': file('server.key'),
      'tls-ca-cert-file': file('ca.crt'),
      'tls-auth-clients': 'no',
    });
    const url = `rediss://localhost:${String(server.port)}`;
    const connection = await open({ url }, { readCa: () => readFile(file('ca.crt'), 'utf8') });
    expect(await connection.client.set('{test}:a', '1')).toBe('OK');
    await expect(openRedis({ ...SETTINGS, url }, { times: { openMs: 300 } })).rejects.toMatchObject({
      code: 'store_unavailable',
    });
  });

  it('works on a cluster: its keys share one slot', async () => {
    const server = await serve({ 'cluster-enabled': 'yes', 'cluster-announce-ip': '127.0.0.1' });
    await makeClusterOfOne(server);
    const connection = await open(server);
    expect(connection.condition()).toMatchObject({ ok: true, code: 'ok' });
    const { client, keyPrefix } = connection;
    expect(await client.mset(`${keyPrefix}:a`, '1', `${keyPrefix}:b`, '2')).toBe('OK');
  });
});
