import { parseDuration } from '../analysis/quantities.ts';
import { CodedError } from '../errors.ts';
import type { HttpClient, HttpResponse } from '../net/client.ts';

const MAX_ANSWER_BYTES = 65_536;
const DEFAULT_TIMEOUT = '10s';

export interface ChannelDependencies {
  http: HttpClient;
  /** Reads a secret from its file, anew at every use, so that a rotated one is taken up. */
  readSecret: (file: string) => Promise<string>;
}

export interface Posting {
  /** POST when left out. */
  method?: 'POST' | 'PATCH';
  url: string;
  body: string;
  headers?: Readonly<Record<string, string>>;
  tokenFile?: string | undefined;
  timeout?: string | undefined;
}

/**
 * One POST of JSON.
 *
 * @throws CodedError `notice_refused` for an answer that trying again does not change, `notice_failed` (retryable) for
 *   429 and 5xx, with `details.retryAfterMs` where the channel says when; and what the HTTP client and `readSecret` throw
 */
export async function post(
  { http, readSecret }: ChannelDependencies,
  { method = 'POST', url, body, headers = {}, tokenFile, timeout }: Posting,
  signal: AbortSignal,
): Promise<HttpResponse> {
  const authorization: Record<string, string> =
    tokenFile === undefined ? {} : { authorization: `Bearer ${await readSecret(tokenFile)}` };
  const response = await http.request(
    {
      method,
      url,
      headers: { 'content-type': 'application/json', accept: 'application/json', ...headers, ...authorization },
      body,
      timeoutMs: parseDuration(timeout ?? DEFAULT_TIMEOUT),
      maxBodyBytes: MAX_ANSWER_BYTES,
    },
    signal,
  );
  const { status } = response;
  if (status >= 200 && status < 300) return response;
  const retryable = status === 429 || status === 408 || status >= 500;
  const sentence = retryable
    ? `the channel answered ${status}; it is tried again`
    : `the channel answered ${status}; check its address, its token and what the token may do`;
  const retryAfterMs = retryAfterIn(response);
  const details = { status, ...(retryable && retryAfterMs !== null && { retryAfterMs }) };
  throw new CodedError(retryable ? 'notice_failed' : 'notice_refused', sentence, { retryable, details });
}

/** Slack, Discord and PagerDuty say in seconds when a limit is over (RFC 9110, Retry-After). */
function retryAfterIn({ headers }: HttpResponse): number | null {
  const value = headers['retry-after'];
  const seconds = Number(Array.isArray(value) ? value[0] : (value ?? ''));
  return value !== undefined && Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : null;
}
