import { committed } from '../commit.ts';
import type { Analysis } from '../analysis/record.ts';
import { sameCommit } from '../analysis/revision.ts';
import type { Clock } from '../clock.ts';
import type { Delivery, DeliveryState } from '../delivery/port.ts';
import type { OwnRollback } from '../git/port.ts';
import type { Policy } from '../rollback/policy.ts';
import type { Rollback } from '../rollback/record.ts';
import { rollbackIn } from '../rollback/stored.ts';
import type { RecordWrite, Store } from '../store/port.ts';
import type { Ledger } from './ledger.ts';
import { claimOfAnalysis, claimsOfRollback, looked, seedsOf, type Noted, type Watched } from './rules.ts';

export interface LedgerWatchContext {
  ledger: Pick<Ledger, 'note' | 'noteLive' | 'claim'>;
  store: Store;
  clock: Clock;
  policies: ReadonlyMap<string, Pick<Policy, 'bakeTime'>>;
  deliveries: ReadonlyMap<string, Delivery>;
  /** Something that could not be learned of an application; it is tried again. */
  onFault(application: string, error: unknown): void;
}

/** While a revision bakes, how far it has come is written down this often. */
const STORE_MS = 60_000;
/** A cluster that could not say what ran before is asked again after this time. */
const SEED_AGAIN_MS = 300_000;
const DELIVERY_TIMEOUT_MS = 10_000;
/** Analyses and rollbacks of an application that are read again at start. */
const MOST_CAUGHT_UP = 50;

interface Seen {
  /** Of the stored record; 0 when there is none. */
  version: number;
  createdAt: number;
  watched: Watched | null;
  storedAt: number;
}

/** Turns what happens to an application into entries of its ledger. */
export class LedgerWatch {
  readonly #context: LedgerWatchContext;
  readonly #seen = new Map<string, Seen>();
  /** When the cluster may be asked again what ran before; never again (infinity) once it has said so. */
  readonly #seedAt = new Map<string, number>();

  constructor(context: LedgerWatchContext) {
    this.#context = context;
  }

  /**
   * Takes up one look at what an application runs. Most looks cost neither the store nor Git anything.
   * @throws CodedError `store_unavailable`; those of git where the delivery abbreviates its revisions
   */
  async see(application: string, state: DeliveryState, signal: AbortSignal): Promise<void> {
    const { ledger, clock, policies } = this.#context;
    const policy = policies.get(application);
    if (policy === undefined) return;
    const seen = this.#seen.get(application) ?? (await this.#read(application));
    const now = clock.now();
    const seeded = await this.#seed(application, seen.watched, state, signal);
    const { watched, live, noted } = looked(seen.watched, state, now, policy.bakeTime);
    for (const revision of live) await ledger.noteLive(application, revision, now);
    await this.#note(application, noted);
    const next = { ...watched, seeded };
    if (isWorthStoring(seen, next, now, policy.bakeTime)) await this.#store(application, seen, next);
    else this.#seen.set(application, { ...seen, watched: next });
  }

  /**
   * What final analyses and rollbacks say, once more: a process may have died between their end and the entry, and data
   * sets are older than the ledger. Called at start; changes nothing where all is known.
   */
  async start(signal: AbortSignal): Promise<void> {
    for (const application of this.#context.policies.keys()) {
      try {
        await this.#catchUp(application);
      } catch (error) {
        signal.throwIfAborted();
        this.#context.onFault(application, error);
      }
      signal.throwIfAborted();
    }
  }

  /** The store was emptied or replaced: everything is asked for again at the next look. */
  forget(): void {
    this.#seen.clear();
    this.#seedAt.clear();
  }

  /** A final analysis. */
  async ended(analysis: Analysis): Promise<void> {
    const claim = claimOfAnalysis(analysis);
    if (claim !== null) await this.#context.ledger.claim(analysis.application, analysis.revision, claim);
  }

  /** A rollback that has moved. */
  async moved(rollback: Rollback): Promise<void> {
    for (const { revision, claim } of claimsOfRollback(rollback)) {
      await this.#context.ledger.claim(rollback.application, revision, claim);
    }
  }

  /** A rollback of ours that Git remembers: what it took out is bad, also where the store that knew it was lost. */
  async remembered({ commit, at, rollback, application, reverts }: OwnRollback): Promise<void> {
    const reason = `commit ${commit.slice(0, 12)} took it out, says Git`;
    const claim = { standing: 'bad', rank: null, by: 'rollback', reason, reference: rollback, at } as const;
    await this.#context.ledger.claim(application, reverts, claim);
  }

  async #catchUp(application: string): Promise<void> {
    const { store } = this.#context;
    const analyses = await store.list('analysis', { application, open: false, limit: MOST_CAUGHT_UP });
    const rollbacks = await store.list('rollback', { application, limit: MOST_CAUGHT_UP });
    // In the order of time, as they were.
    for (const { value } of analyses.records.toReversed()) await this.ended(value as Analysis);
    for (const record of rollbacks.records.toReversed()) await this.moved(rollbackIn(record));
  }

  /** @returns whether the cluster and the operator have said what ran before */
  async #seed(application: string, before: Watched | null, state: DeliveryState, signal: AbortSignal): Promise<boolean> {
    const { deliveries, clock, policies, ledger } = this.#context;
    const delivery = deliveries.get(application);
    const policy = policies.get(application);
    const askAt = this.#seedAt.get(application);
    const isOther = askAt === undefined && state.stable !== null && !sameStable(before, state.stable);
    // Another stable revision at the first look of this process went live while nobody looked.
    if (before?.seeded === true && !isOther) {
      this.#seedAt.set(application, Infinity);
      return true;
    }
    if (delivery === undefined || policy === undefined || (askAt ?? 0) > clock.now()) return before?.seeded ?? false;
    this.#seedAt.set(application, clock.now() + SEED_AGAIN_MS);
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(DELIVERY_TIMEOUT_MS)]);
      const history = (await delivery.history?.(limit)) ?? [];
      const good = (await delivery.locate?.(limit))?.good ?? [];
      const { live, noted } = seedsOf({ history, good, state }, clock.now(), policy.bakeTime);
      for (const { revision, at } of live) await ledger.noteLive(application, revision, at);
      await this.#note(application, noted);
      this.#seedAt.set(application, Infinity);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      this.#context.onFault(application, error);
      return false;
    }
  }

  async #note(application: string, noted: readonly Noted[]): Promise<void> {
    for (const { revision, ...found } of noted) {
      await this.#context.ledger.note(application, revision, { ...found, reference: null });
    }
  }

  async #read(application: string): Promise<Seen> {
    const record = await this.#context.store.get('state', idOf(application));
    if (record === undefined) {
      // Nothing was ever seen of it, or the store was lost: ask the cluster as at the beginning.
      this.#seedAt.delete(application);
      return { version: 0, createdAt: this.#context.clock.now(), watched: null, storedAt: -Infinity };
    }
    return { version: record.version, createdAt: record.createdAt, watched: watchedIn(record.value), storedAt: -Infinity };
  }

  async #store(application: string, seen: Seen, watched: Watched): Promise<void> {
    const { store, clock } = this.#context;
    const write: RecordWrite = {
      kind: 'state',
      id: idOf(application),
      expect: seen.version,
      createdAt: seen.createdAt,
      index: { application, open: true },
      value: watched,
    };
    if (await committed(store, [write])) {
      this.#seen.set(application, { ...seen, version: seen.version + 1, watched, storedAt: clock.now() });
    } else {
      // Another process looks, too, and was faster; the next look goes on from what it saw.
      this.#seen.delete(application);
    }
  }
}

function sameStable(before: Watched | null, stable: string): boolean {
  return before !== null && before.stable !== null && sameCommit(before.stable, stable);
}

function isWorthStoring({ watched: before, storedAt }: Seen, next: Watched, now: number, bakeMs: number): boolean {
  if (before === null) return true;
  const isNews =
    before.stable !== next.stable ||
    before.noted !== next.noted ||
    before.seeded !== next.seeded ||
    before.canaries !== next.canaries ||
    (before.healthyMs > 0 && next.healthyMs === 0);
  const bakes = next.healthyMs > before.healthyMs && next.healthyMs < bakeMs + STORE_MS;
  return isNews || (bakes && now - storedAt >= STORE_MS);
}

function idOf(application: string): string {
  return `ledger/${application}`;
}

/** Records of this id are written by this module only, so their shape is known. */
function watchedIn(value: unknown): Watched {
  return value as Watched;
}
