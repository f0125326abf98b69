import { once } from 'node:events';
import { createServer } from 'node:http';

/** What one side of the pretended shop does, from now on. */
export interface Traffic {
  requestsPerSecond: number;
  errorShare: number;
}
type Track = 'canary' | 'stable';
/** In the place of a status. */
const HANG = 0;

/**
 * Two metrics pages whose counters grow with the wall clock, at /canary and /stable; a page can be made to answer
 * with a status instead.
 */
export async function startPages() {
  const sides = new Map<Track, { traffic: Traffic; since: number; total: number; errors: number; status: number }>();
  for (const track of ['canary', 'stable'] as const) {
    sides.set(track, {
      traffic: { requestsPerSecond: 20_000, errorShare: 0.01 },
      since: Date.now(),
      total: 1_000,
      errors: 10,
      status: 200,
    });
  }
  const settle = (track: Track) => {
    const side = sides.get(track);
    if (side === undefined) throw new Error(`no track ${track}`);
    const now = Date.now();
    const requests = ((now - side.since) / 1_000) * side.traffic.requestsPerSecond;
    side.total += requests;
    side.errors += requests * side.traffic.errorShare;
    side.since = now;
    return side;
  };
  const server = createServer((request, response) => {
    const side = settle(request.url === '/canary' ? 'canary' : 'stable');
    if (side.status === HANG) return;
    if (side.status !== 200) {
      response.writeHead(side.status).end('not now');
      return;
    }
    const errors = Math.round(side.errors);
    const fine = Math.round(side.total) - errors;
    response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' });
    response.end(
      `# TYPE http_requests_total counter\nhttp_requests_total{service="shop",code="200"} ${fine}\nhttp_requests_total{service="shop",code="500"} ${errors}\n`,
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the pages have no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    set(track: Track, traffic: Partial<Traffic>) {
      const side = settle(track);
      side.traffic = { ...side.traffic, ...traffic };
    },
    answer(track: Track, status: number) {
      settle(track).status = status;
    },
    /** Takes requests and never answers them, until `answer` is called. */
    hang(track: Track) {
      settle(track).status = HANG;
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
