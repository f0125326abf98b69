import { join } from 'node:path';
import { Ledger } from '../../src/ledger/ledger.ts';
import type { LedgerEntry } from '../../src/ledger/record.ts';
import { openEmbedded } from '../../src/store/embedded/database.ts';
import { createEmbeddedStore } from '../../src/store/embedded/store.ts';
import type { ChainedEntry, Store } from '../../src/store/port.ts';
import { gitWorld, type GitWorld } from '../git/world.ts';

export const SHOP = { repository: 'shop', paths: ['apps/shop'], bakeTime: 3_600_000 };

export interface LedgerWorld extends GitWorld {
  store: Store;
  ledger: Ledger;
  clock: { now(): number };
  policies: Map<string, typeof SHOP>;
  /** Lets time go on. */
  pass(ms: number): void;
  /** Another process on the same store. */
  process(): Ledger;
  /** A commit that sets the version of the shop. */
  release(version: string): Promise<string>;
  entry(revision: string): Promise<LedgerEntry | null>;
  journal(): Promise<ChainedEntry[]>;
}

/** A ledger on the real embedded store and a real repository. */
export async function ledgerWorld(): Promise<LedgerWorld> {
  const git = await gitWorld();
  let now = Date.parse('2026-01-01T12:00:00.000Z');
  const clock = { now: () => now };
  const database = await openEmbedded({ folder: join(git.folder, 'data'), clock });
  const store = createEmbeddedStore(database);
  const policies = new Map([['shop', SHOP]]);
  const repositories = new Map([['shop', git.repository]]);
  const process = () => new Ledger({ store, clock, policies, repositories });
  const ledger = process();
  return {
    ...git,
    store,
    ledger,
    clock,
    policies,
    process,
    pass: (ms) => void (now += ms),
    release: (version) => git.commit(`shop ${version}`, { 'apps/shop/rollout.yaml': `image: shop:${version}\n` }),
    entry: (revision) => ledger.entry('shop', revision),
    journal: () => store.journal({ limit: 1_000 }),
    async close() {
      await store.close();
      await database.close();
      await git.close();
    },
  };
}
