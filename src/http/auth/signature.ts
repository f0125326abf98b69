import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { ResolvedServer } from '../../config/server.ts';
import type { Clock } from '../../clock.ts';
import { CodedError } from '../../errors.ts';
import { principal, type Principal } from './principal.ts';

/** A message whose time is further off than this, either way, is refused. */
export const SIGNATURE_WINDOW_SECONDS = 300;
const MAX_SIGNATURES = 10;
const MIN_SECRET_BYTES = 24;
const SECRETS_FOR_MS = 30_000;
const ID = /^[\x21-\x7e]{1,200}$/;

/** The three headers of a signed message, taken apart. */
export interface Signed {
  id: string;
  timestamp: string;
  signatures: readonly Buffer[];
}

export type Refused = { reason: 'malformed' | 'stale' | 'unknown' };

/** Whether a request says that it is signed. */
export function saysSigned(headers: IncomingHttpHeaders): boolean {
  return headers['webhook-signature'] !== undefined;
}

/**
 * Reads the headers of Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks, "Signature scheme"):
 * webhook-id, webhook-timestamp in seconds, and webhook-signature, a list of `v1,BASE64` with spaces between. Other
 * versions of signatures are left out, as the specification asks.
 */
export function readSigned(headers: IncomingHttpHeaders, now: number): Signed | Refused {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature } = headers;
  if (typeof id !== 'string' || typeof timestamp !== 'string' || typeof signature !== 'string') return { reason: 'malformed' };
  if (!ID.test(id) || !/^[0-9]{1,12}$/.test(timestamp)) return { reason: 'malformed' };
  if (Math.abs(now / 1_000 - Number(timestamp)) > SIGNATURE_WINDOW_SECONDS) return { reason: 'stale' };
  const signatures = signature
    .split(' ', MAX_SIGNATURES)
    .map((entry) => /^v1,([A-Za-z0-9+/]{43}=)$/.exec(entry)?.[1])
    .filter((text) => text !== undefined)
    .map((text) => Buffer.from(text, 'base64'));
  return signatures.length === 0 ? { reason: 'malformed' } : { id, timestamp, signatures };
}

/** The senders that sign, with their secrets, which are read anew every half minute so that a rotation needs no restart. */
export class Signers {
  readonly #signers: readonly { who: Principal; files: readonly string[]; key: string }[];
  readonly #readSecret: (file: string, key: string) => Promise<string>;
  readonly #clock: Clock;
  #secrets: { at: number; known: Promise<{ who: Principal; secret: Buffer }[]> } | undefined;

  constructor(
    signers: ResolvedServer['signers'],
    { readSecret, clock }: { readSecret: (file: string, key: string) => Promise<string>; clock: Clock },
  ) {
    this.#signers = signers.map(({ name, secretFiles, applications }, at) => ({
      who: principal('signature', name, { scopes: ['webhooks'], applications }),
      files: secretFiles,
      key: `server.signers.${at}.secretFiles`,
    }));
    this.#readSecret = readSecret;
    this.#clock = clock;
  }

  /**
   * @param body the body as it came; the signature covers its bytes
   * @throws CodedError `secret_unreadable`, `secret_invalid` (both retryable): our own fault, so never a 401
   */
  async whoSigned({ id, timestamp, signatures }: Signed, body: string): Promise<Principal | undefined> {
    let found: Principal | undefined;
    for (const { who, secret } of await this.#known()) {
      const expected = createHmac('sha256', secret).update(`${id}.${timestamp}.`).update(body, 'utf8').digest();
      for (const signature of signatures) if (timingSafeEqual(expected, signature)) found = who;
    }
    return found;
  }

  async #known(): Promise<{ who: Principal; secret: Buffer }[]> {
    const now = this.#clock.now();
    const fresh = this.#secrets !== undefined && Math.abs(now - this.#secrets.at) < SECRETS_FOR_MS;
    if (this.#secrets === undefined || !fresh) this.#secrets = { at: now, known: this.#read() };
    const { known } = this.#secrets;
    try {
      return await known;
    } catch (error) {
      // The next message reads again: the file may be there by then.
      if (this.#secrets.known === known) this.#secrets = undefined;
      throw error;
    }
  }

  async #read(): Promise<{ who: Principal; secret: Buffer }[]> {
    const read = this.#signers.flatMap(({ who, files, key }) =>
      files.map(async (file) => ({ who, secret: secretBytes(await this.#readSecret(file, key), key) })),
    );
    return Promise.all(read);
  }
}

/** `whsec_` and base64, as the specification serialises secrets; anything else is taken as it is. */
function secretBytes(text: string, key: string): Buffer {
  const encoded = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text.trim())?.[1];
  const secret = encoded === undefined ? Buffer.from(text, 'utf8') : Buffer.from(encoded, 'base64');
  if (secret.length >= MIN_SECRET_BYTES) return secret;
  throw new CodedError(
    'secret_invalid',
    `${key}: the secret has less than ${MIN_SECRET_BYTES} bytes; make one with openssl rand -base64 32`,
    {
      retryable: true,
    },
  );
}
