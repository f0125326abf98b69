import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { Job } from '../queue/port.ts';
import type { RollbackState } from '../rollback/record.ts';

/** What davylamp tells about itself; docs/reference/metrics.md lists every name. */
export type Metrics = ReturnType<typeof createMetrics>;

type QueueCounts = Record<Job['kind'], { waiting: number; running: number }>;

/** Values of labels that come from code, not from configuration, are bounded by number. */
const MAX_CODES = 100;
const CODE = /^[a-z][a-z0-9_]{0,62}$/;
const OTHER = 'other';

const TICK_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const READ_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const PUSH_SECONDS = [0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 15, 30, 60, 300, 1_800];
const HTTP_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 60];

/**
 * Metrics in a registry of their own, so that two services in one process (tests) do not share figures.
 *
 * Names follow https://prometheus.io/docs/practices/naming/. No label value comes from a request: applications and
 * sources that are not in the lists become "other".
 */
export function createMetrics(known: { version: string; applications: readonly string[]; sources: readonly string[] }) {
  const registry = new Registry();
  const registers = [registry];
  const application = among(known.applications);
  const source = among(known.sources);
  const errorCode = codes();
  const heldCode = codes();

  const buildInfo = new Gauge({
    name: 'davylamp_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames: ['version', 'node'],
    registers,
  });
  buildInfo.set({ version: known.version, node: process.version }, 1);

  const started = new Counter({
    name: 'davylamp_analyses_started_total',
    help: 'Analyses that were stored.',
    labelNames: ['application'],
    registers,
  });
  const ended = new Counter({
    name: 'davylamp_analyses_ended_total',
    help: 'Analyses that reached a final phase, by verdict.',
    labelNames: ['application', 'verdict'],
    registers,
  });
  const ticks = new Counter({
    name: 'davylamp_ticks_total',
    help: 'Looks at running analyses, by what came of them.',
    labelNames: ['result'],
    registers,
  });
  const tickSeconds = new Histogram({
    name: 'davylamp_tick_duration_seconds',
    help: 'Time of one look: reading, judging, storing.',
    buckets: TICK_SECONDS,
    registers,
  });
  const reads = new Counter({
    name: 'davylamp_source_reads_total',
    help: 'Reads of metric sources, by what came of them.',
    labelNames: ['source', 'result'],
    registers,
  });
  const readSeconds = new Histogram({
    name: 'davylamp_source_read_duration_seconds',
    help: 'Time of one read of a metric source.',
    labelNames: ['source'],
    buckets: READ_SECONDS,
    registers,
  });
  const rollbacks = new Counter({
    name: 'davylamp_rollbacks_total',
    help: 'Rollbacks that entered a state.',
    labelNames: ['application', 'state'],
    registers,
  });
  const held = new Counter({
    name: 'davylamp_rollback_held_total',
    help: 'Rollbacks that were held, by reason. Each one waits for a person.',
    labelNames: ['application', 'code'],
    registers,
  });
  const pushSeconds = new Histogram({
    name: 'davylamp_rollback_push_seconds',
    help: 'Time from the verdict to the revert on the remote.',
    buckets: PUSH_SECONDS,
    registers,
  });
  const httpSeconds = new Histogram({
    name: 'davylamp_http_request_duration_seconds',
    help: 'Time of one HTTP request; event streams are left out.',
    labelNames: ['method', 'route', 'status'],
    buckets: HTTP_SECONDS,
    registers,
  });
  const errors = new Counter({
    name: 'davylamp_errors_total',
    help: 'Errors by their stable code; docs/reference/api.md lists them.',
    labelNames: ['code'],
    registers,
  });
  let queueCounts: (() => Promise<QueueCounts>) | undefined;
  // It registers itself; the figures are read at each scrape.
  new Gauge({
    name: 'davylamp_queue_jobs',
    help: 'Jobs in the queue.',
    labelNames: ['kind', 'state'],
    registers,
    async collect() {
      if (queueCounts === undefined) return;
      try {
        for (const [kind, counts] of Object.entries(await queueCounts())) {
          this.set({ kind, state: 'waiting' }, counts.waiting);
          this.set({ kind, state: 'running' }, counts.running);
        }
      } catch {
        // A queue that cannot be reached must not take the other metrics with it: its own series are absent then.
        this.reset();
        errors.inc({ code: 'queue_unavailable' });
      }
    },
  });
  collectDefaultMetrics({ register: registry });

  return {
    analysisStarted(name: string): void {
      started.inc({ application: application(name) });
    },
    /** @param verdict pass, marginal, fail, inconclusive, error, or cancelled */
    analysisEnded(name: string, verdict: 'pass' | 'marginal' | 'fail' | 'inconclusive' | 'error' | 'cancelled'): void {
      ended.inc({ application: application(name), verdict });
    },
    /** @param result `measured`: more will come; `decided`: it ended the analysis; `failed`: it will be tried again */
    tick(result: 'measured' | 'decided' | 'failed', seconds: number): void {
      ticks.inc({ result });
      tickSeconds.observe(seconds);
    },
    /** @param result `ok`: every query was answered; `missing`: some were not; `failed`: the read threw */
    sourceRead(name: string, result: 'ok' | 'missing' | 'failed', seconds: number): void {
      reads.inc({ source: source(name), result });
      readSeconds.observe({ source: source(name) }, seconds);
    },
    rollback(name: string, state: RollbackState): void {
      rollbacks.inc({ application: application(name), state });
    },
    rollbackHeld(name: string, code: string): void {
      held.inc({ application: application(name), code: heldCode(code) });
    },
    /** @param seconds from the verdict to the push */
    rollbackPushed(seconds: number): void {
      pushSeconds.observe(seconds);
    },
    /** Reads the queue's figures at every scrape from now on. */
    watchQueue(counts: () => Promise<QueueCounts>): void {
      queueCounts = counts;
    },
    /** @param route the pattern of the route, never the path of a request */
    httpRequest(method: string, route: string, status: number, seconds: number): void {
      httpSeconds.observe({ method, route, status }, seconds);
    },
    error(code: string): void {
      errors.inc({ code: errorCode(code) });
    },
    /** The page for a scraper. */
    async page(): Promise<{ contentType: string; text: string }> {
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}

function among(names: readonly string[]): (name: string) => string {
  const set = new Set(names);
  return (name) => (set.has(name) ? name : OTHER);
}

function codes(): (code: string) => string {
  const seen = new Set<string>();
  return (code) => {
    if (!CODE.test(code)) return OTHER;
    if (!seen.has(code) && seen.size >= MAX_CODES) return OTHER;
    seen.add(code);
    return code;
  };
}
