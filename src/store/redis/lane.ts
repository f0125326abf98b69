import { setTimeout as sleep } from 'node:timers/promises';
import { CodedError } from '../../errors.ts';
import { link, type ChainEnd } from '../chain.ts';
import { MAX_COMMIT_CHARACTERS, conflict, stateLost, type RowWrite } from '../limits.ts';
import type { ChainedEntry, JournalEntry } from '../port.ts';
import { evaluate } from './evaluate.ts';
import { SCHEMA_VERSION, layoutOf, sortable } from './layout.ts';
import { newer, type DataSet } from './opening.ts';
import type { RedisConnection } from './port.ts';
import { COMMIT } from './scripts.ts';

/** What one call of the script takes: enough to share a round trip and a flush, small enough not to hold Redis up. */
const MAX_BATCH_COMMITS = 128;
const MAX_BATCH_CHARACTERS = 4 * 1_048_576;
const MAX_PENDING_COMMITS = 10_000;
/** After so many failures to be the next in the journal, a process asks for a turn. */
const TRIES_BEFORE_TURN = 3;
/** A commit that cannot get into the journal for this long is given up. */
const CHAIN_PATIENCE_MS = 5_000;
const WAIT_MS = 4;

interface Pending {
  rows: readonly RowWrite[];
  lines: readonly string[];
  characters: number;
  since: number;
  tries: number;
  resolve: (entries: ChainedEntry[]) => void;
  reject: (error: unknown) => void;
}

type Result = 'ok' | 'again' | 'wait' | ['conflict', number, number];
type Answer = 'lost' | 'schema' | [number, string, number, Result[]];

/**
 * The commits of one process, one call of the script at a time: what is committed while it runs shares the next one.
 * Hashes are made here, for the end of the journal that is known here; when another process was faster, they are made
 * again for the end that the script answers with.
 */
export class CommitLane {
  readonly #connection: RedisConnection;
  /** Tells this process from others that use the same journal. */
  readonly #self: string;
  #dataSet: DataSet;
  #pending: Pending[] = [];
  #characters = 0;
  #running: Promise<void> | undefined;

  constructor(connection: RedisConnection, self: string, dataSet: DataSet) {
    this.#connection = connection;
    this.#self = self;
    this.#dataSet = dataSet;
  }

  /** The data set that is written to; `end` is the last journal entry that is known of. */
  get dataSet(): DataSet {
    return this.#dataSet;
  }

  accept(dataSet: DataSet): void {
    this.#dataSet = dataSet;
  }

  commit(texts: { rows: readonly RowWrite[]; lines: readonly string[]; characters: number }): Promise<ChainedEntry[]> {
    if (this.#pending.length >= MAX_PENDING_COMMITS || this.#characters + texts.characters > MAX_COMMIT_CHARACTERS) {
      const sentence = 'The store has too much to do; Redis may be slow. Try again later.';
      return Promise.reject(new CodedError('store_unavailable', sentence, { retryable: true }));
    }
    return new Promise((resolve, reject) => {
      this.#characters += texts.characters;
      this.#pending.push({ ...texts, since: performance.now(), tries: 0, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when everything that was committed is answered. */
  async drained(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    // After the callbacks of this turn of the event loop, so that all that they commit shares a call.
    await new Promise<void>((next) => setImmediate(next));
    while (this.#pending.length > 0) {
      const batch = this.#take();
      try {
        await this.#send(batch);
      } catch (error) {
        // What waits behind would only wait as long for the same answer.
        for (const each of [...batch, ...this.#pending.splice(0)]) this.#settle(each, () => each.reject(error));
      }
    }
    this.#running = undefined;
  }

  #take(): Pending[] {
    let count = 0;
    let characters = 0;
    for (const each of this.#pending) {
      characters += each.characters;
      if (count === MAX_BATCH_COMMITS || (count > 0 && characters > MAX_BATCH_CHARACTERS)) break;
      count += 1;
    }
    return this.#pending.splice(0, count);
  }

  async #send(batch: readonly Pending[]): Promise<void> {
    const { keyPrefix } = this.#connection;
    const layout = layoutOf(keyPrefix);
    const { epoch, end, count } = this.#dataSet;
    const wantsTurn = batch.some(({ tries }) => tries >= TRIES_BEFORE_TURN);
    const args: (string | number)[] = [layout.base, SCHEMA_VERSION, epoch, count, this.#self, wantsTurn ? 1 : 0];
    args.push(end.number, end.hash);
    const keys = [layout.meta, layout.journal, layout.subjects];
    const chained: ChainedEntry[][] = [];
    let last: ChainEnd = end;
    for (const { rows, lines } of batch) {
      args.push(rows.length, lines.length);
      for (const row of rows) {
        keys.push(layout.record(row.kind, row.id));
        args.push(...rowArguments(row));
      }
      const entries: ChainedEntry[] = [];
      for (const line of lines) {
        const entry = link(JSON.parse(line) as JournalEntry, last.number === 0 ? null : last);
        args.push(entry.number, entry.hash, entry.subject, JSON.stringify(entry));
        entries.push(entry);
        last = entry;
      }
      chained.push(entries);
    }
    const answer = await evaluate<Answer>(this.#connection, COMMIT, keys, args);
    if (answer === 'lost')
      throw stateLost(`Redis under ${keyPrefix}`, 'it was emptied, replaced, or has lost what was written last');
    if (answer === 'schema') {
      throw newer(keyPrefix, { found: SCHEMA_VERSION + 1, known: SCHEMA_VERSION, writtenBy: '' });
    }
    await this.#conclude(batch, chained, answer);
  }

  async #conclude(batch: readonly Pending[], chained: readonly ChainedEntry[][], answer: Exclude<Answer, string>): Promise<void> {
    const [number, hash, count, results] = answer;
    this.#dataSet = { ...this.#dataSet, end: { number, hash }, count };
    const anew: Pending[] = [];
    let waits = false;
    for (const [at, each] of batch.entries()) {
      const result = results[at];
      if (result === 'ok') this.#settle(each, () => each.resolve(chained[at] ?? []));
      else if (Array.isArray(result)) {
        const [, place, found] = result;
        const row = each.rows[place] ?? { kind: '', id: '', expect: 0 };
        this.#settle(each, () => each.reject(conflict(row, found)));
      } else if (performance.now() - each.since > CHAIN_PATIENCE_MS) {
        const sentence = 'Other processes write to the journal too fast. Try again later.';
        this.#settle(each, () => each.reject(new CodedError('store_unavailable', sentence, { retryable: true })));
      } else {
        waits ||= result === 'wait';
        each.tries += 1;
        anew.push(each);
      }
    }
    this.#pending.unshift(...anew);
    if (waits) await sleep(WAIT_MS);
  }

  #settle({ characters }: Pending, settleNow: () => void): void {
    this.#characters -= characters;
    settleNow();
  }
}

/** kind, id, expect, c, m, a, s, o, j, as the script has them. */
function rowArguments({ kind, id, expect, createdAt, index, json }: RowWrite): (string | number)[] {
  return [kind, id, expect, ...indexArguments(createdAt, index), json];
}

/** c, m, a, s, o */
export function indexArguments(createdAt: number, { application, state, open }: RowWrite['index']): string[] {
  const flag = open === undefined ? undefined : String(Number(open));
  return [String(createdAt), sortable(createdAt), optional(application), optional(state), optional(flag)];
}

/** '=' and the value, or '-' for none: an empty text is a value. */
export function optional(value: string | undefined): string {
  return value === undefined ? '-' : `=${value}`;
}
