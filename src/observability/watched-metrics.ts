import { Gauge, type Counter, type Registry } from 'prom-client';
import type { Job, QueueCondition } from '../queue/port.ts';
import type { StoreCondition } from '../store/port.ts';

export type QueueCounts = Record<Job['kind'], { waiting: number; running: number }>;

/** What is read when a scraper asks, from the parts that know it. Each is optional: without it, its series are absent. */
export interface Watched {
  queue?: () => Promise<QueueCounts>;
  /** None rejects. `reconciled`: whether store and Git agree, without which automatic rollbacks wait. */
  conditions?: () => Promise<{ store: StoreCondition; queue: QueueCondition; reconciled: StoreCondition }>;
  /** Rollbacks that are held now. */
  held?: () => Promise<readonly { application: string; code: string }[]>;
}

/**
 * Gauges that are read at each scrape. What cannot be read must not take the other metrics with it: its own series are
 * absent then, and the error is counted.
 *
 * @param bounded keep label values to the known names and to a number of codes
 */
export function watchedMetrics(
  registers: Registry[],
  watched: Watched,
  bounded: { application: (name: string) => string; code: (code: string) => string },
  errors: Counter<'code'>,
): void {
  new Gauge({
    name: 'davylamp_queue_jobs',
    help: 'Jobs in the queue.',
    labelNames: ['kind', 'state'],
    registers,
    async collect() {
      this.reset();
      if (watched.queue === undefined) return;
      try {
        for (const [kind, counts] of Object.entries(await watched.queue())) {
          this.set({ kind, state: 'waiting' }, counts.waiting);
          this.set({ kind, state: 'running' }, counts.running);
        }
      } catch {
        errors.inc({ code: 'queue_unavailable' });
      }
    },
  });
  new Gauge({
    name: 'davylamp_condition',
    help: 'Whether a part can be worked with (1) or not (0); code says how it stands.',
    labelNames: ['part', 'code'],
    registers,
    async collect() {
      this.reset();
      if (watched.conditions === undefined) return;
      for (const [part, condition] of Object.entries(await watched.conditions())) {
        this.set({ part, code: bounded.code(condition.code) }, condition.ok ? 1 : 0);
      }
    },
  });
  new Gauge({
    name: 'davylamp_rollbacks_held',
    help: 'Rollbacks that are held now and wait for a person, by reason.',
    labelNames: ['application', 'code'],
    registers,
    async collect() {
      this.reset();
      if (watched.held === undefined) return;
      try {
        for (const { application, code } of await watched.held()) {
          this.inc({ application: bounded.application(application), code: bounded.code(code) });
        }
      } catch {
        errors.inc({ code: 'store_unavailable' });
      }
    },
  });
}
