import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';

/** What the server does with a request to a path. Bodies are sent with a content length unless said otherwise. */
export type Behaviour =
  | { kind: 'answer'; status?: number; headers?: Record<string, string>; body?: string }
  /** The request is read and never answered. */
  | { kind: 'hang' }
  /** The body comes in pieces, with a pause after each. */
  | { kind: 'drip'; body: string; bytesPerPiece: number; everyMs: number; headers?: Record<string, string> }
  /** The connection is closed after so many bytes of the body; `framed: false` leaves the length unsaid. */
  | { kind: 'cut'; body: string; afterBytes: number; framed?: boolean; headers?: Record<string, string> }
  /** The connection is closed without an answer. */
  | { kind: 'drop' }
  /** A body of unsaid length that goes on until so many bytes were taken. */
  | { kind: 'huge'; bytes: number; headers?: Record<string, string> }
  /** Bytes on the wire that are no HTTP. */
  | { kind: 'garbage' };

export interface ReceivedRequest {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
}

export interface FaultServer {
  /** http://127.0.0.1:PORT, without a slash at the end. */
  readonly url: string;
  readonly requests: ReceivedRequest[];
  /** Bytes of `huge` bodies that were handed to the network. */
  readonly hugeBytesSent: number;
  /** TCP connections accepted so far. */
  readonly connections: number;
  /** Sets what a path does from now on, `*` any that is not set; a function decides for each request. */
  on(path: string, behaviour: Behaviour | ((request: ReceivedRequest) => Behaviour)): void;
  /** Resolves when so many requests have arrived; rejects after the deadline. */
  arrived(count: number, deadlineMs?: number): Promise<void>;
  /** Refuses connections until `up`; the port stays this server's as long as nobody else takes it. */
  down(): Promise<void>;
  up(): Promise<void>;
  close(): Promise<void>;
}

export async function startFaultServer(): Promise<FaultServer> {
  const behaviours = new Map<string, Behaviour | ((request: ReceivedRequest) => Behaviour)>();
  const requests: ReceivedRequest[] = [];
  const sockets = new Set<Socket>();
  const timers = new Set<NodeJS.Timeout>();
  const waiting = new Set<() => void>();
  let connections = 0;
  let hugeBytesSent = 0;

  const server = createServer((message, response) => {
    const pieces: Buffer[] = [];
    message.on('data', (piece: Buffer) => pieces.push(piece));
    message.on('end', () => {
      const request = {
        method: message.method ?? '',
        path: message.url ?? '',
        headers: message.headers,
        body: Buffer.concat(pieces).toString('utf8'),
      };
      requests.push(request);
      for (const check of waiting) check();
      const known = behaviours.get(request.path.split('?', 1)[0] ?? '') ?? behaviours.get('*');
      const behaviour = typeof known === 'function' ? known(request) : known;
      act(behaviour ?? { kind: 'answer', status: 404, body: 'no such path\n' }, response);
    });
  });
  server.on('connection', (socket) => {
    connections++;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
  });

  function act(behaviour: Behaviour, response: ServerResponse): void {
    switch (behaviour.kind) {
      case 'answer': {
        response.writeHead(behaviour.status ?? 200, {
          'content-length': String(Buffer.byteLength(behaviour.body ?? '')),
          ...behaviour.headers,
        });
        response.end(behaviour.body ?? '');
        break;
      }
      case 'hang':
        break;
      case 'drop':
        response.socket?.destroy();
        break;
      case 'garbage':
        response.socket?.end('\u0000\u0001 this is not HTTP\r\n\r\n');
        break;
      case 'drip': {
        const bytes = Buffer.from(behaviour.body);
        response.writeHead(200, { 'content-length': String(bytes.length), ...behaviour.headers });
        let at = 0;
        const timer = setInterval(() => {
          response.write(bytes.subarray(at, at + behaviour.bytesPerPiece));
          at += behaviour.bytesPerPiece;
          if (at >= bytes.length) {
            stop();
            response.end();
          }
        }, behaviour.everyMs);
        const stop = () => {
          clearInterval(timer);
          timers.delete(timer);
        };
        timers.add(timer);
        response.on('close', stop);
        break;
      }
      case 'cut': {
        const bytes = Buffer.from(behaviour.body);
        const head = { 'content-length': String(bytes.length), ...behaviour.headers };
        const lines = Object.entries(behaviour.framed === false ? (behaviour.headers ?? {}) : head);
        const text = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
        response.socket?.write(`HTTP/1.1 200 OK\r\nconnection: close\r\n${text}\r\n`);
        response.socket?.end(bytes.subarray(0, behaviour.afterBytes));
        break;
      }
      case 'huge': {
        response.writeHead(200, behaviour.headers ?? {});
        const piece = Buffer.alloc(65_536, '# 345678901234\n');
        let left = behaviour.bytes;
        const pump = () => {
          while (left > 0 && !response.destroyed) {
            left -= piece.length;
            hugeBytesSent += piece.length;
            if (!response.write(piece)) return;
          }
          if (!response.destroyed) response.end();
        };
        response.on('drain', pump);
        pump();
        break;
      }
    }
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;

  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    get hugeBytesSent() {
      return hugeBytesSent;
    },
    get connections() {
      return connections;
    },
    on(path, behaviour) {
      behaviours.set(path, behaviour);
    },
    arrived(count, deadlineMs = 5_000) {
      return new Promise((resolve, reject) => {
        const check = () => {
          if (requests.length < count) return;
          clearTimeout(timer);
          waiting.delete(check);
          resolve();
        };
        const timer = setTimeout(() => {
          waiting.delete(check);
          reject(new Error(`${requests.length} of ${count} requests arrived within ${deadlineMs} ms`));
        }, deadlineMs);
        waiting.add(check);
        check();
      });
    },
    async down() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
    async up() {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, '127.0.0.1', resolve);
      });
    },
    async close() {
      for (const timer of timers) clearInterval(timer);
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** An address on loopback where nothing listens. */
export async function refusingAddress(): Promise<string> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return `http://127.0.0.1:${port}`;
}
