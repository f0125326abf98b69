import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { refusingAddress, startFaultServer, type FaultServer } from '../../test/support/fault-server.ts';
import { CodedError } from '../errors.ts';
import { isRefusedAddress } from './addresses.ts';
import { createHttpClient, type HttpClient, type HttpRequest } from './client.ts';

let far: FaultServer;
let client: HttpClient;
beforeEach(async () => {
  far = await startFaultServer();
  client = createHttpClient();
});
afterEach(async () => {
  await client.close();
  await far.close();
});

const never = new AbortController().signal;

function get(path: string, changes: Partial<HttpRequest> = {}): HttpRequest {
  return { method: 'GET', url: far.url + path, timeoutMs: 5_000, maxBodyBytes: 100_000, ...changes };
}

async function errorOf(call: Promise<unknown>): Promise<CodedError> {
  const outcome: unknown = await call.then(
    () => new Error('the call was answered'),
    (error: unknown) => error,
  );
  if (!(outcome instanceof CodedError)) throw outcome;
  return outcome;
}

describe('the HTTP client', () => {
  it('sends method, headers and body, and returns status, headers and text', async () => {
    far.on('/thing', { kind: 'answer', status: 418, headers: { 'x-kind': 'tea' }, body: 'grün' });
    const answer = await client.request(get('/thing?a=1', { method: 'POST', headers: { 'x-one': '1' }, body: '{"ü":1}' }), never);
    expect(answer).toMatchObject({ status: 418, text: 'grün', headers: { 'x-kind': 'tea' } });
    expect(far.requests).toMatchObject([{ method: 'POST', path: '/thing?a=1', body: '{"ü":1}', headers: { 'x-one': '1' } }]);
  });

  it('puts characters together that were split over two packets', async () => {
    far.on('/drip', { kind: 'drip', body: 'aüöß€😀', bytesPerPiece: 1, everyMs: 1 });
    expect((await client.request(get('/drip'), never)).text).toBe('aüöß€😀');
  });

  it('hands out the pieces of a body as they come, where the head is wanted so', async () => {
    far.on('/drip', { kind: 'drip', body: 'one two three', bytesPerPiece: 4, everyMs: 1, headers: { 'x-kind': 'slow' } });
    const pieces: string[] = [];
    const answer = await client.request(
      get('/drip', {
        receive: ({ status, headers }) => {
          expect([status, headers['x-kind']]).toEqual([200, 'slow']);
          return (piece) => void pieces.push(Buffer.from(piece).toString());
        },
      }),
      never,
    );
    expect(pieces.join('')).toBe('one two three');
    expect(answer).toMatchObject({ status: 200, text: '' });
    expect((await client.request(get('/drip', { receive: () => null }), never)).text).toBe('one two three');
  });

  it('bounds a body that is handed out, and ends the call with what the receiver throws', async () => {
    far.on('/huge', { kind: 'huge', bytes: 50_000_000 });
    let received = 0;
    const receive = () => (piece: Uint8Array) => void (received += piece.length);
    expect((await errorOf(client.request(get('/huge', { receive }), never))).code).toBe('body_too_large');
    expect(received).toBeLessThanOrEqual(100_000);
    const failing = () => () => {
      throw new CodedError('answer_invalid', 'no');
    };
    expect((await errorOf(client.request(get('/huge', { receive: failing }), never))).code).toBe('answer_invalid');
    const refusing = () => {
      throw new CodedError('answer_invalid', 'not even the head');
    };
    expect((await errorOf(client.request(get('/huge', { receive: refusing }), never))).message).toBe('not even the head');
  });

  it('says that TLS material cannot be used, without quoting it', async () => {
    const error = await errorOf(client.request(get('/', { tls: { ca: 'no PEM s3cr3t', cert: 's3cr3t', key: 's3cr3t' } }), never));
    expect(error.code).toBe('tls_invalid');
    expect(error.message).not.toContain('s3cr3t');
    far.on('/', { kind: 'answer', body: 'x' });
    expect((await client.request(get('/'), never)).text).toBe('x');
  });

  it('returns a redirect as it is and does not follow it', async () => {
    far.on('/old', { kind: 'answer', status: 302, headers: { location: '/new' } });
    far.on('/new', { kind: 'answer', body: 'secret' });
    const answer = await client.request(get('/old'), never);
    expect(answer.status).toBe(302);
    expect(far.requests.map((request) => request.path)).toEqual(['/old']);
  });

  it('uses one connection again for calls that follow each other', async () => {
    far.on('/', { kind: 'answer', body: 'x' });
    for (let call = 0; call < 20; call++) await client.request(get('/'), never);
    // A second one may be opened while the first is still finishing its answer.
    expect(far.connections).toBeLessThanOrEqual(2);
  });

  it('opens no more connections to one host than allowed', async () => {
    const narrow = createHttpClient({ connectionsPerOrigin: 3 });
    far.on('/', { kind: 'drip', body: 'xx', bytesPerPiece: 1, everyMs: 5 });
    await Promise.all(Array.from({ length: 12 }, () => narrow.request(get('/'), never)));
    expect(far.connections).toBe(3);
    await narrow.close();
  });

  it('ends a call that hangs with a retryable timeout', async () => {
    far.on('/', { kind: 'hang' });
    const error = await errorOf(client.request(get('/', { timeoutMs: 50 }), never));
    expect(error).toMatchObject({ code: 'timeout', retryable: true });
  });

  it('counts the body into the time-out, so that a slow drip cannot hold a call open', async () => {
    far.on('/', { kind: 'drip', body: 'x'.repeat(10_000), bytesPerPiece: 1, everyMs: 10 });
    const began = performance.now();
    expect(await errorOf(client.request(get('/', { timeoutMs: 100 }), never))).toMatchObject({ code: 'timeout' });
    expect(performance.now() - began).toBeLessThan(3_000);
  });

  it('stops reading a body without length soon after the limit', async () => {
    far.on('/', { kind: 'huge', bytes: 500_000_000 });
    const error = await errorOf(client.request(get('/'), never));
    expect(error).toMatchObject({ code: 'body_too_large', retryable: false });
    expect(far.hugeBytesSent).toBeLessThan(50_000_000);
  });

  it('refuses a body by its length before it is read, and reads one of exactly the limit', async () => {
    far.on('/', { kind: 'answer', body: 'x'.repeat(1_000) });
    expect(await errorOf(client.request(get('/', { maxBodyBytes: 999 }), never))).toMatchObject({ code: 'body_too_large' });
    expect((await client.request(get('/', { maxBodyBytes: 1_000 }), never)).text).toHaveLength(1_000);
  });

  it('rejects with the reason of the caller when the caller cancels', async () => {
    far.on('/', { kind: 'hang' });
    const controller = new AbortController();
    const call = client.request(get('/'), controller.signal);
    await far.arrived(1);
    controller.abort(new Error('not needed any more'));
    await expect(call).rejects.toThrow('not needed any more');
    await expect(client.request(get('/'), controller.signal)).rejects.toThrow('not needed any more');
  });

  it('does not begin a call that was cancelled while the client was still loading', async () => {
    far.on('/', { kind: 'answer' });
    const controller = new AbortController();
    const call = client.request(get('/'), controller.signal);
    controller.abort(new Error('not needed any more'));
    await expect(call).rejects.toThrow('not needed any more');
    expect(far.requests).toHaveLength(0);
  });

  it('says connect_failed where nothing listens and where a name does not exist', async () => {
    const refusing = await refusingAddress();
    expect(await errorOf(client.request(get('', { url: refusing }), never))).toMatchObject({
      code: 'connect_failed',
      retryable: true,
      details: { reason: 'ECONNREFUSED' },
    });
    const nowhere = createHttpClient({
      resolve: (_name, _options, callback) =>
        callback(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND', syscall: 'getaddrinfo' }), []),
    });
    expect(await errorOf(nowhere.request(get('', { url: 'http://nowhere.test/' }), never))).toMatchObject({
      code: 'connect_failed',
      retryable: true,
    });
    await nowhere.close();
  });

  it('says connection_lost for an answer that was cut, dropped or is no HTTP', async () => {
    far.on('/cut', { kind: 'cut', body: 'x'.repeat(1_000), afterBytes: 10 });
    far.on('/drop', { kind: 'drop' });
    far.on('/garbage', { kind: 'garbage' });
    for (const path of ['/cut', '/drop', '/garbage']) {
      expect(await errorOf(client.request(get(path), never)), path).toMatchObject({ code: 'connection_lost', retryable: true });
    }
  });

  it('refuses a body that is compressed, because nothing asked for it', async () => {
    far.on('/', { kind: 'answer', headers: { 'content-encoding': 'gzip' }, body: 'x' });
    expect(await errorOf(client.request(get('/'), never))).toMatchObject({ code: 'encoding_unsupported' });
  });

  it('tells nothing of headers, query, path or credentials in an error', async () => {
    far.on('/hang', { kind: 'hang' });
    far.on('/drop', { kind: 'drop' });
    far.on('/big', { kind: 'answer', body: 'x'.repeat(2_000) });
    const secret = { headers: { authorization: 'Bearer s3cr3t' }, timeoutMs: 50, maxBodyBytes: 10 };
    const refusing = await refusingAddress();
    const port = new URL(far.url).port;
    const calls = [
      get('/hang?key=s3cr3t', secret),
      get('/drop?key=s3cr3t', { ...secret, timeoutMs: 5_000 }),
      get('/big?key=s3cr3t', { ...secret, timeoutMs: 5_000 }),
      get('', { ...secret, url: `${refusing}/?key=s3cr3t`, timeoutMs: 5_000 }),
      get('', { ...secret, url: `http://user:s3cr3t@127.0.0.1:${port}/` }),
      get('', { ...secret, url: 's3cr3t' }),
    ];
    for (const call of calls) {
      const error = await errorOf(client.request(call, never));
      expect(`${error.message} ${JSON.stringify(error.details)} ${String(error.cause)}`).not.toContain('s3cr3t');
    }
  });

  it('does not call after it was closed', async () => {
    far.on('/', { kind: 'answer' });
    await client.request(get('/'), never);
    await client.close();
    expect(await errorOf(client.request(get('/'), never))).toMatchObject({ code: 'connection_lost' });
    expect(far.requests).toHaveLength(1);
  });

  it('leaves no listener behind on a signal that lives long', async () => {
    far.on('/', { kind: 'answer' });
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...parameters: Parameters<typeof add>) => {
      listeners++;
      add(...parameters);
    };
    signal.removeEventListener = (...parameters: Parameters<typeof remove>) => {
      listeners--;
      remove(...parameters);
    };
    for (let call = 0; call < 3; call++) await client.request(get('/'), signal);
    expect(listeners).toBe(0);
  });
});

describe('addresses that are never called', () => {
  it.each([
    'http://169.254.169.254/latest/meta-data/',
    'http://2852039166/',
    'http://0xA9FE0001/',
    'http://[::ffff:169.254.169.254]/',
    'http://[fe80::1]/',
    'http://[fd00:ec2::254]/',
    'http://[64:ff9b::169.254.169.254]/',
    'http://100.100.100.200/',
    'http://192.0.0.192/',
    'http://168.63.129.16/',
    'http://[fd20:ce::254]/',
    'http://0251.0376.0251.0376/',
    'http://0xa9.0xfe.0xa9.0xfe/',
    'http://169.254.43518/',
    'http://169.254.169.254./',
    'http://１６９.254.169.254/',
    'http://[::169.254.169.254]/',
    'http://[::ffff:a9fe:a9fe]/',
    'http://[0:0:0:0:0:ffff:100.100.100.200]/',
    'http://[2002:a9fe:a9fe::1]/',
    'http://[fd00:ec2::23]/',
  ])('refuses %s without opening a connection', async (url) => {
    const error = await errorOf(client.request(get('', { url, timeoutMs: 500 }), never));
    expect(error).toMatchObject({ code: 'address_refused', retryable: false });
  });

  it.each(['169.254.0.1', '::ffff:169.254.169.254', '::ffff:a9fe:a9fe', 'fe80::1', 'febf::1', 'fe80::1%eth0', 'fd00:ec2::254'])(
    'refuses a name that resolves to %s at the time of the connection',
    async (address) => {
      const lured = createHttpClient({
        resolve: (_name, _options, callback) => callback(null, [{ address, family: address.includes(':') ? 6 : 4 }]),
      });
      const error = await errorOf(lured.request(get('', { url: 'http://shop.test:9/' }), never));
      expect(error).toMatchObject({ code: 'address_refused', retryable: false });
      await lured.close();
    },
  );

  it('connects to the allowed address when a name has both kinds', async () => {
    far.on('/', { kind: 'answer', body: 'here' });
    const { port } = new URL(far.url);
    const both = createHttpClient({
      resolve: (_name, _options, callback) =>
        callback(null, [
          { address: '169.254.169.254', family: 4 },
          { address: '127.0.0.1', family: 4 },
        ]),
    });
    expect((await both.request(get('', { url: `http://shop.test:${port}/` }), never)).text).toBe('here');
    await both.close();
  });

  it.each(['127.0.0.1', '::1', '10.0.0.1', '192.168.1.1', 'fd12:3456::1', '2001:db8::1', '169.253.255.255', 'shop.test'])(
    'allows %s',
    (address) => expect(isRefusedAddress(address)).toBe(false),
  );
});
