import { once } from 'node:events';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as tlsConnect, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FastifyInstance } from 'fastify';
import type { ResolvedServer } from '../../src/config/server.ts';
import { DEFAULT_LIMITS } from '../../src/http/dependencies.ts';
import { createProbeServer } from '../../src/http/probes.ts';
import { createServer } from '../../src/http/server.ts';
import { readTls, reloader } from '../../src/http/tls.ts';
import { standIns } from '../support/http-stand-ins.ts';
import { callers, sha256 } from './serving.ts';

const FIXTURES = new URL('../fixtures/tls/', import.meta.url);
const pem = (name: string) => readFile(new URL(`${name}.pem`, FIXTURES), 'utf8');

let folder: string;
const open: FastifyInstance[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'davylamp-tls-'));
  for (const name of ['server', 'server.key', 'authority'])
    await copyFile(new URL(`${name}.pem`, FIXTURES), join(folder, `${name}.pem`));
});
afterEach(async () => {
  for (const app of open.splice(0)) await app.close();
  await rm(folder, { recursive: true, force: true });
});

type Tls = NonNullable<ResolvedServer['tls']>;
const files = (change: Partial<Tls> = {}): Tls => ({
  certFile: 'server.pem',
  keyFile: 'server.key.pem',
  clientCaFile: 'authority.pem',
  requireClientCertificate: false,
  minVersion: '1.2',
  reloadEvery: '50ms',
  ...change,
});
const readFrom = (file: string) => readFile(join(folder, file), 'utf8');

async function serve(change: Partial<Tls> = {}) {
  const tls = await readTls(files(change), readFrom);
  const clients = [
    { name: 'ci', subject: 'ci.example', scopes: ['analyses:read' as const] },
    { name: 'ops', san: 'URI:spiffe://example/ops', scopes: ['admin' as const] },
  ];
  const parts = standIns({ tls, tokens: [{ name: 'token', sha256: sha256('secret') }], callers: callers({ clients }) });
  const app = createServer(parts.deps, DEFAULT_LIMITS);
  open.push(app);
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  return { ...parts, app, port };
}

async function ask(port: number, options: RequestOptions & { as?: string } = {}) {
  const { as, ...rest } = options;
  const own = as === undefined ? {} : { cert: await pem(as), key: await pem(`${as}.key`) };
  const call = httpsRequest({
    host: '127.0.0.1',
    servername: 'localhost',
    port,
    path: '/api/v1/analyses',
    ca: await pem('authority'),
    agent: false,
    ...own,
    ...rest,
  });
  call.end();
  const [answer] = (await once(call, 'response', { signal: AbortSignal.timeout(10_000) })) as [IncomingMessage];
  const peer = (answer.socket as TLSSocket).getPeerCertificate().subject.CN;
  let body = '';
  for await (const chunk of answer.setEncoding('utf8')) body += String(chunk);
  return { status: answer.statusCode, body, peer, protocol: (answer.socket as TLSSocket | null)?.getProtocol() };
}

describe('a listener with TLS', () => {
  it('serves tokens over https, and certificates that are configured, by name or by alternative name', async () => {
    const { port, lines } = await serve();
    expect((await ask(port, { headers: { authorization: 'Bearer secret' } })).status).toBe(200);
    expect((await ask(port, { as: 'client-ci' })).status).toBe(200);
    expect((await ask(port, { as: 'client-ops' })).status).toBe(200);
    expect((await ask(port, { as: 'client-ci', path: '/api/v1/rollbacks/rb-1/approve', method: 'POST' })).status).toBe(403);
    expect(lines.filter((line) => line.includes('"by":"ci"'))).toHaveLength(2);
    expect(lines.filter((line) => line.includes('"by":"ops"'))).toHaveLength(1);
  });

  it('refuses certificates that stand for nobody, or that another authority signed', async () => {
    const { port, metrics } = await serve();
    expect((await ask(port)).status).toBe(401);
    expect((await ask(port, { as: 'client-nobody' })).status).toBe(401);
    expect((await ask(port, { as: 'client-stranger' })).status).toBe(401);
    const { text } = await metrics.page();
    expect(text).toContain('davylamp_auth_failures_total{kind="certificate",reason="unknown"} 2');
    expect(text).toContain('davylamp_auth_failures_total{kind="none",reason="missing"} 1');
  });

  it('without a required certificate ends the handshake, while the probes are served in the clear', async () => {
    const { port, deps } = await serve({ requireClientCertificate: true });
    await expect(ask(port, { headers: { authorization: 'Bearer secret' } })).rejects.toThrow();
    await expect(ask(port, { as: 'client-stranger' })).rejects.toThrow();
    expect((await ask(port, { as: 'client-ci' })).status).toBe(200);
    const probes = createProbeServer(deps);
    open.push(probes);
    await probes.listen({ port: 0, host: '127.0.0.1' });
    const { port: plain } = probes.server.address() as AddressInfo;
    for (const [path, status] of [
      ['/livez', 200],
      ['/readyz', 200],
      ['/metrics', 200],
      ['/api/v1/analyses', 404],
      ['/openapi.json', 404],
    ] as const)
      expect((await fetch(`http://127.0.0.1:${plain}${path}`)).status, path).toBe(status);
    expect((await fetch(`http://127.0.0.1:${plain}/livez`, { method: 'POST' })).status).toBe(404);
  });

  it('speaks TLS 1.2 and newer, or 1.3 only', async () => {
    const handshake = async (port: number, maxVersion: 'TLSv1.1' | 'TLSv1.2') => {
      const socket = tlsConnect({
        port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: await pem('authority'),
        maxVersion,
        minVersion: 'TLSv1',
        ciphers: 'DEFAULT@SECLEVEL=0',
      });
      try {
        await once(socket, 'secureConnect', { signal: AbortSignal.timeout(10_000) });
        return socket.getProtocol();
      } finally {
        socket.destroy();
      }
    };
    const { port } = await serve();
    expect(await handshake(port, 'TLSv1.2')).toBe('TLSv1.2');
    await expect(handshake(port, 'TLSv1.1')).rejects.toThrow();
    const { port: newer } = await serve({ minVersion: '1.3' });
    await expect(handshake(newer, 'TLSv1.2')).rejects.toThrow();
    expect((await ask(newer, { as: 'client-ci' })).status).toBe(200);
  });

  it('takes up replaced files without a restart, and keeps the old ones while the new do not fit together', async () => {
    const { port, lines, metrics } = await serve();
    expect((await ask(port, { as: 'client-ci' })).peer).toBe('localhost');
    const until = async (done: () => Promise<boolean>) => {
      const deadline = Date.now() + 10_000;
      while (!(await done())) {
        if (Date.now() > deadline) throw new Error('it did not happen within 10 s');
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await writeFile(join(folder, 'server.pem'), await pem('server-next'));
    await until(async () => lines.some((line) => line.includes('certificates cannot be replaced')));
    expect((await metrics.page()).text).toContain('davylamp_errors_total{code="tls_invalid"}');
    expect((await ask(port, { as: 'client-ci' })).peer).toBe('localhost');
    await writeFile(join(folder, 'server.key.pem'), await pem('server-next.key'));
    await until(async () => lines.some((line) => line.includes('certificates were replaced')));
    const after = await ask(port, { as: 'client-ci' });
    expect([after.status, after.peer]).toEqual([200, 'localhost-next']);
    expect(lines.join('')).not.toContain('PRIVATE KEY');
  });

  it('closes when somebody is in the middle of a handshake', async () => {
    const { app, port } = await serve();
    const half = connect(port, '127.0.0.1');
    half.on('error', () => undefined);
    await once(half, 'connect');
    const before = performance.now();
    await app.close();
    expect(performance.now() - before).toBeLessThan(8_000);
    half.destroy();
  });
});

describe('certificates that do not fit', () => {
  it.each([
    ['a key of another certificate', { keyFile: 'other.pem' }],
    ['no key', { keyFile: 'authority.pem' }],
    ['no certificate', { certFile: 'server.key.pem' }],
    ['authorities that are none', { clientCaFile: 'server.key.pem' }],
  ])('such as %s are refused at the start, without showing the key', async (_what, change) => {
    await writeFile(join(folder, 'other.pem'), await pem('server-next.key'));
    await expect(readTls(files(change), readFrom)).rejects.toMatchObject({ code: 'tls_invalid' });
  });

  it('that did not change are left alone', async () => {
    const tls = await readTls(files(), readFrom);
    const { app } = await serve();
    expect(await reloader(tls, app.server)()).toBe('same');
  });
});
