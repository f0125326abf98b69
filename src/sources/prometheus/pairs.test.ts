import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startFaultServer, type FaultServer } from '../../../test/support/fault-server.ts';
import { PrometheusStore, jsonAnswer } from '../../../test/support/prometheus-store.ts';
import { systemClock } from '../../clock.ts';
import { createHttpClient, type HttpClient } from '../../net/client.ts';
import type { MetricSource, SourceAnswer, SourceQuery } from '../port.ts';
import { createPrometheusSource } from './source.ts';

const T0 = 1_800_000_000_000;
const MINUTE = 60_000;
const never = new AbortController().signal;
let far: FaultServer;
let store: PrometheusStore;
let http: HttpClient;
let source: MetricSource;
/** Which queries fail now. */
let fails: (query: string) => boolean;

beforeEach(async () => {
  far = await startFaultServer();
  store = new PrometheusStore();
  http = createHttpClient();
  fails = () => false;
  far.on('/api/v1/query', (request) => {
    const query = new URLSearchParams(request.body).get('query') ?? '';
    return fails(query) ? jsonAnswer(422, { status: 'error', errorType: 'execution', error: 'too many' }) : store.answer(request);
  });
  source = createPrometheusSource(
    'prom',
    { type: 'prometheus', url: far.url, timeout: '5s' },
    { http, readSecret: () => Promise.resolve(''), clock: systemClock },
  );
});
afterEach(async () => {
  await source.close();
  await http.close();
  await far.close();
});

/** Scrapes a pod of a side, whose requests and errors of a second are these, from long before up to 40 minutes. */
function pod(side: string, instance: string, every: number, rates: { all: number; bad?: number }, phase = 0): void {
  const labels = { instance, job: 'shop', track: side };
  for (let at = T0 - 5 * MINUTE + phase; at < T0 + 40 * MINUTE; at += every) {
    const seconds = (at - T0) / 1_000 + 1_000;
    store.append([{ name: 'all_total', labels, value: seconds * rates.all }], at);
    if (rates.bad !== undefined) store.append([{ name: 'bad_total', labels, value: seconds * rates.bad }], at);
  }
}

function parts(metric: string, side: string): SourceQuery[] {
  return (['total', 'events'] as const).map((part) => ({
    id: `${metric}/${side}/${part}`,
    shape: 'counter',
    text: part === 'total' ? 'all_total' : 'bad_total',
    finished: false,
    labels: { track: side },
    aggregate: 'avg',
    pair: { metric, side, part },
  }));
}

/** Reads ticks, and sums up those that every side of the metric has, as a judge does. */
async function summed(queries: readonly SourceQuery[], every: number, ticks: number, onTick: (tick: number) => void = () => {}) {
  const sums: Record<string, number> = {};
  let missed = 0;
  let cursor: unknown;
  let last: ReadonlyMap<string, SourceAnswer> = new Map();
  const warnings = new Set<string>();
  for (let tick = 0; tick < ticks; tick++) {
    onTick(tick);
    const window = { from: T0 + tick * every, to: T0 + (tick + 1) * every };
    const reading = await source.read(queries, window, cursor, never);
    cursor = JSON.parse(JSON.stringify(reading.cursor));
    last = reading.answers;
    for (const warning of reading.warnings) warnings.add(warning);
    if ([...last.values()].some(({ kind }) => kind === 'missing')) missed++;
    else for (const [id, answer] of last) sums[id] = (sums[id] ?? 0) + (answer.kind === 'count' ? Math.round(answer.value) : 0);
  }
  return { sums, missed, last, warnings: [...warnings] };
}

describe('the two parts of a proportion', () => {
  it.each([
    [60_000, 30_000],
    [30_000, 10_000],
    [15_000, 30_000],
  ])('are counted over the same time where a pod is scraped every %d ms and looked at every %d ms', async (scrape, every) => {
    pod('canary', 'c1', scrape, { all: 20, bad: 0.8 }, 0.1 * scrape);
    pod('canary', 'c2', scrape, { all: 20 }, 0.7 * scrape);
    for (let at = 0; at < 10; at++) {
      pod('stable', `s${at}`, scrape, { all: 20, ...(at % 2 === 0 && { bad: 0.8 }) }, (at / 10 + 0.03) * scrape);
    }
    const { sums } = await summed([...parts('errors', 'canary'), ...parts('errors', 'stable')], every, (30 * MINUTE) / every);
    expect(sums['errors/canary/total']).toBe(30 * 60 * 40);
    expect(sums['errors/canary/events']).toBe(30 * 60 * 0.8);
    expect(sums['errors/stable/total']).toBe(30 * 60 * 200);
    expect(sums['errors/stable/events']).toBe(30 * 60 * 4);
  });

  it.each(['bad_total', 'all_total'])(
    'lose nothing, nor does the other side, when %s of one side fails every other tick',
    async (name) => {
      pod('canary', 'c1', 15_000, { all: 20, bad: 0.4 });
      pod('stable', 's1', 15_000, { all: 180, bad: 3.6 });
      // Sides with other label names are asked in queries of their own.
      const queries = [
        ...parts('errors', 'canary'),
        ...parts('errors', 'stable').map((one) => ({ ...one, labels: { track: 'stable', job: 'shop' } })),
      ];
      const { sums, missed } = await summed(queries, MINUTE, 21, (tick) => {
        fails = (query) => tick % 2 === 1 && query.includes(name) && query.includes('canary');
      });
      expect(missed).toBe(10);
      expect(sums).toEqual({
        'errors/canary/total': 21 * 1_200,
        'errors/canary/events': 21 * 24,
        'errors/stable/total': 21 * 10_800,
        'errors/stable/events': 21 * 216,
      });
    },
  );

  it('of two metrics with the same total are counted each in its own step', async () => {
    pod('canary', 'c1', 15_000, { all: 20, bad: 0.4 });
    const slow = parts('slow', 'canary').map((one) =>
      one.text === 'bad_total' ? { ...one, text: 'bad_total{job="shop"}' } : one,
    );
    const sums: Record<string, number> = {};
    let cursor: unknown;
    for (let tick = 0; tick < 4; tick++) {
      fails = (query) => tick === 1 && query.includes('job="shop"');
      const window = { from: T0 + tick * MINUTE, to: T0 + (tick + 1) * MINUTE };
      const reading = await source.read([...parts('errors', 'canary'), ...slow], window, cursor, never);
      cursor = JSON.parse(JSON.stringify(reading.cursor));
      for (const [id, answer] of reading.answers) sums[id] = (sums[id] ?? 0) + (answer.kind === 'count' ? answer.value : 0);
      expect(reading.answers.get('slow/canary/total')?.kind).toBe(tick === 1 ? 'missing' : 'count');
      expect(reading.answers.get('errors/canary/total')).toMatchObject({ kind: 'count', value: 1_200 });
    }
    expect(sums['slow/canary/total']).toBe(sums['errors/canary/total']);
    expect(Math.round(sums['slow/canary/events'] ?? 0)).toBe(96);
  });

  it('count no further than the sample that both have, when an answer is one scrape older than the other one', async () => {
    const labels = { instance: 'c1', job: 'shop', track: 'canary' };
    const scrape = (at: number, all: number, bad: number | null) => {
      store.append([{ name: 'all_total', labels, value: all }], at);
      if (bad !== null) store.append([{ name: 'bad_total', labels, value: bad }], at);
    };
    scrape(T0 - 15_000, 100, 10);
    scrape(T0 + 30_000, 150, 15);
    // The total is there already, the events of the same scrape are not.
    scrape(T0 + 55_000, 180, null);
    const read = async (tick: number, cursor: unknown) =>
      source.read(parts('errors', 'canary'), { from: T0 + tick * MINUTE, to: T0 + (tick + 1) * MINUTE }, cursor, never);
    const first = await read(0, undefined);
    expect([...first.answers.values()]).toMatchObject([{ value: 50 }, { value: 5 }]);
    store.append([{ name: 'bad_total', labels, value: 18 }], T0 + 55_000);
    scrape(T0 + MINUTE + 30_000, 200, 20);
    const second = await read(1, first.cursor);
    expect([...second.answers.values()]).toMatchObject([{ value: 50 }, { value: 5 }]);
    // After a restart without errors nothing waits for them.
    scrape(T0 + 2 * MINUTE + 10_000, 7, null);
    scrape(T0 + 2 * MINUTE + 55_000, 9, null);
    const third = await read(2, second.cursor);
    expect([...third.answers.values()]).toMatchObject([
      { kind: 'count', value: 9 },
      { kind: 'count', value: 0 },
    ]);
  });

  it('count the first errors of a pod that came only after the last tick', async () => {
    pod('canary', 'c1', 15_000, { all: 20, bad: 0 });
    const labels = { instance: 'c9', job: 'shop', track: 'canary' };
    const queries = parts('errors', 'canary').map((one) =>
      one.text === 'bad_total' ? { ...one, text: 'all_total{code="500"}' } : one,
    );
    const first = await source.read(queries, { from: T0, to: T0 + MINUTE }, undefined, never);
    store.append([{ name: 'all_total', labels, value: 1_000 }], T0 + MINUTE + 10_000);
    store.append([{ name: 'all_total', labels, value: 1_010 }], T0 + MINUTE + 25_000);
    store.append([{ name: 'all_total', labels: { ...labels, code: '500' }, value: 4 }], T0 + MINUTE + 25_000);
    const { answers } = await source.read(queries, { from: T0 + MINUTE, to: T0 + 2 * MINUTE }, first.cursor, never);
    expect([...answers.values()]).toMatchObject([{ value: 1_214 }, { value: 4 }]);
  });

  it('are missing on every side while one side has no new sample, and all come then', async () => {
    pod('canary', 'c1', 60_000, { all: 20, bad: 0.4 }, 1_000);
    pod('stable', 's1', 15_000, { all: 20, bad: 0.4 }, 1_000);
    const queries = [...parts('errors', 'canary'), ...parts('errors', 'stable')];
    const { sums, missed, last, warnings } = await summed(queries, 30_000, 4);
    expect([...last.values()]).toMatchObject(queries.map(() => ({ kind: 'missing', code: 'no_sample' })));
    expect(missed).toBe(2);
    // From sample to sample: of one minute each, and of a minute and a half up to the last tick that both sides have.
    expect(sums).toMatchObject({ 'errors/canary/total': 2 * 60 * 20, 'errors/stable/total': 90 * 20 });
    expect(warnings).toEqual([expect.stringMatching(/new sample about every 60 s, and the template looks every 30 s/)]);
  });
});
