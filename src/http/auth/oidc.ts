import type { JWTPayload } from 'jose';
import { parseDuration } from '../../analysis/quantities.ts';
import type { Clock } from '../../clock.ts';
import type { ResolvedServer } from '../../config/server.ts';
import { CodedError } from '../../errors.ts';
import type { HttpClient } from '../../net/client.ts';
import { claimsMatch } from './claims.ts';
import { principal, type Principal } from './principal.ts';
import { SigningKeys } from './signing-keys.ts';

/** Tokens of CI systems have 1 to 2 KB. */
const MAX_TOKEN_CHARACTERS = 8_192;
const MAX_NAME = 200;
const JWT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

export type Reason =
  | 'too_large'
  | 'malformed'
  | 'unknown_issuer'
  | 'algorithm'
  | 'unknown_key'
  | 'bad_signature'
  | 'wrong_audience'
  | 'expired'
  | 'not_yet_valid'
  | 'claim_missing';

export type JwtResult = { who: Principal } | { refused: Reason } | { notGranted: string };

/** Whether a bearer token looks like a JWT (RFC 7519) in compact form. */
export function looksLikeJwt(token: string): boolean {
  return token.startsWith('ey') && JWT.test(token);
}

interface Provider {
  config: ResolvedServer['oidc'][number];
  keys: SigningKeys;
  toleranceSeconds: number;
}

/**
 * Tokens of OpenID Connect issuers. The signature is checked with the issuer's own keys only (`jku`, `x5u` and `jwk` of
 * the token's header are never followed), by algorithms of the configuration, all of them asymmetric.
 *
 * @returns a function that @throws CodedError `identity_provider_unavailable` (retryable) when it is our side that fails
 */
export function jwtLookup(
  providers: ResolvedServer['oidc'],
  { http, clock }: { http: Pick<HttpClient, 'request'>; clock: Clock },
): (token: string) => Promise<JwtResult> {
  const known = providers.map((config): Provider => ({
    config,
    keys: new SigningKeys({
      issuer: config.issuer,
      jwksUrl: config.jwksUrl,
      keysForMs: parseDuration(config.keysFor),
      timeoutMs: parseDuration(config.timeout),
      http,
      clock,
    }),
    toleranceSeconds: parseDuration(config.clockTolerance) / 1_000,
  }));
  return async (token) => {
    if (token.length > MAX_TOKEN_CHARACTERS) return { refused: 'too_large' };
    const { decodeJwt } = await import('jose');
    let issuer: string | undefined;
    try {
      issuer = decodeJwt(token).iss;
    } catch {
      return { refused: 'malformed' };
    }
    let result: JwtResult = { refused: 'unknown_issuer' };
    // Several entries may take tokens of one issuer, for other audiences.
    for (const provider of known.filter(({ config }) => config.issuer === issuer)) {
      result = await verify(token, provider, clock);
      if ('who' in result) return result;
    }
    return result;
  };
}

async function verify(token: string, { config, keys, toleranceSeconds }: Provider, clock: Clock): Promise<JwtResult> {
  const { jwtVerify, errors } = await import('jose');
  const options = {
    issuer: config.issuer,
    audience: config.audience,
    algorithms: [...config.algorithms],
    clockTolerance: toleranceSeconds,
    currentDate: new Date(clock.now()),
    requiredClaims: ['exp', 'iat'],
  };
  let payload: JWTPayload;
  try {
    const current = await keys.current();
    try {
      ({ payload } = await jwtVerify(token, current, options));
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      const newer = await keys.newer();
      if (newer === undefined) return { refused: 'unknown_key' };
      ({ payload } = await jwtVerify(token, newer, options));
    }
  } catch (error) {
    if (error instanceof CodedError) throw error;
    if (error instanceof errors.JOSEError) return { refused: reasonOf(error) };
    throw error;
  }
  const grant = config.grants.find(({ match }) => claimsMatch(payload, match));
  const name = nameOf(config, payload);
  if (grant === undefined) return { notGranted: name };
  return { who: principal('oidc', name, grant) };
}

/** The codes of jose (its documentation of `errors`). */
function reasonOf(error: { code: string; claim?: unknown }): Reason {
  switch (error.code) {
    case 'ERR_JWT_EXPIRED':
      return 'expired';
    case 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED':
      return 'bad_signature';
    case 'ERR_JOSE_ALG_NOT_ALLOWED':
      return 'algorithm';
    case 'ERR_JWKS_NO_MATCHING_KEY':
    case 'ERR_JWKS_MULTIPLE_MATCHING_KEYS':
      return 'unknown_key';
    case 'ERR_JWT_CLAIM_VALIDATION_FAILED':
      if (error.claim === 'aud') return 'wrong_audience';
      return error.claim === 'nbf' ? 'not_yet_valid' : 'claim_missing';
    default:
      return 'malformed';
  }
}

function nameOf({ name, subject }: ResolvedServer['oidc'][number], payload: JWTPayload): string {
  const value = payload[subject];
  const text = typeof value === 'string' ? value : '';
  return `${name}:${text.replaceAll(/[^\x20-\x7e]/g, '?')}`.slice(0, MAX_NAME);
}
