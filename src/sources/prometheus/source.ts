import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { parseDuration } from '../../analysis/quantities.ts';
import type { Clock } from '../../clock.ts';
import { CodedError } from '../../errors.ts';
import type { HttpClient } from '../../net/client.ts';
import { createGate } from '../gate/gate.ts';
import type { MetricSource, SourceAnswer } from '../port.ts';
import type { QueryAnswer } from './answer.ts';
import { PRIMING, missing, type Missing } from './answers.ts';
import { createPrometheusApi } from './api.ts';
import { CounterState } from './counters.ts';
import { coverageOf } from './coverage.ts';
import { checkConfiguration, type ReadSecret } from './credentials.ts';
import { pairedUp, settleTogether, type Part } from './pairs.ts';
import { createReader, finishedText, grouped, type Asked, type Group } from './questions.ts';
import { copiesIn, seldomSampled } from './remarks.ts';
import { PROMETHEUS_DEFAULTS, type PrometheusSource } from './schema.ts';
import { catchUp, lateOrGone, seriesOf, settledBy, type Read, type Reply, type Settled, type Tick } from './settling.ts';

/** What one analysis carries from tick to tick. Targets are named by hashes: label values stay out of the store. */
const Cursor = Type.Object({ version: Type.Literal(1), counters: Type.Record(Type.String(), CounterState) });
type Cursor = Static<typeof Cursor>;

export interface PrometheusDependencies {
  http: HttpClient;
  readSecret: ReadSecret;
  clock: Clock;
}

/** Long enough that all analyses of one window ask in it. */
const SHARE_FOR_MS = 30_000;
const BREAKER = { failures: 5, pauseMs: 1_000 };
/** Targets of all counters together that one analysis may follow; the cursor is stored durably at every tick. */
const MOST_PLACES = 20_000;
const BYTES_OF_A_SERIES = 600;
const BYTES_OF_A_SAMPLE = 16;
const PARTIAL: Missing = {
  code: 'partial_answer',
  sentence: 'the answer came with warnings, so something may be missing from it; see the warnings',
};
/** A range of no length is no query. */
const LEAST_RANGE_MS = 1_000;

/**
 * Asks Prometheus, or what speaks its HTTP API. Counters are read as raw samples and differenced per series here:
 * `increase()` extrapolates, and loses the first value of a series, which is where the errors of a bad release begin.
 *
 * @param name of the source in the configuration
 * @throws CodedError `source_invalid`
 */
export function createPrometheusSource(
  name: string,
  config: PrometheusSource,
  { http, readSecret, clock }: PrometheusDependencies,
): MetricSource {
  checkConfiguration(config);
  const timeoutMs = parseDuration(config.timeout ?? PROMETHEUS_DEFAULTS.timeout);
  const lookbackMs = parseDuration(config.lookback ?? PROMETHEUS_DEFAULTS.lookback);
  const maxBytes = config.maxBytes ?? PROMETHEUS_DEFAULTS.maxBytes;
  const concurrency = config.concurrency ?? PROMETHEUS_DEFAULTS.concurrency;
  const api = createPrometheusApi(config, { timeoutMs, maxBytes }, { http, readSecret });
  const gate = createGate({ name, concurrency, timeoutMs, shareForMs: SHARE_FOR_MS, clock, breaker: BREAKER });
  const understand = createReader();

  async function ask(query: string, at: number, signal: AbortSignal): Promise<Reply> {
    try {
      const answer = await gate.ask(`${at} ${query}`, signal, (running) => api.query(query, at, running), weightOf);
      return answer.partial ? { fault: PARTIAL, notes: answer.notes } : { answer };
    } catch (error) {
      signal.throwIfAborted();
      return faultOf(error);
    }
  }

  async function askGroup(group: Group, tick: Tick, signal: AbortSignal): Promise<Read> {
    const { window } = tick;
    const from = Math.min(...group.members.map((one) => catchUp(one, tick)?.since ?? window.from));
    let text: string;
    try {
      text = await textOf(group, { from, to: window.to }, lookbackMs);
    } catch (error) {
      return { group, reply: faultOf(error) };
    }
    return { group, reply: await ask(text, window.to, signal) };
  }

  return {
    remembers: true,
    async read(queries, window, cursor, signal) {
      signal.throwIfAborted();
      const before = Value.Check(Cursor, cursor) ? cursor.counters : {};
      const tick: Tick = { window, before, lookbackMs };
      const answers = new Map<string, SourceAnswer>();
      const warnings = new Set<string>();
      const counters: Cursor['counters'] = {};
      const settle = ({ query, key }: Asked, { answer, state }: Settled) => {
        answers.set(query.id, answer);
        if (state !== null) counters[key] = state;
      };
      const noteIn = (reply: Reply) => {
        for (const note of ('answer' in reply ? reply.answer.notes : reply.notes) ?? []) warnings.add(note);
      };
      const asked: Asked[] = [];
      for (const query of queries) {
        const understood = understand(query);
        if ('missing' in understood) answers.set(query.id, missing(understood.missing));
        else if (query.shape === 'gauge' || window.from < window.to) asked.push(understood);
        else settle(understood, { answer: missing(PRIMING), state: { since: window.to, seen: null } });
      }
      const reads = await Promise.all(grouped(asked).map((group) => askGroup(group, tick, signal)));
      for (const { reply } of reads) noteIn(reply);
      const overTime = reads.flatMap(({ group, reply }) => (group.overTime && 'answer' in reply ? [reply.answer.series] : []));
      const coverage = coverageOf(before, overTime, lookbackMs);
      const presentOf = async ({ selector }: Group): Promise<Reply> => {
        if (selector === null) throw new TypeError('a finished query has no series');
        const reply = await ask(selector, window.to, signal);
        noteIn(reply);
        return reply;
      };
      const parts = reads.flatMap((read) =>
        read.group.members.map((one): Part => ({ one, reply: read.reply, present: () => presentOf(read.group) })),
      );
      for (const part of parts) {
        const series = seriesOf(part.one, part.reply);
        const copies = part.one.selector === null ? null : copiesIn(series);
        if (copies !== null) warnings.add(copies);
        const seldom = part.one.query.shape === 'gauge' ? null : seldomSampled(series, window.to - window.from);
        if (seldom !== null) warnings.add(seldom);
      }
      const { metrics, single } = pairedUp(parts);
      for (const pairs of metrics) {
        for (const [one, settled] of await settleTogether(pairs, tick, coverage)) settle(one, settled);
      }
      for (const { one, reply, present } of single) {
        const settled = settledBy(one, reply, tick, coverage);
        // Present values leave out series that have ended, so they tell the late ones from those that are gone.
        settle(one, settled === 'silent' ? lateOrGone(one, reply, await present(), tick, coverage) : settled);
      }
      if (placesIn(counters) <= MOST_PLACES) return { answers, cursor: { version: 1, counters }, warnings: [...warnings] };
      const sentence = `the selectors match series of more than ${MOST_PLACES} targets; narrow them, or count with fewer labels`;
      for (const { query } of asked) {
        if (query.shape !== 'gauge') answers.set(query.id, missing({ code: 'too_many_series', sentence }));
      }
      return { answers, cursor: { version: 1, counters: before }, warnings: [...warnings] };
    },
    async check(signal) {
      const { host } = new URL(config.url);
      const reply = await ask('vector(1)', clock.now(), signal);
      if ('fault' in reply) return [{ status: 'fail', code: reply.fault.code, sentence: reply.fault.sentence }];
      return [{ status: 'ok', code: 'reachable', sentence: `${host} lets us in and answers queries` }];
    },
    close() {
      gate.close();
      return Promise.resolve();
    },
  };
}

/** @throws CodedError `promql_invalid` */
async function textOf(group: Group, { from, to }: Tick['window'], lookbackMs: number): Promise<string> {
  if (group.selector !== null) return group.overTime ? `${group.selector}[${to - from + lookbackMs}ms]` : group.selector;
  const [finished] = group.members;
  if (finished === undefined) throw new TypeError('a group of queries has no query');
  return finishedText(finished, { from: Math.min(from, to - LEAST_RANGE_MS), to });
}

function faultOf(error: unknown): Reply {
  if (!(error instanceof CodedError)) throw error;
  return { fault: { code: error.code, sentence: error.message } };
}

function placesIn(counters: Cursor['counters']): number {
  let places = 0;
  for (const { seen, gone } of Object.values(counters)) {
    places += Object.keys(seen ?? {}).length;
    for (const names of Object.values(gone ?? {})) places += Object.keys(names).length;
  }
  return places;
}

/** About the bytes that an answer takes up. */
function weightOf({ series }: QueryAnswer): number {
  let bytes = 0;
  for (const { values, histograms } of series) {
    const inBuckets = histograms.reduce((sum, { buckets }) => sum + buckets.length + 1, 0);
    bytes += BYTES_OF_A_SERIES + BYTES_OF_A_SAMPLE * (values.length + 4 * inBuckets);
  }
  return bytes;
}
