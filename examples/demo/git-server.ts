import { spawn } from 'node:child_process';
import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/**
 * A Git remote on loopback: one bare repository behind the real `git http-backend`, with a token, as a forge would
 * have it. It takes no forced push and no deletion, so that a client which needs one is found out.
 */
export interface GitServer {
  /** Address without a credential in it. */
  readonly url: string;
  /** The bare repository on disk. */
  readonly repository: string;
  /** With a reason, a pre-receive hook declines every push and says it; null lets pushes in again. */
  refusePushes(reason: string | null): Promise<void>;
  /** What goes wrong with every request from now on; null for nothing. */
  fault(kind: GitServerFault | null): void;
  /** Stops to listen; the port stays this server's for `up`. */
  down(): Promise<void>;
  up(): Promise<void>;
  close(): Promise<void>;
}

/**
 * unavailable: 503. cut: the connection ends before anything is done. lose_answer: the push is done, its answer never
 * arrives. hang: no answer at all. redirect: 302 to another address. read_only: 403 to whoever wants to push.
 */
export type GitServerFault = 'unavailable' | 'cut' | 'lose_answer' | 'hang' | 'redirect' | 'read_only';

export interface GitServerOptions {
  /** Folder that holds the bare repository; made when missing. */
  folder: string;
  /** Name of the repository in the address. */
  name?: string;
  branch?: string;
  /** Password that goes with any user name; null lets everybody in. */
  token: string | null;
  /** 0 takes a free port. */
  port?: number;
}

const HOST = '127.0.0.1';
const HEADER_LIMIT = 64 * 1024;

const PRE_RECEIVE = `#!/bin/sh
if [ -f refuse-pushes ]; then
  cat refuse-pushes >&2
  exit 1
fi
exit 0
`;

/** The environment of every git process of this server: nothing of the machine's or the user's configuration. */
function gitEnvironment(folder: string): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    HOME: folder,
    LC_ALL: 'C',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_SYSTEM: '/dev/null',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
  };
}

async function git(folder: string, args: readonly string[]): Promise<void> {
  const child = spawn('git', args, { env: gitEnvironment(folder), stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`git ${args[0] ?? ''} ended with ${String(code)}: ${stderr.trim()}`);
}

async function createBareRepository(folder: string, repository: string, branch: string): Promise<void> {
  await mkdir(repository, { recursive: true });
  await git(folder, ['init', '--quiet', '--bare', '--template=', `--initial-branch=${branch}`, '--', repository]);
  const settings = {
    'http.receivepack': 'true',
    'receive.denyNonFastForwards': 'true',
    'receive.denyDeletes': 'true',
    'receive.fsckObjects': 'true',
    'receive.autogc': 'false',
    'gc.auto': '0',
  };
  for (const [key, value] of Object.entries(settings)) await git(folder, ['--git-dir', repository, 'config', key, value]);
  await mkdir(join(repository, 'hooks'), { recursive: true });
  await writeFile(join(repository, 'hooks', 'pre-receive'), PRE_RECEIVE, { mode: 0o755 });
}

function sameText(one: string, other: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}

function isAllowed(request: IncomingMessage, token: string | null): boolean {
  if (token === null) return true;
  const [scheme, value] = (request.headers.authorization ?? '').split(' ');
  if (scheme?.toLowerCase() !== 'basic' || value === undefined) return false;
  const decoded = Buffer.from(value, 'base64').toString('utf8');
  return sameText(decoded.slice(decoded.indexOf(':') + 1), token);
}

/** Resolves when the response takes more, or will never. */
async function drained(response: ServerResponse): Promise<void> {
  const done = new AbortController();
  const heard = (event: string) => once(response, event, { signal: done.signal }).catch(() => undefined);
  try {
    await Promise.race([heard('drain'), heard('close')]);
  } finally {
    done.abort();
  }
}

/** Passes one request to `git http-backend` by CGI (RFC 3875) and its answer back. */
async function serve(
  root: string,
  request: IncomingMessage,
  response: ServerResponse,
  fate: 'answer' | 'lose_answer',
): Promise<void> {
  const url = new URL(request.url ?? '/', `http://${HOST}`);
  const header = (name: string) => {
    const value = request.headers[name];
    return typeof value === 'string' ? value : '';
  };
  const backend = spawn('git', ['http-backend'], {
    env: {
      ...gitEnvironment(root),
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      GATEWAY_INTERFACE: 'CGI/1.1',
      REQUEST_METHOD: request.method ?? 'GET',
      PATH_INFO: decodeURIComponent(url.pathname),
      QUERY_STRING: url.search.slice(1),
      CONTENT_TYPE: header('content-type'),
      CONTENT_LENGTH: header('content-length'),
      HTTP_CONTENT_ENCODING: header('content-encoding'),
      GIT_PROTOCOL: header('git-protocol'),
      REMOTE_ADDR: HOST,
      REMOTE_USER: 'anyone',
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const ended = once(backend, 'close');
  // A backend that answers early closes its input; the request's rest is then of no interest.
  const fed = pipeline(request, backend.stdin).catch(() => request.resume());

  let head = Buffer.alloc(0);
  let headerDone = false;
  for await (const chunk of backend.stdout as AsyncIterable<Buffer>) {
    if (fate === 'lose_answer') continue;
    if (headerDone) {
      if (!response.destroyed && !response.write(chunk)) await drained(response);
      continue;
    }
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end === -1) {
      if (head.length > HEADER_LIMIT) throw new Error('git http-backend sent a header without an end');
      continue;
    }
    headerDone = true;
    let status = 200;
    for (const line of head.subarray(0, end).toString('latin1').split('\r\n')) {
      const colon = line.indexOf(':');
      const [name, value] = [line.slice(0, colon), line.slice(colon + 1).trim()];
      if (name.toLowerCase() === 'status') status = Number.parseInt(value, 10);
      else response.setHeader(name, value);
    }
    response.statusCode = status;
    response.write(head.subarray(end + 4));
  }
  await Promise.all([ended, fed]);
  if (fate === 'lose_answer') response.destroy();
  if (!headerDone && !response.headersSent) response.statusCode = 500;
  if (!response.destroyed) response.end();
}

/** Makes the bare repository when it is missing and serves it on 127.0.0.1. */
export async function startGitServer(options: GitServerOptions): Promise<GitServer> {
  const name = options.name ?? 'deploy';
  const repository = join(options.folder, `${name}.git`);
  await createBareRepository(options.folder, repository, options.branch ?? 'main');

  let fault: GitServerFault | null = null;
  const running = new Set<Promise<void>>();

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const at = fault;
    const isPush = request.method === 'POST' && (request.url ?? '').endsWith('/git-receive-pack');
    if (at === 'cut') {
      request.socket.destroy();
      return;
    }
    if (at === 'hang') return;
    if (at === 'unavailable') {
      response.writeHead(503).end();
      return;
    }
    if (at === 'redirect') {
      response.writeHead(302, { location: `http://${HOST}:1${request.url ?? '/'}` }).end();
      return;
    }
    if (at === 'read_only' && (request.url ?? '').includes('git-receive-pack')) {
      response.writeHead(403).end();
      return;
    }
    if (!isAllowed(request, options.token)) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
      return;
    }
    await serve(options.folder, request, response, at === 'lose_answer' && isPush ? 'lose_answer' : 'answer');
  };

  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const work = answer(request, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : new Error(String(error)));
    });
    running.add(work);
    void work.finally(() => running.delete(work));
  };

  let server: Server | null = null;
  const listen = async (port: number): Promise<number> => {
    server = createServer(listener);
    server.listen(port, HOST);
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the Git server has no port');
    return address.port;
  };
  const port = await listen(options.port ?? 0);

  const down = async (): Promise<void> => {
    const open = server;
    if (open === null) return;
    server = null;
    const closed = once(open, 'close');
    open.close();
    open.closeAllConnections();
    await closed;
    await Promise.all(running);
  };

  return {
    url: `http://${HOST}:${port}/${name}.git`,
    repository,
    async refusePushes(reason) {
      const file = join(repository, 'refuse-pushes');
      if (reason === null) await rm(file, { force: true });
      else await writeFile(file, `${reason}\n`);
    },
    fault(kind) {
      fault = kind;
    },
    down,
    async up() {
      if (server === null) await listen(port);
    },
    close: down,
  };
}
