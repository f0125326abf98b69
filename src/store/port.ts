/** Port of the durable store: versioned records, a hash-chained journal. */
export type RecordKind =
  | 'analysis'
  | 'measurements'
  | 'rollback'
  | 'idempotency'
  /** One accepted webhook, until its job has acted on it. */
  | 'webhook'
  /** One alert by its key (fingerprint, start, status): what it led to. */
  | 'alert'
  /** A revision of an application that was seen live, and when. */
  | 'sighting'
  /** What is known of one revision of an application: the ledger. */
  | 'revision'
  /** What was told of one incident, and to whom. */
  | 'notice'
  /** A kill switch that somebody has set. */
  | 'switch'
  /** Facts about the data set itself, for example that it was reconciled. */
  | 'state';

/** What is searched by; kept beside the value so that an adapter can index it without knowing the value. */
export interface RecordIndex {
  application?: string;
  /** Phase of an analysis, state of a rollback. */
  state?: string;
  /** Whether work on it goes on; open records are driven again after a restart. */
  open?: boolean;
}

export interface StoredRecord {
  kind: RecordKind;
  id: string;
  /** 1 at the first write; every write raises it by one. */
  version: number;
  /** Milliseconds since the epoch; listings are newest first by it. */
  createdAt: number;
  index: RecordIndex;
  /** Plain JSON. */
  value: unknown;
}

export interface RecordWrite {
  kind: RecordKind;
  id: string;
  /** The version that was read; 0 for "must not exist yet". */
  expect: number;
  createdAt: number;
  index: RecordIndex;
  value: unknown;
}

export interface JournalEntry {
  /** Milliseconds since the epoch. */
  at: number;
  /** What was decided, for example `rollback.planned`, `rollback.held`, `analysis.ended`. */
  event: string;
  application: string;
  /** Id of the analysis or rollback that it belongs to. */
  subject: string;
  /** Machine-readable reason. */
  code: string;
  sentence: string;
  /** Plain JSON; no credentials, no raw log lines. */
  details: Record<string, unknown>;
}

/** How far the data can be trusted right now; stands on /readyz and in metrics. */
export interface StoreCondition {
  /** Whether davylamp may work with it at all. */
  ok: boolean;
  /** `ok`, `store_unavailable`, `state_lost`, `not_durable` (works, by consent, without an append-only file), … */
  code: string;
  sentence: string;
}

/** `hash` covers the entry, its number and the hash of the one before; the first one's `previous` is 64 zeros. */
export type ChainedEntry = JournalEntry & { number: number; previous: string; hash: string };

export interface Store {
  get(kind: RecordKind, id: string): Promise<StoredRecord | undefined>;
  /** In the order of the ids, at most 1,000 of them, in one round trip. */
  getMany(kind: RecordKind, ids: readonly string[]): Promise<(StoredRecord | undefined)[]>;
  /**
   * All writes and journal entries or none, durable when it resolves: a decision that lost against another one leaves
   * no trace in the journal.
   * @returns the entries as they were chained
   * @throws CodedError `conflict` (not retryable: read again and decide anew), `store_unavailable` (retryable),
   *   `state_lost` (retryable: the data set is not the one that this process knew; nothing was written)
   */
  commit(writes: readonly RecordWrite[], entries?: readonly JournalEntry[]): Promise<ChainedEntry[]>;
  /** Newest first; `before` is the cursor that the last page returned. */
  list(
    kind: RecordKind,
    query: { application?: string; state?: string; open?: boolean; since?: number; before?: string; limit: number },
  ): Promise<{ records: StoredRecord[]; next: string | null }>;
  /** Appends atomically with the chain, durable when it resolves. An entry with the same `event` and `subject` and `code` may repeat. */
  append(entry: JournalEntry): Promise<ChainedEntry>;
  /** Entries with `number > after`, oldest first. */
  journal(query: { after?: number; subject?: string; limit: number }): Promise<ChainedEntry[]>;
  /**
   * Identity of the data set, made when it was empty. A process that reads it accepts the data set as the one it works
   * with from then on: after `state_lost` it is read again, and reconciled before anything is rolled back.
   */
  epoch(): Promise<string>;
  /** Never rejects. */
  condition(): Promise<StoreCondition>;
  /**
   * Removes the oldest closed records (`index.open` is not true) of a kind that were created before `before`.
   * @returns how many went, at most `limit`
   */
  prune(kind: RecordKind, query: { before: number; limit: number }): Promise<number>;
  close(): Promise<void>;
}

/** One thing of a data set, as it stands in a backup. */
export type ArchivedPart = { record: StoredRecord } | { entry: ChainedEntry };

/** Takes a whole data set out of a place and puts it into another one; every adapter has it beside its store. */
export interface Archive {
  /** Whether there is neither a record nor a journal entry. */
  isEmpty(): Promise<boolean>;
  /**
   * Every record, then every journal entry, oldest first, all as they were at one moment, page by page while the store
   * goes on working. A reader that stops early releases it.
   * @throws CodedError `backup_running` (retryable: there is one at a time), `backup_interrupted`, `store_unavailable`
   */
  snapshot(): AsyncGenerator<readonly ArchivedPart[], void, undefined>;
  /**
   * Writes parts as they are, versions and hashes included, into a place that was empty before the first call. Until
   * `finish`, nothing opens the place as a store: `restore_incomplete`.
   */
  load(parts: readonly ArchivedPart[]): Promise<void>;
  /** Everything is loaded: it is a data set with an epoch of its own from now on. */
  finish(): Promise<void>;
}
