import type {
  Client,
  ConnectionRequestOptions,
  ConnectionRequestOptionsAsStream,
  ConnectionRequestParams,
  ConnectionRequestResponse,
  ConnectionRequestResponseAsStream,
} from '@elastic/elasticsearch';
import { CodedError } from '../../errors.ts';
import type { HttpClient, HttpRequest, TlsMaterial } from '../../net/client.ts';
import { errorOf, isList, isMap } from './answers.ts';
import type { Access } from './credentials.ts';
import type { Search } from './questions.ts';

export interface SearchClient {
  /**
   * One multi-search; the responses are in the order of the searches, an error of one is its response.
   * @throws CodedError for everything that concerns all of them; the reason of `signal`
   */
  search(searches: readonly Pick<Search, 'header' | 'body'>[], access: Access, signal: AbortSignal): Promise<readonly unknown[]>;
  close(): Promise<void>;
}

interface ClientSettings {
  url: string;
  timeoutMs: number;
  maxBytes: number;
  http: HttpClient;
}

/**
 * The client of Elastic (https://www.elastic.co/guide/en/elasticsearch/client/javascript-api/8.19/index.html) over the
 * one HTTP client of davylamp, so that its bounds and refused addresses hold here, too. Loaded with the first call: it
 * takes 30 MB. No sniffing: an address that a cluster tells about itself is not one that was configured.
 */
export function createSearchClient({ url, timeoutMs, maxBytes, http }: ClientSettings): SearchClient {
  const { host } = new URL(url);
  let loading: ReturnType<typeof load> | null = null;

  async function load(): Promise<{ client: Client; explained: (error: unknown) => unknown }> {
    const { Client, BaseConnection, CloudConnectionPool, errors } = await import('@elastic/elasticsearch');

    class OverHttpClient extends BaseConnection {
      override request(params: ConnectionRequestParams, options: ConnectionRequestOptions): Promise<ConnectionRequestResponse>;
      override request(
        params: ConnectionRequestParams,
        options: ConnectionRequestOptionsAsStream,
      ): Promise<ConnectionRequestResponseAsStream>;
      override async request(
        params: ConnectionRequestParams,
        options: ConnectionRequestOptions | ConnectionRequestOptionsAsStream,
      ): Promise<ConnectionRequestResponse | ConnectionRequestResponseAsStream> {
        const request: HttpRequest = {
          method: 'POST',
          url: addressOf(url, params),
          headers: textHeaders(params.headers),
          timeoutMs,
          maxBodyBytes: maxBytes,
          ...(typeof params.body === 'string' && { body: params.body }),
          ...tlsIn(options.context),
        };
        const answer = await http.request(request, options.signal ?? new AbortController().signal);
        return { statusCode: answer.status, headers: answer.headers, body: answer.text };
      }

      /** The connections belong to the HTTP client. */
      override close(): Promise<void> {
        return Promise.resolve();
      }
    }

    const client = new Client({
      node: url,
      Connection: OverHttpClient,
      // One address, whatever stands behind it: nothing is marked dead and left out.
      ConnectionPool: CloudConnectionPool,
      maxRetries: 0,
      sniffOnStart: false,
      sniffInterval: false,
      sniffOnConnectionFault: false,
      maxResponseSize: maxBytes,
      requestTimeout: timeoutMs,
      enableMetaHeader: false,
    });
    const explained = (error: unknown): unknown => {
      if (error instanceof errors.ResponseError) return refused(error.body, error.statusCode ?? 0, host);
      if (error instanceof errors.ProductNotSupportedError) {
        return new CodedError('product_unsupported', `what answers at ${host} is not Elasticsearch; OpenSearch is not supported`);
      }
      if (error instanceof errors.DeserializationError) return invalid(host, 'it is not JSON');
      return error;
    };
    return { client, explained };
  }

  return {
    async search(searches, { headers, tls }, signal) {
      const { client, explained } = await (loading ??= load());
      signal.throwIfAborted();
      let answer: unknown;
      try {
        answer = await client.transport.request(
          { method: 'POST', path: '/_msearch', bulkBody: searches.flatMap(({ header, body }) => [header, body]) },
          { headers, signal, context: { tls } },
        );
      } catch (error) {
        signal.throwIfAborted();
        throw explained(error);
      }
      const responses = isMap(answer) ? answer['responses'] : undefined;
      if (!isList(responses)) throw invalid(host, 'it has no responses');
      if (responses.length !== searches.length)
        throw invalid(host, `it has ${responses.length} responses to ${searches.length} searches`);
      return responses;
    },
    async close() {
      if (loading !== null) await (await loading).client.close();
    },
  };
}

/** The path of a base address stays: Elasticsearch may stand behind a proxy under one. */
function addressOf(base: string, { path, querystring }: ConnectionRequestParams): string {
  const question = querystring === undefined || querystring === '' ? '' : `?${querystring}`;
  return `${base.replace(/\/+$/, '')}${path}${question}`;
}

function textHeaders(headers: ConnectionRequestParams['headers']): Record<string, string> {
  const texts = Object.entries(headers ?? {}).flatMap(([name, value]): [string, string][] =>
    typeof value === 'string' ? [[name, value]] : [],
  );
  return Object.fromEntries(texts);
}

/** The client of Elastic hands its context through to the connection. */
function tlsIn(context: unknown): { tls?: TlsMaterial } {
  const tls = isMap(context) ? context['tls'] : null;
  return isMap(tls) ? { tls } : {};
}

function refused(body: unknown, status: number, host: string): CodedError {
  const error = isMap(body) && isMap(body['error']) ? body['error'] : {};
  if (status < 400) {
    return new CodedError('http_status', `${host} answered ${status}; give the source the address of Elasticsearch itself`);
  }
  const { code, sentence } = errorOf(error, status, 'the index');
  return new CodedError(code, sentence, { retryable: status === 429 || status >= 500, details: { host, status } });
}

function invalid(host: string, why: string): CodedError {
  return new CodedError('answer_invalid', `${host} answered something that Elasticsearch does not say: ${why}; look for a proxy`);
}
