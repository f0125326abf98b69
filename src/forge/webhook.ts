import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { CodedError } from '../errors.ts';
import type { ForgeEvent } from './port.ts';

/** A request of a forge's webhook; the names of headers are in lower case. */
export interface WebhookRequest {
  headers: Readonly<Record<string, string | undefined>>;
  body: Buffer;
}

const BRANCH_PREFIX = 'refs/heads/';
const LONGEST_NAME = 300;

export function hmacOf(secret: string | Buffer, body: Buffer | string, encoding: 'hex' | 'base64'): string {
  return createHmac('sha256', secret).update(body).digest(encoding);
}

/** In a time that says nothing of where they differ, nor of their lengths. */
export function sameSecret(one: string, other: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}

export function signatureWrong(): CodedError {
  return new CodedError(
    'webhook_signature_wrong',
    'the signature does not fit; set the same secret in the webhook of the forge and in webhookSecretFile',
  );
}

/**
 * The payload of a webhook whose signature fits. GitHub also sends it as the field `payload` of a form, which is the default
 * of its page.
 *
 * @throws CodedError `webhook_invalid`
 */
export function payloadOf({ headers, body }: WebhookRequest): Record<string, unknown> {
  const isForm = (headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded');
  const text = isForm ? (new URLSearchParams(body.toString('utf8')).get('payload') ?? '') : body.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CodedError('webhook_invalid', 'the body of the webhook is not JSON; choose application/json', { cause: error });
  }
  if (isRecord(value)) return value;
  throw new CodedError('webhook_invalid', 'the body of the webhook is not an object');
}

/** A text below keys, or null; foreign payloads are walked, never trusted. */
export function textAt(value: unknown, ...keys: string[]): string | null {
  let at: unknown = value;
  for (const key of keys) at = isRecord(at) && Object.hasOwn(at, key) ? at[key] : undefined;
  return typeof at === 'string' && at !== '' && at.length <= LONGEST_NAME ? at : null;
}

/** What is about another repository, or about nothing that moves a rollback, is taken and leads to nothing. */
export function eventOf(about: {
  delivery: string | undefined;
  kind: 'proposal' | 'push' | 'other';
  branch: string | null;
  /** As the payload names it; null when it does not. */
  project: string | null;
  expected: string;
}): ForgeEvent {
  const delivery = (about.delivery ?? '').slice(0, LONGEST_NAME);
  const isOurs = about.project?.toLowerCase() === about.expected.toLowerCase();
  if (!isOurs || about.branch === null) return { delivery, kind: 'other', branch: null };
  return { delivery, kind: about.kind, branch: about.branch };
}

/** Null for tags. */
export function branchOfRef(ref: string | null): string | null {
  return ref?.startsWith(BRANCH_PREFIX) === true ? ref.slice(BRANCH_PREFIX.length) : null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
