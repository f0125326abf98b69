import { createHttpClient } from '../net/client.ts';

/** An analysis or a plan is made while a command waits; a service that hangs is noticed all the same. */
const CALL_TIMEOUT_MS = 60_000;
const MAX_ANSWER_BYTES = 16_777_216;

/**
 * Sends one request of a command to a running service.
 *
 * @throws CodedError those of the HTTP client
 */
export async function callService(request: {
  method: 'GET' | 'POST';
  url: string;
  headers: Readonly<Record<string, string>>;
  body?: string;
}): Promise<{ status: number; text: string }> {
  const http = createHttpClient();
  try {
    return await http.request(
      { ...request, timeoutMs: CALL_TIMEOUT_MS, maxBodyBytes: MAX_ANSWER_BYTES },
      new AbortController().signal,
    );
  } finally {
    // An idle connection would keep the command alive.
    await http.close();
  }
}
