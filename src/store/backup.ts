import { createHash } from 'node:crypto';
import { Type, type Static, type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { CodedError } from '../errors.ts';
import { firstBreak, type ChainEnd } from './chain.ts';
import type { Archive, ArchivedPart, RecordKind } from './port.ts';

/** Version of what follows. A reader takes its own and older ones. */
const BACKUP_FORMAT = 1;

const KindName = Type.Unsafe<RecordKind>(Type.String({ pattern: '^[a-z]{1,40}$' }));
const Hash = Type.String({ pattern: '^[0-9a-f]{64}$' });
const Count = Type.Integer({ minimum: 0 });

/** First line. */
const Header = Type.Object({
  davylamp: Type.Literal('backup'),
  format: Type.Integer({ minimum: 1 }),
  /** Of the davylamp that made it. */
  version: Type.String(),
  createdAt: Type.String(),
  /** Of the data set that it was made of. */
  epoch: Type.String(),
});
export type BackupHeader = Static<typeof Header>;

const RecordLine = Type.Object({
  record: Type.Object({
    kind: KindName,
    id: Type.String({ minLength: 1 }),
    version: Type.Integer({ minimum: 1 }),
    createdAt: Type.Number(),
    index: Type.Object({
      application: Type.Optional(Type.String()),
      state: Type.Optional(Type.String()),
      open: Type.Optional(Type.Boolean()),
    }),
    value: Type.Unknown(),
  }),
});

/** A journal entry with its place in the chain; also a line of the journal's sink. */
export const EntryLine = Type.Object({
  at: Type.Number(),
  event: Type.String(),
  application: Type.String(),
  subject: Type.String(),
  code: Type.String(),
  sentence: Type.String(),
  details: Type.Record(Type.String(), Type.Unknown()),
  number: Type.Integer({ minimum: 1 }),
  previous: Hash,
  hash: Hash,
});

/** Last line; the hash covers the bytes of all lines before, newlines included. */
const Trailer = Type.Object({ trailer: Type.Object({ records: Count, entries: Count, sha256: Hash }) });

/** What a whole backup holds. */
export interface BackupFacts extends BackupHeader {
  records: number;
  entries: number;
  /** The last journal entry; null without one. */
  end: ChainEnd | null;
}

/**
 * A backup as text, page by page: header, one line a record, one line a journal entry, trailer. Nothing of it is kept in
 * memory beyond a page.
 */
export async function* writeBackup(
  archive: Archive,
  facts: { version: string; createdAt: string; epoch: string },
): AsyncGenerator<string, void, undefined> {
  const hash = createHash('sha256');
  const told = (text: string) => {
    hash.update(text);
    return text;
  };
  let records = 0;
  let entries = 0;
  const header: BackupHeader = { davylamp: 'backup', format: BACKUP_FORMAT, ...facts };
  const pages = archive.snapshot();
  try {
    // Begun before the first piece is handed out: what refuses a backup shows then.
    let page = await pages.next();
    yield told(`${JSON.stringify(header)}\n`);
    for (; page.done !== true; page = await pages.next()) {
      for (const part of page.value) {
        if ('record' in part) records += 1;
        else entries += 1;
      }
      yield told(page.value.map((part) => `${JSON.stringify(part)}\n`).join(''));
    }
  } finally {
    await pages.return();
  }
  const trailer: Static<typeof Trailer> = { trailer: { records, entries, sha256: hash.digest('hex') } };
  yield `${JSON.stringify(trailer)}\n`;
}

/** Whether a file begins as a backup does. */
export function isBackupHeader(line: unknown): line is BackupHeader {
  return Value.Check(Header, line);
}

/**
 * Reads a backup line by line and believes nothing: format, shape of every line, chain of the journal, counts, hash.
 *
 * Every method throws CodedError `backup_invalid` (with the line), `backup_truncated`, `store_newer`
 */
export class BackupReader {
  readonly #hash = createHash('sha256');
  #header: BackupHeader | undefined;
  #isComplete = false;
  #line = 0;
  #records = 0;
  #entries = 0;
  #end: ChainEnd | null = null;

  /** @returns what stands in the line; null for header and trailer */
  read(line: Buffer): ArchivedPart | null {
    this.#line += 1;
    if (this.#isComplete) throw this.#invalid('something follows the end of the backup');
    const value = this.#parsed(line);
    if (this.#header === undefined) {
      this.#header = this.#checkedHeader(value);
    } else if (Value.Check(Trailer, value)) {
      this.#finish(value.trailer);
      return null;
    }
    this.#hash.update(line).update('\n');
    return this.#line === 1 ? null : this.#part(value);
  }

  /** @param unfinished bytes that stood after the last newline */
  end(unfinished: number): BackupFacts {
    if (this.#header === undefined && unfinished === 0) throw this.#invalid('it is empty');
    if (this.#header === undefined || !this.#isComplete || unfinished > 0) {
      throw new CodedError(
        'backup_truncated',
        `The backup ends after line ${this.#line} without its last line: it was cut off. Take another one.`,
        { details: { lines: this.#line } },
      );
    }
    return { ...this.#header, records: this.#records, entries: this.#entries, end: this.#end };
  }

  #parsed(line: Buffer): unknown {
    try {
      return JSON.parse(line.toString('utf8'));
    } catch (error) {
      throw this.#invalid('it is not JSON', error);
    }
  }

  #checkedHeader(value: unknown): BackupHeader {
    if (!isBackupHeader(value)) throw this.#invalid('the first line is not that of a backup of davylamp');
    if (value.format > BACKUP_FORMAT) {
      throw new CodedError(
        'store_newer',
        `The backup was made by a newer davylamp (version ${value.version}, format ${value.format}; this one knows ` +
          `${BACKUP_FORMAT}). Restore it with that version or a later one.`,
        { details: { found: value.format, known: BACKUP_FORMAT, writtenBy: value.version } },
      );
    }
    return value;
  }

  #part(value: unknown): ArchivedPart {
    if (this.#fits(RecordLine, value)) {
      if (this.#entries > 0) throw this.#invalid('a record stands among the journal entries');
      this.#records += 1;
      return { record: value.record };
    }
    const line = value as { entry?: unknown } | null;
    if (!this.#fits(EntryLine, line?.entry)) throw this.#invalid('it is neither a record nor a journal entry');
    const entry = line.entry;
    const broken = firstBreak([entry], this.#end);
    if (broken !== null) {
      throw this.#invalid(`the chain of the journal breaks at entry number ${broken.number} (${broken.fault})`);
    }
    this.#end = { number: entry.number, hash: entry.hash };
    this.#entries += 1;
    return { entry };
  }

  #fits<S extends TSchema>(schema: S, value: unknown): value is Static<S> {
    return Value.Check(schema, value);
  }

  #finish({ records, entries, sha256 }: Static<typeof Trailer>['trailer']): void {
    if (records !== this.#records || entries !== this.#entries) {
      const held = `${this.#records} records and ${this.#entries} entries`;
      throw this.#invalid(`it holds ${held}, and says that it has ${records} and ${entries}`);
    }
    if (this.#hash.digest('hex') !== sha256) throw this.#invalid('its hash does not fit: the file was changed');
    this.#isComplete = true;
  }

  #invalid(why: string, cause?: unknown): CodedError {
    return new CodedError('backup_invalid', `Line ${this.#line} of the backup: ${why}. Nothing was restored; take another one.`, {
      cause,
      details: { line: this.#line },
    });
  }
}
