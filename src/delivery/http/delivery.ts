import { Type, type Static, type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { parseDuration } from '../../analysis/quantities.ts';
import { CodedError, codeOf } from '../../errors.ts';
import type { HttpClient, HttpResponse } from '../../net/client.ts';
import type { Delivery, DeliveryState, Liveness } from '../port.ts';
import type { HttpDelivery } from './schema.ts';

const commit = Type.String({ pattern: '^[0-9a-f]{7,64}$' });
const revision = Type.Union([commit, Type.Null()]);
const time = Type.String({ format: 'date-time' });
const MOST_EARLIER = 200;

/** Evidence that a revision does not live; more may be told than the code and the sentence. */
const TroubleAnswer = Type.Object({
  revision: commit,
  code: Type.Enum(['crash_loop', 'progress_deadline_exceeded', 'not_reachable']),
  sentence: Type.String({ minLength: 1, maxLength: 500 }),
});
/** A sync that its operator is in the middle of. */
const OperationAnswer = Type.Object({ revision, since: time });
const EarlierAnswer = Type.Object({
  revision: commit,
  from: time,
  to: Type.Union([time, Type.Null()]),
  role: Type.Enum(['canary', 'stable']),
});

/** Answer to GET on the base address. Fields beyond these are let through, so that the far side can grow. */
const StateAnswer = Type.Object({
  canary: revision,
  stable: revision,
  synced: revision,
  phase: Type.Enum(['progressing', 'healthy', 'aborted', 'degraded', 'unknown']),
  trouble: Type.Optional(Type.Union([TroubleAnswer, Type.Null()])),
  operation: Type.Optional(Type.Union([OperationAnswer, Type.Null()])),
  history: Type.Optional(Type.Array(EarlierAnswer, { maxItems: MOST_EARLIER })),
});
const AbortAnswer = Type.Object({ result: Type.Enum(['aborted', 'already']) });

const DEFAULT_TIMEOUT = '5s';
const MAX_ANSWER_BYTES = 65_536;
const UNREACHABLE: ReadonlySet<string> = new Set(['connect_failed', 'timeout', 'connection_lost']);

export interface HttpDeliveryDependencies {
  http: HttpClient;
  /** Reads a secret from its file, anew at every use, so that a rotated one is taken up. */
  readSecret: (file: string) => Promise<string>;
}

/**
 * Calls a URL of the user's for everything; docs/reference/delivery-http.md has the contract.
 *
 * All calls throw CodedError: `delivery_unreachable` and `delivery_failed` may succeed later, `delivery_refused`,
 * `delivery_bad_answer` and `delivery_token_invalid` will not; and what the HTTP client and `readSecret` throw otherwise.
 *
 * @throws CodedError `delivery_invalid` for a url that cannot be called
 */
export function createHttpDelivery(config: HttpDelivery, { http, readSecret }: HttpDeliveryDependencies): Delivery {
  const base = baseOf(config.url);
  const timeoutMs = parseDuration(config.timeout ?? DEFAULT_TIMEOUT);

  async function call(
    step: '' | '/abort' | '/annotate' | '/sync',
    body: object | null,
    signal: AbortSignal,
  ): Promise<HttpResponse> {
    const url = new URL(base);
    url.pathname = url.pathname.replace(/\/$/, '') + step;
    const headers: Record<string, string> = { accept: 'application/json' };
    if (body !== null) headers['content-type'] = 'application/json';
    if (config.tokenFile !== undefined) headers['authorization'] = `Bearer ${checkedToken(await readSecret(config.tokenFile))}`;
    try {
      return await http.request(
        {
          method: body === null ? 'GET' : 'POST',
          url: url.href,
          headers,
          ...(body === null ? {} : { body: JSON.stringify(body) }),
          timeoutMs,
          maxBodyBytes: MAX_ANSWER_BYTES,
        },
        signal,
      );
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof CodedError) || !UNREACHABLE.has(error.code)) throw error;
      throw new CodedError('delivery_unreachable', `the delivery cannot be reached: ${error.message}`, {
        retryable: true,
        cause: error,
        details: { host: base.host, reason: codeOf(error) },
      });
    }
  }

  async function state(signal: AbortSignal): Promise<Static<typeof StateAnswer>> {
    return bodyOf(successful(await call('', null, signal), base.host), StateAnswer, base.host);
  }

  return {
    type: 'http',
    can: { observe: true, abort: true, annotate: true, sync: true },
    async observe(signal): Promise<DeliveryState> {
      const { canary, stable, synced, phase, trouble, operation } = await state(signal);
      const known: DeliveryState = { canary, stable, synced, phase };
      if (trouble !== null && trouble !== undefined) known.trouble = trouble;
      if (operation !== null && operation !== undefined) {
        known.operation = { revision: operation.revision, since: Date.parse(operation.since) };
      }
      return known;
    },
    async history(signal): Promise<readonly Liveness[]> {
      const { history = [] } = await state(signal);
      return history.map(({ revision: seen, from, to, role }) => ({
        revision: seen,
        from: Date.parse(from),
        to: to === null ? null : Date.parse(to),
        role,
      }));
    },
    async abort({ revision: bad, rollback, reason }, signal) {
      const answer = await call('/abort', { revision: bad, rollback, reason }, signal);
      if (answer.status === 409) return 'not_running';
      return bodyOf(successful(answer, base.host), AbortAnswer, base.host).result;
    },
    async annotate({ revision: bad, rollback, values }, signal) {
      successful(await call('/annotate', { revision: bad, rollback, values }, signal), base.host);
    },
    async sync({ commit, rollback }, signal) {
      successful(await call('/sync', { commit, rollback }, signal), base.host);
    },
  };
}

function baseOf(text: string): URL {
  if (!URL.canParse(text)) {
    throw new CodedError(
      'delivery_invalid',
      'the url of the delivery cannot be read; write for example http://loop:8080/rollouts/shop',
    );
  }
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') {
    throw new CodedError('delivery_invalid', `the url of delivery ${url.host} holds a user name or password; use tokenFile`);
  }
  return url;
}

/** A header takes no other characters, and an error about it must not show them. */
function checkedToken(token: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new CodedError(
    'delivery_token_invalid',
    'the file that tokenFile names must hold one token in ASCII, without spaces or further lines',
  );
}

function successful(answer: HttpResponse, host: string): HttpResponse {
  const { status } = answer;
  if (status >= 200 && status < 300) return answer;
  // 408 and 429 are of the moment, unlike the rest of the 4xx.
  if (status >= 500 || status === 408 || status === 429) {
    throw new CodedError('delivery_failed', `the delivery at ${host} answered ${status}; it is asked again`, {
      retryable: true,
      details: { host, status },
    });
  }
  throw new CodedError('delivery_refused', `the delivery at ${host} refused with ${status}${hintOf(status)}`, {
    details: { host, status },
  });
}

function hintOf(status: number): string {
  if (status === 401 || status === 403) return '; check its tokenFile';
  if (status === 404 || status === 405) return '; check its url';
  if (status >= 300 && status < 400) return '; redirects are not followed, give the final url';
  return '; look at its log';
}

function bodyOf<T extends TSchema>(answer: HttpResponse, schema: T, host: string): Static<T> {
  let body: unknown;
  try {
    body = JSON.parse(answer.text);
  } catch {
    // The parser's message quotes the body.
    throw badAnswer(host, answer.status, 'no JSON');
  }
  if (Value.Check(schema, body)) return body;
  const path = Value.Errors(schema, body)[0]?.instancePath ?? '';
  throw badAnswer(host, answer.status, `JSON that is not as agreed${path === '' ? '' : ` at ${path}`}`);
}

function badAnswer(host: string, status: number, what: string): CodedError {
  return new CodedError(
    'delivery_bad_answer',
    `the delivery at ${host} answered ${status} with ${what}; docs/reference/delivery-http.md says what is expected`,
    { details: { host, status } },
  );
}
