import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SHOP } from '../../test/support/ledger-world.ts';
import type { Analysis } from '../analysis/record.ts';
import type { Delivery, DeliveryState, Liveness, Located } from '../delivery/port.ts';
import { EXAMPLES } from '../http/examples.ts';
import type { Rollback } from '../rollback/record.ts';
import { openEmbedded } from '../store/embedded/database.ts';
import { createEmbeddedStore } from '../store/embedded/store.ts';
import { startJournalSink } from '../store/journal-sink.ts';
import type { Store } from '../store/port.ts';
import { fileSink } from '../store/sink-file.ts';
import { Ledger } from './ledger.ts';
import { LedgerWatch } from './watching.ts';

const signal = new AbortController().signal;
const LOOK_MS = 15_000;
const MINUTE = 60_000;
const [A, B, C] = ['a', 'b', 'c'].map((digit) => digit.repeat(40)) as [string, string, string];

let now = Date.parse('2026-01-01T12:00:00.000Z');
const clock = { now: () => now };
let folder: string;
let store: Store;
let close: () => Promise<void>;
let history: Liveness[] | Error;
let good: Located['good'];
let faults: unknown[];
let asked: number;

const delivery: Delivery = {
  type: 'double',
  can: { observe: true, abort: false, annotate: false, sync: false },
  observe: async () => running({}),
  history: async () => {
    asked += 1;
    if (history instanceof Error) throw history;
    return history;
  },
  locate: async () => ({ revision: null, how: '', notInGit: null, good }),
  abort: async () => 'not_running',
  annotate: async () => undefined,
  sync: async () => undefined,
};

const running = (change: Partial<DeliveryState>): DeliveryState => ({
  canary: null,
  stable: A,
  synced: null,
  phase: 'healthy',
  ...change,
});

async function open(name = 'data') {
  const database = await openEmbedded({ folder: join(folder, name), clock });
  store = createEmbeddedStore(database);
  close = async () => {
    await store.close();
    await database.close();
  };
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'davylamp-ledger-'));
  await open();
  history = [];
  good = [];
  faults = [];
  asked = 0;
});
afterEach(async () => {
  await close();
  await rm(folder, { recursive: true });
});

/** A process that watches. Its repository is away, which must not be in its way. */
function process(policies = new Map([['shop', SHOP]])) {
  const repositories = new Map([['shop', away]]);
  const deliveries = new Map([['shop', delivery]]);
  const onFault = (_: string, error: unknown) => void faults.push(error);
  // A getter, since the store of a living process can be replaced under it.
  const ledger = new Ledger({
    get store() {
      return store;
    },
    clock,
    policies,
    repositories,
  });
  return new LedgerWatch({
    get store() {
      return store;
    },
    ledger,
    clock,
    policies,
    deliveries,
    onFault,
  });
}
const never = (): never => {
  throw new Error('not asked in these tests');
};
const away = {
  name: 'shop',
  branch: 'main',
  contentOf: async (commit: string) => `content of ${commit.slice(0, 1)}`,
  refresh: never,
  commit: never,
  isAncestor: never,
  commitsTouching: never,
  filesAt: never,
  readFile: never,
  ownCommits: never,
  tipOf: never,
  ownRollbacks: never,
  reverters: never,
  revert: never,
  carry: never,
  restore: never,
  edit: never,
  push: never,
  diff: never,
  close: never,
};

async function look(watch: LedgerWatch, ms: number, change: Partial<DeliveryState> = {}) {
  for (const end = now + ms; now < end; now += LOOK_MS) await watch.see('shop', running(change), signal);
}

/** `a good baked` of each revision that is known. */
async function known() {
  const { records } = await store.list('revision', { application: 'shop', limit: 100 });
  return records
    .map(({ value }) => value as { revision: string; standing: string; rank: string | null })
    .map(({ revision, standing, rank }) => [revision.slice(0, 1), standing, rank].filter(Boolean).join(' '))
    .toSorted();
}

describe('while an application is watched, its ledger', () => {
  it('goes from seeded to baked, and from canary to completed', async () => {
    const watch = process();
    await look(watch, MINUTE);
    expect(await known()).toEqual(['a good seeded']);
    await look(watch, 61 * MINUTE);
    expect(await known()).toEqual(['a good baked']);
    await look(watch, 5 * MINUTE, { canary: B, phase: 'progressing' });
    expect(await known()).toEqual(['a good baked', 'b unknown']);
    await look(watch, MINUTE, { stable: B });
    expect(await known()).toEqual(['a good baked', 'b good completed']);
  });

  it('goes on where the last process ended: a restart costs no more of the baking than the minute that was not stored', async () => {
    for (let minutes = 0; minutes < 64; minutes += 1) await look(process(), MINUTE);
    expect(await known()).toEqual(['a good baked']);
  });

  it('bakes a revision once, also when several processes look', async () => {
    const watches = [process(), process(), process()];
    for (let looks = 0; looks < 4 * 64; looks += 1) {
      await Promise.all(watches.map((watch) => watch.see('shop', running({}), signal)));
      now += LOOK_MS;
    }
    expect(await known()).toEqual(['a good baked']);
    expect((await store.journal({ limit: 100 })).map(({ code }) => code)).toEqual(['seen_live', 'seeded', 'baked']);
  });

  it('writes nothing at all once everything is known', async () => {
    const watch = process();
    await look(watch, 65 * MINUTE);
    const commits: unknown[] = [];
    const { commit } = store;
    store.commit = async (...args) => {
      commits.push(args);
      return commit.apply(store, args);
    };
    await look(watch, 65 * MINUTE);
    expect(commits).toEqual([]);
  });

  it('begins with what the cluster and the operator know of the time before', async () => {
    history = [
      { revision: A, from: now - 3 * 60 * MINUTE, to: null, role: 'stable' },
      { revision: C, from: now - 9 * 60 * MINUTE, to: now - 3 * 60 * MINUTE, role: 'stable' },
    ];
    good = [{ revision: B, since: now - 5 * 60 * MINUTE, how: 'Argo CD shop, status.history' }];
    const watch = process();
    await look(watch, 2 * MINUTE);
    expect(await known()).toEqual(['a good baked', 'b good baked', 'c unknown']);
    await look(process(), MINUTE);
    expect(asked).toBe(1);
    await look(process(), MINUTE, { stable: C });
    expect(asked).toBe(2);
  });

  it('asks a cluster that cannot answer again later, and works without it', async () => {
    history = new Error('forbidden');
    const watch = process();
    await look(watch, 2 * MINUTE);
    expect(faults).toHaveLength(1);
    expect(await known()).toEqual(['a good seeded']);
    history = [{ revision: A, from: now - 3 * 60 * MINUTE, to: null, role: 'stable' }];
    await look(watch, 5 * MINUTE);
    expect(await known()).toEqual(['a good baked']);
  });

  it('is made anew from the cluster when the store was lost', async () => {
    history = [{ revision: A, from: now - 3 * 60 * MINUTE, to: null, role: 'stable' }];
    const watch = process();
    await look(watch, MINUTE);
    await close();
    await open('another');
    watch.forget();
    await look(watch, MINUTE);
    expect(await known()).toEqual(['a good baked']);
  });
});

const analysis = (change: Partial<Analysis>): Analysis => ({
  ...(EXAMPLES['Analysis'] as Analysis),
  application: 'shop',
  ...change,
});
const rollback = (change: Partial<Rollback>): Rollback => ({
  ...(EXAMPLES['Rollback'] as Rollback),
  application: 'shop',
  ...change,
});

describe('what Git remembers of our own reverts', () => {
  it('is bad again after the store was lost, whatever the cluster says first', async () => {
    history = [{ revision: A, from: now - 3 * 60 * MINUTE, to: null, role: 'stable' }];
    const watch = process();
    await look(watch, MINUTE);
    const own = { commit: C, at: now - 60 * MINUTE, rollback: 'rb-1', application: 'shop' };
    await watch.remembered({ ...own, reverts: A });
    await watch.remembered({ ...own, reverts: B });
    await look(watch, 65 * MINUTE);
    expect(await known()).toEqual(['a bad', 'b bad']);
  });
});

describe('what was judged and taken out', () => {
  it('is proved when its release analysis passed, and bad when that failed; nothing else of an analysis counts', async () => {
    const watch = process();
    await watch.ended(analysis({ revision: A, phase: 'Successful', verdict: 'pass' }));
    await watch.ended(analysis({ revision: B, phase: 'Failed', verdict: 'fail' }));
    expect(await known()).toEqual(['a good proved', 'b bad']);
    await watch.ended(analysis({ revision: C, phase: 'Inconclusive', verdict: 'inconclusive' }));
    await watch.ended(analysis({ revision: C, phase: 'Error', verdict: 'error' }));
    await watch.ended(analysis({ revision: C, phase: 'Cancelled', verdict: null }));
    await watch.ended(analysis({ revision: C, phase: 'Successful', verdict: 'marginal' }));
    await watch.ended(analysis({ revision: C, kind: 'recovery', phase: 'Successful', verdict: 'pass' }));
    await watch.ended(analysis({ revision: C, kind: 'recovery', phase: 'Failed', verdict: 'fail' }));
    expect(await known()).toEqual(['a good proved', 'b bad']);
  });

  it('is bad once the revert is on the branch, and suspect when that did not help', async () => {
    const watch = process();
    for (const state of ['planned', 'held', 'executing', 'proposed', 'refused', 'failed'] as const) {
      await watch.moved(rollback({ badCommit: A, state, plan: null }));
    }
    expect(await known()).toEqual([]);
    await watch.moved(rollback({ badCommit: A, state: 'pushed', plan: null }));
    expect(await known()).toEqual(['a bad']);
    now += MINUTE;
    await watch.moved(rollback({ badCommit: A, state: 'not_recovered', plan: null, updatedAt: new Date(now).toISOString() }));
    expect(await known()).toEqual(['a suspect']);
  });

  it('is taken up at start where a process died before it was written down, in the order in which it was', async () => {
    const failed = analysis({ id: 'an-1', revision: A, phase: 'Failed', verdict: 'fail', endedAt: '2026-01-01T10:00:00.000Z' });
    const ended = rollback({ badCommit: A, state: 'not_recovered', plan: null, updatedAt: '2026-01-01T11:00:00.000Z' });
    const index = { application: 'shop', open: false };
    await store.commit([
      { kind: 'analysis', id: failed.id, expect: 0, createdAt: 1, index, value: failed },
      { kind: 'rollback', id: ended.id, expect: 0, createdAt: 2, index, value: ended },
    ]);
    await process().start(signal);
    await process().start(signal);
    expect(await known()).toEqual(['a suspect']);
    expect((await store.journal({ limit: 100 })).map(({ code }) => code)).toEqual(['bad', 'suspect']);
  });
});

describe('the copy of the journal', () => {
  it('has every change of the ledger', async () => {
    const watch = process();
    await watch.ended(analysis({ revision: A, phase: 'Successful', verdict: 'pass' }));
    await watch.ended(analysis({ revision: B, phase: 'Failed', verdict: 'fail' }));
    const file = join(folder, 'journal.jsonl');
    const sink = startJournalSink({ store, target: fileSink(file), log: { warn: () => undefined }, pollMs: 5, firstRetryMs: 5 });
    await expect.poll(() => sink.state(), { timeout: 10_000 }).toEqual({ written: 2, failing: false });
    await sink.close();
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { event: 'ledger.marked', application: 'shop', subject: `shop/${A}`, code: 'proved' },
      { event: 'ledger.marked', application: 'shop', subject: `shop/${B}`, code: 'bad' },
    ]);
  });
});
