import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { gitWorld, type GitWorld } from '../../test/git/world.ts';
import { POLICY, rollbackOf } from '../../test/support/guard-facts.ts';
import type { Analysis } from '../analysis/record.ts';
import type { Delivery, DeliveryState } from '../delivery/port.ts';
import { EXAMPLES } from '../http/examples.ts';
import { Ledger } from '../ledger/ledger.ts';
import { openEmbedded } from '../store/embedded/database.ts';
import { createEmbeddedStore } from '../store/embedded/store.ts';
import type { Store } from '../store/port.ts';
import type { ExecutorContext } from './context.ts';
import { draftOf } from './drafting.ts';
import type { Policy } from './policy.ts';

const NEVER = new AbortController().signal;
const MAIL: Policy = { ...POLICY, application: 'mail', paths: ['apps/mail'], jointPlans: true };
const clock = { now: () => Date.now() };
let git: GitWorld;
let folder: string;
let database: Awaited<ReturnType<typeof openEmbedded>>;
let store: Store;
/** What the cluster says that it runs; null: it cannot be asked. */
let state: DeliveryState | null;
const delivery = {
  type: 'stub',
  get can() {
    return { observe: state !== null, abort: true, annotate: true, sync: true };
  },
  observe: async () => Promise.resolve(state),
} as Partial<Delivery> as Delivery;

beforeEach(async () => {
  state = null;
  git = await gitWorld();
  folder = await mkdtemp(join(tmpdir(), 'davylamp-drafting-'));
  database = await openEmbedded({ folder, clock });
  store = createEmbeddedStore(database);
});
afterEach(async () => {
  await store.close();
  await database.close();
  await git.close();
  await rm(folder, { recursive: true, force: true });
});

async function contextOf(policies: readonly Policy[]) {
  const { head } = await git.repository.refresh(NEVER);
  const context = {
    policies: new Map(policies.map((policy) => [policy.application, policy])),
    repositories: new Map([['deploy', git.repository]]),
    deliveries: new Map([['shop', delivery]]),
    store,
    ledger: new Ledger({
      store,
      clock,
      policies: new Map([['shop', POLICY]]),
      repositories: new Map([['deploy', git.repository]]),
    }),
  } as Partial<ExecutorContext> as ExecutorContext;
  return { context, head };
}

async function draft(badCommit: string, ...policies: Policy[]) {
  const { context, head } = await contextOf(policies);
  const drafted = await draftOf(context, rollbackOf({ badCommit, plan: null }), head, NEVER);
  if (drafted.kind === 'done') throw new Error(drafted.to.sentence);
  return drafted;
}

describe('a joint plan', () => {
  it('5.4 leaves alone what the other owner never wants back', async () => {
    await git.commit('good', {
      'apps/shop/a.yaml': 'v: 1\n',
      'apps/mail/a.yaml': 'v: 1\n',
      'apps/mail/sealed.yaml': 'key: old\n',
    });
    const bad = await git.commit('bad', {
      'apps/shop/a.yaml': 'v: 2\n',
      'apps/mail/a.yaml': 'v: 2\n',
      'apps/mail/sealed.yaml': 'key: new\n',
    });
    const mail = { ...MAIL, neverRestore: ['**/sealed.yaml'] };
    const { kind, draft: made } = await draft(bad, { ...POLICY, jointPlans: true }, mail);
    expect(kind).toBe('draft');
    expect(made.plan).toMatchObject({ joint: ['mail'], kept: ['apps/mail/sealed.yaml'] });
    expect(made.plan.changed.toSorted()).toEqual(['apps/mail/a.yaml', 'apps/shop/a.yaml']);
    expect(await git.repository.readFile(made.commit, 'apps/mail/sealed.yaml', NEVER)).toBe('key: new\n');
  });
});

describe('what a plan would delete', () => {
  it('5.10 counts a manifest that cannot be read for what may be in it', async () => {
    await git.commit('good', { 'apps/shop/a.yaml': 'v: 1\n' });
    const crds = `# ${'x'.repeat(1_100_000)}\nkind: CustomResourceDefinition\nmetadata:\n  name: shops.example.com\n`;
    const bad = await git.commit('bad', { 'apps/shop/crds.yaml': crds, 'apps/shop/a.yaml': 'v: 2\n' });
    const { draft: made } = await draft(bad, POLICY);
    expect(made.plan.prunes).toEqual(['what apps/shop/crds.yaml declares (it cannot be read; look through the diff)']);
  });
});

describe('a revision that holds more than one commit which nobody judged', () => {
  const FILE = 'apps/shop/a.yaml';
  let good: string;
  let first: string;
  let second: string;

  beforeEach(async () => {
    good = await git.commit('good', { [FILE]: 'v: 1\n' });
    first = await git.commit('bad A', { [FILE]: 'v: 2\n' });
    second = await git.commit('harmless B', { 'apps/shop/b.yaml': 'b: 1\n' });
    state = { canary: second, stable: good, synced: second, phase: 'progressing' };
  });

  const made = async (policy: Policy, change = {}) => {
    const { context, head } = await contextOf([policy]);
    return draftOf(context, rollbackOf({ badCommit: second, plan: null, ...change }), head, NEVER);
  };
  const ledgerIn = async () => {
    const { context } = await contextOf([POLICY]);
    return context.ledger as Ledger;
  };

  it('5.4 is not healed by taking the newest back alone: it is held, with the list', async () => {
    const drafted = await made(POLICY);
    expect(drafted).toMatchObject({ kind: 'done', to: { state: 'held', code: 'several_commits' } });
    if (drafted.kind === 'done') expect(drafted.to.sentence).toMatch(/harmless B; .* bad A/);
  });

  it('5.4 is restored to what was good where the policy says so, as all of it was judged together', async () => {
    await (await ledgerIn()).markGood('shop', good, { by: 'ada', reason: 'it ran for weeks' });
    const drafted = await made({ ...POLICY, onConflict: 'restore' });
    if (drafted.kind !== 'draft') throw new Error(JSON.stringify(drafted));
    expect(drafted.draft.plan).toMatchObject({ kind: 'restore', good, undoes: [second, first] });
    expect(drafted.draft.since).toBe(good);
  });

  it('is only its newest commit where the one before ran, or was found good by itself', async () => {
    const alone = { kind: 'draft', draft: { plan: { kind: 'revert', undoes: [second] }, since: first } };
    state = { canary: second, stable: first, synced: second, phase: 'progressing' };
    expect(await made(POLICY)).toMatchObject(alone);
    state = { canary: second, stable: good, synced: second, phase: 'progressing' };
    await analysed('Successful');
    expect(await made(POLICY)).toMatchObject(alone);
  });

  it.each(['Failed', 'Running', 'Cancelled'] as const)('is all of them where the one before is known to be %s', async (phase) => {
    await analysed(phase);
    if (phase === 'Failed')
      await (await ledgerIn()).noteBad('shop', first, { by: 'analysis', reason: 'it failed', reference: null });
    expect((await made(POLICY)).kind).toBe('done');
    const all = { kind: 'draft', draft: { plan: { kind: 'restore', good, undoes: [second, first] } } };
    expect(await made({ ...POLICY, onConflict: 'restore' })).toMatchObject(all);
  });

  async function analysed(phase: Analysis['phase']): Promise<void> {
    const example = EXAMPLES['Analysis'] as Analysis;
    const value: Analysis = { ...example, id: 'an-first', application: 'shop', revision: first, kind: 'release', phase };
    const index = { application: 'shop', state: phase, open: phase === 'Running' };
    await store.commit([{ kind: 'analysis', id: value.id, expect: 0, createdAt: clock.now(), index, value }]);
  }

  it('was merely seen for a moment: that says nothing of the one before', async () => {
    await (await ledgerIn()).noteLive('shop', first, clock.now());
    expect((await made(POLICY)).kind).toBe('done');
  });

  it('is the commit that a person names, and the newest one where nothing before is known', async () => {
    const alone = { kind: 'draft', draft: { plan: { undoes: [second] }, since: null } };
    expect(await made(POLICY, { trigger: 'manual' })).toMatchObject(alone);
    state = null;
    expect(await made(POLICY)).toMatchObject(alone);
  });
});
