import { Value } from 'typebox/value';
import { BackupReader, EntryLine, isBackupHeader } from './backup.ts';
import { firstBreak, type ChainBreak, type ChainEnd } from './chain.ts';
import { CodedError } from '../errors.ts';
import { LineSplitter } from './lines.ts';
import { fileBytes } from './restore.ts';

/** A sink repeats entries after a crash: a repeated one must be the same as one of so many before. */
const REMEMBERED = 10_000;

export interface AuditResult {
  /** Of the first and the last entry; 0 without one. */
  first: number;
  last: number;
  lastHash: string | null;
  entries: number;
  repeated: number;
  /** The last line is not complete: it was being written, or cut off. */
  cut: boolean;
  /** The first entry that does not fit, with its line; null when the chain holds. */
  broken: (ChainBreak & { line: number }) | null;
}

/**
 * Verifies the chain of a file of the journal's sink, or of a backup, without a store. A file may begin at any number,
 * since sinks are rotated; then its first entry's `previous` is taken as it is.
 *
 * @throws CodedError `file_unreadable`, `audit_unreadable` (a line is neither), and those of reading a backup
 */
export async function auditFile(file: string): Promise<AuditResult> {
  const splitter = new LineSplitter();
  const audit = new Audit();
  let backup: BackupReader | undefined;
  let number = 0;
  for await (const chunk of fileBytes(file)) {
    for (const line of splitter.push(chunk)) {
      number += 1;
      if (backup === undefined) {
        const value = parsed(line, number);
        if (number === 1 && isBackupHeader(value)) backup = new BackupReader();
        else if (!audit.take(value, number)) return audit.result(false);
      }
      const part = backup?.read(line) ?? null;
      if (part !== null && 'entry' in part) audit.take(part.entry, number);
    }
  }
  backup?.end(splitter.unfinished);
  return audit.result(splitter.unfinished > 0);
}

class Audit {
  #end: ChainEnd | null = null;
  readonly #result: AuditResult = { first: 0, last: 0, lastHash: null, entries: 0, repeated: 0, cut: false, broken: null };
  /** Hash by number, the oldest first. */
  readonly #remembered = new Map<number, string>();

  /** @returns whether the chain holds so far */
  take(value: unknown, line: number): boolean {
    if (!Value.Check(EntryLine, value)) throw unreadable(line, 'it is not an entry of the journal');
    const { number, previous, hash } = value;
    if (this.#end !== null && number <= this.#end.number && this.#remembered.get(number) === hash) {
      const own = firstBreak([value], number === 1 ? null : { number: number - 1, hash: previous });
      if (own !== null) return this.#breaks(own, line);
      this.#result.repeated += 1;
      return true;
    }
    this.#end ??= number === 1 ? null : { number: number - 1, hash: previous };
    const broken = firstBreak([value], this.#end);
    if (broken !== null) return this.#breaks(broken, line);
    if (this.#result.first === 0) this.#result.first = number;
    this.#end = { number, hash };
    this.#remembered.set(number, hash);
    if (this.#remembered.size > REMEMBERED) this.#remembered.delete(number - REMEMBERED);
    this.#result.entries += 1;
    return true;
  }

  result(cut: boolean): AuditResult {
    return { ...this.#result, last: this.#end?.number ?? 0, lastHash: this.#end?.hash ?? null, cut };
  }

  #breaks(broken: ChainBreak, line: number): false {
    this.#result.broken = { ...broken, line };
    return false;
  }
}

function parsed(line: Buffer, number: number): unknown {
  try {
    return JSON.parse(line.toString('utf8'));
  } catch (error) {
    throw unreadable(number, 'it is not JSON', error);
  }
}

function unreadable(line: number, why: string, cause?: unknown): CodedError {
  return new CodedError('audit_unreadable', `Line ${line} cannot be verified: ${why}.`, { cause, details: { line } });
}
