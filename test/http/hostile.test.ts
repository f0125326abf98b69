import { once } from 'node:events';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { serve as serveInMemory, sha256 } from './serving.ts';

const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

async function serve(...parameters: Parameters<typeof serveInMemory>) {
  const world = serveInMemory(...parameters);
  await world.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = world.app.server.address() as AddressInfo;
  return { ...world, port };
}

async function dial(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  socket.on('error', () => undefined);
  await once(socket, 'connect', { signal: AbortSignal.timeout(20_000) });
  return socket;
}

/** Everything that comes back until the connection ends. */
async function raw(port: number, text: string): Promise<string> {
  const socket = await dial(port);
  let answer = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk));
  socket.write(text);
  await once(socket, 'close', { signal: AbortSignal.timeout(20_000) });
  return answer;
}

describe('a thousand connections that never finish a request', () => {
  it('leave the health checks fast, and are cut off in the end', async () => {
    const { port } = await serve({}, { requestTimeoutMs: 8_000, timeoutCheckMs: 500 });
    const half = await Promise.all(
      Array.from({ length: 1_000 }, async (_, n) => {
        const socket = await dial(port);
        socket.resume();
        // Some stop in the line, some in the headers, some in the body.
        socket.write(
          n % 3 === 0
            ? 'POST /api/v1/anal'
            : n % 3 === 1
              ? 'POST /api/v1/analyses HTTP/1.1\r\nHost: localhost\r\nX-Slow: '
              : 'POST /api/v1/analyses HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"app',
        );
        return socket;
      }),
    );
    expect(half.filter((socket) => !socket.destroyed)).toHaveLength(1_000);
    const times: number[] = [];
    for (let n = 0; n < 20; n += 1) {
      const before = performance.now();
      expect((await fetch(`http://127.0.0.1:${port}/livez`)).status).toBe(200);
      times.push(performance.now() - before);
    }
    times.sort((a, b) => a - b);
    expect(times[10]).toBeLessThan(100);
    await Promise.all(
      half.map((socket) =>
        socket.closed ? Promise.resolve([]) : once(socket, 'close', { signal: AbortSignal.timeout(30_000) }),
      ),
    );
  }, 60_000);
});

describe('requests that two servers could read in two ways', () => {
  const smuggled = 'GET /api/v1/rollbacks HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const head = 'POST /api/v1/analyses HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
  it.each([
    ['a length and chunks', `${head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`],
    ['two lengths', `${head}Content-Length: 2\r\nContent-Length: 50\r\n\r\n{}${smuggled}`],
    ['a length with a sign', `${head}Content-Length: +2\r\n\r\n{}${smuggled}`],
    ['chunks that are not the last coding', `${head}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n${smuggled}`],
    ['a coding with a space before the colon', `${head}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`],
    ['a folded header', `${head}X-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\n{}`],
    ['bare line feeds', 'POST /api/v1/analyses HTTP/1.1\nHost: localhost\nContent-Length: 2\n\n{}'],
    ['a chunk size that is none', `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`],
    ['a null in a header', `${head}X-Null: a\0b\r\nContent-Length: 2\r\n\r\n{}`],
    ['no host', 'GET /livez HTTP/1.1\r\n\r\n'],
  ])('with %s are refused, and the connection ends', async (_what, text) => {
    const { port } = await serve();
    const answer = await raw(port, text);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    expect(answer).not.toContain('"items"');
  });
});

describe('headers', () => {
  it.each(['Host: other', 'Authorization: Bearer other', 'authorization: Basic eDp5', 'Content-Type: text/plain'])(
    'that a proxy may have read otherwise, because they are there twice, get 400: %s',
    async (second) => {
      const { port } = await serve({ tokens: [{ name: 'ci', sha256: sha256('right') }] });
      const head = 'GET /api/v1/analyses HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer right\r\n';
      expect(await raw(port, `${head}Content-Type: application/json\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 /);
      const answer = await raw(port, `${head}Content-Type: application/json\r\n${second}\r\n\r\n`);
      expect(answer).toMatch(/^HTTP\/1\.1 400 /);
      expect(answer).toContain(`"path":"/${second.slice(0, second.indexOf(':')).toLowerCase()}"`);
    },
  );

  it('that are too large or too many get 431 or are cut, without a word of them in the log', async () => {
    const { port, lines } = await serve();
    expect(await raw(port, `GET /livez HTTP/1.1\r\nHost: localhost\r\nX: hunter2${'x'.repeat(17_000)}\r\n\r\n`)).toContain('431');
    const many = Array.from({ length: 3_000 }, (_, n) => `X-${n}: hunter2`).join('\r\n');
    expect(await raw(port, `GET /livez HTTP/1.1\r\nHost: localhost\r\n${many}\r\n\r\n`)).toContain('431');
    expect(lines.join('')).not.toContain('hunter2');
  });
});

describe('bodies that reach for the prototype', () => {
  it.each([
    '{"application":"shop","arguments":{"__proto__":{"polluted":"yes"}}}',
    '{"application":"shop","arguments":{"constructor":{"prototype":{"polluted":"yes"}}}}',
    '{"application":"shop","__proto__":{"polluted":"yes"}}',
    '[{"__proto__":{"polluted":"yes"}}]',
  ])('%s change nothing', async (payload) => {
    const { post } = serveInMemory();
    const answer = await post('/api/v1/analyses', { 'content-type': 'application/json' }, payload);
    expect(answer.statusCode).toBe(400);
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  });

  it('by the names of queries and paths are 400 or 404', async () => {
    const { get } = serveInMemory();
    for (const url of [
      '/api/v1/analyses?__proto__[a]=1',
      '/api/v1/analyses?constructor=1',
      '/api/v1/analyses/__proto__',
      '/api/v1/rollbacks/constructor',
    ])
      expect([400, 404], url).toContain((await get(url)).statusCode);
  });
});

describe('a wrong credential', () => {
  it('is refused before the body is read', async () => {
    const { port } = await serve({ tokens: [{ name: 'ci', sha256: sha256('right') }] });
    const socket = await dial(port);
    let answer = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk));
    socket.write(
      'POST /api/v1/analyses HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{',
    );
    const deadline = Date.now() + 5_000;
    while (!answer.includes('unauthenticated') && Date.now() < deadline)
      await once(socket, 'data', { signal: AbortSignal.timeout(5_000) });
    expect(answer).toContain('HTTP/1.1 401');
  });
});
