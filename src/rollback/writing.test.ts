import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { gitWorld, type GitWorld } from '../../test/git/world.ts';
import { FLEET, POLICY, rollbackOf } from '../../test/support/guard-facts.ts';
import { Changes } from '../changes.ts';
import type { Delivery } from '../delivery/port.ts';
import { openEmbedded } from '../store/embedded/database.ts';
import { createEmbeddedStore } from '../store/embedded/store.ts';
import type { Store } from '../store/port.ts';
import type { ExecutorContext } from './context.ts';
import { Drafts } from './drafts.ts';
import { Lane } from './lane.ts';
import type { Rollback } from './record.ts';
import { Switches } from './switches.ts';
import { Turn } from './turn.ts';
import { write } from './writing.ts';

const NEVER = new AbortController().signal;
const FILE = 'apps/shop/rollout.yaml';
const ID = 'rb-0f0f0f0f0f0f0f0f0f0f';
let git: GitWorld;
let folder: string;
let database: Awaited<ReturnType<typeof openEmbedded>>;
let store: Store;
let bad: string;
let context: ExecutorContext;

beforeEach(async () => {
  git = await gitWorld();
  folder = await mkdtemp(join(tmpdir(), 'davylamp-writing-'));
  await git.commit('shop 1', { [FILE]: 'version: 1\n' });
  bad = await git.commit('shop 2', { [FILE]: 'version: 2\n' });
  const clock = { now: () => Date.now() };
  database = await openEmbedded({ folder, clock });
  store = createEmbeddedStore(database);
  const repositories = new Map([['deploy', git.repository]]);
  context = {
    store,
    clock,
    pause: async () => Promise.resolve(),
    self: 'this one',
    changes: new Changes(),
    policies: new Map([['shop', { ...POLICY, mode: 'propose' }]]),
    repositories,
    deliveries: new Map([['shop', { type: 'stub', can: {} } as Partial<Delivery> as Delivery]]),
    forgeOf: () => null,
    ledger: {
      entry: async () => Promise.resolve(null),
      lastGood: async () => Promise.resolve(null),
      lastKnown: async () => Promise.resolve(null),
    },
    switches: new Switches({ store, clock, repositories, applications: new Map() }),
    fleet: FLEET,
    reconciled: () => true,
    reach: () => undefined,
  } as Partial<ExecutorContext> as ExecutorContext;
});

afterEach(async () => {
  await store.close();
  await database.close();
  await git.close();
  await rm(folder, { recursive: true, force: true });
});

async function proposed(change: Partial<Rollback> = {}): Promise<Rollback> {
  const rollback = rollbackOf({ id: ID, badCommit: bad, mode: 'propose', state: 'executing', plan: null, ...change });
  const lane = new Lane(git.repository, new Turn(context, 'deploy', 'main'), NEVER);
  const pushing = { lane, begin: () => Promise.resolve(true), drafts: new Drafts(context) };
  return (await write(context, rollback, pushing, NEVER)).next;
}

describe('a proposal whose answer was lost', () => {
  it('finds its own commit on the branch, although the head has moved and the commit would be another one', async () => {
    const first = await proposed();
    expect(first).toMatchObject({ state: 'proposed', revertRef: `refs/heads/davylamp/${ID}` });
    await git.commit('docs', { 'docs/a.md': 'a\n' });
    // Another date makes another commit, as another signature does.
    const again = await proposed({ decidedAt: new Date().toISOString() });
    expect(again).toMatchObject({ state: 'proposed', revertCommit: first.revertCommit, revertRef: first.revertRef });
  });

  it('goes to a branch beside the old one where the same revert looks otherwise by now', async () => {
    await proposed();
    await git.commit('more of the shop', {
      [FILE]: 'version: 2\n# scaled\n# by hand\n# on monday\n',
      'apps/shop/b.yaml': 'b: 1\n',
    });
    const again = await proposed();
    expect(again.code).toBe('conflict');
    await git.commit('as before, and a line', { [FILE]: 'version: 2\n', 'apps/shop/b.yaml': null });
    expect(await proposed()).toMatchObject({ revertRef: `refs/heads/davylamp/${ID}` });
    const other = await git.commit('another file of the bad one', { 'apps/shop/c.yaml': 'c: 1\n' });
    const next = await proposed({ badCommit: other });
    expect(next).toMatchObject({ state: 'proposed', revertRef: `refs/heads/davylamp/${ID}-2`, proposes: 2 });
  });

  it('leaves a branch of that name alone that somebody else has made', async () => {
    const message = 'Revert "shop 2"\n\nDavylamp-Rollback: rb-1e1e1e1e1e1e1e1e1e1e\n';
    const made = await git.repository.revert({ badCommit: bad, message, at: 0, paths: ['apps/shop'] }, NEVER);
    const theirs = made.kind === 'commit' ? made.commit : '';
    await git.repository.push(theirs, `davylamp/${ID}`, NEVER);
    expect(await proposed()).toMatchObject({ state: 'held', code: 'proposal_branch_taken' });
    expect(await git.remoteHead(`davylamp/${ID}`)).toBe(theirs);
  });
});

describe('a proposal', () => {
  it('is made on the present head, so that what was fixed meanwhile is not proposed', async () => {
    await git.commit('Revert "shop 2"', { [FILE]: 'version: 1\n' });
    const plan = { ...rollbackOf().plan, head: bad } as NonNullable<Rollback['plan']>;
    expect(await proposed({ plan })).toMatchObject({ state: 'refused', code: 'already_reverted', revertCommit: null });
    expect(await git.remoteHead(`davylamp/${ID}`)).toBeNull();
  });
});
