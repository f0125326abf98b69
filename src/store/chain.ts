import { createHash } from 'node:crypto';
import type { ChainedEntry, JournalEntry } from './port.ts';

/** `previous` of the first entry. */
export const FIRST_PREVIOUS = '0'.repeat(64);

/** What the next entry is chained to. */
export type ChainEnd = Pick<ChainedEntry, 'number' | 'hash'>;

/**
 * JSON with sorted keys and no white space, so that equal values give equal bytes (RFC 8785; numbers and strings as
 * JSON.stringify writes them, keys by UTF-16 code units). Hashes what JSON would store: undefined members are left out.
 */
export function canonicalJson(value: unknown): string {
  return canonical(JSON.parse(JSON.stringify(value) ?? 'null'));
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`);
  return `{${members.join(',')}}`;
}

/** The seven fields of the entry itself, whatever else the object carries. */
export function plainEntry(entry: JournalEntry): JournalEntry {
  const { at, event, application, subject, code, sentence, details } = entry;
  return { at, event, application, subject, code, sentence, details };
}

/** @returns SHA-256, 64 hex digits, over the canonical JSON of `{ number, previous, entry }` */
export function chainHash(number: number, previous: string, entry: JournalEntry): string {
  return createHash('sha256')
    .update(canonicalJson({ number, previous, entry: plainEntry(entry) }))
    .digest('hex');
}

/** The entry as the next link after `end`; null for the first one. */
export function link(entry: JournalEntry, end: ChainEnd | null): ChainedEntry {
  const number = (end?.number ?? 0) + 1;
  const previous = end?.hash ?? FIRST_PREVIOUS;
  return { ...plainEntry(entry), number, previous, hash: chainHash(number, previous, entry) };
}

export interface ChainBreak {
  /** Number that stands in the first entry that does not fit. */
  number: number;
  /** number: an entry is missing or doubled; previous: it does not follow the one before; hash: its content was changed. */
  fault: 'number' | 'previous' | 'hash';
}

/**
 * Checks entries, oldest first, page by page: `after` is the last entry of the page before, null at the beginning.
 * An end that was cut off cannot be seen from the entries alone; compare the last hash with one that was kept elsewhere.
 *
 * @returns the first entry that breaks the chain; null when all fit
 */
export function firstBreak(entries: Iterable<ChainedEntry>, after: ChainEnd | null): ChainBreak | null {
  let end = after;
  for (const entry of entries) {
    const { number } = entry;
    if (number !== (end?.number ?? 0) + 1) return { number, fault: 'number' };
    if (entry.previous !== (end?.hash ?? FIRST_PREVIOUS)) return { number, fault: 'previous' };
    if (entry.hash !== chainHash(number, entry.previous, entry)) return { number, fault: 'hash' };
    end = entry;
  }
  return null;
}
