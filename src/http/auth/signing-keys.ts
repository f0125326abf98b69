import type { JSONWebKeySet, JWTVerifyGetKey } from 'jose';
import type { Clock } from '../../clock.ts';
import { CodedError, sentenceOf } from '../../errors.ts';
import type { HttpClient } from '../../net/client.ts';

const MAX_BYTES = 262_144;
const MAX_KEYS = 100;
/** A key that is not known is asked for at most this often: anybody can send a token that names one. */
const ASK_AGAIN_MS = 30_000;
/** An issuer that failed is not asked again at once. */
const AFTER_FAILURE_MS = 5_000;
/** Keys that cannot be renewed are used for so long: an issuer that is away must not stop everybody. */
const STALE_MS = 24 * 3_600_000;

interface Fetched {
  find: JWTVerifyGetKey;
  at: number;
}

export interface KeysOptions {
  issuer: string;
  jwksUrl: string | undefined;
  keysForMs: number;
  timeoutMs: number;
  http: Pick<HttpClient, 'request'>;
  clock: Clock;
}

/**
 * The public keys of one issuer (RFC 7517), fetched with the one HTTP client: no redirects, bounded in size and time.
 * Calls at the same time share one fetch.
 */
export class SigningKeys {
  readonly #options: KeysOptions;
  #fetched: Fetched | undefined;
  #fetching: Promise<Fetched> | undefined;
  #failed: { at: number; error: CodedError } | undefined;

  constructor(options: KeysOptions) {
    this.#options = options;
  }

  /** @throws CodedError `identity_provider_unavailable` (retryable) when there are none and none can be had */
  async current(): Promise<JWTVerifyGetKey> {
    const { keysForMs, clock } = this.#options;
    const age = this.#fetched === undefined ? Infinity : clock.now() - this.#fetched.at;
    if (this.#fetched !== undefined && age < keysForMs) return this.#fetched.find;
    try {
      return (await this.#fetch()).find;
    } catch (error) {
      if (this.#fetched !== undefined && age < STALE_MS) return this.#fetched.find;
      throw error;
    }
  }

  /**
   * Newer keys for a token whose key is not among the current ones; undefined while it is too early to ask again.
   *
   * @throws CodedError `identity_provider_unavailable` (retryable)
   */
  async newer(): Promise<JWTVerifyGetKey | undefined> {
    if (this.#fetched !== undefined && this.#options.clock.now() - this.#fetched.at < ASK_AGAIN_MS) return undefined;
    return (await this.#fetch()).find;
  }

  async #fetch(): Promise<Fetched> {
    const { clock } = this.#options;
    if (this.#failed !== undefined && clock.now() - this.#failed.at < AFTER_FAILURE_MS) throw this.#failed.error;
    this.#fetching ??= this.#ask().finally(() => (this.#fetching = undefined));
    const fetched = await this.#fetching;
    this.#fetched = fetched;
    this.#failed = undefined;
    return fetched;
  }

  async #ask(): Promise<Fetched> {
    const { issuer, jwksUrl, clock } = this.#options;
    try {
      const { createLocalJWKSet } = await import('jose');
      const keys = usable(await this.#json(jwksUrl ?? (await this.#discovered())));
      return { find: createLocalJWKSet(keys), at: clock.now() };
    } catch (error) {
      const unavailable = new CodedError(
        'identity_provider_unavailable',
        `the keys of the issuer ${issuer} cannot be had: ${sentenceOf(error)}`,
        { retryable: true, cause: error, details: { issuer } },
      );
      this.#failed = { at: clock.now(), error: unavailable };
      throw unavailable;
    }
  }

  /** OpenID Connect Discovery 1.0, section 4: the document must name the issuer that was asked for. */
  async #discovered(): Promise<string> {
    const { issuer } = this.#options;
    const document = await this.#json(`${issuer.replace(/\/+$/, '')}/.well-known/openid-configuration`);
    const { issuer: named, jwks_uri: address } = isMap(document) ? document : {};
    if (named !== issuer) throw new Error('its discovery document names another issuer');
    if (typeof address !== 'string' || !URL.canParse(address)) throw new Error('its discovery document names no keys');
    if (issuer.startsWith('https:') && !address.startsWith('https:')) throw new Error('its keys are not at an https address');
    return address;
  }

  async #json(url: string): Promise<unknown> {
    const { http, timeoutMs } = this.#options;
    const request = { method: 'GET' as const, url, headers: { accept: 'application/json' }, timeoutMs, maxBodyBytes: MAX_BYTES };
    const { status, text } = await http.request(request, AbortSignal.timeout(timeoutMs));
    if (status !== 200) throw new Error(`it answered with ${status}`);
    try {
      return JSON.parse(text);
    } catch {
      throw new Error('it did not answer with JSON');
    }
  }
}

/** Public keys of the asymmetric kinds only: a shared secret in a key set would let everybody sign who can read it. */
function usable(document: unknown): JSONWebKeySet {
  const listed = isMap(document) && Array.isArray(document['keys']) ? document['keys'] : undefined;
  if (listed === undefined) throw new Error('it did not answer with a key set');
  const keys = listed
    .slice(0, MAX_KEYS)
    .filter(isMap)
    .filter(({ kty, use }) => (kty === 'RSA' || kty === 'EC' || kty === 'OKP') && use !== 'enc');
  return { keys: keys.map((key) => ({ ...key, kty: String(key['kty']) })) };
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
