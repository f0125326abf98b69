import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { gitWorld, type GitWorld } from '../../test/git/world.ts';
import { FLEET, HASH, HOUR, MINUTE, PLAN, POLICY, rollbackOf } from '../../test/support/guard-facts.ts';
import type { Analysis } from '../analysis/record.ts';
import { Changes } from '../changes.ts';
import type { Delivery, DeliveryState } from '../delivery/port.ts';
import { CodedError } from '../errors.ts';
import type { Forge, Proposed } from '../forge/port.ts';
import type { CommitFacts } from '../git/port.ts';
import { EXAMPLES } from '../http/examples.ts';
import type { LedgerEntry } from '../ledger/record.ts';
import { openEmbedded } from '../store/embedded/database.ts';
import { createEmbeddedStore } from '../store/embedded/store.ts';
import type { Store } from '../store/port.ts';
import type { ExecutorContext } from './context.ts';
import { rollbackId } from './identity.ts';
import type { Policy } from './policy.ts';
import type { Rollback } from './record.ts';
import { approvalPolicyOf } from './guards/approval.ts';
import { guardAbort, guardPlan, wouldHold } from './situation.ts';
import { committed } from '../commit.ts';
import { rollbackWrite } from './stored.ts';
import { Switches } from './switches.ts';

const NEVER = new AbortController().signal;
let git: GitWorld;
let folder: string;
let database: Awaited<ReturnType<typeof openEmbedded>>;
let store: Store;
let now: number;
let good: string;
let bad: string;
/** What the pretended world says; tests change it. */
let world: {
  state: DeliveryState | CodedError;
  proposals: Proposed[] | CodedError;
  forge: boolean;
  ledger: Map<string, Partial<LedgerEntry>>;
  policies: Map<string, Policy>;
  fleet: ExecutorContext['fleet'];
};
let context: ExecutorContext;

const answer = <T>(value: T | CodedError): Promise<T> =>
  value instanceof CodedError ? Promise.reject(value) : Promise.resolve(value);

beforeEach(async () => {
  git = await gitWorld();
  folder = await mkdtemp(join(tmpdir(), 'davylamp-situation-'));
  good = await git.commit('shop 1', { 'apps/shop/rollout.yaml': 'version: 1\n' });
  bad = await git.commit('shop 2', { 'apps/shop/rollout.yaml': 'version: 2\n' });
  await git.repository.refresh(NEVER);
  now = Date.now();
  const clock = { now: () => now };
  database = await openEmbedded({ folder, clock });
  store = createEmbeddedStore(database);
  world = {
    state: { canary: bad, stable: good, synced: bad, phase: 'progressing' },
    proposals: [],
    forge: true,
    ledger: new Map(),
    policies: new Map([['shop', POLICY]]),
    fleet: FLEET,
  };
  const can = { observe: true, abort: true, annotate: true, sync: true };
  const delivery = { type: 'stub', can, observe: () => answer(world.state) } as Partial<Delivery> as Delivery;
  const forge = { revertsOf: () => answer(world.proposals) } as Partial<Forge> as Forge;
  const repositories = new Map([['deploy', git.repository]]);
  context = {
    store,
    clock,
    changes: new Changes(),
    get policies() {
      return world.policies;
    },
    repositories,
    deliveries: new Map([['shop', delivery]]),
    forgeOf: () => (world.forge ? forge : null),
    ledger: {
      entry: async (_application: string, revision: string) => (world.ledger.get(revision) as LedgerEntry | undefined) ?? null,
    } as ExecutorContext['ledger'],
    switches: new Switches({ store, clock, repositories, applications: new Map([['shop', 1]]) }),
    get fleet() {
      return world.fleet;
    },
    reconciled: () => true,
  } as Partial<ExecutorContext> as ExecutorContext;
});

afterEach(async () => {
  await store.close();
  await database.close();
  await git.close();
  await rm(folder, { recursive: true, force: true });
});

const mine = (change: Partial<Rollback> = {}): Rollback => {
  const at = new Date(now).toISOString();
  return rollbackOf({ badCommit: bad, decidedAt: at, history: [{ at, step: 'decided', sentence: 'errors rose' }], ...change });
};
const facts = (sha = bad): Promise<CommitFacts> => git.repository.commit(sha, NEVER);
const plan = () => ({ ...PLAN, head: bad, undoes: [bad] });
async function held(change: Partial<Rollback> = {}, moment: 'plan' | 'push' = 'plan') {
  await git.repository.refresh(NEVER);
  const commit = await facts();
  return guardPlan(context, mine(change), { bad: commit, plan: plan(), undone: [commit] }, moment, NEVER);
}
const code = async (change: Partial<Rollback> = {}) => (await held(change))?.code ?? null;
async function stored(change: Partial<Rollback>): Promise<Rollback> {
  const rollback = rollbackOf({ decidedAt: new Date(now).toISOString(), ...change });
  expect(await committed(store, [rollbackWrite(rollback, 0, now)], [])).toBe(true);
  return rollback;
}
async function analysed(application: string, change: Partial<Analysis>): Promise<void> {
  const analysis: Analysis = { ...(EXAMPLES['Analysis'] as Analysis), id: `an-${application}`, application, ...change };
  const index = { application, state: analysis.phase, open: analysis.endedAt === null };
  await store.commit([{ kind: 'analysis', id: analysis.id, expect: 0, createdAt: now, index, value: analysis }]);
}

describe('the situation of an ordinary bad release', () => {
  it('lets it pass, at the plan, before the abort and before the push', async () => {
    expect(await held()).toBeNull();
    expect(await guardAbort(context, mine(), NEVER)).toEqual({ held: null, revision: bad });
    expect(await held({}, 'push')).toBeNull();
  });
});

describe('what stops everything', () => {
  it('stops the abort, too, and whatever was asked for or approved', async () => {
    await context.switches.set({ scope: 'application', name: 'shop', stopped: true, reason: 'we look into it' }, { name: 'ada' });
    expect((await guardAbort(context, mine(), NEVER)).held?.code).toBe('stopped_application');
    expect(await code({ trigger: 'manual' })).toBe('stopped_application');
    expect((await held({}, 'push'))?.code).toBe('stopped_application');
  });

  it('of a mode that allows less by now stops the abort as well: it is planned anew', async () => {
    world.policies.set('shop', { ...POLICY, mode: 'propose' });
    await expect(guardAbort(context, mine(), NEVER)).rejects.toMatchObject({ code: 'mode_changed', retryable: true });
  });

  it('of a mode that allows less by now stops what waits to be pushed', async () => {
    world.policies.set('shop', { ...POLICY, mode: 'shadow' });
    await expect(held({}, 'push')).rejects.toMatchObject({ code: 'mode_changed', retryable: true });
  });

  it('waits for what Git knows after the store was lost, but not for a person', async () => {
    const lost = { ...context, reconciled: () => false } as ExecutorContext;
    const commit = await facts();
    const about = { bad: commit, plan: plan(), undone: [commit] };
    await expect(guardPlan(lost, mine(), about, 'plan', NEVER)).rejects.toMatchObject({ code: 'state_lost', retryable: true });
    expect(await guardPlan(lost, mine({ trigger: 'manual' }), about, 'plan', NEVER)).toBeNull();
  });
});

describe('5.6, 5.7 what the cluster runs', () => {
  it('is read before the abort and before the push, and another canary holds both', async () => {
    const newer = await git.commit('shop 3', { 'apps/shop/rollout.yaml': 'version: 3\n' });
    world.state = { canary: newer, stable: good, synced: newer, phase: 'progressing' };
    expect(await code()).toBe('another_revision_runs');
    expect((await guardAbort(context, mine(), NEVER)).held?.code).toBe('another_revision_runs');
    expect((await held({}, 'push'))?.code).toBe('another_revision_runs');
    expect((await guardAbort(context, mine({ trigger: 'manual' }), NEVER)).held).toBeNull();
  });

  it('may be the bad one promoted, or an older one after an abort; a newer stable one is a fix', async () => {
    world.state = { canary: null, stable: bad, synced: bad, phase: 'healthy' };
    expect(await code()).toBeNull();
    world.state = { canary: null, stable: good, synced: bad, phase: 'aborted' };
    expect(await code()).toBeNull();
    const fix = await git.commit('shop 3', { 'apps/shop/rollout.yaml': 'version: 3\n' });
    world.state = { canary: null, stable: fix, synced: fix, phase: 'healthy' };
    expect(await code()).toBe('another_revision_runs');
  });

  it('may be in the middle of a sync: one of the same content is ours, another one is waited for and then holds', async () => {
    const docs = await git.commit('docs', { 'docs/a.md': 'a\n' });
    world.state = { canary: bad, stable: good, synced: bad, phase: 'progressing', operation: { revision: docs, since: now } };
    expect(await code()).toBeNull();
    const fix = await git.commit('shop 3', { 'apps/shop/rollout.yaml': 'version: 3\n' });
    world.state = { canary: bad, stable: good, synced: bad, phase: 'progressing', operation: { revision: fix, since: now } };
    await expect(held()).rejects.toMatchObject({ code: 'sync_running', retryable: true });
    expect((await held({}, 'push'))?.code).toBe('sync_running');
    const rollback = mine();
    now += 11_000;
    expect(await code(rollback)).toBe('sync_running');
    world.state = { ...world.state, operation: { revision: good, since: now } };
    expect(await code(rollback)).toBe('sync_running');
  });

  it('is the judged one on a newer head that holds the same of the application, and that head is what is aborted', async () => {
    const docs = await git.commit('docs', { 'docs/a.md': 'a\n' });
    world.state = { canary: docs, stable: good, synced: docs, phase: 'progressing' };
    expect(await code()).toBeNull();
    expect(await guardAbort(context, mine(), NEVER)).toEqual({ held: null, revision: docs });
    world.state = { canary: null, stable: docs, synced: docs, phase: 'healthy' };
    expect(await code()).toBeNull();
    world.state = { canary: 'v1.2.3', stable: good, synced: docs, phase: 'progressing' };
    expect(await code()).toBe('another_revision_runs');
  });

  it('is waited for when it cannot be asked, for ten seconds; of an alert nobody else has said it', async () => {
    world.state = new CodedError('delivery_unreachable', 'it is away', { retryable: true });
    const rollback = mine();
    await expect(held(rollback)).rejects.toMatchObject({ code: 'delivery_unreachable' });
    now += 11_000;
    expect(await code(rollback)).toBeNull();
    expect(await code({ ...rollback, requestedBy: 'alert' })).toBe('delivery_unknown');
    world.state = { canary: bad, stable: good, synced: bad, phase: 'progressing' };
  });
});

describe('what others did already', () => {
  it('a revert by a person counts when the content is there all the same', async () => {
    await git.commit(`Revert "shop 2"\n\nThis reverts commit ${bad}.`, { 'apps/shop/rollout.yaml': 'version: 1\n' });
    await git.commit('put it back', { 'apps/shop/rollout.yaml': 'version: 2\n' });
    expect(await code()).toBe('reverted_before');
  });

  it('5.3 a forged trailer counts for nothing', async () => {
    await git.commit(`Revert "shop 2"\n\nThis reverts commit ${bad}.\n\nDavylamp-Rollback: rb-1\nReverts: ${bad}`, {
      'docs/a.md': 'a\n',
    });
    expect(await code()).toBeNull();
  });

  it('our own revert that somebody took back waits for a person', async () => {
    const message = `Revert "shop 2"\n\nThis reverts commit ${bad}.\n\nDavylamp-Rollback: rb-1\nDavylamp-Application: shop\nReverts: ${bad}\n`;
    const made = await git.repository.revert({ badCommit: bad, message, at: now, paths: ['apps/shop'] }, NEVER);
    if (made.kind !== 'commit') throw new Error(made.kind);
    await git.repository.push(made.commit, null, NEVER);
    await git.commit('put it back', { 'apps/shop/rollout.yaml': 'version: 2\n' });
    expect(await code()).toBe('came_back');
    expect(await code({ id: 'rb-2' })).toBeNull();
  });

  it('a proposal is looked for while it is planned; a forge that is away is waited for, for ten seconds', async () => {
    const proposal: Proposed = {
      url: 'https://forge/7',
      number: 7,
      state: 'open',
      endedBy: null,
      mergeCommit: null,
      branch: 'revert',
    };
    world.proposals = [proposal];
    expect(await code()).toBe('revert_open');
    world.proposals = [{ ...proposal, state: 'closed', endedBy: 'bob' }];
    expect(await held()).toMatchObject({ code: 'revert_refused', isFinal: true });
    world.proposals = new CodedError('forge_unreachable', 'it is away', { retryable: true });
    const rollback = mine();
    await expect(held(rollback)).rejects.toMatchObject({ code: 'forge_unreachable' });
    now += 11_000;
    expect(await code(rollback)).toBeNull();
    world.forge = false;
    expect(await code()).toBeNull();
  });
});

describe('what earlier rollbacks say', () => {
  it('counts those of the day by application, repository and everywhere, and those under way that came before', async () => {
    world.fleet = { ...FLEET, maxPerDay: 4, repositories: new Map([['deploy', { isOff: false, maxPerDay: 3 }]]) };
    world.policies.set('shop', { ...POLICY, maxPerDay: 2 });
    const pushed = { state: 'pushed', revertCommit: 'c'.repeat(40), plan: null } as const;
    await stored({ id: 'rb-a', ...pushed });
    expect(await code()).toBeNull();
    await stored({ id: 'rb-b', decidedAt: new Date(now - MINUTE).toISOString(), state: 'executing', plan: null });
    expect(await code()).toBe('limit_per_day');
    world.policies.set('shop', POLICY);
    expect(await code()).toBeNull();
    await stored({ id: 'rb-c', application: 'search', ...pushed });
    expect(await code()).toBe('limit_per_day_repository');
    world.fleet = { ...world.fleet, repositories: new Map() };
    expect(await code()).toBeNull();
    await stored({ id: 'rb-d', application: 'cart', repository: 'other', ...pushed });
    expect(await code()).toBe('limit_per_day_everywhere');
    now += 25 * HOUR;
    expect(await code()).toBeNull();
  });

  it('does not count what is decided later, only planned in shadow, or held', async () => {
    world.policies.set('shop', { ...POLICY, maxPerDay: 1 });
    const rollback = mine();
    await stored({ id: 'rb-later', decidedAt: new Date(now + 1).toISOString(), state: 'executing' });
    await stored({ id: 'rb-shadow', mode: 'shadow', state: 'planned', code: 'shadow' });
    await stored({ id: 'rb-held', state: 'held', code: 'opted_out' });
    expect(await code(rollback)).toBeNull();
  });

  it('counts a rollback that waited for its approval on the day of its push', async () => {
    world.policies.set('shop', { ...POLICY, maxPerDay: 1 });
    const decidedAt = new Date(now - 48 * HOUR).toISOString();
    const history = [{ at: new Date(now - HOUR).toISOString(), step: 'pushed', sentence: 'pushed' }];
    await stored({ id: 'rb-old', decidedAt, history, state: 'synced', revertCommit: 'c'.repeat(40), plan: null });
    expect(await code()).toBe('limit_per_day');
  });

  it('5.5 knows the same content by its lines: once cools down, twice is a loop', async () => {
    const at = (ms: number) => [{ at: new Date(now - ms).toISOString(), step: 'pushed', sentence: 'pushed' }];
    const done = { state: 'recovered', revertCommit: 'c'.repeat(40), plan: PLAN } as const;
    await stored({ id: 'rb-a', history: at(30 * MINUTE), ...done });
    expect(await code()).toBe('cool_down');
    expect(await code({ trigger: 'manual' })).toBeNull();
    now += HOUR;
    expect(await code()).toBeNull();
    await stored({ id: 'rb-b', history: at(2 * HOUR), ...done });
    expect(await code()).toBe('loop');
  });

  it('5.3 knows the same commit under another revision: proposed once, and a no to it is a no', async () => {
    const undoes = { plan: plan(), badCommit: 'f'.repeat(40) };
    const url = 'https://git.example/deploy/pulls/7';
    const long = new Date(now - 3 * HOUR).toISOString();
    const at = { history: [{ at: long, step: 'proposed', sentence: '' }], decidedAt: long };
    const proposal = { url, number: 7, state: 'open' as const };
    await stored({ id: 'rb-a', state: 'proposed', revertCommit: 'e'.repeat(40), proposal, ...undoes, ...at });
    expect(await held()).toMatchObject({ code: 'revert_open', sentence: expect.stringContaining(url) });
    await store.commit([
      { ...rollbackWrite(rollbackOf({ id: 'rb-a', state: 'refused', code: 'proposal_closed', ...undoes, ...at }), 1, now) },
    ]);
    expect(await held()).toMatchObject({ code: 'refused_before', approvable: true });
    expect(await code({ trigger: 'manual' })).toBeNull();
  });

  it('5.5 holds after one that did not help, until a person says what its revision was', async () => {
    const first = 'f'.repeat(40);
    const updatedAt = new Date(now - HOUR).toISOString();
    await stored({ id: 'rb-a', badCommit: first, state: 'not_recovered', code: 'still_bad', updatedAt });
    expect(await code()).toBe('last_rollback_did_not_help');
    world.ledger.set(first, { standing: 'suspect', by: 'rollback', since: updatedAt });
    expect(await code()).toBe('last_rollback_did_not_help');
    world.ledger.set(first, { standing: 'good', by: 'ada', since: new Date(now).toISOString() });
    expect(await code()).toBeNull();
  });
});

describe('a joint plan', () => {
  it('is held by the kill switch and the approval paths of any of its owners', async () => {
    world.policies.set('mail', { ...POLICY, application: 'mail', paths: ['apps/mail'], approvalPaths: ['apps/mail/**'] });
    const commit = await facts();
    const joint = { ...plan(), joint: ['mail'], changed: ['apps/shop/rollout.yaml', 'apps/mail/rollout.yaml'] };
    const ask = async () => guardPlan(context, mine(), { bad: commit, plan: joint, undone: [commit] }, 'push', NEVER);
    expect(await ask()).toMatchObject({ code: 'approval_needed', sentence: expect.stringContaining('apps/mail/rollout.yaml') });
    // Whoever asks for more people, or for a fresher approval, is heeded, whichever owner it is.
    world.policies.set('mail', { ...POLICY, application: 'mail', paths: ['apps/mail'], approvals: 2, approvalFor: HOUR });
    const prunes = { ...joint, prunes: ['PersistentVolumeClaim mail/data (apps/mail/rollout.yaml)'] };
    const yes = (by: string) => {
      const [at, expiresAt] = [now, now + HOUR].map((one) => new Date(one).toISOString());
      return { by, plan: HASH, at: at ?? '', expiresAt: expiresAt ?? '' };
    };
    const approvedBy = async (...names: string[]) => {
      const about = { bad: commit, plan: prunes, undone: [commit] };
      return (await guardPlan(context, mine({ approvals: names.map(yes) }), about, 'push', NEVER))?.code ?? null;
    };
    expect(await approvedBy('ada')).toBe('destructive_prune');
    expect(await approvedBy('ada', 'bob')).toBeNull();
    const asked = approvalPolicyOf(world.policies, POLICY, joint);
    expect(asked).toMatchObject({ approvals: 2, approvalFor: HOUR });
    const applications = new Map([['mail', 1]]);
    const switches = new Switches({ store, clock: context.clock, repositories: context.repositories, applications });
    await switches.set({ scope: 'application', name: 'mail', stopped: true, reason: 'mail is being moved' }, { name: 'ada' });
    expect(await ask()).toMatchObject({ code: 'stopped_application', sentence: expect.stringContaining('mail is being moved') });
  });
});

describe('what is known of the revision', () => {
  it('tells its age: from the ledger, else from the alert, else an old commit that only an alert names is old', async () => {
    world.ledger.set(bad, { standing: 'unknown', by: 'delivery', firstLiveAt: new Date(now - 25 * HOUR).toISOString() });
    expect(await code()).toBe('too_old');
    expect(await code({ trigger: 'manual' })).toBeNull();
    world.ledger.clear();
    expect(await code()).toBeNull();
    now += 25 * HOUR;
    expect(await code()).toBeNull();
    expect(await code({ requestedBy: 'alert', analysis: null })).toBe('too_old');
  });

  it('5.5 counts what is known of the guilty commit where the revision is the head of a repository of many applications', async () => {
    const head = await git.commit('mail 1', { 'apps/mail/rollout.yaml': 'version: 1\n' });
    world.state = { canary: head, stable: good, synced: head, phase: 'progressing' };
    const judged = () => code({ badCommit: head });
    expect(await judged()).toBeNull();
    world.ledger.set(bad, { standing: 'good', by: 'ada', reason: 'the cache was down' });
    expect(await judged()).toBe('marked_good');
    world.ledger.set(bad, { standing: 'suspect', by: 'rollback', reason: 'it did not help' });
    expect(await judged()).toBe('suspect_revision');
    const longAgo = new Date(now - 90 * 24 * HOUR).toISOString();
    world.ledger.set(bad, { standing: 'good', rank: 'proved', by: 'analysis', firstLiveAt: longAgo });
    expect(await judged()).toBe('too_old');
  });

  it('holds what is suspect', async () => {
    world.ledger.set(bad, { standing: 'suspect', by: 'rollback', reason: 'it did not help' });
    expect(await code()).toBe('suspect_revision');
  });
});

describe('5.4 what would be undone', () => {
  it('was judged when it lies between what ran before and the bad revision; all else is newer', async () => {
    const docs = await git.commit('shop docs', { 'apps/shop/notes.md': 'a\n' });
    await git.repository.refresh(NEVER);
    const undone = await Promise.all([docs, bad].map(facts));
    const restore = { ...plan(), kind: 'restore' as const, good, undoes: [docs, bad] };
    const ask = async (rollback: Rollback) => {
      const [newest] = undone;
      if (newest === undefined) throw new Error('no commit');
      return guardPlan(context, rollback, { bad: newest, plan: restore, undone }, 'push', NEVER);
    };
    // The guilty commit itself is never newer; here the range is judged as a whole.
    expect(await guardPlan(context, mine(), { bad: await facts(), plan: restore, undone }, 'push', NEVER)).toMatchObject({
      code: 'newer_commits',
      sentence: expect.stringContaining('shop docs'),
    });
    world.state = { canary: docs, stable: good, synced: docs, phase: 'progressing' };
    expect(await ask(mine({ badCommit: docs, good }))).toBeNull();
    world.state = { canary: docs, stable: bad, synced: docs, phase: 'progressing' };
    expect(await ask(mine({ badCommit: docs, good }))).toMatchObject({ code: 'newer_commits' });
  });
});

describe('one path deployed by several clusters', () => {
  it('waits for a person while the others were not found bad', async () => {
    const eu: Policy = { ...POLICY, application: 'shop-eu' };
    world.policies.set('shop-eu', eu);
    expect(await held()).toMatchObject({ code: 'shared_paths', sentence: expect.stringContaining('shop-eu') });
    world.policies.set('shop', { ...POLICY, sharedPaths: 'rollback' });
    expect(await code()).toBeNull();
    world.policies.set('shop', POLICY);
    await stored({ id: rollbackId({ ...eu, badCommit: bad }), application: 'shop-eu', badCommit: bad, state: 'held', code: 'x' });
    expect(await code()).toBeNull();
  });

  it('is none where paths, branch or repository differ', async () => {
    world.policies.set('a', { ...POLICY, application: 'a', paths: ['apps/other'] });
    world.policies.set('b', { ...POLICY, application: 'b', branch: 'staging' });
    world.policies.set('c', { ...POLICY, application: 'c', repository: 'other' });
    expect(await code()).toBeNull();
  });
});

describe('5.2 a fleet', () => {
  const names = ['shop', 'cart', 'search', 'mail'];
  beforeEach(() => {
    world.fleet = { ...FLEET, shares: new Map(names.map((name) => [name, ['source prom']])) };
  });

  it('that turns bad together is held as one incident, by verdicts and by decisions', async () => {
    await analysed('cart', { phase: 'Failed', verdict: 'fail', endedAt: new Date(now - MINUTE).toISOString() });
    await stored({ id: 'rb-search', application: 'search', badCommit: 'e'.repeat(40) });
    await stored({ id: 'rb-1', badCommit: bad });
    const first = await held();
    expect(first).toMatchObject({ code: 'fleet_breaker', incident: expect.stringMatching(/^fleet-/) });
    expect((await guardAbort(context, mine(), NEVER)).held?.incident).toBe(first?.incident);
    expect((await held({}, 'push'))?.incident).toBe(first?.incident);
    await stored({ id: 'rb-mail', application: 'mail', state: 'held', code: 'fleet_breaker', incident: 'fleet-known' });
    expect((await held())?.incident).toBe('fleet-known');
  });

  it('settles first: the rollback comes back at the moment that it asks for', async () => {
    const endedAt = null;
    const next = {
      phase: 'Running',
      verdict: null,
      judgement: null,
      endedAt,
      nextTickAt: new Date(now + MINUTE).toISOString(),
    } as const;
    await analysed('cart', next);
    await analysed('search', next);
    await stored({ id: 'rb-1', badCommit: bad });
    const rollback = mine();
    await expect(held(rollback)).rejects.toMatchObject({
      code: 'fleet_settling',
      retryable: true,
      details: { nextAt: Date.parse(rollback.decidedAt) + 5_000 },
    });
    now += 5_000;
    expect(await held(rollback)).toBeNull();
  });

  it('does not count what people asked for, nor what ended long ago', async () => {
    await stored({ id: 'rb-cart', application: 'cart', trigger: 'manual' });
    await stored({ id: 'rb-1', badCommit: bad });
    await analysed('search', { phase: 'Failed', verdict: 'fail', endedAt: new Date(now - 11 * MINUTE).toISOString() });
    await analysed('mail', { kind: 'recovery', phase: 'Failed', verdict: 'fail', endedAt: new Date(now).toISOString() });
    expect(await code()).toBeNull();
  });
});

describe('a look before', () => {
  it('names everything that would hold, without waiting', async () => {
    world.state = new CodedError('delivery_unreachable', 'it is away', { retryable: true });
    await context.switches.set({ scope: 'global', stopped: true, reason: 'we look into it' }, { name: 'ada' });
    const commit = { ...(await facts()), message: 'shop 2\n\nRollback: never\n' };
    const holding = await wouldHold(context, mine(), { bad: commit, plan: plan(), undone: [commit] }, NEVER);
    expect(holding.map((one) => one.code)).toEqual(['stopped_globally', 'opted_out']);
  });
});
