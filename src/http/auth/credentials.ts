import type { FastifyRequest } from 'fastify';
import type { Clock } from '../../clock.ts';
import { CodedError } from '../../errors.ts';
import type { Callers } from '../dependencies.ts';
import { certificateLookup } from './certificates.ts';
import { jwtLookup, looksLikeJwt } from './oidc.ts';
import { forbidden, type Principal } from './principal.ts';
import type { Replays } from './replays.ts';
import { passwordLookup, tokenLookup, type TokenConfig } from './secrets.ts';
import { Signers, readSigned, saysSigned, type Signed } from './signature.ts';

export type CredentialKind = 'none' | 'token' | 'basic' | 'oidc' | 'signature' | 'certificate';

/** A credential that does not hold: what is counted, and what the caller is told. */
export interface Refusal {
  kind: CredentialKind;
  reason: string;
  sentence: string;
}

/**
 * `signed`: the signature covers the body, so the caller is known when that has come. `message`: what was signed, which is
 * to be taken once.
 */
export type Outcome = { who: Principal; message?: string } | { signed: Signed } | { refusal: Refusal } | { error: CodedError };

const BEARER = /^bearer +([\x21-\x7e]+)$/i;
const BASIC = /^basic +([A-Za-z0-9+/]+={0,2})$/i;
const MAX_HEADER = 9_000;

/**
 * The ways to know a caller, in this order: the header Authorization, the signature of a webhook, the certificate of
 * the connection. A credential that is sent and does not hold is refused, whatever else the request has.
 */
export class Credentials {
  /** Whether there is any; without one davylamp listens on loopback only. */
  readonly configured: boolean;
  readonly #tokens: (token: string) => Principal | undefined;
  readonly #passwords: (user: string, password: string) => Principal | undefined;
  readonly #jwts: ReturnType<typeof jwtLookup> | undefined;
  readonly #signers: Signers | undefined;
  readonly #certificates: ReturnType<typeof certificateLookup>;
  readonly #replays: Replays | undefined;
  readonly #clock: Clock;

  constructor(tokens: readonly TokenConfig[], callers: Callers | undefined, clock: Clock) {
    const { basic = [], signers = [], oidc = [], clients = [] } = callers ?? {};
    this.configured = tokens.length + basic.length + signers.length + oidc.length + clients.length > 0;
    this.#tokens = tokenLookup(tokens);
    this.#passwords = passwordLookup(basic);
    if (callers !== undefined && oidc.length > 0) this.#jwts = jwtLookup(oidc, { http: callers.http, clock });
    if (callers !== undefined && signers.length > 0)
      this.#signers = new Signers(signers, { readSecret: callers.readSecret, clock });
    this.#certificates = certificateLookup(clients);
    this.#replays = callers?.replays;
    this.#clock = clock;
  }

  /** Answers at once but for tokens of an issuer: most requests take no turn of the event loop for it. */
  look({ headers, raw }: FastifyRequest, takesSignatures: boolean): Outcome | Promise<Outcome> {
    const { authorization } = headers;
    if (authorization !== undefined) return this.#authorization(authorization);
    if (takesSignatures && this.#signers !== undefined && saysSigned(headers)) {
      const signed = readSigned(headers, this.#clock.now());
      return 'reason' in signed ? refused('signature', signed.reason) : { signed };
    }
    const found = this.#certificates(raw.socket);
    if (found === 'none') return refused('none', 'missing');
    return found === 'unknown' ? refused('certificate', 'unknown') : { who: found };
  }

  /**
   * Who signed a body. A message that was taken before, with the same id and time, is refused: who sends it again does
   * so with a new time (and has to sign it anew).
   */
  async checkSigned(signed: Signed, body: string): Promise<Outcome> {
    const who = await this.#signers?.whoSigned(signed, body);
    if (who === undefined) return refused('signature', 'unknown');
    if (this.#replays === undefined) return { who };
    const message = `${who.name} ${signed.timestamp} ${signed.id}`;
    return (await this.#replays.begin(message)) ? { who, message } : { error: replayed() };
  }

  /**
   * Ends what `checkSigned` began for a message.
   *
   * @returns false when it was taken meanwhile, by another process. @throws what the store throws
   */
  async endMessage(message: string, isFinal: boolean): Promise<boolean> {
    return this.#replays === undefined || this.#replays.end(message, isFinal);
  }

  #authorization(header: string): Outcome | Promise<Outcome> {
    if (header.length > MAX_HEADER) return refused('token', 'too_large');
    const bearer = BEARER.exec(header)?.[1];
    if (bearer !== undefined) {
      const who = this.#tokens(bearer);
      if (who !== undefined) return { who };
      return this.#jwts !== undefined && looksLikeJwt(bearer) ? this.#jwt(this.#jwts, bearer) : refused('token', 'unknown');
    }
    const encoded = BASIC.exec(header)?.[1];
    if (encoded === undefined) return refused('token', 'malformed');
    const pair = Buffer.from(encoded, 'base64').toString('utf8');
    const colon = pair.indexOf(':');
    const who = colon < 0 ? undefined : this.#passwords(pair.slice(0, colon), pair.slice(colon + 1));
    return who === undefined ? refused('basic', 'unknown') : { who };
  }

  async #jwt(lookup: ReturnType<typeof jwtLookup>, token: string): Promise<Outcome> {
    const result = await lookup(token);
    if ('who' in result) return result;
    if ('refused' in result) return refused('oidc', result.refused);
    return { error: forbidden('the token is genuine, and no entry of `grants` of its issuer matches its claims') };
  }
}

export function replayed(): CodedError {
  return new CodedError('webhook_replayed', 'this message was taken before; sign it anew, with a new time, to send it again');
}

const SENTENCES: Readonly<Record<CredentialKind, string>> = {
  none: 'send a credential, for example the header "Authorization: Bearer TOKEN" with a token of server.tokens',
  token: 'the token is not known; check the header Authorization and server.tokens',
  basic: 'the user name or the password is not known; check server.basic',
  oidc: 'the token of the issuer is not accepted',
  signature: 'the signature of the message is not accepted; check the secret, the clock and server.signers',
  certificate: 'the client certificate stands for nobody; check server.clients',
};

/** What is wrong with a token of an issuer helps its owner, and nobody who made it up. */
function refused(kind: CredentialKind, reason: string): { refusal: Refusal } {
  const sentence = kind === 'oidc' ? `${SENTENCES.oidc}: ${reason.replaceAll('_', ' ')}` : SENTENCES[kind];
  return { refusal: { kind, reason, sentence } };
}
