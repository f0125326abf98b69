import { createHmac, randomUUID } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { CodedError } from '../../src/errors.ts';
import { replaysIn } from '../../src/http/auth/replays.ts';
import type { RecordKind, RecordWrite, StoredRecord } from '../../src/store/port.ts';
import { callers, handClock, serve, sha256 } from './serving.ts';

const SECRET = Buffer.from('an example of 32 bytes of secret');
const OTHER = 'another secret of at least 24 bytes';
const files: Record<string, string> = { 'one.key': `whsec_${SECRET.toString('base64')}`, 'two.key': OTHER };

function signed(body: string, at: number, change: { id?: string; secret?: Buffer | string; time?: number | string } = {}) {
  const id = change.id ?? `msg_${randomUUID()}`;
  const time = change.time ?? Math.floor(at / 1_000);
  const mac = createHmac('sha256', change.secret ?? SECRET)
    .update(`${id}.${time}.${body}`)
    .digest('base64');
  return {
    'webhook-id': id,
    'webhook-timestamp': String(time),
    'webhook-signature': `v1,${mac}`,
    'content-type': 'application/json',
  };
}

/** A store that knows only whether a record is there. */
function memory(written = new Set<string>()) {
  return {
    async get(kind: RecordKind, id: string): Promise<StoredRecord | undefined> {
      const known = { kind, id, version: 1, createdAt: 0, index: {}, value: {} };
      return written.has(`${kind} ${id}`) ? known : undefined;
    },
    async commit(writes: readonly RecordWrite[]) {
      for (const { kind, id } of writes) {
        if (written.has(`${kind} ${id}`)) throw new CodedError('conflict', 'it is there already');
        written.add(`${kind} ${id}`);
      }
      return [];
    },
    written,
  };
}

interface Change {
  secretFiles?: string[];
  read?: (file: string) => Promise<string>;
  /** What is in the store, for two processes on one. */
  written?: Set<string>;
  /** Runs before a message is taken. */
  before?: () => Promise<void>;
}

function world(change: Change = {}) {
  const clock = handClock();
  const store = memory(change.written);
  const read = change.read ?? ((file: string) => Promise.resolve(files[file] ?? ''));
  const server = serve({
    clock,
    callers: callers({
      signers: [{ name: 'pager', secretFiles: change.secretFiles ?? ['one.key', 'two.key'], applications: ['shop'] }],
      readSecret: read,
      replays: replaysIn(store, clock),
    }),
  });
  const taken: unknown[] = [];
  server.app.post('/webhooks/test', { config: { scope: 'webhooks' } }, async (request) => {
    await change.before?.();
    taken.push([request.who.name, request.who.kind, request.body]);
    return { by: request.who.name, applications: [...(request.who.applications ?? [])] };
  });
  return {
    ...server,
    clock,
    store,
    taken,
    send: (headers: Record<string, string>, body: string) => server.post('/webhooks/test', headers, body),
  };
}

const body = '{ "text" : "grün \\u00fc 😀" , "n": 1.50 }';

describe('a message that is signed by Standard Webhooks', () => {
  it('is taken from the sender whose secret signed it, byte for byte', async () => {
    const { send, clock, taken } = world();
    const answer = await send(signed(body, clock.now()), body);
    expect(answer.json()).toEqual({ by: 'pager', applications: ['shop'] });
    expect(taken).toEqual([['pager', 'signature', { text: 'grün ü 😀', n: 1.5 }]]);
  });

  it('is the one of the specification', async () => {
    // The example of https://github.com/standard-webhooks/standard-webhooks (libraries, test vectors).
    const read = () => Promise.resolve('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw');
    const { send, clock } = world({ secretFiles: ['spec.key'], read });
    clock.move(1_614_265_330_000 - clock.now());
    const headers = {
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
      'content-type': 'application/json',
    };
    expect((await send(headers, '{"test": 2432232314}')).statusCode).toBe(200);
  });

  it('may be signed by either of two secrets, and by several at once', async () => {
    const { send, clock } = world();
    expect((await send(signed(body, clock.now(), { secret: OTHER }), body)).statusCode).toBe(200);
    const both = signed(body, clock.now());
    both['webhook-signature'] = `v2,abc v1,${Buffer.alloc(32).toString('base64')} ${both['webhook-signature']}`;
    expect((await send(both, body)).statusCode).toBe(200);
  });

  it.each<[string, (headers: Record<string, string>) => void, string?]>([
    ['with another body', () => undefined, body.replace('1.50', '1.5')],
    ['with another id', (headers) => (headers['webhook-id'] = 'msg_other')],
    ['with another time', (headers) => (headers['webhook-timestamp'] = String(Number(headers['webhook-timestamp']) + 1))],
    ['without an id', (headers) => delete headers['webhook-id']],
    ['without a time', (headers) => delete headers['webhook-timestamp']],
    ['with a time that is none', (headers) => (headers['webhook-timestamp'] = '1e9')],
    [
      'of another version',
      (headers) => (headers['webhook-signature'] = (headers['webhook-signature'] ?? '').replace('v1,', 'v1a,')),
    ],
    ['with an empty signature', (headers) => (headers['webhook-signature'] = '')],
  ])('%s is 401 and never read', async (_what, change, sent = body) => {
    const { send, clock, taken, page } = world();
    const headers: Record<string, string> = signed(body, clock.now());
    change(headers);
    expect((await send(headers, sent)).json()).toMatchObject({ status: 401, code: 'unauthenticated' });
    expect(taken).toEqual([]);
    expect(await page()).toContain('davylamp_auth_failures_total{kind="signature"');
  });

  it('by a secret that nobody has is 401', async () => {
    const { send, clock } = world();
    expect((await send(signed(body, clock.now(), { secret: 'a secret of at least 24 bytes' }), body)).statusCode).toBe(401);
    expect((await send(signed('not json', clock.now(), { secret: 'x'.repeat(32) }), 'not json')).statusCode).toBe(401);
  });

  it.each([-301, 301])('that is %i s off is 401, 299 s is not', async (seconds) => {
    const { send, clock } = world();
    const off = (by: number) => signed(body, clock.now() + by * 1_000);
    expect((await send(off(seconds), body)).statusCode).toBe(401);
    expect((await send(off(Math.sign(seconds) * 299), body)).statusCode).toBe(200);
  });

  it('is taken once: the same again is 409, also when both come at the same time', async () => {
    const { send, clock, taken } = world();
    const headers = signed(body, clock.now());
    const answers = await Promise.all([send(headers, body), send(headers, body), send(headers, body)]);
    expect(answers.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b)).toEqual([200, 409, 409]);
    expect((await send(headers, body)).json()).toMatchObject({ code: 'webhook_replayed' });
    expect(taken).toHaveLength(1);
  });

  it('is not a replay when it comes again after our own 503, and is one after that', async () => {
    let isDown = true;
    const before = async () => {
      if (isDown) throw new CodedError('store_unavailable', 'the store does not answer', { retryable: true });
    };
    const { send, clock, taken } = world({ before });
    const headers = signed(body, clock.now());
    expect((await send(headers, body)).statusCode).toBe(503);
    isDown = false;
    expect((await send(headers, body)).statusCode).toBe(200);
    expect((await send(headers, body)).statusCode).toBe(409);
    expect(taken).toHaveLength(1);
  });

  it('is 503 when that it was taken cannot be remembered, and may come again', async () => {
    const { send, clock, store } = world();
    const { commit } = store;
    store.commit = () => Promise.reject(new CodedError('store_unavailable', 'the store does not answer', { retryable: true }));
    const headers = signed(body, clock.now());
    expect((await send(headers, body)).json()).toMatchObject({ status: 503, code: 'store_unavailable' });
    store.commit = commit;
    expect((await send(headers, body)).statusCode).toBe(200);
  });

  it('is told what is wrong with it once', async () => {
    const { send, clock } = world();
    const headers = signed('{', clock.now());
    expect((await send(headers, '{')).statusCode).toBe(400);
    expect((await send(headers, '{')).statusCode).toBe(409);
  });

  it('waits for the same one that is under way, and takes its place when that fails', async () => {
    let fail: (error: Error) => void = () => undefined;
    const first = new Promise<void>((_resolve, reject) => (fail = reject));
    let calls = 0;
    const before = () => ((calls += 1) === 1 ? first : Promise.resolve());
    const { send, clock, taken } = world({ before });
    const headers = signed(body, clock.now());
    const answers = [send(headers, body), send(headers, body), send(headers, body)];
    await vi.waitFor(() => expect(calls).toBe(1));
    fail(new CodedError('store_unavailable', 'the store does not answer', { retryable: true }));
    const codes = (await Promise.all(answers)).map(({ statusCode }) => statusCode);
    expect(codes.toSorted((a, b) => a - b)).toEqual([200, 409, 503]);
    expect(taken).toHaveLength(1);
  });

  it('is accepted once when two processes are given it at the same moment', async () => {
    const written = new Set<string>();
    let both: () => void = () => undefined;
    const met = new Promise<void>((resolve) => (both = resolve));
    let calls = 0;
    const before = () => {
      if ((calls += 1) === 2) both();
      return met;
    };
    const worlds = [world({ written, before }), world({ written, before })];
    const headers = signed(body, worlds[0]?.clock.now() ?? 0);
    const answers = await Promise.all(worlds.map(({ send }) => send(headers, body)));
    expect(answers.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b)).toEqual([200, 409]);
  });

  it('may be sent again by its sender, who signs it with a new time', async () => {
    const { send, clock, taken } = world();
    await send(signed(body, clock.now(), { id: 'msg_1' }), body);
    clock.move(2_000);
    expect((await send(signed(body, clock.now(), { id: 'msg_1' }), body)).statusCode).toBe(200);
    expect(taken).toHaveLength(2);
  });

  it('is 503 while it cannot be checked for a repeat, or while the secret cannot be read: nothing is lost', async () => {
    const broken = world({
      read: () => Promise.reject(new CodedError('secret_unreadable', 'cannot read /run/secrets/pager', { retryable: true })),
    });
    const answer = await broken.send(signed(body, broken.clock.now()), body);
    expect(answer.json()).toMatchObject({ status: 503, code: 'secret_unreadable' });
    expect(answer.body).not.toContain('/run/secrets');
    const away = world();
    away.store.commit = () =>
      Promise.reject(new CodedError('store_unavailable', 'the store does not answer', { retryable: true }));
    expect((await away.send(signed(body, away.clock.now()), body)).statusCode).toBe(503);
    const short = world({ read: () => Promise.resolve('short') });
    expect((await short.send(signed(body, short.clock.now()), body)).json()).toMatchObject({
      status: 503,
      code: 'secret_invalid',
    });
  });

  it('takes up a rotated secret without a restart', async () => {
    let secret = OTHER;
    const { send, clock } = world({ secretFiles: ['file'], read: () => Promise.resolve(secret) });
    const next = 'a new secret of at least 24 bytes';
    expect((await send(signed(body, clock.now(), { secret: OTHER }), body)).statusCode).toBe(200);
    secret = next;
    clock.move(31_000);
    expect((await send(signed(body, clock.now(), { secret: next }), body)).statusCode).toBe(200);
    expect((await send(signed(body, clock.now(), { secret: OTHER }), body)).statusCode).toBe(401);
  });

  it('opens webhooks only, and covers a request without a body', async () => {
    const { get, post, clock } = world();
    expect((await get('/api/v1/analyses', signed('', clock.now()))).statusCode).toBe(401);
    const { 'content-type': _type, ...bare } = signed('', clock.now());
    expect((await post('/webhooks/test', bare)).statusCode).toBe(200);
    const { 'content-type': _other, ...wrong } = signed('x', clock.now());
    expect((await post('/webhooks/test', wrong)).statusCode).toBe(401);
  });

  it('does not help a wrong token along', async () => {
    const { send, clock } = world();
    const headers = { ...signed(body, clock.now()), authorization: `Bearer ${sha256('x')}` };
    expect((await send(headers, body)).statusCode).toBe(401);
  });
});
