import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Writable } from 'node:stream';
import Fastify, { type FastifyInstance } from 'fastify';
import type { AlertActions } from '../src/alerts/actions.ts';
import { AlertHandling } from '../src/alerts/handling.ts';
import { AlertInlet } from '../src/alerts/inlet.ts';
import { createRouting, type RoutedApplication } from '../src/alerts/routing.ts';
import { AlertReceipt, AlertmanagerWebhook } from '../src/alerts/webhook.ts';
import { Changes } from '../src/changes.ts';
import { systemClock } from '../src/clock.ts';
import type { HttpDependencies } from '../src/http/dependencies.ts';
import { createServer } from '../src/http/server.ts';
import { createLogger } from '../src/observability/logger.ts';
import { createMetrics } from '../src/observability/metrics.ts';
import { TOKEN } from './alert-load.ts';
import type { JobQueue } from '../src/queue/port.ts';
import type { Store } from '../src/store/port.ts';

const BODY_LIMIT = 10_485_760;
const WINDOW_MS = 86_400_000;
const APPLICATIONS = 50;

export interface ServiceSettings {
  kind: 'bare' | 'embedded' | 'redis';
  /** Folder of the embedded store, address of the Redis. */
  place: string;
  /** Whether the process acts on what it takes, and not only stores it. */
  acts: boolean;
}

export interface Usage {
  cpuMicros: number;
  rssBytes: number;
  peakRssBytes: number;
  /** Analyses that were asked for and not known, and the calls. */
  analyses: number;
  calls: number;
  open: number;
}

async function storageOf({
  kind,
  place,
}: ServiceSettings): Promise<{ store: Store; queue: JobQueue; close: () => Promise<void> }> {
  const clock = systemClock;
  if (kind === 'embedded') {
    const { openEmbedded } = await import('../src/store/embedded/database.ts');
    const { createEmbeddedStore } = await import('../src/store/embedded/store.ts');
    const { createEmbeddedQueue } = await import('../src/queue/embedded/queue.ts');
    const database = await openEmbedded({ folder: place, clock });
    return {
      store: createEmbeddedStore(database),
      queue: createEmbeddedQueue(database, { clock }),
      close: () => database.close(),
    };
  }
  const { openRedis } = await import('../src/store/redis/connection.ts');
  const { createRedisStore } = await import('../src/store/redis/store.ts');
  const { createBullQueue } = await import('../src/queue/bullmq/queue.ts');
  const connection = await openRedis({ url: place, prefix: 'bench', acceptNotDurable: true, acceptUnverified: true });
  const store = await createRedisStore(connection, { version: '0.0.0' });
  return { store, queue: createBullQueue(connection, { clock }), close: () => connection.close() };
}

function unused(): never {
  throw new Error('the bench asks for nothing else');
}

/** Fifty applications, so that finding the right one is a part of the work, and the one of the captured deliveries. */
function applications(): RoutedApplication[] {
  const names = ['checkout', ...Array.from({ length: APPLICATIONS }, (_, at) => `app-${at}`)];
  return names.map((name) => ({
    name,
    alerts: [{ matchers: [`rollout="${name}"`, 'severity=~"critical|warning"'], then: 'analyze' }],
  }));
}

async function full(
  settings: ServiceSettings,
): Promise<{ app: FastifyInstance; usage: () => Promise<Partial<Usage>>; close: () => Promise<void> }> {
  const clock = systemClock;
  const { store, queue, close } = await storageOf(settings);
  const metrics = createMetrics({ version: '0.0.0', applications: applications().map(({ name }) => name), sources: [] });
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const analyses = new Set<string>();
  let calls = 0;
  const actions: AlertActions = {
    liveAt: async () => ({ revision: 'a'.repeat(40), since: 0 }),
    confirm: async ({ id }) => {
      calls += 1;
      analyses.add(id);
    },
    rollback: unused,
  };
  const inlet = new AlertInlet({
    store,
    queue,
    clock,
    routing: createRouting(applications()),
    rules: { windowMs: WINDOW_MS, shownLabels: [] },
    pause: sleep,
    onAlert: (name, outcome) => metrics.alert(name, outcome),
    onWebhook: (result) => metrics.webhook('alertmanager', result),
  });
  const handling = new AlertHandling({
    store,
    queue,
    clock,
    actions,
    windowMs: WINDOW_MS,
    isConfigured: () => true,
    onAlert: (name, outcome) => metrics.alert(name, outcome),
  });
  if (settings.acts) queue.work('webhook', { concurrency: 4 }, (job, signal) => handling.handle(job, signal));
  const dependencies: HttpDependencies = {
    analyses: { start: unused, get: unused, measurements: unused, list: unused, cancel: unused },
    rollbacks: { request: unused, preview: unused, get: unused, journal: unused, list: unused, approve: unused, refuse: unused },
    switches: { set: unused, list: unused },
    ledger: { list: unused, markGood: unused, markBad: unused },
    report: unused,
    alerts: { inlet, maxBodyBytes: BODY_LIMIT },
    judge: unused,
    changes: new Changes(),
    metrics,
    log: createLogger({ level: 'info', destination: nowhere }),
    tokens: [{ name: 'alertmanager', sha256: createHash('sha256').update(TOKEN).digest('hex'), scopes: ['webhooks'] }],
    maxBodyBytes: BODY_LIMIT,
    readiness: async () => [],
    clock,
  };
  return {
    app: createServer(dependencies),
    usage: async () => ({
      analyses: analyses.size,
      calls,
      open: (await store.list('webhook', { open: true, limit: 1 })).records.length,
    }),
    async close() {
      await queue.close();
      await store.close();
      await close();
    },
  };
}

function bare(): { app: FastifyInstance; usage: () => Promise<Partial<Usage>>; close: () => Promise<void> } {
  const app = Fastify({ bodyLimit: BODY_LIMIT });
  app.post(
    '/webhooks/alertmanager',
    { schema: { body: AlertmanagerWebhook, response: { 202: AlertReceipt } } },
    async (_request, reply) => reply.code(202).send({ accepted: 3, duplicate: 0, ignored: 0 }),
  );
  return { app, usage: async () => ({}), close: async () => {} };
}

/** The server of davylamp with its inlet on a real store, or a bare fastify with the same schema; not yet listening. */
export async function startWebhookService(settings: ServiceSettings) {
  const { app, usage, close } = settings.kind === 'bare' ? bare() : await full(settings);
  return {
    app,
    usage,
    async inject(payload: Buffer) {
      const headers = { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` };
      return app.inject({ method: 'POST', url: '/webhooks/alertmanager', headers, payload });
    },
    async close() {
      await app.close();
      await close();
    },
  };
}
