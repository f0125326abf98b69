import { createHash, hash, timingSafeEqual } from 'node:crypto';
import type { ResolvedServer } from '../../config/server.ts';
import { principal, type Principal } from './principal.ts';

const MAX_SECRET_CHARACTERS = 4_096;

type ConfiguredToken = ResolvedServer['tokens'][number];
export type TokenConfig = Omit<ConfiguredToken, 'scopes'> & Partial<Pick<ConfiguredToken, 'scopes'>>;

/** A token of a configuration that names no scopes: everything but administration. */
const SCOPES_OF_OLD = ['analyses:read', 'analyses:write', 'rollbacks:write', 'rollbacks:approve', 'webhooks'] as const;

interface Known {
  principal: Principal;
  digest: Buffer;
}

/** Who a bearer token stands for, by the SHA-256 of the tokens. */
export function tokenLookup(tokens: readonly TokenConfig[]): (token: string) => Principal | undefined {
  const known = tokens.flatMap(({ name, sha256: one, sha256s, scopes = SCOPES_OF_OLD, applications }): Known[] => {
    const who = principal('token', name, { scopes, applications });
    return digestsOf(one, sha256s).map((digest) => ({ principal: who, digest }));
  });
  return (token) => (token.length > MAX_SECRET_CHARACTERS ? undefined : find(known, sha256(token)));
}

/** Who a user name and a password stand for (RFC 7617). A user that does not exist takes as long as one that does. */
export function passwordLookup(users: ResolvedServer['basic']): (user: string, password: string) => Principal | undefined {
  const known = users.flatMap(({ name, username, scopes, applications, passwordSha256, passwordSha256s }): Known[] => {
    const who = principal('basic', name, { scopes, applications });
    return digestsOf(passwordSha256, passwordSha256s).map((digest) => ({ principal: who, digest: pair(username, digest) }));
  });
  return (user, password) =>
    user.length + password.length > MAX_SECRET_CHARACTERS ? undefined : find(known, pair(user, sha256(password)));
}

function digestsOf(one: string | undefined, several: readonly string[] = []): Buffer[] {
  return [...(one === undefined ? [] : [one]), ...several].map((hex) => Buffer.from(hex, 'hex'));
}

/** Every candidate is compared, so that the time does not tell which one was near. */
function find(known: readonly Known[], digest: Buffer): Principal | undefined {
  let found: Principal | undefined;
  for (const candidate of known) {
    if (timingSafeEqual(candidate.digest, digest)) found = candidate.principal;
  }
  return found;
}

/** One digest of a user and a password: both are compared at once, and neither is told by the time. */
function pair(user: string, passwordDigest: Buffer): Buffer {
  return createHash('sha256').update(sha256(user)).update(passwordDigest).digest();
}

function sha256(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
