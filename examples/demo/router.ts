import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Pool } from 'undici';
import { serveJson } from './json-server.ts';
import type { Running } from './parts.ts';

export interface RouterSettings {
  stablePort: number;
  canaryPort: number;
}

type Side = 'canary' | 'stable';

const CONNECTIONS = 128;
const DRAIN_DEADLINE_MS = 5_000;
const ANSWER_DEADLINE_MS = 10_000;

/**
 * Splits the customers between the stable shop and the canary.
 * Control (a port of its own): GET /weights; PUT /weights {"canary": 0..100, "drain": true}. With drain it is answered when no
 * request is under way any more on a side that no longer gets any, so that its process can be stopped.
 */
export async function startRouter(settings: RouterSettings): Promise<Running> {
  const pool = (port: number): Pool =>
    new Pool(`http://127.0.0.1:${String(port)}`, {
      connections: CONNECTIONS,
      pipelining: 1,
      headersTimeout: ANSWER_DEADLINE_MS,
      bodyTimeout: ANSWER_DEADLINE_MS,
    });
  const pools = { stable: pool(settings.stablePort), canary: pool(settings.canaryPort) };
  const underWay = { stable: 0, canary: 0 };
  const idle = new Set<() => void>();
  let canaryWeight = 0;
  let credit = 0;

  const choose = (): Side => {
    credit += canaryWeight;
    if (credit < 100) return 'stable';
    credit -= 100;
    return 'canary';
  };

  const forward = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const side = choose();
    underWay[side] += 1;
    try {
      const method = request.method === 'POST' ? 'POST' : 'GET';
      const answer = await pools[side].request({
        method,
        path: request.url ?? '/',
        headers: { 'content-type': request.headers['content-type'] ?? 'application/json' },
        body: method === 'POST' ? request : null,
      });
      const body = Buffer.from(await answer.body.arrayBuffer());
      response.writeHead(answer.statusCode, {
        'content-type': String(answer.headers['content-type'] ?? 'text/plain'),
        'content-length': body.length,
        'x-served-by': side,
        'x-shop-version': String(answer.headers['x-shop-version'] ?? ''),
      });
      response.end(body);
    } catch {
      if (!response.headersSent) response.writeHead(502, { 'content-type': 'text/plain', 'x-served-by': side });
      response.end('the shop did not answer\n');
    } finally {
      underWay[side] -= 1;
      if (underWay[side] === 0) for (const look of idle) look();
    }
  };

  const drained = (side: Side): Promise<void> =>
    new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(deadline);
        idle.delete(look);
        resolve();
      };
      const look = (): void => {
        if (underWay[side] === 0) finish();
      };
      const deadline = setTimeout(finish, DRAIN_DEADLINE_MS);
      idle.add(look);
      look();
    });

  const customers = createServer((request, response) => void forward(request, response));
  customers.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    customers.once('error', reject);
    customers.listen(0, '127.0.0.1', resolve);
  });
  const control = await serveJson(async (route, body) => {
    if (route === 'PUT /weights') {
      const wanted = body.canary;
      if (typeof wanted !== 'number' || !(wanted >= 0 && wanted <= 100)) {
        return { status: 400, body: { error: 'canary must be a number from 0 to 100' } };
      }
      canaryWeight = wanted;
      credit = 0;
      if (body.drain === true && wanted === 0) await drained('canary');
      if (body.drain === true && wanted === 100) await drained('stable');
    } else if (route !== 'GET /weights') return null;
    return { status: 200, body: { canary: canaryWeight, stable: 100 - canaryWeight } };
  });
  return {
    ports: { customers: (customers.address() as AddressInfo).port, control: control.port },
    close: async () => {
      customers.close();
      customers.closeAllConnections();
      await Promise.all([control.close(), pools.stable.destroy(), pools.canary.destroy()]);
    },
  };
}
