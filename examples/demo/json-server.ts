import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface JsonAnswer {
  status: number;
  body: unknown;
}

/** Gets the method and path ("POST /abort") and the parsed body; null answers 404. */
export type JsonHandler = (
  route: string,
  body: Readonly<Record<string, unknown>>,
) => Promise<JsonAnswer | null> | JsonAnswer | null;

const LARGEST_BODY = 64 * 1_024;

async function readBody(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk as Uint8Array);
    size += bytes.length;
    if (size > LARGEST_BODY) throw new Error(`body is larger than ${String(LARGEST_BODY)} bytes`);
    chunks.push(bytes);
  }
  if (size === 0) return {};
  const content: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  if (typeof content !== 'object' || content === null || Array.isArray(content)) throw new Error('body must be a JSON object');
  return content as Record<string, unknown>;
}

/** A small JSON server on a free port of 127.0.0.1. */
export async function serveJson(handle: JsonHandler): Promise<{ port: number; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const answer = async (): Promise<JsonAnswer> => {
      const route = `${request.method ?? 'GET'} ${(request.url ?? '/').split('?')[0] ?? '/'}`;
      let body;
      try {
        body = await readBody(request);
      } catch (error) {
        return { status: 400, body: { error: error instanceof Error ? error.message : 'unreadable body' } };
      }
      try {
        return (await handle(route, body)) ?? { status: 404, body: { error: `nothing at ${route}` } };
      } catch (error) {
        return { status: 500, body: { error: error instanceof Error ? error.message : 'failed' } };
      }
    };
    void answer().then(({ status, body }) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
