import { setTimeout as sleep } from 'node:timers/promises';
import { AlertHandling } from '../alerts/handling.ts';
import { AlertInlet } from '../alerts/inlet.ts';
import { createRouting, type Labels, type Route } from '../alerts/routing.ts';
import { parseDuration } from '../analysis/quantities.ts';
import type { Clock } from '../clock.ts';
import type { ResolvedConfig } from '../config/defaults.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { JobQueue } from '../queue/port.ts';
import type { Store } from '../store/port.ts';
import type { Engine } from './engine.ts';
import { tellAlerts } from './telling.ts';

/** The way of an alert: taken in, routed by the configuration as it is now, acted on through the use cases. */
export function createAlerting(
  config: ResolvedConfig['alerts'],
  deps: {
    store: Store;
    queue: JobQueue;
    clock: Clock;
    engine: Pick<Engine, 'timeline' | 'analyses' | 'rollbacks'>;
    metrics: Metrics;
    log: Logger;
    /** The configuration as it is now; a reload gives another one. */
    current: () => ResolvedConfig;
  },
): { inlet: AlertInlet; handling: AlertHandling; maxBodyBytes: number } {
  const { store, queue, clock, engine, metrics, log, current } = deps;
  const windowMs = () => parseDuration(current().alerts.window);
  const onAlert = (application: string | null, outcome: string) => metrics.alert(application, outcome);
  const inlet = new AlertInlet({
    store,
    queue,
    clock,
    pause: (milliseconds) => sleep(milliseconds),
    routing: routingOf(current),
    rules: {
      get windowMs() {
        return windowMs();
      },
      get shownLabels() {
        return current().alerts.labels;
      },
    },
    onAlert,
    onWebhook: (result, truncated) => {
      metrics.webhook('alertmanager', result);
      if (truncated === 0) return;
      metrics.webhook('alertmanager', 'truncated');
      log.warn(
        { code: 'webhook_truncated', truncated },
        'the Alertmanager left alerts out; set max_alerts of this receiver to 0',
      );
    },
  });
  const handling = new AlertHandling({
    store,
    queue,
    clock,
    actions: {
      liveAt: (application, at, signal) => engine.timeline.liveAt(application, at, signal),
      confirm: (order, signal) => engine.analyses.confirm(order, signal),
      rollback: (order) => engine.rollbacks.alerted(order),
    },
    isConfigured: (application) => Object.hasOwn(current().applications, application),
    get windowMs() {
      return windowMs();
    },
    onAlert,
    onDecided: (entries) => tellAlerts(entries, log),
  });
  return { inlet, handling, maxBodyBytes: config.maxBodyBytes };
}

/** Matchers are compiled once for each configuration. */
function routingOf(current: () => ResolvedConfig): (labels: Labels) => readonly Route[] {
  let known: { config: ResolvedConfig; route: (labels: Labels) => readonly Route[] } | null = null;
  return (labels) => {
    const config = current();
    if (known?.config !== config) {
      const applications = Object.entries(config.applications).map(([name, { alerts }]) => ({ name, alerts }));
      known = { config, route: createRouting(applications) };
    }
    return known.route(labels);
  };
}
