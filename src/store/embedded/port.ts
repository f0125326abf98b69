/**
 * What the one embedded database does for the store and for the queue: the messages between the main thread and the
 * thread that holds the file. Values cross as JSON text: the main thread has to measure them anyway, and a string is
 * the cheapest thing to hand to another thread.
 */
import type { Job } from '../../queue/port.ts';
import type { ChainedEntry, RecordIndex, RecordKind } from '../port.ts';
import type { Position } from '../cursor.ts';
import type { RowWrite } from '../limits.ts';

/** A record with its value as JSON text. */
export interface RecordRow {
  kind: RecordKind;
  id: string;
  version: number;
  createdAt: number;
  index: RecordIndex;
  json: string;
}

export interface ListInput {
  kind: RecordKind;
  application?: string;
  state?: string;
  open?: boolean;
  since?: number;
  before?: Position;
  limit: number;
  /** A page ends early when its values reach this many characters. */
  maxCharacters: number;
}

/** A job that was handed out; `claim` tells this run of it from an earlier one whose end is told late. */
export interface ClaimedJob {
  key: string;
  notBefore: number;
  attempt: number;
  claim: number;
}

/** How a run ended. `release`: it did not start, nothing about the job changes. */
export type JobEnd = { as: 'done' } | { as: 'again'; at: number } | { as: 'retry'; at: number } | { as: 'release' };

type JobKind = Job['kind'];
export type JobCounts = Record<JobKind, { waiting: number; running: number }>;

/** Every operation with what goes in and what comes out. */
export interface Operations {
  'record.get': { input: { kind: RecordKind; id: string }; output: RecordRow | undefined };
  'record.getMany': { input: { kind: RecordKind; ids: readonly string[] }; output: (RecordRow | undefined)[] };
  /** `entries`: journal entries as JSON, appended in the same transaction; `epoch`: the data set that is written to. */
  'record.commit': { input: { writes: RowWrite[]; entries: string[]; epoch: string }; output: ChainedEntry[] };
  /** How many records of the kind went. */
  'record.prune': { input: { kind: RecordKind; before: number; limit: number }; output: number };
  'record.list': { input: ListInput; output: { rows: RecordRow[]; more: boolean } };
  'store.epoch': { input: null; output: string };
  'journal.read': { input: { after: number; subject?: string; limit: number }; output: ChainedEntry[] };
  'job.enqueue': { input: { kind: JobKind; key: string; notBefore: number }; output: undefined };
  /** `holding`: the claims that are known to run, when an answer was lost; every other one is due again. */
  'job.claim': {
    input: { kind: JobKind; now: number; limit: number; holding: number[] | null };
    output: { jobs: ClaimedJob[]; next: number | null };
  };
  'job.settle': { input: { kind: JobKind; key: string; claim: number; end: JobEnd }; output: undefined };
  'job.counts': { input: null; output: JobCounts };
  /** When the oldest waiting job of each kind is due, milliseconds since the epoch; no key for a kind without one. */
  'job.oldest': { input: null; output: Partial<Record<JobKind, number>> };
  'archive.isEmpty': { input: null; output: boolean };
  /** Begins a snapshot at `now`, milliseconds since the epoch; `end` is the number of the last journal entry. */
  'archive.begin': { input: { now: number }; output: { session: string; end: number } };
  /** The next records of the snapshot; none when all were read. */
  'archive.records': { input: { session: string; now: number; limit: number; maxCharacters: number }; output: RecordRow[] };
  'archive.end': { input: { session: string }; output: undefined };
  'archive.load': { input: { rows: RecordRow[]; entries: ChainedEntry[] }; output: undefined };
  'archive.finish': { input: null; output: undefined };
}

export type OperationName = keyof Operations;

/** The main thread's end of the embedded database. */
export interface EmbeddedDatabase {
  /** Absolute. */
  readonly folder: string;
  /** Of the data set that was found, or made, at the opening. */
  readonly epoch: string;
  /** Resolves once, if the thread dies while it is needed; the process has to be started anew then. */
  readonly lost: Promise<Error>;
  /**
   * Operations run in the order of the calls; a write is on the disk when it resolves.
   *
   * @param characters size of the JSON text in `input`, for the bound on what may wait
   * @throws CodedError `store_unavailable` (retryable; the write may have happened: read again), `store_corrupt`, `conflict`
   */
  request<Name extends OperationName>(
    name: Name,
    input: Operations[Name]['input'],
    characters?: number,
  ): Promise<Operations[Name]['output']>;
  /** Waits for what was requested, then releases the folder. */
  close(): Promise<void>;
}
