import { CodedError } from '../errors.ts';
import { plainEntry } from './chain.ts';
import type { JournalEntry, RecordWrite } from './port.ts';

/** Largest value of a record and largest journal entry, in bytes of JSON. */
export const MAX_RECORD_BYTES = 8 * 1_048_576;
export const MAX_ENTRY_BYTES = 256 * 1_024;
/** Most records or entries of one answer, whatever limit was asked for; most ids of one `getMany`. */
export const MAX_PAGE = 1_000;
/** Most writes of one commit. */
export const MAX_WRITES = 100;
/** All values and entries of one commit together, in characters of JSON. */
export const MAX_COMMIT_CHARACTERS = 64 * 1_048_576;

/** A write with its value as JSON text. */
export type RowWrite = Omit<RecordWrite, 'value'> & { json: string };

/**
 * The texts of a commit, measured.
 *
 * @throws CodedError `record_too_large`
 */
export function commitTexts(
  writes: readonly RecordWrite[],
  entries: readonly JournalEntry[],
): { rows: RowWrite[]; lines: string[]; characters: number } {
  const count = writes.length + entries.length;
  if (count > MAX_WRITES) {
    throw new CodedError('record_too_large', `A commit takes at most ${MAX_WRITES} writes, not ${count}. Split it.`);
  }
  const rows = writes.map(toRow);
  const lines = entries.map(entryJson);
  const characters = [...rows.map(({ json }) => json), ...lines].reduce((sum, json) => sum + json.length, 0);
  if (characters <= MAX_COMMIT_CHARACTERS) return { rows, lines, characters };
  throw new CodedError(
    'record_too_large',
    `A commit takes at most ${MAX_COMMIT_CHARACTERS} characters of JSON, not ${characters}. Split it.`,
    { details: { characters, maxCharacters: MAX_COMMIT_CHARACTERS } },
  );
}

function toRow({ kind, id, expect, createdAt, index, value }: RecordWrite): RowWrite {
  return { kind, id, expect, createdAt, index, json: toJson(value, MAX_RECORD_BYTES, `${kind} record ${id}`) };
}

function entryJson(entry: JournalEntry): string {
  return toJson(plainEntry(entry), MAX_ENTRY_BYTES, `journal entry ${entry.event} of ${entry.subject}`);
}

function toJson(value: unknown, maxBytes: number, what: string): string {
  const json = JSON.stringify(value) ?? 'null';
  // The length is a lower bound of the size, so that a hopeless text is not measured.
  const bytes = json.length > maxBytes ? json.length : Buffer.byteLength(json);
  if (bytes <= maxBytes) return json;
  throw new CodedError(
    'record_too_large',
    `The ${what} has ${bytes} bytes, the store takes ${maxBytes}. Keep less of it, for example fewer metrics or a longer interval.`,
    { details: { bytes, maxBytes } },
  );
}

/** @returns the limit as a whole number from 1 to `MAX_PAGE` */
export function pageLimit(limit: number): number {
  return Math.min(Math.max(1, Math.floor(limit)), MAX_PAGE);
}

/** @throws RangeError a caller that asks for more has to do it in pages */
export function checkIds(ids: readonly string[]): void {
  if (ids.length > MAX_PAGE) throw new RangeError(`at most ${MAX_PAGE} records are read at once, not ${ids.length}`);
}

export function conflict(write: { kind: string; id: string; expect: number }, found: number): CodedError {
  const { kind, id, expect } = write;
  return new CodedError(
    'conflict',
    `The ${kind} record ${id} has changed: version ${expect} was expected, ${found} is stored. Read it again and decide anew.`,
    { details: { kind, id, expected: expect, found } },
  );
}

export function closedStore(): CodedError {
  return new CodedError('store_unavailable', 'The store is closed. Try again when davylamp runs.', { retryable: true });
}

/** @param where the folder, or the address without credentials */
export function stateLost(where: string, what: string): CodedError {
  return new CodedError(
    'state_lost',
    `The data set in ${where} is not the one that davylamp worked with: ${what}. Nothing is written before it is accepted anew; ` +
      'put a backup in its place if there should have been data.',
    { retryable: true, details: { where } },
  );
}
