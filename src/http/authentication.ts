import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { CodedError } from '../errors.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Name of the token, for the journal; `anonymous` where no token is configured. */
    who: string;
  }
  interface FastifyContextConfig {
    /** Answers without a token: health checks only. */
    open?: boolean;
    /** Called by machines every few seconds: logged at debug. */
    frequent?: boolean;
    /** Stays open on purpose: left out of the durations. */
    stream?: boolean;
  }
}

const MAX_TOKEN_CHARACTERS = 4_096;
const ANONYMOUS = 'anonymous';
const LOOPBACK = /^(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?$/;

/**
 * With tokens, every route but the open ones needs one (RFC 6750, header only). Without tokens davylamp listens on
 * loopback only, where a web page in a local browser is the one stranger: it is refused by its Origin, and by the Host
 * that it must name when it was rebound to this address.
 */
export function authenticate(app: FastifyInstance, tokens: readonly { name: string; sha256: string }[]): void {
  const known = tokens.map(({ name, sha256 }) => ({ name, digest: Buffer.from(sha256, 'hex') }));
  app.decorateRequest('who', ANONYMOUS);
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.routeOptions.config.open === true) {
      done();
      return;
    }
    if (known.length === 0) {
      done(isFromHere(request) ? undefined : originRefused());
      return;
    }
    const name = nameOf(request.headers.authorization, known);
    if (name !== undefined) request.who = name;
    done(name === undefined ? unauthenticated(request.headers.authorization !== undefined) : undefined);
  });
}

/** Every token is compared, so that the time does not tell which one was near. */
function nameOf(header: string | undefined, known: readonly { name: string; digest: Buffer }[]): string | undefined {
  if (header === undefined || header.length > MAX_TOKEN_CHARACTERS) return undefined;
  const token = /^bearer +([\x21-\x7e]+)$/i.exec(header)?.[1];
  if (token === undefined) return undefined;
  const digest = createHash('sha256').update(token).digest();
  let found: string | undefined;
  for (const candidate of known) {
    if (timingSafeEqual(candidate.digest, digest)) found = candidate.name;
  }
  return found;
}

function isFromHere(request: FastifyRequest): boolean {
  const { host, origin } = request.headers;
  if (host !== undefined && !LOOPBACK.test(host)) return false;
  return origin === undefined || origin === `http://${host}`;
}

function originRefused(): CodedError {
  return new CodedError(
    'origin_refused',
    'without tokens davylamp answers only requests to a loopback name and from its own pages; configure server.tokens to open it',
  );
}

function unauthenticated(tried: boolean): CodedError {
  const sentence = tried
    ? 'the token is not known; check the header Authorization and server.tokens'
    : 'send the header "Authorization: Bearer TOKEN" with a token of server.tokens';
  return new CodedError('unauthenticated', sentence);
}
