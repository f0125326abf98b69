import type { FastifyInstance } from 'fastify';
import { CodedError } from '../errors.ts';
import type { HttpDependencies, HttpLimits } from './dependencies.ts';
import { adminRoutes } from './routes/admin.ts';
import { alertmanagerRoutes } from './routes/alertmanager.ts';
import { analysesRoutes } from './routes/analyses.ts';
import { backupRoutes } from './routes/backup.ts';
import { documentsRoutes } from './routes/documents.ts';
import { forgeRoutes } from './routes/forge.ts';
import { healthRoutes } from './routes/health.ts';
import { judgementsRoutes } from './routes/judgements.ts';
import { ledgerRoutes } from './routes/ledger.ts';
import { reportRoutes } from './routes/report.ts';
import { rollbacksRoutes } from './routes/rollbacks.ts';
import { switchesRoutes } from './routes/switches.ts';
import type { OpenRequests } from './waiting.ts';

/** Every route of the service, in the order of the document. */
export function registerRoutes(
  app: FastifyInstance,
  deps: HttpDependencies,
  limits: HttpLimits,
  open: OpenRequests,
  document: () => Promise<Record<string, unknown>>,
): void {
  const methods = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set();
    for (const name of [method].flat()) known.add(name);
    methods.set(url, known);
  });
  analysesRoutes(app, deps, limits, open);
  judgementsRoutes(app, deps);
  rollbacksRoutes(app, deps);
  switchesRoutes(app, deps);
  ledgerRoutes(app, deps);
  reportRoutes(app, deps);
  alertmanagerRoutes(app, deps, limits);
  forgeRoutes(app, deps);
  backupRoutes(app, deps);
  adminRoutes(app, deps);
  healthRoutes(app, deps, limits);
  documentsRoutes(app, document);
  for (const [url, allowed] of methods) refuseOtherMethods(app, url, [...allowed]);
}

/** RFC 9110 section 15.5.6: a known path with another method is 405 and says what is allowed. */
function refuseOtherMethods(app: FastifyInstance, url: string, allowed: readonly string[]): void {
  const method = app.supportedMethods.filter((name) => !allowed.includes(name));
  const allow = [...allowed].sort().join(', ');
  const refuse = (): never => {
    throw new CodedError('method_not_allowed', `this address takes ${allow} only`, { details: { allow } });
  };
  // In onRequest already, so that the body of such a request is never read.
  app.route({ method, url, schema: { hide: true }, config: { scope: 'any' }, onRequest: refuse, handler: refuse });
}
