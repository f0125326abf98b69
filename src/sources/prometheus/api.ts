import { Buffer } from 'node:buffer';
import { setTimeout as sleep } from 'node:timers/promises';
import { CodedError } from '../../errors.ts';
import type { HttpClient, HttpHead, HttpResponse } from '../../net/client.ts';
import { createAnswerDecoder, type AnswerDecoder, type QueryAnswer } from './answer.ts';
import { present, type Presented, type ReadSecret } from './credentials.ts';
import type { PrometheusSource } from './schema.ts';

export interface PrometheusApi {
  /**
   * Asks one instant query; the answer is one with `status: success`.
   *
   * @param query finished PromQL
   * @param at milliseconds since the epoch
   * @throws CodedError (retryable) `http_status` for 429 and 5xx, `answer_truncated`, `query_failed`, what the HTTP
   *   client throws; (not retryable) `query_refused`, `source_unauthorized`, `http_status`, `content_type_unsupported`,
   *   `answer_invalid`, `body_too_large`
   */
  query(query: string, at: number, signal: AbortSignal): Promise<QueryAnswer>;
}

export interface ApiOptions {
  timeoutMs: number;
  maxBytes: number;
}

const MOST_ATTEMPTS = 3;
const FIRST_PAUSE_MS = 150;
const PAUSE_GROWTH = 4;
const LONGEST_EXPLANATION = 300;
const MOST_ERROR_BYTES = 65_536;
/** Faults on the way, which the next attempt may not meet. */
const NETWORK_CODES = new Set(['connect_failed', 'connection_lost', 'answer_truncated']);
const BUSY = new Set([429, 503]);

/**
 * The instant query of the HTTP API, as a form in a POST because queries can be longer than an address may be; a server
 * or proxy that does not take that (405) is asked by GET from then on.
 *
 * Source: https://prometheus.io/docs/prometheus/latest/querying/api/
 */
export function createPrometheusApi(
  config: PrometheusSource,
  { timeoutMs, maxBytes }: ApiOptions,
  { http, readSecret }: { http: HttpClient; readSecret: ReadSecret },
): PrometheusApi {
  const base = new URL(config.url);
  const { host } = base;
  let method: 'POST' | 'GET' = 'POST';

  function addressOf(form: string): string {
    const url = new URL(base);
    url.pathname = `${url.pathname.replace(/\/+$/, '')}/api/v1/query`;
    if (form !== '') url.search = url.search === '' ? form : `${url.search}&${form}`;
    return url.href;
  }

  async function send(form: string, presented: Presented, left: number, signal: AbortSignal): Promise<Outcome> {
    let decoder: AnswerDecoder | null = null;
    const posted = method === 'POST';
    const head = await http.request(
      {
        method,
        url: addressOf(posted ? '' : form),
        headers: {
          ...presented.headers,
          accept: 'application/json',
          ...(posted && { 'content-type': 'application/x-www-form-urlencoded' }),
        },
        ...(posted && { body: form }),
        ...(presented.tls !== undefined && { tls: presented.tls }),
        timeoutMs: left,
        maxBodyBytes: maxBytes,
        receive(answered) {
          if (answered.status !== 200 || !isJson(answered)) return null;
          const reading = createAnswerDecoder();
          decoder = reading;
          return (piece) => reading.push(piece);
        },
      },
      signal,
    );
    return { head, answer: (decoder as AnswerDecoder | null)?.end() ?? errorIn(head) };
  }

  async function attempt(form: string, left: number, signal: AbortSignal): Promise<QueryAnswer> {
    const presented = await present(config, readSecret);
    let outcome = await send(form, presented, left, signal);
    if (outcome.head.status === 405 && method === 'POST') {
      method = 'GET';
      outcome = await send(form, presented, left, signal);
    }
    if (outcome.head.status === 401) {
      // A secret that was replaced in this very moment is tried at once.
      const renewed = await present(config, readSecret);
      if (JSON.stringify(renewed) !== JSON.stringify(presented)) outcome = await send(form, renewed, left, signal);
    }
    return successOf(outcome, host);
  }

  return {
    async query(query, at, signal) {
      // Thanos then refuses what it can only answer in part; others do not know the word and pass over it.
      const form = new URLSearchParams({
        query,
        time: seconds(at),
        timeout: `${timeoutMs}ms`,
        partial_response: 'false',
      }).toString();
      const deadline = performance.now() + timeoutMs;
      for (let tried = 1; ; tried++) {
        try {
          return await attempt(form, Math.max(1, deadline - performance.now()), signal);
        } catch (error) {
          signal.throwIfAborted();
          const pause = pauseAfter(error, tried);
          if (pause === null || performance.now() + pause >= deadline) throw error;
          await sleep(pause, undefined, { signal });
        }
      }
    },
  };
}

interface Outcome {
  head: HttpResponse;
  /** Null when what came is not JSON of this API. */
  answer: QueryAnswer | null;
}

/** The explanation that comes with another status than 200; without one the status has to do. */
function errorIn({ status, text }: HttpResponse): QueryAnswer | null {
  if (status === 200 || text.length > MOST_ERROR_BYTES) return null;
  const reading = createAnswerDecoder();
  try {
    reading.push(Buffer.from(text));
    return reading.end();
  } catch (error) {
    if (error instanceof CodedError) return null;
    throw error;
  }
}

/** Milliseconds to wait before the next attempt; null when there is none to be made. */
function pauseAfter(error: unknown, tried: number): number | null {
  if (!(error instanceof CodedError) || tried >= MOST_ATTEMPTS) return null;
  const { status, retryAfterMs } = error.details;
  const busy = error.code === 'http_status' && typeof status === 'number' && BUSY.has(status);
  if (!busy && !NETWORK_CODES.has(error.code)) return null;
  const own = FIRST_PAUSE_MS * PAUSE_GROWTH ** (tried - 1);
  return typeof retryAfterMs === 'number' ? Math.max(own, retryAfterMs) : own;
}

function isJson({ headers }: HttpHead): boolean {
  const type = headers['content-type'];
  const [essence = ''] = (typeof type === 'string' ? type : '').split(';', 1);
  return /^application\/([a-z0-9.+-]+\+)?json$/i.test(essence.trim());
}

function successOf({ head, answer }: Outcome, host: string): QueryAnswer {
  const { status } = head;
  if (status === 200 && answer !== null) {
    if (answer.status === 'success') return answer;
    throw refusedOrFailed(answer, status, host);
  }
  if (status === 400 || status === 422) {
    throw new CodedError('query_refused', `${host} refused the query (${status})${explained(answer)}`, {
      details: { host, status },
    });
  }
  if (status === 401 || status === 403) {
    throw new CodedError(
      'source_unauthorized',
      `${host} refused the credentials (${status}); check those of the source and that they have not expired`,
      { details: { host, status } },
    );
  }
  if (status === 200) {
    throw new CodedError(
      'content_type_unsupported',
      `${host} answered 200 with something that is not JSON; check that the url is that of Prometheus`,
      {
        details: { host, status },
      },
    );
  }
  const hint =
    status === 404
      ? '; check the path of the url'
      : status >= 300 && status < 400
        ? '; redirects are not followed'
        : explained(answer);
  const seconds = Number(head.headers['retry-after']);
  throw new CodedError('http_status', `${host} answered ${status}${hint}`, {
    retryable: status === 429 || status >= 500,
    details: { host, status, ...(Number.isFinite(seconds) && seconds >= 0 && { retryAfterMs: seconds * 1_000 }) },
  });
}

/** An error in the clothes of a success: some proxies send one. */
function refusedOrFailed(answer: QueryAnswer, status: number, host: string): CodedError {
  const refused = answer.errorType === 'bad_data' || answer.errorType === 'execution';
  return new CodedError(refused ? 'query_refused' : 'query_failed', `${host} could not answer the query${explained(answer)}`, {
    retryable: !refused,
    details: { host, status },
  });
}

/** What Prometheus says about it, without the label values of series that it may quote. */
function explained(answer: QueryAnswer | null): string {
  if (answer === null || answer.error === '') return '';
  const bare = answer.error.replaceAll(/\{[^{}]*\}/g, '{...}').replaceAll(/\s+/g, ' ');
  return `: ${bare.length > LONGEST_EXPLANATION ? `${bare.slice(0, LONGEST_EXPLANATION)}...` : bare}`;
}

/** Seconds as text, exact to the millisecond. */
function seconds(ms: number): string {
  return (ms / 1_000).toFixed(3);
}
