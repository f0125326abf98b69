import { Type, type Static, type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { parseDuration } from '../../analysis/quantities.ts';
import { CodedError } from '../../errors.ts';
import type { HttpClient, HttpRequest, HttpResponse } from '../../net/client.ts';
import type { Delivery } from '../port.ts';
import type { HttpDelivery } from './schema.ts';

const revision = Type.Union([Type.String({ minLength: 1, maxLength: 64 }), Type.Null()]);
const State = Type.Object({
  canary: revision,
  stable: revision,
  synced: revision,
  phase: Type.Enum(['progressing', 'healthy', 'aborted', 'degraded', 'unknown']),
});
const Aborted = Type.Object({ result: Type.Enum(['aborted', 'already']) });

const MAX_BODY_BYTES = 65_536;
const DEFAULT_TIMEOUT = '5s';
const NOT_RUNNING = 409;

export interface HttpDeliveryDependencies {
  http: HttpClient;
  readSecret: (file: string) => Promise<string>;
}

/**
 * A delivery behind a URL; docs/reference/delivery-http.md has the contract.
 *
 * Every call throws CodedError `delivery_unreachable` or `delivery_failed` (retryable), `delivery_refused` or
 * `delivery_bad_answer` (not retryable).
 */
export function createHttpDelivery(config: HttpDelivery, { http, readSecret }: HttpDeliveryDependencies): Delivery {
  const base = config.url.replace(/\/+$/, '');
  const timeoutMs = parseDuration(config.timeout ?? DEFAULT_TIMEOUT);
  const { host } = new URL(base);

  async function call(method: 'GET' | 'POST', path: string, body: object | null, signal: AbortSignal): Promise<HttpResponse> {
    const token = config.tokenFile === undefined ? null : await readSecret(config.tokenFile);
    const request: HttpRequest = {
      method,
      url: `${base}${path}`,
      headers: {
        accept: 'application/json',
        ...(body !== null && { 'content-type': 'application/json' }),
        ...(token !== null && { authorization: `Bearer ${token}` }),
      },
      ...(body !== null && { body: JSON.stringify(body) }),
      timeoutMs,
      maxBodyBytes: MAX_BODY_BYTES,
    };
    let response: HttpResponse;
    try {
      response = await http.request(request, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof CodedError)) throw error;
      const sentence = `delivery ${host} gave no answer to ${method} ${path === '' ? 'its address' : path}: ${error.message}`;
      throw new CodedError('delivery_unreachable', sentence, { retryable: error.retryable, cause: error });
    }
    const { status } = response;
    if ((status >= 200 && status < 300) || (path === '/abort' && status === NOT_RUNNING)) return response;
    const sentence = `delivery ${host} answered ${method} ${path === '' ? 'for its state' : path} with status ${status}`;
    const passing = status >= 500 || status === 429 || status === 408;
    throw new CodedError(passing ? 'delivery_failed' : 'delivery_refused', `${sentence}; look at its log`, {
      retryable: passing,
      details: { status },
    });
  }

  function read<S extends TSchema>(schema: S, { text }: HttpResponse, what: string): Static<S> {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new CodedError('delivery_bad_answer', `delivery ${host} answered ${what} with something that is no JSON`, {
        cause: error,
      });
    }
    if (Value.Check(schema, value)) return value;
    const [first] = Value.Errors(schema, value);
    const where = first === undefined ? '' : `: ${first.instancePath} ${first.message}`;
    throw new CodedError(
      'delivery_bad_answer',
      `delivery ${host} answered ${what} with the wrong shape${where}; see docs/reference/delivery-http.md`,
    );
  }

  return {
    type: 'http',
    can: { observe: true, abort: true, annotate: true, sync: true },
    async observe(signal) {
      return read(State, await call('GET', '', null, signal), 'for its state');
    },
    async abort(order, signal) {
      const response = await call('POST', '/abort', order, signal);
      return response.status === NOT_RUNNING ? 'not_running' : read(Aborted, response, '/abort').result;
    },
    async annotate(note, signal) {
      await call('POST', '/annotate', note, signal);
    },
    async sync(order, signal) {
      await call('POST', '/sync', order, signal);
    },
  };
}
