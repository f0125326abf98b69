import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { Job } from '../queue/port.ts';
import type { RollbackState } from '../rollback/record.ts';
import { watchedMetrics, type Watched } from './watched-metrics.ts';

/** What davylamp tells about itself; docs/reference/metrics.md lists every name. */
export type Metrics = ReturnType<typeof createMetrics>;

/** Shown as 0 before the first one, so that `increase()` sees it: a series that is born with 1 has not increased. */
const ALERTED_STATES = ['pushed', 'proposed', 'recovered', 'not_recovered', 'failed'] as const satisfies readonly RollbackState[];

/** Values of labels that come from code, not from configuration, are bounded by number. */
const MAX_CODES = 100;
const CODE = /^[a-z][a-z0-9_]{0,62}$/;
const OTHER = 'other';
const MOST_HTTP_CHILDREN = 1_000;

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
  let application = among(known.applications);
  let source = among(known.sources);
  const webhookKind = codes();
  const webhookResult = codes();
  const alertOutcome = codes();
  const authKind = codes();
  const authReason = codes();
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
  /** Finding a child by its labels costs more than the observation. */
  const httpChildren = new Map<string, ReturnType<typeof httpSeconds.labels>>();
  const errors = new Counter({
    name: 'davylamp_errors_total',
    help: 'Errors by their stable code; docs/reference/api.md lists them.',
    labelNames: ['code'],
    registers,
  });
  // Alerted on by its increase, so it is shown as 0 before the first one.
  errors.inc({ code: errorCode('state_lost') }, 0);
  const succeeded = new Gauge({
    name: 'davylamp_source_last_success_timestamp_seconds',
    help: 'When a metric source last answered every query of a read.',
    labelNames: ['source'],
    registers,
  });
  /** Counted by hand between two looks at the page: the library makes a text of the labels for every step. */
  const webhookTallies = new Map<string, { labels: { kind: string; result: string }; count: number }>();
  const webhooks = new Counter({
    name: 'davylamp_webhooks_total',
    help: 'Webhooks that were taken in, by what came of them.',
    labelNames: ['kind', 'result'],
    registers,
    collect() {
      for (const tally of webhookTallies.values()) {
        this.inc(tally.labels, tally.count);
        tally.count = 0;
      }
    },
  });
  const alerts = new Counter({
    name: 'davylamp_alerts_total',
    help: 'Alerts out of webhooks, by what they led to.',
    labelNames: ['application', 'outcome'],
    registers,
  });
  const authFailures = new Counter({
    name: 'davylamp_auth_failures_total',
    help: 'Requests that were refused for who sent them, by reason.',
    labelNames: ['kind', 'reason'],
    registers,
  });
  const reloads = new Counter({
    name: 'davylamp_config_reloads_total',
    help: 'Attempts to take up a changed configuration, by what came of them.',
    labelNames: ['result'],
    registers,
  });
  const reloadSuccess = new Gauge({
    name: 'davylamp_config_reload_success',
    help: 'Whether the configuration as it stands in the file is the one that runs.',
    registers,
  });
  const reloadedAt = new Gauge({
    name: 'davylamp_config_reload_success_timestamp_seconds',
    help: 'When the configuration that runs was taken up.',
    registers,
  });
  const draining = new Gauge({ name: 'davylamp_draining', help: 'Whether the process is about to end.', registers });
  const handedBack = new Counter({
    name: 'davylamp_jobs_handed_back_total',
    help: 'Jobs that were stopped in the middle by a drain and stay in the queue, by kind.',
    labelNames: ['kind'],
    registers,
  });
  const notices = new Counter({
    name: 'davylamp_notices_total',
    help: 'Notices by channel and outcome: sent, failed (is tried again), given_up.',
    labelNames: ['channel', 'outcome'],
    registers,
  });
  const watched: Watched = {};
  watchedMetrics(registers, watched, { application: (name) => application(name), code: codes() }, errors);
  const showStates = (names: readonly string[]) => {
    for (const name of names) for (const state of ALERTED_STATES) rollbacks.inc({ application: name, state }, 0);
  };
  showStates(known.applications);
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
      if (result === 'ok') succeeded.setToCurrentTime({ source: source(name) });
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
    /** @param kind `alertmanager` and the like; @param result a stable word: `accepted`, `repeated`, or the code of the refusal */
    webhook(kind: string, result: string): void {
      const key = `${kind} ${result}`;
      let tally = webhookTallies.get(key);
      if (tally === undefined) {
        tally = { labels: { kind: webhookKind(kind), result: webhookResult(result) }, count: 0 };
        // Words that are over the bound are one, "other", and there may be any number of them.
        if (webhookTallies.size < MAX_CODES) webhookTallies.set(key, tally);
        else webhooks.inc(tally.labels);
      }
      tally.count += 1;
    },
    /** @param name application, or null where none was matched; @param outcome a stable word: `analysis`, `ignored`, … */
    alert(name: string | null, outcome: string): void {
      alerts.inc({ application: name === null ? 'none' : application(name), outcome: alertOutcome(outcome) });
    },
    /** @param kind of credential: `token`, `basic`, …; @param reason a stable word of ours, never what a caller sent */
    authenticationFailed(kind: string, reason: string): void {
      authFailures.inc({ kind: authKind(kind), reason: authReason(reason) });
    },
    /** @param result `taken`: it runs now; `unchanged`; `invalid`; `needs_restart`; `failed`: it could not be built */
    configReload(result: 'taken' | 'unchanged' | 'invalid' | 'needs_restart' | 'failed'): void {
      reloads.inc({ result });
      const good = result === 'taken' || result === 'unchanged';
      reloadSuccess.set(good ? 1 : 0);
      if (result === 'taken') reloadedAt.setToCurrentTime();
    },
    /** The configuration that the process started with runs. */
    configLoaded(): void {
      reloadSuccess.set(1);
      reloadedAt.setToCurrentTime();
    },
    draining(): void {
      draining.set(1);
    },
    /** @param channel a name of the configuration */
    notice(channel: string, outcome: 'sent' | 'failed' | 'given_up'): void {
      notices.inc({ channel, outcome });
    },
    handedBack(kind: Job['kind']): void {
      handedBack.inc({ kind });
    },
    /** The names that label values may have from now on; others become "other". */
    know(names: { applications: readonly string[]; sources: readonly string[] }): void {
      application = among(names.applications);
      source = among(names.sources);
      showStates(names.applications);
    },
    /** Reads these at every scrape from now on. */
    watch(parts: Watched): void {
      Object.assign(watched, parts);
    },
    /** @param route the pattern of the route, never the path of a request */
    httpRequest(method: string, route: string, status: number, seconds: number): void {
      const key = `${method} ${status} ${route}`;
      let seen = httpChildren.get(key);
      if (seen === undefined) {
        seen = httpSeconds.labels({ method, route, status });
        // Methods, patterns of routes and status codes are few; the bound is for what nobody thought of.
        if (httpChildren.size < MOST_HTTP_CHILDREN) httpChildren.set(key, seen);
      }
      seen.observe(seconds);
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
