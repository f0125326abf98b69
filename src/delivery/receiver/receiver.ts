import { createHmac } from 'node:crypto';
import { parseDuration } from '../../analysis/quantities.ts';
import { CodedError, codeOf } from '../../errors.ts';
import type { HttpClient, HttpResponse } from '../../net/client.ts';
import type { FluxReceiver } from './schema.ts';

const DEFAULT_TIMEOUT = '5s';
const MAX_ANSWER_BYTES = 65_536;
const UNREACHABLE: ReadonlySet<string> = new Set(['connect_failed', 'timeout', 'connection_lost']);

export interface ReceiverDependencies {
  http: Pick<HttpClient, 'request'>;
  /** Reads a secret from its file, anew at every use, so that a rotated one is taken up. */
  readSecret: (file: string) => Promise<string>;
}

/**
 * Asks a Receiver of Flux to reconcile what it lists. Of type `generic` its address is the secret; of type `generic-hmac` the
 * body is signed as well (fluxcd/notification-controller, internal/server/receiver_handlers.go: X-Signature; 400 for a wrong
 * one, 404 for an unknown path, 503 while it is suspended or not ready). No error and no log shows the address.
 *
 * @throws CodedError `delivery_unreachable`, `delivery_failed` (retryable), `delivery_refused`, `delivery_invalid`,
 *   `secret_unreadable`
 */
export async function callReceiver(
  { urlFile, secretFile, timeout }: FluxReceiver,
  commit: string,
  { http, readSecret }: ReceiverDependencies,
  signal: AbortSignal,
): Promise<void> {
  const url = addressOf(await readSecret(urlFile));
  const body = JSON.stringify({ commit });
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (secretFile !== undefined) {
    headers['x-signature'] = `sha256=${createHmac('sha256', await readSecret(secretFile))
      .update(body)
      .digest('hex')}`;
  }
  const timeoutMs = parseDuration(timeout ?? DEFAULT_TIMEOUT);
  let answer: HttpResponse;
  try {
    answer = await http.request(
      { method: 'POST', url: url.href, headers, body, timeoutMs, maxBodyBytes: MAX_ANSWER_BYTES },
      signal,
    );
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof CodedError) || !UNREACHABLE.has(error.code)) throw error;
    throw new CodedError('delivery_unreachable', `the Receiver of Flux at ${url.host} cannot be reached (${error.code})`, {
      retryable: true,
      details: { host: url.host, reason: codeOf(error) },
    });
  }
  demandDone(answer.status, url.host);
}

function addressOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && (url.protocol === 'https:' || url.protocol === 'http:') && url.username === '' && url.password === '') {
    return url;
  }
  throw new CodedError(
    'delivery_invalid',
    'the file of urlFile holds no address of a Receiver; write for example https://flux.example/hook/… with its status.webhookPath',
  );
}

function demandDone(status: number, host: string): void {
  if (status >= 200 && status < 300) return;
  const details = { host, status };
  if (status >= 500 || status === 408 || status === 429) {
    const sentence = `the Receiver of Flux at ${host} answered ${status}; it is asked again, see whether it is suspended or not ready`;
    throw new CodedError('delivery_failed', sentence, { retryable: true, details });
  }
  const hint =
    status === 400
      ? '; check that secretFile holds its token, and that its type is generic or generic-hmac'
      : status === 404
        ? '; check the path in urlFile against status.webhookPath, which changes with the token'
        : '; check the address in urlFile';
  throw new CodedError('delivery_refused', `the Receiver of Flux at ${host} refused with ${status}${hint}`, { details });
}
