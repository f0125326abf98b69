/**
 * The one error class that crosses rooms.
 *
 * `code` is stable and documented (docs/reference/errors.md), `message` says what to do, `retryable` tells the queue
 * whether the same call may succeed later. Everything else is a bug and is thrown as it is.
 */
export class CodedError extends Error {
  override readonly name = 'CodedError';
  readonly code: string;
  readonly retryable: boolean;
  /** Structured facts for the log and for API answers; never a credential, never a raw label value. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: string,
    message: string,
    options: { retryable?: boolean; cause?: unknown; details?: Record<string, unknown> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.details = options.details ?? {};
  }
}

/** The sentence for a person, whatever was thrown. */
export function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The stable code of an error; `internal` for anything that is not coded. */
export function codeOf(error: unknown): string {
  return error instanceof CodedError ? error.code : 'internal';
}
