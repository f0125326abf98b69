import { hash } from 'node:crypto';
import { isIP } from 'node:net';
import { setImmediate as breath } from 'node:timers/promises';
import type { Agent, Dispatcher } from 'undici';
import { CodedError } from '../errors.ts';
import { guardedLookup, isRefusedAddress, refusal, type Resolve } from './addresses.ts';

/**
 * The one HTTP client of the project: every call has a time-out and a bounded body, no redirect is followed, and
 * errors carry no credentials. Nothing else may import undici or use fetch (a lint rule).
 */
export interface HttpRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  url: string;
  headers?: Readonly<Record<string, string>>;
  body?: string;
  /** Milliseconds for the whole call, body included. */
  timeoutMs: number;
  /** Bytes; a larger body ends the call with `body_too_large`. */
  maxBodyBytes: number;
  /**
   * Called once the head of the answer is there. Returns where the body goes piece by piece as it comes, so that it is
   * never held as a whole (`text` is then empty); null to get it as `text`. What either of them throws ends the call.
   */
  receive?: (head: HttpHead) => ((piece: Uint8Array) => void) | null;
  /** What the connection trusts and shows, for servers with a certificate of their own authority or mutual TLS. */
  tls?: TlsMaterial;
}

/** Contents in PEM, not paths. */
export interface TlsMaterial {
  /** Replaces the authorities that Node.js trusts. */
  ca?: string;
  /** Certificate of the client with its chain, and its key; both or none. */
  cert?: string;
  key?: string;
  /** Name that the certificate is checked against, where that is not the host of the address. */
  servername?: string;
  /** False takes any certificate: only where the user's own configuration says so. */
  rejectUnauthorized?: boolean;
}

export interface HttpHead {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface HttpResponse extends HttpHead {
  /** The body as UTF-8. */
  text: string;
}

export interface HttpClient {
  /**
   * Resolves for every status, redirects included; rejects when there is no whole answer, or with the signal's reason.
   * @throws CodedError (retryable) `connect_failed`, `timeout`, `connection_lost`; (not retryable) `body_too_large`,
   *   `encoding_unsupported`, `address_refused`, `address_invalid`, `tls_invalid`
   */
  request(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse>;
  /** Ends every connection; calls that are under way reject. */
  close(): Promise<void>;
}

export interface HttpClientOptions {
  /** Connections to one host and port; further calls wait, within their time-out. */
  connectionsPerOrigin?: number;
  /** Milliseconds for the TCP and TLS handshake. */
  connectTimeoutMs?: number;
  /** Milliseconds that an idle connection is kept; short, because a server may close it in the same moment. */
  keepAliveMs?: number;
  /** Replaces the resolver of the system, for tests. */
  resolve?: Resolve;
}

const CONNECTIONS_PER_ORIGIN = 32;
const CONNECT_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 4_000;
const KEEP_ALIVE_MAX_MS = 30_000;
const MAX_HEADER_BYTES = 32_768;
/** What a receiver is handed at most before other work of the process gets its turn. */
const BREATH_BYTES = 262_144;
/** Sets of TLS material in use at the same time; a rotated certificate is a new one, so the oldest go. */
const MAX_TLS_AGENTS = 32;

type Ask = (options: Dispatcher.RequestOptions) => Promise<Dispatcher.ResponseData>;

/** undici takes time and memory to import, so it is loaded with the first call. */
export function createHttpClient(options: HttpClientOptions = {}): HttpClient {
  /** By a digest of the TLS material; '' is what needs none. */
  const agents = new Map<string, Promise<{ agent: Agent; ask: Ask }>>();
  let closed = false;

  function agentFor(tls: TlsMaterial | undefined): Promise<{ agent: Agent; ask: Ask }> {
    const key =
      tls === undefined
        ? ''
        : hash('sha256', JSON.stringify([tls.ca, tls.cert, tls.key, tls.servername, tls.rejectUnauthorized]));
    const known = agents.get(key);
    if (known !== undefined) return known;
    for (const [oldest, agent] of agents) {
      if (agents.size < MAX_TLS_AGENTS) break;
      if (oldest === '') continue;
      agents.delete(oldest);
      // Ends once its calls have ended; a failure to close idle connections concerns nobody.
      void agent.then((idle) => idle.agent.close()).catch(() => undefined);
    }
    const loading = load(tls);
    agents.set(key, loading);
    // What could not be built is not kept: the next call gets its own error.
    loading.catch(() => agents.delete(key));
    return loading;
  }

  async function load(tls: TlsMaterial | undefined): Promise<{ agent: Agent; ask: Ask }> {
    const secure = tls === undefined ? {} : await checkedTls(tls);
    // The entry of the package would load fetch, WebSocket, mocks, caches and proxies, too: 7 MB that nobody uses here.
    const [{ default: UndiciAgent }, { default: request }] = await Promise.all([
      import('undici/lib/dispatcher/agent.js'),
      import('undici/lib/api/api-request.js'),
    ]);
    const agent = new UndiciAgent({
      connections: options.connectionsPerOrigin ?? CONNECTIONS_PER_ORIGIN,
      keepAliveTimeout: options.keepAliveMs ?? KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      // One clock rules the whole call, see deadline().
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS, lookup: guardedLookup(options.resolve), ...secure },
    });
    return { agent, ask: request.bind(agent) };
  }

  return {
    async request(request, signal) {
      signal.throwIfAborted();
      const url = addressOf(request.url);
      if (closed) throw lost(url, 'the client is closed');
      // Loading is not the far side's time.
      const { ask } = await agentFor(request.tls);
      signal.throwIfAborted();
      const limit = deadline(request.timeoutMs, url, signal);
      try {
        const answer = await ask({
          origin: url.origin,
          path: url.pathname + url.search,
          method: request.method,
          headers: { 'user-agent': 'davylamp', 'accept-encoding': 'identity', ...request.headers },
          body: request.body ?? null,
          signal: limit.signal,
        });
        const head = { status: answer.statusCode, headers: answer.headers };
        const text = await readBody(answer, url, request.maxBodyBytes, () => request.receive?.(head) ?? null);
        return { ...head, text };
      } catch (error) {
        // An ended call surfaces in many shapes; what ended it is the answer.
        if (limit.signal.aborted) throw limit.signal.reason;
        throw codedErrorOf(error, url);
      } finally {
        limit.end();
      }
    },
    async close() {
      closed = true;
      const opened = [...agents.values()];
      agents.clear();
      await Promise.all(opened.map(async (agent) => (await agent).agent.destroy()));
    },
  };
}

function addressOf(text: string): URL {
  if (!URL.canParse(text)) {
    throw new CodedError('address_invalid', 'the address is not a URL; write for example http://shop:8080/metrics');
  }
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new CodedError('address_invalid', `an address must start with http:// or https://, not ${url.protocol}//`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new CodedError(
      'address_invalid',
      `the address of ${url.host} holds a user name or password; put it into a secret file`,
    );
  }
  // The resolver is not asked for literal addresses.
  const literal = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(literal) !== 0 && isRefusedAddress(literal)) throw refusal(url.host);
  return url;
}

/** `AbortSignal.any` keeps a reference in the caller's long-lived signal on Node 20, so the listener is taken off by hand. */
function deadline(timeoutMs: number, url: URL, signal: AbortSignal): { signal: AbortSignal; end(): void } {
  const controller = new AbortController();
  const timer = setTimeout(() => {
    controller.abort(
      new CodedError('timeout', `${url.host} did not answer completely within ${timeoutMs} ms`, {
        retryable: true,
        details: { host: url.host, timeoutMs },
      }),
    );
  }, timeoutMs);
  const cancel = () => controller.abort(signal.reason);
  signal.addEventListener('abort', cancel, { once: true });
  return {
    signal: controller.signal,
    end() {
      clearTimeout(timer);
      signal.removeEventListener('abort', cancel);
    },
  };
}

/** Material that cannot be used must not look like a server that cannot be reached. */
async function checkedTls({ ca, cert, key, servername, rejectUnauthorized }: TlsMaterial): Promise<TlsMaterial> {
  const { createSecureContext } = await import('node:tls');
  const material = { ...(ca !== undefined && { ca }), ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) };
  try {
    createSecureContext(material);
    return {
      ...material,
      ...(servername !== undefined && { servername }),
      ...(rejectUnauthorized !== undefined && { rejectUnauthorized }),
    };
  } catch {
    // What OpenSSL says can quote the material.
    throw new CodedError('tls_invalid', 'a CA certificate, client certificate or key is not PEM, or they do not fit together');
  }
}

async function readBody(
  answer: Dispatcher.ResponseData,
  url: URL,
  maxBytes: number,
  receive: () => ((piece: Uint8Array) => void) | null,
): Promise<string> {
  const encoding = answer.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    discard(answer);
    throw new CodedError('encoding_unsupported', `${url.host} sent a compressed body although none was asked for`, {
      details: { host: url.host },
    });
  }
  const tooLarge = () =>
    new CodedError('body_too_large', `${url.host} sent a body of more than ${maxBytes} bytes`, {
      details: { host: url.host, maxBytes },
    });
  if (Number(answer.headers['content-length'] ?? 0) > maxBytes) {
    discard(answer);
    throw tooLarge();
  }
  let sink: ((piece: Uint8Array) => void) | null;
  try {
    sink = receive();
  } catch (error) {
    discard(answer);
    throw error;
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  let sinceBreath = 0;
  for await (const chunk of answer.body) {
    if (!Buffer.isBuffer(chunk)) throw new TypeError('the body of an answer came in pieces that are not bytes');
    bytes += chunk.length;
    // Leaving the loop destroys the body, and with it the connection.
    if (bytes > maxBytes) throw tooLarge();
    if (sink === null) {
      chunks.push(chunk);
      continue;
    }
    sink(chunk);
    sinceBreath += chunk.length;
    if (sinceBreath < BREATH_BYTES) continue;
    sinceBreath = 0;
    await breath();
  }
  if (sink !== null) return '';
  return Buffer.concat(chunks, bytes).toString('utf8');
}

/** Ends an answer whose body is not wanted; the error that the body then reports has been dealt with. */
function discard(answer: Dispatcher.ResponseData): void {
  answer.body.on('error', () => undefined);
  answer.body.destroy();
}

function lost(url: URL, why: string, cause?: unknown): CodedError {
  return new CodedError('connection_lost', `the connection to ${url.host} was lost before the answer was complete: ${why}`, {
    retryable: true,
    cause,
    details: { host: url.host },
  });
}

/** What undici and the sockets below it throw, by code (undici/lib/core/errors.js and errno(3)). */
function codedErrorOf(error: unknown, url: URL): unknown {
  if (error instanceof CodedError || !(error instanceof Error)) return error;
  const code = textField(error, 'code');
  const syscall = textField(error, 'syscall');
  const beforeConnected =
    code === 'UND_ERR_CONNECT_TIMEOUT' ||
    syscall === 'connect' ||
    syscall === 'getaddrinfo' ||
    /^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_)/.test(code) ||
    (error instanceof AggregateError && code !== '');
  if (beforeConnected) {
    return new CodedError('connect_failed', `cannot connect to ${url.host} (${code}); check its address and that it runs`, {
      retryable: true,
      cause: error,
      details: { host: url.host, reason: code },
    });
  }
  if (error.name === 'HTTPParserError') return lost(url, 'what came is not HTTP', error);
  if (/^(UND_ERR_(SOCKET|CLOSED|DESTROYED|ABORTED|RES_.*|HEADERS_.*)|E[A-Z]+)$/.test(code)) return lost(url, code, error);
  return error;
}

function textField(error: Error, name: 'code' | 'syscall'): string {
  const value: unknown = Reflect.get(error, name);
  return typeof value === 'string' ? value : '';
}
