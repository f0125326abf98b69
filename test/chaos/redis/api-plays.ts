import { setTimeout as sleep } from 'node:timers/promises';
import type { Analysis } from '../../../src/analysis/record.ts';
import type { Rollback } from '../../../src/rollback/record.ts';
import { must, SLOWEST_REFUSAL_MS, SLOWEST_RETURN_MS, until, type PlayEntry } from './plays.ts';
import { onServices, type Service, type ServiceStage } from './service-stage.ts';

/* What callers of the API see while Redis is away, and how soon analyses go on afterwards. */

const PAUSE_MS = 5;
const LEAST_ASKED = 10;
const ANALYSES = 5;
const ALERTS = `    alerts: [{ matchers: ['service="shop"'], then: analyze }]`;

interface Call {
  method: 'GET' | 'POST';
  path: string;
  body?: unknown;
}

/** One request for every route that needs the store, with records that are there. */
function callsOf({ world }: ServiceStage, ended: Rollback, running: Analysis, n: number): Call[] {
  const analysis = `/api/v1/analyses/${running.id}`;
  const rollback = `/api/v1/rollbacks/${ended.id}`;
  const alert = {
    status: 'firing',
    labels: { alertname: 'Errors', service: 'shop' },
    annotations: {},
    startsAt: new Date().toISOString(),
    endsAt: '0001-01-01T00:00:00Z',
    generatorURL: 'http://prometheus.example/graph',
    fingerprint: n.toString(16).padStart(16, '0'),
  };
  const webhook = {
    version: '4',
    groupKey: `{}:{n="${n}"}`,
    truncatedAlerts: 0,
    status: 'firing',
    receiver: 'davylamp',
    groupLabels: {},
    commonLabels: alert.labels,
    commonAnnotations: {},
    externalURL: 'http://alertmanager.example',
    alerts: [alert],
  };
  return [
    { method: 'POST', path: '/api/v1/analyses', body: { application: 'shop', revision: world.bad } },
    { method: 'GET', path: '/api/v1/analyses' },
    { method: 'GET', path: analysis },
    { method: 'GET', path: `${analysis}/measurements` },
    { method: 'GET', path: `${analysis}/events` },
    { method: 'POST', path: `/api/v1/analyses/${ended.analysis ?? ''}/cancel`, body: { reason: 'asked by a play' } },
    { method: 'GET', path: '/api/v1/rollbacks' },
    { method: 'GET', path: rollback },
    { method: 'GET', path: `${rollback}/journal` },
    { method: 'POST', path: '/api/v1/rollbacks', body: { application: 'shop', revision: world.good, reason: 'asked by a play' } },
    { method: 'POST', path: `${rollback}/approve` },
    { method: 'POST', path: `${rollback}/refuse`, body: { reason: 'asked by a play' } },
    { method: 'POST', path: '/webhooks/alertmanager', body: webhook },
    { method: 'GET', path: '/readyz' },
  ];
}

interface Refusals {
  /** All of them, in milliseconds, the slowest first. */
  taken: { route: string; ms: number }[];
  /** Routes that were slow twice in a row: a machine that stood still for a moment does not do so again. */
  slowTwice: string[];
}

async function ask({ address }: Service, { method, path, body }: Call): Promise<{ status: number; text: string; ms: number }> {
  const from = performance.now();
  const sent = body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await fetch(`${address}${path}`, { method, ...sent });
  const text = await answer.text();
  return { status: answer.status, text, ms: performance.now() - from };
}

const routeOf = ({ method, path }: Call) => `${method} ${path.replaceAll(/\/(rb-)?[0-9a-f-]{20,}/g, '/ID')}`;

async function refusals(service: Service, calls: (n: number) => Call[], seconds: number): Promise<Refusals> {
  const taken: Refusals['taken'] = [];
  const slowTwice: string[] = [];
  const end = performance.now() + seconds * 1_000;
  for (let n = 0; performance.now() < end; n += 1) {
    for (const call of calls(n)) {
      const { status, text, ms } = await ask(service, call);
      const route = routeOf(call);
      must(status === 503, `${route} was answered with ${status} while Redis was away: ${text.slice(0, 200)}`);
      taken.push({ route, ms });
      if (ms >= SLOWEST_REFUSAL_MS && (await ask(service, call)).ms >= SLOWEST_REFUSAL_MS) slowTwice.push(route);
      await sleep(PAUSE_MS);
    }
  }
  return { taken: taken.toSorted((one, other) => other.ms - one.ms), slowTwice };
}

async function killed(stage: ServiceStage, seconds: number): Promise<string> {
  const { world, server, services, reverts } = stage;
  const [service] = services;
  const { api } = service;
  world.pages.set('canary', { errorShare: 0.3 });
  await api.analyzed(world.bad);
  const ended = await api.rollback('recovered', 'not_recovered');
  world.pages.set('canary', { errorShare: 0.01 });
  await world.colleague.pull();
  const next = await world.colleague.commit('shop 1.3.0', { 'apps/shop/rollout.yaml': 'version: 1.3.0\n' });
  await world.colleague.push();
  Object.assign(world.rollout.state, { canary: next, phase: 'progressing' });
  const analyses = await Promise.all(Array.from({ length: ANALYSES }, () => api.analyze(next)));
  const paths = analyses.map(({ id }) => `/api/v1/analyses/${id}`);
  for (const path of paths) await api.until<Analysis>(path, ({ ticks }) => ticks.done > 1);
  const [running] = analyses;
  if (running === undefined) throw new Error('no analysis was started');

  // Connections and code paths are warm, as those of a service that has run for a while.
  for (const call of callsOf(stage, ended, running, 1_000_000)) {
    if (call.method === 'GET' && !call.path.endsWith('/events')) await ask(service, call);
  }
  await server.kill();
  const { taken, slowTwice } = await refusals(service, (n) => callsOf(stage, ended, running, n), seconds);
  const [slowest] = taken;
  const routes = new Set(taken.map(({ route }) => route));
  if (slowest === undefined || taken.length < LEAST_ASKED * seconds) throw new Error(`only ${taken.length} requests were made`);
  const most = `${slowest.ms.toFixed(0)} ms (${slowest.route})`;

  await server.start();
  const from = performance.now();
  const goesOn = async (path: string): Promise<number> => {
    let before = -1;
    await until('every analysis goes on', async () => {
      const { status, text } = await ask(service, { method: 'GET', path });
      if (status !== 200) return false;
      const { done } = (JSON.parse(text) as Analysis).ticks;
      if (before < 0) before = done;
      return done > before;
    });
    return performance.now() - from;
  };
  const back = await Promise.all(paths.map(goesOn));
  const [first, last] = [Math.min(...back), Math.max(...back)];
  must(last < SLOWEST_RETURN_MS, `the last analysis went on ${last.toFixed(0)} ms after Redis was back`);
  must(slowTwice.length === 0, `refused after more than ${SLOWEST_REFUSAL_MS} ms twice in a row: ${slowTwice.join(', ')}`);
  for (const path of paths) {
    const { verdict, sentence } = (await api.call<Analysis>('GET', path)).body;
    must(verdict !== 'fail', `the outage failed a healthy release: ${sentence}`);
  }
  must((await reverts()).length === 1, 'more than one revert is on the branch');
  const median = taken[Math.floor(taken.length / 2)]?.ms ?? 0;
  const p99 = taken[Math.floor(taken.length / 100)]?.ms ?? 0;
  const figures = `median ${median.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, most ${most}`;
  return `${taken.length} times 503 on ${routes.size} routes: ${figures}; goes on after ${first.toFixed(0)} ms, all of ${ANALYSES} after ${last.toFixed(0)} ms`;
}

export const API_PLAYS: readonly PlayEntry[] = [1, 20].map((seconds) => ({
  name: `API while Redis is killed -9 for ${seconds} s`,
  perform: () => onServices({ processes: 1, for: '10m', more: ALERTS }, (stage) => killed(stage, seconds)),
}));
