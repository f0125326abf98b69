import type { InjectOptions } from 'fastify';
import { createHash } from 'node:crypto';
import { afterEach } from 'vitest';
import type { FastifyInstance } from 'fastify';
import type { Clock } from '../../src/clock.ts';
import type { Callers, HttpDependencies } from '../../src/http/dependencies.ts';
import { DEFAULT_LIMITS, type HttpLimits } from '../../src/http/dependencies.ts';
// The routes' own keys of fastify's types are declared there.
import type {} from '../../src/http/authentication.ts';
import { createServer } from '../../src/http/server.ts';
import { standIns } from '../support/http-stand-ins.ts';

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const open: FastifyInstance[] = [];
afterEach(async () => {
  for (const app of open.splice(0)) await app.close();
});

/** No caller but those that a test adds. */
export function callers(change: Partial<Callers> = {}): Callers {
  return {
    basic: [],
    signers: [],
    oidc: [],
    clients: [],
    http: { request: () => Promise.reject(new Error('no test calls anybody by accident')) },
    readSecret: () => Promise.reject(new Error('no test reads a file by accident')),
    replays: { begin: () => Promise.resolve(true), end: () => Promise.resolve(true) },
    ...change,
  };
}

/** The server with stand-ins behind it, closed after the test. */
export function serve(change: Partial<HttpDependencies> = {}, limits: Partial<HttpLimits> = {}) {
  const parts = standIns(change);
  const app = createServer(parts.deps, { ...DEFAULT_LIMITS, ...limits });
  open.push(app);
  const call = (
    method: 'GET' | 'POST' | 'DELETE',
    url: string,
    headers: Record<string, string> = {},
    payload?: InjectOptions['payload'],
  ) => app.inject({ method, url, headers, ...(payload !== undefined && { payload }) });
  return {
    ...parts,
    app,
    call,
    get: (url: string, headers?: Record<string, string>) => call('GET', url, headers),
    post: (url: string, headers?: Record<string, string>, payload?: InjectOptions['payload']) =>
      call('POST', url, headers, payload),
    async page() {
      return (await parts.metrics.page()).text;
    },
  };
}

/** Time that stands still until it is moved. */
export function handClock(start = Date.parse('2026-03-01T12:00:00Z')): Clock & { move(ms: number): void } {
  let now = start;
  return {
    now: () => now,
    move(ms) {
      now += ms;
    },
  };
}
