import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Counter, Histogram, Registry } from 'prom-client';
import type { Running } from './parts.ts';
import { seededRandom, type Fault } from './releases.ts';

export interface ShopSettings {
  version: string;
  port: number;
  fault: Fault | null;
  seed: number;
  /** Sabotage: the metrics page answers 503. */
  metricsBroken: boolean;
}

const PRODUCTS = ['lamp', 'wick', 'gauze', 'oil', 'glass', 'hook', 'case', 'flint', 'valve', 'bonnet'];
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
/**
 * Work takes about this long and follows a log-normal distribution, as measured times do. It is much longer than the hiccups of
 * a busy machine, and cut well below a bucket bound (250 ms), so that the few answers above that bound are too rare to compare.
 */
const MEDIAN_WORK_MS = 60;
const WORK_SPREAD = 0.5;
const LONGEST_WORK_MS = 190;
const LARGEST_ORDER_BYTES = 10_000;

function workMs(random: () => number): number {
  for (;;) {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    const work = MEDIAN_WORK_MS * Math.exp(WORK_SPREAD * normal);
    if (work <= LONGEST_WORK_MS) return work;
  }
}

/** A small shop, one process a version: GET /, GET /products/NAME, POST /checkout, GET /healthz, GET /metrics. */
export async function startShop(settings: ShopSettings): Promise<Running> {
  const random = seededRandom(settings.seed);
  const registry = new Registry();
  const requests = new Counter({
    name: 'http_requests_total',
    help: 'HTTP requests by method and answer.',
    labelNames: ['service', 'version', 'method', 'code'],
    registers: [registry],
  });
  const durations = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from a request to its answer.',
    labelNames: ['service', 'version'],
    buckets: BUCKETS,
    registers: [registry],
  });
  const labels = { service: 'shop', version: settings.version };
  let firstCustomerAt: number | null = null;

  const isFailing = (): boolean => {
    firstCustomerAt ??= performance.now();
    return (
      settings.fault !== null && performance.now() - firstCustomerAt >= settings.fault.afterMs && random() < settings.fault.share
    );
  };

  const page = (request: IncomingMessage): { code: number; type: string; body: string } => {
    const path = request.url ?? '/';
    if (isFailing()) return { code: 500, type: 'application/json', body: '{"error":"price service: undefined is not a number"}' };
    if (path === '/') {
      const items = PRODUCTS.map((name) => `<li><a href="/products/${name}">${name}</a></li>`).join('');
      return { code: 200, type: 'text/html', body: `<!doctype html><title>shop ${settings.version}</title><ul>${items}</ul>` };
    }
    if (path === '/checkout' && request.method === 'POST') {
      return { code: 201, type: 'application/json', body: '{"order":"accepted"}' };
    }
    const index = path.startsWith('/products/') ? PRODUCTS.indexOf(path.slice('/products/'.length)) : -1;
    if (index < 0) return { code: 404, type: 'application/json', body: '{"error":"unknown product"}' };
    return { code: 200, type: 'application/json', body: JSON.stringify({ product: PRODUCTS[index], price: 5 + index }) };
  };

  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const from = performance.now();
    let ordered = 0;
    request.on('data', (chunk: Buffer) => {
      ordered += chunk.length;
      if (ordered > LARGEST_ORDER_BYTES) request.destroy();
    });
    request.once('end', () => {
      setTimeout(() => {
        const { code, type, body } = page(request);
        response.writeHead(code, {
          'content-type': type,
          'content-length': Buffer.byteLength(body),
          'x-shop-version': settings.version,
        });
        response.end(body);
        requests.inc({ ...labels, method: request.method ?? 'GET', code: String(code) });
        durations.observe(labels, (performance.now() - from) / 1_000);
      }, workMs(random));
    });
    request.resume();
  };

  const server = createServer((request, response) => {
    if (request.url === '/metrics') {
      if (settings.metricsBroken) {
        response.writeHead(503, { 'content-type': 'text/plain' }).end('metrics are switched off\n');
        return;
      }
      void registry.metrics().then((text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text));
    } else if (request.url === '/healthz') {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ version: settings.version }));
    } else serve(request, response);
  });
  // The router keeps its connections; one that the shop closed for idleness would cost a customer an error.
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(settings.port, '127.0.0.1', resolve);
  });
  return {
    ports: { shop: settings.port },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
  };
}
