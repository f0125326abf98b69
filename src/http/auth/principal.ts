import type { Scope } from '../../config/server.ts';
import { CodedError } from '../../errors.ts';

/** Who calls, and what they may do. */
export interface Principal {
  /** Stands in the journal as who did it. */
  readonly name: string;
  readonly kind: 'anonymous' | 'token' | 'basic' | 'signature' | 'oidc' | 'certificate';
  readonly scopes: ReadonlySet<Scope>;
  /** The only applications that it may see and act on; null for all. */
  readonly applications: ReadonlySet<string> | null;
}

/** Whoever calls while no way to know callers is configured, which is on loopback addresses only. */
export const ANONYMOUS: Principal = { name: 'anonymous', kind: 'anonymous', scopes: new Set(['admin']), applications: null };

export function principal(
  kind: Principal['kind'],
  name: string,
  { scopes, applications }: { scopes: readonly Scope[]; applications?: readonly string[] | undefined },
): Principal {
  return { kind, name, scopes: new Set(scopes), applications: applications === undefined ? null : new Set(applications) };
}

export function hasScope({ scopes }: Principal, scope: Scope): boolean {
  return scopes.has(scope) || scopes.has('admin');
}

export function mayTouch({ applications }: Principal, application: string): boolean {
  return applications === null || applications.has(application);
}

/**
 * Lets a caller go on with an application. One that is not its own is refused before anybody looks whether it exists,
 * so that the answer tells nothing about it.
 *
 * @throws CodedError `forbidden`
 */
export function admit(who: Principal, application: string): void {
  if (!mayTouch(who, application))
    throw forbidden('this caller is bound to other applications; see `applications` of its credential');
}

/** The record, when it belongs to an application of the caller. @throws CodedError `forbidden` */
export function admitted<T extends { application: string }>(who: Principal, record: T): T {
  admit(who, record.application);
  return record;
}

export function forbidden(sentence: string): CodedError {
  return new CodedError('forbidden', sentence);
}
