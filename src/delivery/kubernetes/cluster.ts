import { CodedError, codeOf } from '../../errors.ts';
import type { HttpClient, HttpRequest, HttpResponse, TlsMaterial } from '../../net/client.ts';
import { problemOf, type Call, type ResourceKind } from './problem.ts';

/** Pods and replica sets have 5 to 40 KB each; a page of them stays far below the bound of an answer. */
const PAGE_SIZE = 50;
const MAX_PAGES = 20;
const MAX_ANSWER_BYTES = 4_194_304;
const UNREACHABLE: ReadonlySet<string> = new Set(['connect_failed', 'timeout', 'connection_lost', 'address_refused']);

/** How a cluster is reached now: credentials are read anew for every call, so that rotated ones are taken up. */
export interface Connection {
  /** Without a slash at the end. */
  server: string;
  headers: Readonly<Record<string, string>>;
  tls: TlsMaterial | null;
}

export interface Connector {
  /** @throws CodedError `cluster_invalid`, `secret_unreadable` */
  connect(): Promise<Connection>;
  /** The cluster did not take the credential or its certificate: read everything anew the next time. */
  forget(): void;
}

interface ApiRequest {
  method: HttpRequest['method'];
  path: string;
  headers?: Readonly<Record<string, string>>;
  body?: string;
}

export interface ObjectAddress {
  resource: ResourceKind;
  namespace: string;
  name: string;
}

export interface Listing {
  items: readonly unknown[];
  /** False when there are more than are read. */
  complete: boolean;
}

/**
 * The few calls of the Kubernetes API that davylamp makes, each within a time and a size.
 *
 * All of them throw CodedError: `cluster_unreachable`, `cluster_failed` and `cluster_conflict` may succeed later;
 * `cluster_unauthorized`, `cluster_forbidden`, `cluster_not_found`, `cluster_refused`, `cluster_bad_answer`,
 * `cluster_invalid` and `body_too_large` will not.
 */
export class Cluster {
  readonly name: string;
  readonly #http: HttpClient;
  readonly #connector: Connector;

  constructor(name: string, http: HttpClient, connector: Connector) {
    this.name = name;
    this.#http = http;
    this.#connector = connector;
  }

  async get(address: ObjectAddress, timeoutMs: number, signal: AbortSignal): Promise<unknown> {
    const call = this.#call('get', address, null);
    return this.#ask(call, { method: 'GET', path: pathOf(call) }, timeoutMs, signal);
  }

  /** @param labels a label selector; empty for all objects of the namespace */
  async list(
    resource: ResourceKind,
    namespace: string,
    labels: string,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Listing> {
    const call: Call = { ...this.#call('list', { resource, namespace, name: '' }, null), name: null };
    const items: unknown[] = [];
    let next = '';
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const query = new URLSearchParams({ limit: String(PAGE_SIZE) });
      if (labels !== '') query.set('labelSelector', labels);
      if (next !== '') query.set('continue', next);
      const answer = await this.#ask(call, { method: 'GET', path: `${pathOf(call)}?${query.toString()}` }, timeoutMs, signal);
      const list = field(answer, 'items');
      if (!Array.isArray(list)) throw badAnswer(this.name, call, 'a list without items');
      items.push(...(list as unknown[]));
      const following = field(field(answer, 'metadata'), 'continue');
      if (typeof following !== 'string' || following === '') return { items, complete: true };
      next = following;
    }
    return { items, complete: false };
  }

  /** Merge patch (RFC 7396); with `metadata.resourceVersion` in it, only while the object is as it was read. */
  async patch(
    address: ObjectAddress,
    change: { body: object; subresource: 'status' | null },
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<unknown> {
    const call = this.#call('patch', address, change.subresource);
    const headers = { 'content-type': 'application/merge-patch+json' };
    const request = { method: 'PATCH' as const, path: pathOf(call), headers, body: JSON.stringify(change.body) };
    return this.#ask(call, request, timeoutMs, signal);
  }

  /** Creates an object by its name; `exists` when there is one of that name already. */
  async create(address: ObjectAddress, body: object, timeoutMs: number, signal: AbortSignal): Promise<'created' | 'exists'> {
    const call = this.#call('create', address, null);
    const request = {
      method: 'POST' as const,
      path: pathOf({ ...call, name: null }),
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    };
    try {
      await this.#ask(call, request, timeoutMs, signal);
      return 'created';
    } catch (error) {
      if (codeOf(error) === 'cluster_conflict') return 'exists';
      throw error;
    }
  }

  /** A question that is no object, such as a review of the own rights. */
  async review(path: string, body: object, timeoutMs: number, signal: AbortSignal): Promise<HttpResponse> {
    const headers = { 'content-type': 'application/json' };
    return this.#send({ method: 'POST', path, headers, body: JSON.stringify(body) }, timeoutMs, signal);
  }

  #call(verb: Call['verb'], { resource, namespace, name }: ObjectAddress, subresource: Call['subresource']): Call {
    return { cluster: this.name, verb, resource, subresource, namespace, name };
  }

  async #ask(call: Call, request: ApiRequest, timeoutMs: number, signal: AbortSignal): Promise<unknown> {
    const answer = await this.#send(request, timeoutMs, signal);
    const body = parsed(answer.text);
    if (answer.status >= 200 && answer.status < 300) {
      if (typeof body !== 'object' || body === null) throw badAnswer(this.name, call, 'no JSON object');
      return body;
    }
    if (answer.status === 401) this.#connector.forget();
    throw problemOf(answer.status, call, field(body, 'kind') === 'Status' && field(field(body, 'details'), 'name') !== undefined);
  }

  async #send(request: ApiRequest, timeoutMs: number, signal: AbortSignal): Promise<HttpResponse> {
    signal.throwIfAborted();
    const { server, headers, tls } = await this.#connector.connect();
    signal.throwIfAborted();
    try {
      return await this.#http.request(
        {
          method: request.method,
          url: server + request.path,
          headers: { accept: 'application/json', ...headers, ...request.headers },
          ...(request.body === undefined ? {} : { body: request.body }),
          ...(tls === null ? {} : { tls }),
          timeoutMs,
          maxBodyBytes: MAX_ANSWER_BYTES,
        },
        signal,
      );
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof CodedError) || !UNREACHABLE.has(error.code)) throw error;
      // Its certificate may have been renewed by another authority.
      if (error.code === 'connect_failed') this.#connector.forget();
      throw new CodedError('cluster_unreachable', `${this.name} cannot be reached: ${error.message}`, {
        retryable: true,
        cause: error,
        details: { cluster: this.name, reason: error.code },
      });
    }
  }
}

/** An answer that came whole and does not say what it should. */
export function badAnswer(cluster: string, call: Pick<Call, 'verb' | 'resource'>, what: string): CodedError {
  return new CodedError(
    'cluster_bad_answer',
    `${cluster} answered ${what} to ${call.verb} ${call.resource.plural}; check that its address is that of a Kubernetes API server`,
    { details: { cluster, verb: call.verb, resource: call.resource.plural } },
  );
}

function pathOf({ resource, namespace, name, subresource }: Call): string {
  const { group, version, plural } = resource;
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  const tail = name === null ? '' : `/${encodeURIComponent(name)}`;
  return `${root}/namespaces/${encodeURIComponent(namespace)}/${plural}${tail}${subresource === null ? '' : `/${subresource}`}`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // The parser's message quotes the body.
    return undefined;
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
}
