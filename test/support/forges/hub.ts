import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type ForgeFault =
  'refuse' | 'hang' | 'drop' | '500' | '429' | '401' | '403' | '404' | 'moved' | 'truncated' | 'wrong types' | 'page' | 'huge';

export interface HubProposal {
  number: number;
  branch: string;
  base: string;
  title: string;
  body: string;
  author: string;
  state: 'open' | 'closed' | 'merged';
  endedBy: string | null;
  mergeCommit: string | null;
  labels: string[];
  reviewers: string[];
  autoMerge: boolean;
  comments: string[];
}

export interface HubRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
  body: Record<string, unknown>;
}

export interface HubAnswer {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

/** What a dialect answers; null: there is no such address. */
export type Dialect = (request: HubRequest, hub: Hub) => HubAnswer | null;

const idOf = (text: string) => createHash('sha1').update(text).digest('hex');

/** A forge in memory; how it is spoken to is a matter of its dialect. */
export class Hub {
  readonly proposals: HubProposal[] = [];
  readonly branches = new Map<string, string>([['main', idOf('main')]]);
  readonly labels = new Map<string, number>([['bug', 1]]);
  readonly users = new Map<string, number>([
    ['lamp', 1],
    ['robin', 2],
  ]);
  readonly statuses = new Map<string, { context: string; state: string; description: string; url: string | null }[]>();
  readonly requests: HubRequest[] = [];
  /** The next listing shows nothing, as if what is there had been made a moment later. */
  hideOnce = false;
  /** Answers like this once to what fits, before the dialect is asked. */
  readonly once: { fits: (request: HubRequest) => boolean; answer: HubAnswer }[] = [];
  fault: ForgeFault | null = null;
  url = '';
  #server: ReturnType<typeof createServer> | null = null;

  async listen(dialect: Dialect): Promise<void> {
    const server = createServer((message, response) => {
      const pieces: Buffer[] = [];
      message.on('data', (piece: Buffer) => pieces.push(piece));
      message.on('end', () => this.#serve(dialect, message, Buffer.concat(pieces).toString('utf8'), response));
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  push(branch: string): string {
    const commit = idOf(branch);
    this.branches.set(branch, commit);
    return commit;
  }

  open(proposal: { branch: string; base: string; title: string; body: string; author: string }): HubProposal {
    const made: HubProposal = {
      ...proposal,
      number: this.proposals.length + 1,
      state: 'open',
      endedBy: null,
      mergeCommit: null,
      labels: [],
      reviewers: [],
      autoMerge: false,
      comments: [],
    };
    this.proposals.push(made);
    return made;
  }

  get(number: number): HubProposal {
    const found = this.proposals.find((one) => one.number === number);
    if (found === undefined) throw new Error(`no proposal ${number}`);
    return found;
  }

  end(number: number, state: 'closed' | 'merged', by: string): void {
    Object.assign(this.get(number), { state, endedBy: by, mergeCommit: state === 'merged' ? idOf(`merge ${number}`) : null });
  }

  listed(): HubProposal[] {
    const hidden = this.hideOnce;
    this.hideOnce = false;
    return hidden ? [] : this.proposals.toReversed();
  }

  async close(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  #serve(dialect: Dialect, message: IncomingMessage, text: string, response: ServerResponse): void {
    const url = new URL(message.url ?? '/', 'http://hub');
    const body = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
    const request = { method: message.method ?? '', path: url.pathname, query: url.searchParams, headers: message.headers, body };
    this.requests.push(request);
    const send = ({ status, body: value, headers }: HubAnswer) => {
      const written = value === undefined ? '' : JSON.stringify(value);
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(written);
    };
    if (this.fault !== null) {
      this.#fail(this.fault, message, response, send);
      return;
    }
    const at = this.once.findIndex(({ fits }) => fits(request));
    const [special] = at === -1 ? [] : this.once.splice(at, 1);
    send(special?.answer ?? dialect(request, this) ?? { status: 404, body: { message: 'Not Found' } });
  }

  #fail(fault: ForgeFault, message: IncomingMessage, response: ServerResponse, send: (answer: HubAnswer) => void): void {
    // A careless server repeats what it was sent; nothing of it may get into our errors.
    const repeated = String(message.headers.authorization ?? '');
    switch (fault) {
      case 'hang':
        return;
      case 'refuse':
      case 'drop':
        response.socket?.destroy();
        return;
      case '500':
        return send({ status: 502, body: { message: `upstream ${repeated}` } });
      case '429':
        return send({ status: 429, body: { message: 'API rate limit exceeded' }, headers: { 'retry-after': '30' } });
      case '401':
        return send({ status: 401, body: { message: `Bad credentials ${repeated}` } });
      case '403':
        return send({ status: 403, body: { message: `Resource not accessible by ${repeated}` } });
      case '404':
        return send({ status: 404, body: { message: 'Not Found' } });
      case 'moved':
        return send({ status: 301, headers: { location: 'http://127.0.0.1:1/' }, body: { message: 'Moved Permanently' } });
      case 'truncated':
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end('[{"number": 1, "html_url": "https://');
        return;
      case 'wrong types':
        return send({ status: 200, body: [{ number: '1', iid: 'x', html_url: 5, full_name: [] }] });
      case 'page':
        response.writeHead(200, { 'content-type': 'text/html' });
        response.end('<html>sign in</html>');
        return;
      case 'huge': {
        response.writeHead(200, { 'content-type': 'application/json' });
        const piece = Buffer.alloc(1_048_576, ' ');
        let left = 40;
        const pump = () => {
          while (left > 0 && !response.destroyed) {
            left -= 1;
            if (!response.write(piece)) return;
          }
          if (!response.destroyed) response.end();
        };
        response.on('drain', pump);
        pump();
      }
    }
  }
}

/** Part of a listing, as all three page it: `page` from 1 on, and a Link to the next one (RFC 8288). */
export function pageOf<T>(
  all: readonly T[],
  query: URLSearchParams,
  sizeKey: string,
): { items: T[]; headers: Record<string, string> } {
  const size = Number(query.get(sizeKey) ?? '30');
  const page = Number(query.get('page') ?? '1');
  const items = all.slice((page - 1) * size, page * size);
  const more = page * size < all.length;
  return { items, headers: more ? { link: `<http://elsewhere.example/?page=${page + 1}>; rel="next"` } : {} };
}
