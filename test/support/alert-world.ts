import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AlertActions, ConfirmationOrder } from '../../src/alerts/actions.ts';
import { AlertHandling } from '../../src/alerts/handling.ts';
import { AlertInlet } from '../../src/alerts/inlet.ts';
import { createRouting, type RoutedApplication } from '../../src/alerts/routing.ts';
import type { AlertmanagerAlert, AlertmanagerWebhook } from '../../src/alerts/webhook.ts';
import type { Clock } from '../../src/clock.ts';
import { createEmbeddedQueue } from '../../src/queue/embedded/queue.ts';
import type { JobQueue } from '../../src/queue/port.ts';
import { openEmbedded } from '../../src/store/embedded/database.ts';
import { createEmbeddedStore } from '../../src/store/embedded/store.ts';
import type { Store } from '../../src/store/port.ts';

export const NOON = Date.parse('2026-05-04T12:00:00Z');
export const WINDOW_MS = 86_400_000;

/** What alerts lead to, written down; an analysis with an id that is known is not started again. */
export class RecordedActions implements AlertActions {
  readonly analyses = new Map<string, ConfirmationOrder>();
  readonly confirmCalls: string[] = [];
  readonly rollbacks: { application: string; revision: string; alert: string; sentence: string }[] = [];
  /** What was live, newest last; the applications differ in nothing. */
  readonly releases: { since: number; revision: string }[] = [{ since: 0, revision: 'a'.repeat(40) }];
  /** Thrown by the next calls. */
  readonly faults: { liveAt?: Error; confirm?: Error; rollback?: Error } = {};

  async liveAt(_application: string, at: number) {
    if (this.faults.liveAt !== undefined) throw this.faults.liveAt;
    return this.releases.findLast(({ since }) => since <= at) ?? null;
  }

  async confirm(order: ConfirmationOrder) {
    this.confirmCalls.push(order.id);
    if (this.faults.confirm !== undefined) throw this.faults.confirm;
    if (!this.analyses.has(order.id)) this.analyses.set(order.id, order);
  }

  async rollback(order: { application: string; revision: string; alert: string; sentence: string }) {
    if (this.faults.rollback !== undefined) throw this.faults.rollback;
    this.rollbacks.push(order);
  }
}

export const SHOP: RoutedApplication = { name: 'shop', alerts: [{ matchers: ['service="shop"'], then: 'analyze' }] };

/** Takes the alerts of the captured deliveries. */
export const CHECKOUT: RoutedApplication = {
  name: 'checkout',
  alerts: [{ matchers: ['{rollout="checkout", severity=~"critical|warning"}'], then: 'analyze' }],
};

/** Inlet and handling of alerts on a real embedded store; `parts` puts something between them and it. */
export async function alertWorld(
  settings: {
    applications?: RoutedApplication[];
    clock?: Clock;
    store?: (real: Store) => Store;
    queue?: (real: JobQueue) => JobQueue;
  } = {},
) {
  const folder = await mkdtemp(join(tmpdir(), 'davylamp-alerts-'));
  const time = { now: NOON };
  const clock: Clock = settings.clock ?? { now: () => time.now };
  const database = await openEmbedded({ folder, clock });
  const realStore = createEmbeddedStore(database);
  const realQueue = createEmbeddedQueue(database, { clock });
  const store = settings.store?.(realStore) ?? realStore;
  const queue = settings.queue?.(realQueue) ?? realQueue;
  const actions = new RecordedActions();
  const outcomes: string[] = [];
  const webhooks: { result: string; truncated: number }[] = [];
  const applications = settings.applications ?? [SHOP];
  const configured = new Set(applications.map(({ name }) => name));
  const inletOf = () => {
    const inlet = new AlertInlet({
      store,
      queue,
      clock,
      routing: createRouting(applications),
      rules: { windowMs: WINDOW_MS, shownLabels: ['severity'] },
      pause: sleep,
      onAlert: (application, outcome) => outcomes.push(`${application ?? 'none'} ${outcome}`),
      onWebhook: (result, truncated) => webhooks.push({ result, truncated }),
    });
    return { receive: (webhook: AlertmanagerWebhook) => inlet.receive(webhook, () => true), inlet };
  };
  const handlingOf = (acting: AlertActions = actions) =>
    new AlertHandling({
      store,
      queue,
      clock,
      actions: acting,
      windowMs: WINDOW_MS,
      isConfigured: (application) => configured.has(application),
      onAlert: (application, outcome) => outcomes.push(`${application} ${outcome}`),
    });
  const handling = handlingOf();
  const open = async () => (await store.list('webhook', { open: true, limit: 1_000 })).records;
  return {
    time,
    store,
    queue,
    actions,
    outcomes,
    webhooks,
    configured,
    inlet: inletOf(),
    handling,
    inletOf,
    handlingOf,
    open,
    /** Runs the job of every open webhook once. */
    async settle(how: AlertHandling = handling) {
      for (const { id } of (await open()).toReversed()) {
        await how.handle({ kind: 'webhook', key: id, notBefore: 0, attempt: 1 }, AbortSignal.timeout(10_000));
      }
    },
    journal: async () =>
      (await realStore.journal({ limit: 1_000 })).map(({ event, code, sentence, details }) => ({
        event,
        code,
        sentence,
        details,
      })),
    alerts: async () => (await realStore.list('alert', { limit: 1_000 })).records,
    async close() {
      await realQueue.close();
      await realStore.close();
      await database.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** An alert of the shop that began a minute before noon. */
export function alert(change: Partial<AlertmanagerAlert> & { labels?: Record<string, string> } = {}): AlertmanagerAlert {
  return {
    status: 'firing',
    startsAt: '2026-05-04T11:59:00Z',
    endsAt: '0001-01-01T00:00:00Z',
    fingerprint: '00112233445566aa',
    ...change,
    labels: { alertname: 'Errors', service: 'shop', severity: 'critical', customer: 'acme', ...change.labels },
  };
}

export const resolved = (change: Partial<AlertmanagerAlert> = {}): AlertmanagerAlert =>
  alert({ status: 'resolved', endsAt: '2026-05-04T11:59:45Z', ...change });
