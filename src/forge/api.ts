import type { Static, TSchema } from 'typebox';
import { Value } from 'typebox/value';
import type { Clock } from '../clock.ts';
import { CodedError, codeOf } from '../errors.ts';
import type { HttpClient, HttpRequest, HttpResponse } from '../net/client.ts';

/** What forges are given; `readSecret` reads anew at every use, so that a rotated secret is taken up. */
export interface ForgeDependencies {
  http: Pick<HttpClient, 'request'>;
  clock: Clock;
  readSecret: (file: string) => Promise<string>;
}

/** How calls say who they are. */
export interface ForgeAuthority {
  /** Headers of the credential, and the secret itself, which must not stand in any error. */
  present(signal: AbortSignal): Promise<{ headers: Record<string, string>; secret: string }>;
  /** A refused credential is forgotten; true when there may be a newer one. */
  renew(): boolean;
}

export interface ForgeApiOptions extends Pick<ForgeDependencies, 'http' | 'clock'> {
  /** For sentences: `GitHub`. */
  name: string;
  base: string;
  timeoutMs: number;
  authority: ForgeAuthority;
  headers: Readonly<Record<string, string>>;
  /** What the credential has to be allowed, for a person. */
  needs: string;
}

export interface ForgeCall {
  method: HttpRequest['method'];
  /** From the base address on; every foreign part of it is encoded. */
  path: string;
  query?: Readonly<Record<string, string>>;
  body?: object;
  maxBodyBytes?: number;
  /** What was attempted, for a person: `open the pull request`. */
  what: string;
  /** The forge says 401 of a right that is missing for this alone: an answer like any other refusal. */
  mayBe401?: boolean;
}

export interface ForgeAnswer {
  status: number;
  text: string;
  headers: HttpResponse['headers'];
  /** The listing goes on (RFC 8288, Link with rel="next"). */
  more: boolean;
}

const MAX_BODY_BYTES = 2_097_152;
/** A listing of pull requests with their texts. */
export const MAX_LISTING_BYTES = 16_777_216;
const UNREACHABLE: ReadonlySet<string> = new Set(['connect_failed', 'timeout', 'connection_lost']);
/** When nothing says how long, GitHub asks for a minute ("Best practices for using the REST API"). */
const DEFAULT_PAUSE_MS = 60_000;
const LONGEST_PAUSE_MS = 3_600_000;
const REASON_LIMIT = 200;

/**
 * The one way to the API of a forge: credential, time-out, bound of the body, and what a refusal means.
 *
 * Errors: `forge_unreachable`, `forge_failed` and `forge_rate_limited` (with `details.retryAt`) may pass; `forge_auth_failed`,
 * `forge_forbidden`, `forge_not_found`, `forge_refused`, `forge_bad_answer` and `forge_token_invalid` need a person.
 */
export class ForgeApi {
  readonly #options: ForgeApiOptions;
  readonly host: string;
  /** Limits that were met in a row without a word on when they end. */
  #unsaid = 0;

  constructor(options: ForgeApiOptions) {
    this.#options = options;
    this.host = new URL(options.base).host;
  }

  /** The answer, read; everything but 2xx is thrown. */
  async ask<S extends TSchema>(call: ForgeCall, schema: S, signal: AbortSignal): Promise<Static<S>> {
    return this.read(await this.done(call, signal), schema, call);
  }

  async done(call: ForgeCall, signal: AbortSignal): Promise<ForgeAnswer> {
    const answer = await this.send(call, signal);
    if (!isDone(answer)) throw this.refused(answer, call);
    return answer;
  }

  /** Null when it was done, else why the forge did not want it; what may pass later is thrown. */
  async offered(call: ForgeCall, signal: AbortSignal): Promise<string | null> {
    const answer = await this.send(call, signal);
    return isDone(answer) ? null : (reasonIn(answer.text) ?? `status ${answer.status}`);
  }

  /** Every answer that is about this call; a missing or worn-out credential, limits and faults are thrown. */
  async send(call: ForgeCall, signal: AbortSignal): Promise<ForgeAnswer> {
    const { authority } = this.#options;
    const first = await this.#sent(call, signal);
    const answer = first.status === 401 && authority.renew() ? await this.#sent(call, signal) : first;
    this.#throwWhatPasses(answer, call);
    return answer;
  }

  read<S extends TSchema>(answer: ForgeAnswer, schema: S, { what }: Pick<ForgeCall, 'what'>): Static<S> {
    const value = jsonIn(answer.text);
    if (Value.Check(schema, value)) return value;
    const { name } = this.#options;
    throw new CodedError(
      'forge_bad_answer',
      `${name} at ${this.host} answered something else than its API documents (${what}); check the address of the API`,
      { details: { host: this.host, status: answer.status } },
    );
  }

  /** That the forge takes no more calls now, and until when. */
  limited(answer: ForgeAnswer): CodedError {
    const { name, clock } = this.#options;
    const now = clock.now();
    const said = limitedUntil(answer, now);
    // Where nothing says how long, each one in a row is waited for twice as long ("Exceeding the rate limit").
    const until = said ?? now + Math.min(LONGEST_PAUSE_MS, DEFAULT_PAUSE_MS * 2 ** Math.min(this.#unsaid, 6));
    if (said === null) this.#unsaid += 1;
    const retryAt = new Date(until).toISOString();
    const retryAfter = Math.ceil((until - now) / 1_000);
    const sentence = `${name} at ${this.host} takes no more calls of this credential until ${retryAt}; tried again then`;
    const details = { host: this.host, status: answer.status, retryAt, retryAfter };
    return new CodedError('forge_rate_limited', sentence, { retryable: true, details });
  }

  /** What an answer that is not 2xx means. */
  refused({ status, text }: ForgeAnswer, { what }: Pick<ForgeCall, 'what'>): CodedError {
    const { name, needs } = this.#options;
    const reason = reasonIn(text);
    const details = { host: this.host, status, ...(reason !== null && { reason }) };
    const where = `${name} at ${this.host}`;
    const because = reason === null ? '' : `: ${reason}`;
    if (status === 403) {
      return new CodedError('forge_forbidden', `${where} does not let this credential ${what}${because}; it needs ${needs}`, {
        details,
      });
    }
    if (status === 404) {
      return new CodedError(
        'forge_not_found',
        `${where} does not know what it is asked for (${what}), or hides it from this credential; check the address of the repository, and that the credential has ${needs}`,
        { details },
      );
    }
    if (status >= 300 && status < 400) {
      const sentence = `${where} says that the repository is elsewhere now (${status}); correct its address`;
      return new CodedError('forge_refused', sentence, { details });
    }
    return new CodedError('forge_refused', `${where} refused to ${what} (${status})${because}`, { details });
  }

  async #sent({ method, path, query, body, maxBodyBytes }: ForgeCall, signal: AbortSignal): Promise<ForgeAnswer> {
    const { http, base, headers, timeoutMs, authority, name } = this.#options;
    const credential = await authority.present(signal);
    const search = query === undefined ? '' : `?${new URLSearchParams(query).toString()}`;
    const request: HttpRequest = {
      method,
      url: `${base}${path}${search}`,
      headers: {
        accept: 'application/json',
        ...headers,
        ...credential.headers,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      timeoutMs,
      maxBodyBytes: maxBodyBytes ?? MAX_BODY_BYTES,
    };
    try {
      const { status, text, headers: got } = await http.request(request, signal);
      // A forge that repeats the request in its answer must not put the credential into our errors.
      const clean = credential.secret === '' ? text : text.replaceAll(credential.secret, '***');
      return { status, text: clean, headers: got, more: /;\s*rel="?next"?/i.test(header(got, 'link')) };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof CodedError)) throw error;
      const details = { host: this.host, reason: codeOf(error) };
      if (UNREACHABLE.has(error.code)) {
        const sentence = `${name} cannot be reached: ${error.message}`;
        throw new CodedError('forge_unreachable', sentence, { retryable: true, cause: error, details });
      }
      throw new CodedError('forge_bad_answer', `${name}: ${error.message}`, { cause: error, details });
    }
  }

  #throwWhatPasses(answer: ForgeAnswer, { what, mayBe401 }: ForgeCall): void {
    const { name, needs } = this.#options;
    const { status } = answer;
    const where = `${name} at ${this.host}`;
    const details = { host: this.host, status };
    if (isLimited(answer)) throw this.limited(answer);
    if (status < 400) this.#unsaid = 0;
    if (status === 401 && mayBe401 !== true) {
      const sentence = `${where} does not take the credential (${what}): it is wrong or worn out; make a new one with ${needs}`;
      throw new CodedError('forge_auth_failed', sentence, { details });
    }
    if (status === 408 || status >= 500) {
      throw new CodedError('forge_failed', `${where} failed (${status}); tried again`, { retryable: true, details });
    }
  }
}

export function isDone({ status }: Pick<ForgeAnswer, 'status'>): boolean {
  return status >= 200 && status < 300;
}

export function header(headers: HttpResponse['headers'], name: string): string {
  const value = headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? '';
}

/**
 * GitHub says 403 or 429, with Retry-After or x-ratelimit-remaining: 0, or in words ("Rate limits for the REST API"; older
 * Enterprise Servers speak of abuse detection); GitLab 429 ("User and IP rate limits").
 */
function isLimited({ status, headers, text }: ForgeAnswer): boolean {
  if (status === 429) return true;
  if (status !== 403) return false;
  const words = /rate limit|abuse detection/i.test(reasonIn(text) ?? '');
  return words || header(headers, 'retry-after') !== '' || remaining(headers) === '0';
}

function remaining(headers: HttpResponse['headers']): string {
  return header(headers, 'x-ratelimit-remaining') || header(headers, 'ratelimit-remaining');
}

/**
 * When a limit is over, in milliseconds since the epoch; null when the answer does not say. Retry-After counts first, then
 * x-ratelimit-reset (GitHub) or RateLimit-Reset (GitLab), where nothing is left.
 */
function limitedUntil({ headers }: ForgeAnswer, now: number): number | null {
  const after = header(headers, 'retry-after');
  const reset = Number(header(headers, 'x-ratelimit-reset') || header(headers, 'ratelimit-reset'));
  const wanted =
    after !== ''
      ? /^\d+$/.test(after)
        ? now + Number(after) * 1_000
        : Date.parse(after)
      : remaining(headers) === '0' && reset > 0
        ? reset * 1_000
        : Number.NaN;
  return Number.isNaN(wanted) ? null : Math.min(now + LONGEST_PAUSE_MS, Math.max(now + 1_000, wanted));
}

export function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/**
 * The forge's own words about a refusal, as one short line. GitHub: `message` and `errors[].message`; GitLab: `message` as
 * text, list or map, or `error`; Gitea: `message`.
 */
export function reasonIn(text: string): string | null {
  const value = jsonIn(text);
  if (typeof value !== 'object' || value === null) return null;
  const words: string[] = [];
  const collect = (part: unknown, depth: number): void => {
    if (words.length >= 5 || depth > 2) return;
    if (typeof part === 'string') words.push(part);
    else if (typeof part === 'object' && part !== null) for (const inner of Object.values(part)) collect(inner, depth + 1);
  };
  for (const key of ['message', 'error', 'error_description']) collect(Reflect.get(value, key), 0);
  const errors: unknown = Reflect.get(value, 'errors');
  if (Array.isArray(errors)) {
    for (const entry of errors.slice(0, 5)) {
      collect(typeof entry === 'object' && entry !== null ? Reflect.get(entry, 'message') : entry, 0);
    }
  }
  const line = words
    .join('; ')
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim();
  if (line === '') return null;
  return line.length > REASON_LIMIT ? `${line.slice(0, REASON_LIMIT - 1)}…` : line;
}

/** @throws CodedError `forge_token_invalid`; the message does not show it */
export function checkedToken(token: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new CodedError('forge_token_invalid', 'the token of the forge holds characters that no header can carry; check its file');
}
