import { CodedError, sentenceOf } from '../../errors.ts';
import type { OperationName, Operations } from './port.ts';

/** What crosses between the main thread and the thread of the database. */
export interface ThreadStart {
  folder: string;
  /** Milliseconds since the epoch. */
  now: number;
  /** Version of davylamp; stands in the file for the one that finds it too new. */
  version: string;
  /** Whether a data set that a restore has not finished may be opened: by that restore. */
  restoring: boolean;
  /** Every commit takes so much longer, as on a slow disk; for the bench. */
  commitDelayMs: number;
}
export interface Opened {
  epoch: string;
  recoveredJobs: number;
}
export type Request = { [Name in OperationName]: { name: Name; input: Operations[Name]['input'] } }[OperationName];
export type ToThread = { batch: Request[] } | { close: true };
/** `lost`: the file is no longer where it was opened; the thread is of no use from then on. */
export type FromThread = { opened: Opened } | { refused: Failure } | { replies: Reply[] } | { lost: Failure };
/** One for each request of the batch, in its order. */
export type Reply = { output: unknown } | { failure: Failure };

/** An error as plain data: classes and their fields do not survive the way between threads. */
export interface Failure {
  sentence: string;
  coded: { code: string; retryable: boolean; details: Readonly<Record<string, unknown>>; cause: string | null } | null;
  stack: string | null;
}

export function toFailure(error: unknown): Failure {
  const sentence = sentenceOf(error);
  if (!(error instanceof CodedError))
    return { sentence, coded: null, stack: error instanceof Error ? (error.stack ?? null) : null };
  const { code, retryable, details, cause } = error;
  return { sentence, coded: { code, retryable, details, cause: cause === undefined ? null : sentenceOf(cause) }, stack: null };
}

export function fromFailure({ sentence, coded, stack }: Failure): Error {
  if (coded === null) return new Error(`The thread of the database failed: ${sentence}`, { cause: stack });
  const { code, retryable, details, cause } = coded;
  return new CodedError(code, sentence, { retryable, details, ...(cause === null ? {} : { cause }) });
}
