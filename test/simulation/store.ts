import { CodedError } from '../../src/errors.ts';
import type {
  ChainedEntry,
  JournalEntry,
  RecordKind,
  RecordWrite,
  Store,
  StoreCondition,
  StoredRecord,
} from '../../src/store/port.ts';
import type { Service } from './service.ts';
import type { World } from './world.ts';

const unavailable = (): Error => new CodedError('store_unavailable', 'the store did not answer', { retryable: true });
const ASKED_BY_GUARDS = 200;
const OK: StoreCondition = { ok: true, code: 'ok', sentence: 'it works' };

/** The data that all services share. */
export class Data {
  records = new Map<string, StoredRecord>();
  journal: ChainedEntry[] = [];
  epoch = 1;

  get(kind: RecordKind, id: string): StoredRecord | undefined {
    return this.records.get(`${kind} ${id}`);
  }

  of(kind: RecordKind): StoredRecord[] {
    const found: StoredRecord[] = [];
    for (const record of this.records.values()) if (record.kind === kind) found.push(record);
    return found;
  }

  /** Somebody has emptied the store. */
  empty(): void {
    this.records = new Map();
    this.journal = [];
    this.epoch += 1;
  }

  /** @throws CodedError `conflict` */
  commit(writes: readonly RecordWrite[], entries: readonly JournalEntry[]): ChainedEntry[] {
    for (const { kind, id, expect } of writes) {
      if ((this.get(kind, id)?.version ?? 0) !== expect) throw new CodedError('conflict', `${kind} ${id} was changed meanwhile`);
    }
    for (const { kind, id, expect, createdAt, index, value } of writes) {
      this.records.set(`${kind} ${id}`, { kind, id, version: expect + 1, createdAt, index, value });
    }
    return entries.map((entry) => {
      const number = this.journal.length + 1;
      const chained = { ...entry, number, previous: `entry-${this.epoch}-${number - 1}`, hash: `entry-${this.epoch}-${number}` };
      this.journal.push(chained);
      return chained;
    });
  }
}

/** The store as one service reaches it. */
export class SimulatedStore implements Store {
  readonly #world: World;
  readonly #service: Service;
  #epoch: number;

  constructor(world: World, service: Service) {
    this.#world = world;
    this.#service = service;
    this.#epoch = world.data.epoch;
  }

  async get(kind: RecordKind, id: string): Promise<StoredRecord | undefined> {
    return this.#call(`store get ${kind} ${id}`, () => this.#data.get(kind, id));
  }

  async getMany(kind: RecordKind, ids: readonly string[]): Promise<(StoredRecord | undefined)[]> {
    const reading = kind === 'switch' ? this.#service.readsSwitches(ids) : null;
    return this.#call(`store getMany ${kind}`, () => {
      const found = ids.map((id) => this.#data.get(kind, id));
      if (reading !== null) reading.answer = found.some((record) => record?.index.state === 'stopped') ? 'stopped' : 'free';
      return found;
    });
  }

  async commit(writes: readonly RecordWrite[], entries: readonly JournalEntry[] = []): Promise<ChainedEntry[]> {
    const [first] = writes;
    const name = `store commit ${first === undefined ? '' : described(first)}`;
    return this.#call(
      name,
      () => {
        if (this.#epoch !== this.#data.epoch) throw new CodedError('state_lost', 'the store was emptied', { retryable: true });
        const before = writes.map(({ kind, id }) => this.#data.get(kind, id));
        const chained = this.#data.commit(writes, entries);
        this.#world.stored(this.#service, writes, before, chained);
        return chained;
      },
      true,
    );
  }

  async list(
    kind: RecordKind,
    query: { application?: string; state?: string; open?: boolean; since?: number; before?: string; limit: number },
  ): Promise<{ records: StoredRecord[]; next: string | null }> {
    // A plan asks for rollbacks, too, and for fewer of them.
    if (kind === 'rollback' && query.application !== undefined && query.limit >= ASKED_BY_GUARDS)
      this.#service.asksGuards(query.application);
    return this.#call(`store list ${kind}`, () => {
      const found = this.#data.of(kind).filter(({ index, createdAt }) => {
        if (query.application !== undefined && index.application !== query.application) return false;
        if (query.state !== undefined && index.state !== query.state) return false;
        if (query.open !== undefined && (index.open ?? false) !== query.open) return false;
        return query.since === undefined || createdAt >= query.since;
      });
      const records = found.sort((one, other) => other.createdAt - one.createdAt || (one.id < other.id ? 1 : -1));
      return { records: records.slice(0, query.limit), next: null };
    });
  }

  async append(entry: JournalEntry): Promise<ChainedEntry> {
    const [chained] = await this.commit([], [entry]);
    if (chained === undefined) throw unavailable();
    return chained;
  }

  async journal(query: { after?: number; subject?: string; limit: number }): Promise<ChainedEntry[]> {
    return this.#call('store journal', () =>
      this.#data.journal
        .filter(({ number, subject }) => number > (query.after ?? 0) && (query.subject ?? subject) === subject)
        .slice(0, query.limit),
    );
  }

  async epoch(): Promise<string> {
    return this.#call('store epoch', () => {
      this.#epoch = this.#data.epoch;
      return `epoch-${this.#epoch}`;
    });
  }

  async condition(): Promise<StoreCondition> {
    return this.#world.scheduler.call(this.#service, 'store condition', () =>
      this.#epoch === this.#data.epoch ? OK : { ok: false, code: 'state_lost', sentence: 'the store was emptied' },
    );
  }

  async prune(): Promise<number> {
    return Promise.resolve(0);
  }

  async close(): Promise<void> {
    return Promise.resolve();
  }

  get #data(): Data {
    return this.#world.data;
  }

  async #call<T>(name: string, effect: () => T, isEffect = false): Promise<T> {
    return this.#world.scheduler.call(this.#service, name, effect, { failure: unavailable, isRemote: true, isEffect });
  }
}

function described({ kind, id, index }: RecordWrite): string {
  return `${kind} ${id} ${index.state ?? ''}`;
}
