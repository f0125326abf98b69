import { committed } from '../commit.ts';
import { CodedError } from '../errors.ts';
import type { Store, StoredRecord } from '../store/port.ts';

/** So long somebody who has the turn is waited for, from when that was seen; a process that died is given up on then. */
const MOST_HELD_MS = 3_000;
/** Longer than that nobody waits, however many take turns: Git decides. */
const MOST_WAIT_MS = 20_000;
const POLL_MS = 25;

export interface TurnContext {
  store: Pick<Store, 'get' | 'commit'>;
  clock: { now(): number };
  pause: (ms: number) => Promise<void>;
  /** Tells this process from others. */
  self: string;
}

/**
 * Lets the processes that push to one branch take turns where they lost races: of five that compute the same kind of chain at
 * the same time, four compute for nothing. It is a courtesy and no lock: the plain push decides, and a store that is away,
 * a process that died or one that does not wait costs time and nothing else.
 */
export class Turn {
  readonly #context: TurnContext;
  readonly #id: string;
  #held: StoredRecord | null = null;

  constructor(context: TurnContext, repository: string, branch: string) {
    this.#context = context;
    this.#id = `turn/${repository}/${branch}`;
  }

  /**
   * Waits where another process has the turn, and has it afterwards; goes on at once where nobody has it.
   * @returns whether it waited
   */
  async respect(signal: AbortSignal): Promise<boolean> {
    const isTaken = await this.#isTaken();
    if (isTaken) await this.take(signal);
    return isTaken;
  }

  /** Has the turn afterwards, or has waited long enough for it. */
  async take(signal: AbortSignal): Promise<void> {
    const { clock, pause } = this.#context;
    const began = clock.now();
    let seen = { version: -1, at: began };
    while (this.#held === null && clock.now() - began < MOST_WAIT_MS) {
      signal.throwIfAborted();
      const record = await this.#read();
      if (record === null) return;
      const now = clock.now();
      if (record.version !== seen.version) seen = { version: record.version, at: now };
      const isFree = holderOf(record) === null || now - seen.at >= MOST_HELD_MS;
      if (!isFree || !(await this.#write(record, this.#context.self))) await pause(POLL_MS);
    }
  }

  /** Hands it on, where it was had. */
  async leave(): Promise<void> {
    const held = this.#held;
    this.#held = null;
    if (held !== null) await this.#write(held, null);
  }

  async #isTaken(): Promise<boolean> {
    const record = await this.#read();
    const holder = record === null ? null : holderOf(record);
    return holder !== null && holder !== this.#context.self;
  }

  /** The record, one that is not there yet with version 0; null when the store cannot be asked. */
  async #read(): Promise<StoredRecord | null> {
    try {
      const found = await this.#context.store.get('state', this.#id);
      return found ?? { kind: 'state', id: this.#id, version: 0, createdAt: this.#context.clock.now(), index: {}, value: null };
    } catch (error) {
      if (error instanceof CodedError) return null;
      throw error;
    }
  }

  async #write(record: StoredRecord, holder: string | null): Promise<boolean> {
    const { version: expect, ...rest } = record;
    const value = { holder };
    try {
      if (!(await committed(this.#context.store, [{ ...rest, expect, value }]))) return false;
    } catch (error) {
      if (error instanceof CodedError) return false;
      throw error;
    }
    this.#held = holder === null ? null : { ...record, version: expect + 1, value };
    return true;
  }
}

function holderOf({ value }: StoredRecord): string | null {
  return (value as { holder: string | null } | null)?.holder ?? null;
}
