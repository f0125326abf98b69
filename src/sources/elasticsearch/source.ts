import { hash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { parseDuration } from '../../analysis/quantities.ts';
import type { Clock } from '../../clock.ts';
import { CodedError, codeOf, sentenceOf } from '../../errors.ts';
import type { HttpClient } from '../../net/client.ts';
import { createGate } from '../gate/gate.ts';
import type { MetricSource, SourceAnswer, SourceQuery } from '../port.ts';
import { answersOf, type SearchFault } from './answers.ts';
import { createSearchClient } from './client.ts';
import { accessOf } from './credentials.ts';
import { searchOf, searchesOf, type DocumentQuery, type QuestionSettings, type Search } from './questions.ts';
import { ELASTICSEARCH_DEFAULTS, type ElasticsearchSource } from './schema.ts';

export interface ElasticsearchDependencies {
  http: HttpClient;
  clock: Clock;
  readSecret: (file: string) => Promise<string>;
}

/** An analysis keeps the delay that it began with, and does not count what happened before it began. */
const Cursor = Type.Object({ version: Type.Literal(1), delayMs: Type.Number(), since: Type.Union([Type.Number(), Type.Null()]) });
type Cursor = Static<typeof Cursor>;
/** One question by itself, and where its answer belongs. */
interface Question {
  key: string;
  search: Search;
}
interface Window {
  from: number;
  to: number;
}

const SHARE_FOR_MS = 5_000;
const RETRY_PAUSES_MS = [100, 400] as const;
const BREAKER = { failures: 10, pauseMs: 1_000 };
/** Matches nothing, which Elasticsearch allows everybody whom it knows. */
const NO_INDEX = 'davylamp-looks-whether-you-answer-*';

/**
 * Counts and measures documents. Every question is about a window of the past that is shifted by `delay`, because a
 * document is found only some seconds after it happened; windows that follow each other stay without gap and overlap.
 *
 * @param name of the source, for messages
 * @throws CodedError `source_invalid`
 */
export function createElasticsearchSource(
  name: string,
  config: ElasticsearchSource,
  { http, clock, readSecret }: ElasticsearchDependencies,
): MetricSource {
  refuseContradictions(config);
  const timeoutMs = parseDuration(config.timeout ?? ELASTICSEARCH_DEFAULTS.timeout);
  const delayMs = parseDuration(config.delay ?? ELASTICSEARCH_DEFAULTS.delay);
  const settings: QuestionSettings = { labels: config.labels ?? {}, timeoutMs };
  const client = createSearchClient({
    url: config.url,
    timeoutMs,
    maxBytes: config.maxBytes ?? ELASTICSEARCH_DEFAULTS.maxBytes,
    http,
  });
  const gate = createGate({
    name,
    concurrency: config.concurrency ?? ELASTICSEARCH_DEFAULTS.concurrency,
    timeoutMs,
    shareForMs: SHARE_FOR_MS,
    clock,
    breaker: BREAKER,
  });

  /** The responses, once those that failed for load or for a passing fault were asked again. */
  async function responsesTo(searches: readonly Search[], signal: AbortSignal): Promise<unknown[]> {
    const access = await accessOf(config, readSecret);
    const responses: unknown[] = searches.map(() => null);
    let left = searches.map((search, at) => ({ search, at }));
    for (let attempt = 0; ; attempt++) {
      const wait = RETRY_PAUSES_MS[attempt];
      try {
        const got = await client.search(
          left.map(({ search }) => search),
          access,
          signal,
        );
        for (const [index, { at }] of left.entries()) responses[at] = got[index];
        left = left.filter(({ at }) => passes(responses[at]));
        if (left.length === 0 || wait === undefined) return responses;
      } catch (error) {
        if (wait === undefined || !(error instanceof CodedError) || !error.retryable || error.code === 'timeout') throw error;
      }
      await pause(wait, undefined, { signal });
    }
  }

  /** Answers by the place of the search and the name in it: the ids of the queries are each analysis's own. */
  async function ask(searches: readonly Search[], window: Window, signal: AbortSignal): Promise<Map<string, SourceAnswer>> {
    const answers = new Map<string, SourceAnswer>();
    const faults: SearchFault[] = [];
    const single: Question[] = [];
    const outcomes = await outcomesOf(searches, signal);
    for (const [at, search] of searches.entries()) {
      const outcome = outcomes?.[at];
      if (outcome !== undefined && !('code' in outcome)) {
        for (const [part, answer] of outcome) answers.set(`${at}/${part}`, answer);
        continue;
      }
      if (outcome !== undefined) faults.push(outcome);
      for (const [part, [query]] of search.asked) {
        const key = `${at}/${part}`;
        // One question that is refused must not take the others with it.
        if ((outcome?.mendable ?? true) && query !== undefined) single.push({ key, search: searchOf([query], window, settings) });
        else if (outcome !== undefined) answers.set(key, { kind: 'missing', code: outcome.code, sentence: outcome.sentence });
      }
    }
    // Thrown, so that it is not kept for others, and counts for the breaker when it may pass.
    const [fault] = faults;
    if (fault !== undefined && faults.length === searches.length && single.length === 0) {
      throw new CodedError(fault.code, fault.sentence, { retryable: fault.passing });
    }
    for (const [key, answer] of await askOneByOne(single, signal)) answers.set(key, answer);
    return answers;
  }

  /** What each search said; null when the call was refused as a whole, as it is when one of its filters is no filter. */
  async function outcomesOf(searches: readonly Search[], signal: AbortSignal) {
    try {
      const responses = await responsesTo(searches, signal);
      return searches.map((search, at) => answersOf(search, responses[at]));
    } catch (error) {
      if (error instanceof CodedError && error.details['status'] === 400) {
        if (searches.length > 1 || (searches[0]?.asked.size ?? 0) > 1) return null;
        return [{ code: error.code, sentence: error.message, mendable: false, passing: false }];
      }
      throw error;
    }
  }

  /** A search for each question. Where the call is refused as a whole, its halves are asked, down to the guilty one. */
  async function askOneByOne(questions: readonly Question[], signal: AbortSignal): Promise<Map<string, SourceAnswer>> {
    if (questions.length === 0) return new Map();
    const outcomes = await outcomesOf(
      questions.map(({ search }) => search),
      signal,
    );
    if (outcomes === null) {
      const half = Math.ceil(questions.length / 2);
      const first = await askOneByOne(questions.slice(0, half), signal);
      return new Map([...first, ...(await askOneByOne(questions.slice(half), signal))]);
    }
    return new Map(
      questions.flatMap(({ key }, at): [string, SourceAnswer][] => {
        const outcome = outcomes[at];
        if (outcome === undefined) return [];
        if ('code' in outcome) return [[key, { kind: 'missing', code: outcome.code, sentence: outcome.sentence }]];
        return [...outcome.values()].map((answer) => [key, answer]);
      }),
    );
  }

  return {
    remembers: true,
    async read(queries, window, cursor, signal) {
      signal.throwIfAborted();
      const answers = new Map<string, SourceAnswer>();
      const missing = (query: SourceQuery, code: string, sentence: string) =>
        answers.set(query.id, { kind: 'missing', code, sentence });
      const asked: DocumentQuery[] = [];
      for (const query of queries) {
        if (query.search !== undefined) asked.push({ ...query, search: query.search });
        else missing(query, 'query_unsupported', 'a source of type elasticsearch searches documents; write a search');
      }
      const next = cursorOf(cursor, window, delayMs);
      const shifted = shiftedWindow(window, next);
      const reading = { answers, cursor: next, warnings: [] };
      if (shifted.from >= shifted.to) {
        const early = 'nothing of the window can be found yet; it is counted from the next look on';
        for (const query of asked) missing(query, 'priming', early);
        return reading;
      }
      const searches = searchesOf(asked, shifted, settings);
      if (searches.length === 0) return reading;
      const key = hash('sha256', JSON.stringify(searches.map(({ header, body }) => [header, body])), 'base64url');
      try {
        const found = await gate.ask(key, signal, (limited) => ask(searches, shifted, limited));
        for (const [at, search] of searches.entries()) {
          for (const [part, same] of search.asked) {
            const answer = found.get(`${at}/${part}`);
            for (const query of same) if (answer !== undefined) answers.set(query.id, answer);
          }
        }
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof CodedError)) throw error;
        for (const query of asked) missing(query, error.code, error.message);
      }
      return reading;
    },
    async check(signal) {
      try {
        const access = await accessOf(config, readSecret);
        const empty = { header: { index: NO_INDEX }, body: { size: 0, track_total_hits: false } };
        await client.search([empty], access, signal);
        return [{ status: 'ok', code: 'reachable', sentence: `${new URL(config.url).host} lets us in and answers searches` }];
      } catch (error) {
        signal.throwIfAborted();
        return [{ status: 'fail', code: codeOf(error), sentence: sentenceOf(error) }];
      }
    },
    async close() {
      gate.close();
      await client.close();
    },
  };
}

/** Only a call for an empty window, with which an analysis begins, says when it began. */
function cursorOf(cursor: unknown, window: Window, delayMs: number): Cursor {
  if (Value.Check(Cursor, cursor)) return cursor;
  return { version: 1, delayMs, since: window.from === window.to ? window.from : null };
}

/**
 * Every bound is shifted by the same delay, so windows that touch still touch. A window of a running analysis does not
 * reach back to before its beginning; one of the time before, which is asked for on purpose, is only shifted.
 */
function shiftedWindow(window: Window, { delayMs, since }: Cursor): Window {
  const from = window.from - delayMs;
  return { from: since === null || window.from < since ? from : Math.max(from, since), to: window.to - delayMs };
}

/** Whether a search that failed may succeed at once: the cluster is busy, or a node goes. */
function passes(response: unknown): boolean {
  const status: unknown = typeof response === 'object' && response !== null ? Reflect.get(response, 'status') : null;
  return status === 429 || status === 502 || status === 503 || status === 504;
}

function refuseContradictions(config: ElasticsearchSource): void {
  const { apiKeyFile, tokenFile, username, passwordFile } = config;
  if ((username === undefined) !== (passwordFile === undefined)) {
    throw new CodedError('source_invalid', 'username and passwordFile belong together; write both or none');
  }
  if ([apiKeyFile, tokenFile, username].filter((one) => one !== undefined).length > 1) {
    throw new CodedError('source_invalid', 'write one of apiKeyFile, tokenFile, and username with passwordFile');
  }
}
