import { once } from 'node:events';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { FastifyInstance } from 'fastify';
import { standIns } from '../../test/support/http-stand-ins.ts';
import { DEFAULT_LIMITS, type HttpLimits } from './dependencies.ts';
import { createServer } from './server.ts';

/** A real listener: streams, waiting requests, slow clients and closing cannot be seen through `inject`. */
const running: FastifyInstance[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const app of running.splice(0)) await app.close();
});

async function serve(limits: Partial<HttpLimits> = {}, change: Parameters<typeof standIns>[0] = {}) {
  const parts = standIns(change);
  const app = createServer(parts.deps, { ...DEFAULT_LIMITS, ...limits });
  running.push(app);
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  const base = `http://127.0.0.1:${port}`;
  const call = async (path: string, init: RequestInit = {}) =>
    fetch(`${base}${path}`, { signal: AbortSignal.timeout(10_000), ...init });
  const start = (headers: Record<string, string> = {}, signal = AbortSignal.timeout(10_000)) =>
    call('/api/v1/analyses', {
      method: 'POST',
      signal,
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ application: 'shop' }),
    });
  return { ...parts, app, port, base, call, start };
}

/** Opens a stream and hands out its messages one by one, each within a deadline. */
async function stream(port: number, path: string, headers: Record<string, string> = {}) {
  const outgoing = httpRequest({ port, host: '127.0.0.1', path, headers });
  outgoing.on('error', () => undefined);
  outgoing.end();
  const [response] = (await once(outgoing, 'response', { signal: AbortSignal.timeout(5_000) })) as [IncomingMessage];
  response.setEncoding('utf8');
  const iterator = response[Symbol.asyncIterator]() as AsyncIterator<string>;
  let pending = '';
  const next = async (): Promise<string | null> => {
    while (!pending.includes('\n\n')) {
      const late = AbortSignal.timeout(5_000);
      const chunk = await Promise.race([
        iterator.next(),
        once(late, 'abort').then(() => Promise.reject(new Error('no message within 5 s'))),
      ]);
      if (chunk.done === true) return null;
      pending += chunk.value;
    }
    const end = pending.indexOf('\n\n');
    const message = pending.slice(0, end);
    pending = pending.slice(end + 2);
    return message;
  };
  return { response, next, leave: () => outgoing.destroy() };
}

const phaseOf = (message: string | null) =>
  (JSON.parse(/^data: (.*)$/m.exec(message ?? '')?.[1] ?? '{}') as { phase?: string }).phase;

/** Until a condition holds, looked at after each turn of the event loop. */
async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('it did not come to that within 5 s');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('Prefer: wait', () => {
  it('answers 200 as soon as the analysis has ended', async () => {
    const { analyses, start } = await serve();
    const waiting = start({ prefer: 'respond-async, wait=30' });
    await until(() => analyses.reads > 0);
    analyses.move('an-1', { phase: 'Running' });
    analyses.move('an-1', { phase: 'Failed', verdict: 'fail' });
    const answer = await waiting;
    expect(answer.status).toBe(200);
    expect(answer.headers.get('preference-applied')).toBe('wait=30');
    expect(await answer.json()).toMatchObject({ phase: 'Failed', verdict: 'fail' });
  });

  it('finds an end that nobody announced', async () => {
    const { analyses, start } = await serve({ rereadMs: 20 });
    const waiting = start({ prefer: 'wait=30' });
    await until(() => analyses.reads > 0);
    analyses.move('an-1', { phase: 'Successful' }, false);
    expect((await waiting).status).toBe(200);
  });

  it('answers 202 with the state when the time is over, which is bounded', async () => {
    const { analyses, start } = await serve({ maxWaitSeconds: 0.2, rereadMs: 20 });
    const waiting = start({ prefer: 'wait=3600' });
    await until(() => analyses.reads > 0);
    analyses.move('an-1', { phase: 'Running' });
    const answer = await waiting;
    expect(answer.status).toBe(202);
    expect(answer.headers.get('preference-applied')).toBe('wait=0.2');
    expect(await answer.json()).toMatchObject({ phase: 'Running' });
  });

  it.each(['wait', 'wait=soon', 'wait=-1', 'handling=strict', 'await=5'])('ignores the preference %s', async (prefer) => {
    const { start } = await serve();
    const answer = await start({ prefer });
    expect(answer.status).toBe(202);
    expect(answer.headers.get('preference-applied')).toBeNull();
  });

  it('does not wait when too many requests wait already, and says so by leaving the header out', async () => {
    const { start } = await serve({ maxOpen: 0 });
    const answer = await start({ prefer: 'wait=30' });
    expect(answer.status).toBe(202);
    expect(answer.headers.get('preference-applied')).toBeNull();
  });

  it('stops reading when the client has gone', async () => {
    const { analyses, start } = await serve({ rereadMs: 5, maxOpen: 1, closeGraceMs: 200 });
    const controller = new AbortController();
    const gone = start({ prefer: 'wait=30' }, controller.signal);
    await until(() => analyses.reads > 2);
    controller.abort();
    await expect(gone).rejects.toThrow();
    // The one place is free again: the next request may wait.
    let applied: string | null = null;
    const deadline = Date.now() + 5_000;
    while (applied === null && Date.now() < deadline)
      applied = (await start({ prefer: 'wait=0' })).headers.get('preference-applied');
    expect(applied).toBe('wait=0');
  });
});

describe('the event stream', () => {
  it('sends each state as a whole and ends after the final one', async () => {
    const { analyses, start, port } = await serve();
    await start();
    const events = await stream(port, '/api/v1/analyses/an-1/events');
    expect(events.response.statusCode).toBe(200);
    expect(events.response.headers['content-type']).toContain('text/event-stream');
    expect(await events.next()).toBe('retry: 3000');
    const first = await events.next();
    expect(first).toMatch(/^id: Pending\.10\nevent: analysis\ndata: \{/);
    expect(phaseOf(first)).toBe('Pending');
    analyses.move('an-1', { phase: 'Running' });
    expect(phaseOf(await events.next())).toBe('Running');
    analyses.move('an-1', { phase: 'Failed' });
    expect(phaseOf(await events.next())).toBe('Failed');
    expect(await events.next()).toBeNull();
  });

  it('gives one message and ends when the analysis has ended before', async () => {
    const { analyses, start, port } = await serve();
    await start();
    analyses.move('an-1', { phase: 'Failed' });
    const events = await stream(port, '/api/v1/analyses/an-1/events', { 'last-event-id': 'something else' });
    await events.next();
    expect(phaseOf(await events.next())).toBe('Failed');
    expect(await events.next()).toBeNull();
  });

  it('tells a client that has seen the last message to stop, with 204', async () => {
    const { analyses, start, call } = await serve();
    await start();
    analyses.move('an-1', { phase: 'Failed' });
    const answer = await call('/api/v1/analyses/an-1/events', { headers: { 'last-event-id': 'Failed.10' } });
    expect([answer.status, await answer.text()]).toEqual([204, '']);
  });

  it('sends a comment now and then while nothing changes, and nothing twice', async () => {
    const { analyses, start, port } = await serve({ heartbeatMs: 30, rereadMs: 10 });
    await start();
    const events = await stream(port, '/api/v1/analyses/an-1/events');
    await events.next();
    expect(phaseOf(await events.next())).toBe('Pending');
    expect(await events.next()).toBe(': still here');
    expect(await events.next()).toBe(': still here');
    analyses.changes.announce('an-1');
    analyses.move('an-1', { phase: 'Running' });
    let message = await events.next();
    while (message === ': still here') message = await events.next();
    expect(phaseOf(message)).toBe('Running');
  });

  it('does not exist for an unknown analysis', async () => {
    const { call } = await serve();
    expect((await call('/api/v1/analyses/an-9/events')).status).toBe(404);
  });

  it('is bounded in number; a place is free again when a client leaves', async () => {
    const { start, port, call } = await serve({ maxOpen: 1 });
    await start();
    const first = await stream(port, '/api/v1/analyses/an-1/events');
    await first.next();
    const refused = await call('/api/v1/analyses/an-1/events');
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('5');
    expect(await refused.json()).toMatchObject({ code: 'too_many_streams' });
    first.leave();
    let status = 503;
    const deadline = Date.now() + 5_000;
    while (status === 503 && Date.now() < deadline) {
      const again = await stream(port, '/api/v1/analyses/an-1/events');
      status = again.response.statusCode ?? 0;
      again.leave();
    }
    expect(status).toBe(200);
  });

  it('ends without noise when the store fails in the middle', async () => {
    const { analyses, start, port, lines } = await serve();
    await start();
    const events = await stream(port, '/api/v1/analyses/an-1/events');
    await events.next();
    await events.next();
    analyses.fault = new Error('the store is away');
    analyses.changes.announce('an-1');
    expect(await events.next()).toBeNull();
    expect(lines.join('')).toContain('event stream broke');
  });
});

describe('closing', () => {
  it('ends streams and waiting requests at once, with what is known', async () => {
    const { analyses, app, start, port } = await serve();
    await start();
    const events = await stream(port, '/api/v1/analyses/an-1/events');
    await events.next();
    await events.next();
    const reads = analyses.reads;
    const waiting = start({ prefer: 'wait=60' });
    await until(() => analyses.reads > reads);
    const before = performance.now();
    await app.close();
    expect(performance.now() - before).toBeLessThan(2_000);
    expect(await events.next()).toBeNull();
    expect((await waiting).status).toBe(202);
  });
});

describe('closing with a client that takes nothing', () => {
  it('cuts it off after the grace', async () => {
    const { analyses, app, start, port } = await serve({ closeGraceMs: 100 });
    await start();
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    socket.on('error', () => undefined).pause();
    socket.write('GET /api/v1/analyses/an-1/events HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const large = Array.from({ length: 50 }, () => 'x'.repeat(100_000));
    await until(() => analyses.reads > 0);
    for (let n = 0; n < 5; n += 1) {
      const reads = analyses.reads;
      analyses.move('an-1', { warnings: large, code: `n${n}` });
      // A client that takes nothing is not written to without end: it holds back the reading, too.
      const deadline = Date.now() + 200;
      while (analyses.reads === reads && Date.now() < deadline) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(analyses.reads).toBeLessThan(5);
    const before = performance.now();
    await app.close();
    expect(performance.now() - before).toBeLessThan(3_000);
  });
});

describe('clients that do not behave', () => {
  const raw = async (port: number, text: string): Promise<string> => {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    let answer = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk));
    socket.on('error', () => undefined);
    socket.write(text);
    await once(socket, 'close', { signal: AbortSignal.timeout(10_000) });
    return answer;
  };

  it('and never finish a request are answered 408 and cut off, while others are served', async () => {
    const { port, call } = await serve({ requestTimeoutMs: 150, timeoutCheckMs: 50 });
    const slow = Array.from({ length: 200 }, () => {
      const socket = connect(port, '127.0.0.1');
      sockets.push(socket);
      socket.on('error', () => undefined);
      socket.resume();
      socket.write('POST /api/v1/analyses HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n');
      return once(socket, 'close', { signal: AbortSignal.timeout(10_000) });
    });
    const before = performance.now();
    expect((await call('/livez')).status).toBe(200);
    expect(performance.now() - before).toBeLessThan(500);
    await Promise.all(slow);
    const answer = await raw(port, 'GET /livez HTTP/1.1\r\nHost: loc');
    expect(answer).toContain('HTTP/1.1 408 Request Timeout');
    expect(answer).toContain('"code":"request_timeout"');
  });

  it('or do not speak HTTP get a problem and are cut off', async () => {
    const { port } = await serve();
    const answer = await raw(port, 'EHLO davylamp\r\n\r\n');
    expect(answer).toContain('HTTP/1.1 400 Bad Request');
    expect(answer).toContain('application/problem+json');
    expect(await raw(port, `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)).toContain(
      '"code":"headers_too_large"',
    );
  });

  it('or send a body without end get 413', async () => {
    const { port } = await serve({}, { maxBodyBytes: 2_048 });
    const chunk = `800\r\n${'a'.repeat(2_048)}\r\n`;
    const head =
      'POST /api/v1/analyses HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n';
    expect(await raw(port, `${head}${chunk}${chunk}`)).toContain('"code":"request_too_large"');
  });
});
