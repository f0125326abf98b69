import type { FastifyInstance } from 'fastify';
import type { HttpDependencies, HttpLimits } from './dependencies.ts';
import { DEFAULT_LIMITS } from './dependencies.ts';
import { bareServer } from './server.ts';
import { healthRoutes } from './routes/health.ts';

/**
 * A plain listener for what probes and scrapers ask, and nothing else: a kubelet has no client certificate and no token.
 * It asks for no credentials, the metrics included, so it belongs on an address that only they reach.
 */
export function createProbeServer(deps: HttpDependencies, limits: HttpLimits = DEFAULT_LIMITS): FastifyInstance {
  const app = bareServer({ ...deps, maxBodyBytes: 1 }, limits, undefined);
  healthRoutes(app, deps, limits);
  return app;
}
