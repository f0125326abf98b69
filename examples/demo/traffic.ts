import { Pool } from 'undici';
import type { Running } from './parts.ts';
import { appendVisits, type Visit } from './traffic-log.ts';

export interface TrafficSettings {
  routerPort: number;
  requestsPerSecond: number;
  log: string;
}

export interface TrafficTotals {
  requests: number;
  serverErrors: number;
}

/** Totals since the start; `skipped` counts requests that were due and not sent, because the machine did not keep up. */
export interface TrafficReport {
  byVersion: Record<string, TrafficTotals>;
  canary: TrafficTotals;
  stable: TrafficTotals;
  /** Requests that nobody answered, or the router itself with an error. */
  failed: number;
  skipped: number;
  perSecond: number;
}

const PACE_MS = 10;
const REPORT_EVERY_MS = 500;
const CONNECTIONS = 128;
/** After a pause of the machine at most this much is caught up; a burst would be a load that no customer makes. */
const LARGEST_BURST = 30;
const ANSWER_DEADLINE_MS = 10_000;
const PATHS = ['/products/lamp', '/products/wick', '/products/gauze', '/products/oil', '/products/valve', '/'];
const UNKNOWN_PATH = '/products/torch';
const UNKNOWN_SHARE = 0.02;
const CHECKOUT_SHARE = 0.1;
const ORDER = JSON.stringify({ product: 'lamp', count: 1 });

/** The customers: real requests over kept connections, evenly paced; each one is a line of the log. */
export function startTraffic(settings: TrafficSettings, onReport: (report: TrafficReport) => void): Running {
  const pool = new Pool(`http://127.0.0.1:${String(settings.routerPort)}`, {
    connections: CONNECTIONS,
    pipelining: 1,
    headersTimeout: ANSWER_DEADLINE_MS,
    bodyTimeout: ANSWER_DEADLINE_MS,
  });
  const report: TrafficReport = {
    byVersion: {},
    canary: { requests: 0, serverErrors: 0 },
    stable: { requests: 0, serverErrors: 0 },
    failed: 0,
    skipped: 0,
    perSecond: 0,
  };
  let pending: Visit[] = [];
  let underWay = 0;
  let closed = false;

  const count = (visit: Visit): void => {
    pending.push(visit);
    if (visit.version === '') {
      report.failed += 1;
      return;
    }
    const totals = [(report.byVersion[visit.version] ??= { requests: 0, serverErrors: 0 })];
    if (visit.side === 'canary' || visit.side === 'stable') totals.push(report[visit.side]);
    for (const total of totals) {
      total.requests += 1;
      if (visit.status >= 500) total.serverErrors += 1;
    }
  };

  const visit = async (): Promise<void> => {
    const checkout = Math.random() < CHECKOUT_SHARE;
    const known = PATHS[Math.floor(Math.random() * PATHS.length)] ?? '/';
    const path = checkout ? '/checkout' : Math.random() < UNKNOWN_SHARE ? UNKNOWN_PATH : known;
    const method = checkout ? 'POST' : 'GET';
    const from = performance.now();
    underWay += 1;
    let status = 0;
    let side = '-';
    let version = '';
    try {
      const answer = await pool.request({
        method,
        path,
        headers: checkout ? { 'content-type': 'application/json' } : {},
        body: checkout ? ORDER : null,
      });
      await answer.body.dump();
      status = answer.statusCode;
      side = String(answer.headers['x-served-by'] ?? '-');
      version = String(answer.headers['x-shop-version'] ?? '');
    } catch {
      // A request without an answer is a line with status 0; while the demo ends it means nothing.
      if (closed) return;
    } finally {
      underWay -= 1;
    }
    count({ at: Date.now(), status, side, version, method, path, ms: performance.now() - from });
  };

  let last = performance.now();
  let due = 0;
  const pace = setInterval(() => {
    const now = performance.now();
    due += ((now - last) * settings.requestsPerSecond) / 1_000;
    last = now;
    const wanted = Math.floor(due);
    due -= wanted;
    const send = Math.max(0, Math.min(wanted, LARGEST_BURST, CONNECTIONS - underWay));
    report.skipped += wanted - send;
    for (let index = 0; index < send; index += 1) void visit();
  }, PACE_MS);

  let reportedAt = performance.now();
  let reported = 0;
  let writing = Promise.resolve();
  const flush = (): Promise<void> => {
    const visits = pending;
    pending = [];
    writing = writing.then(() => appendVisits(settings.log, visits));
    return writing;
  };
  const tell = setInterval(() => {
    const requests = report.canary.requests + report.stable.requests;
    const now = performance.now();
    report.perSecond = Math.round(((requests - reported) * 1_000) / (now - reportedAt));
    reported = requests;
    reportedAt = now;
    void flush().then(() => onReport(report));
  }, REPORT_EVERY_MS);

  return {
    ports: {},
    close: async () => {
      closed = true;
      clearInterval(pace);
      clearInterval(tell);
      await pool.destroy();
      await flush();
    },
  };
}
