/**
 * The one HTTP client of the project: every call has a time-out and a bounded body, no redirect is followed, and
 * errors carry no credentials. Nothing else may import undici or use fetch (a lint rule).
 */
export interface HttpRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  url: string;
  headers?: Readonly<Record<string, string>>;
  body?: string;
  /** Milliseconds for the whole call, body included. */
  timeoutMs: number;
  /** Bytes; a larger body ends the call with `body_too_large`. */
  maxBodyBytes: number;
}

export interface HttpResponse {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The body as UTF-8. */
  text: string;
}

export interface HttpClient {
  /**
   * Resolves for every status; rejects when there is no answer.
   * @throws CodedError (retryable) `connect_failed`, `timeout`, `connection_lost`; (not retryable) `body_too_large`
   */
  request(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse>;
  close(): Promise<void>;
}
