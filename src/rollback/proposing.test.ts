import { beforeEach, describe, expect, it } from 'vitest';
import { FLEET, rollbackOf } from '../../test/support/guard-facts.ts';
import { CodedError } from '../errors.ts';
import type { CommitStatus, Forge, ProposalOrder, Proposed } from '../forge/port.ts';
import type { Repository } from '../git/port.ts';
import { EXAMPLES } from '../http/examples.ts';
import type { ExecutorContext, Step } from './context.ts';
import type { Policy } from './policy.ts';
import { followProposal, propose, rollbackOfBranch, statusOf, withdraw } from './proposing.ts';
import type { Rollback } from './record.ts';
import type { Switch } from './switches.ts';

const NOW = Date.parse('2026-03-01T12:00:00Z');
const never = new AbortController().signal;
const [GOOD, BAD, OURS] = ['a'.repeat(40), 'b'.repeat(40), '0'.repeat(40)] as const;
const FILE = 'apps/shop/values.yaml';

/** A branch in memory whose commits hold one file; what a revert of BAD gives follows from its content. */
function branchInMemory() {
  const contents = new Map<string, string>([
    [GOOD, 'good'],
    [BAD, 'bad'],
    [OURS, 'good'],
  ]);
  const history: string[] = [GOOD, BAD];
  let next = 0;
  const repository: Pick<Repository, 'name' | 'branch' | 'refresh' | 'contentOf' | 'isAncestor' | 'revert'> = {
    name: 'deploy',
    branch: 'main',
    refresh: () => Promise.resolve({ head: history.at(-1) ?? '' }),
    contentOf(commit, paths) {
      const content = contents.get(commit);
      if (content === undefined) throw new CodedError('commit_unknown', 'no such commit');
      return Promise.resolve(`${paths.join()} ${content}`);
    },
    isAncestor: (ancestor) => Promise.resolve(history.includes(ancestor)),
    revert({ onto = '' }) {
      const content = contents.get(onto);
      if (content?.includes('bad') === true) {
        return Promise.resolve({ kind: 'commit', commit: OURS, head: onto, changed: [FILE], changes: [], effect: 'e', kept: [] });
      }
      if (content?.includes('good') === true) return Promise.resolve({ kind: 'nothing_to_revert', head: onto });
      return Promise.resolve({ kind: 'conflict', head: onto, paths: [FILE] });
    },
  };
  return {
    repository: repository as Repository,
    /** Somebody's commit on the branch; a merge brings the other one along. */
    commit(content: string, merges?: string): string {
      const id = String((next += 1)).padStart(40, '5');
      contents.set(id, content);
      if (merges !== undefined) history.push(merges);
      history.push(id);
      return id;
    },
    forget: (commit: string) => contents.delete(commit),
  };
}

describe('a proposal', () => {
  let branch: ReturnType<typeof branchInMemory>;
  let now: number;
  let at: Proposed | null;
  let fault: Error | null;
  let orders: ProposalOrder[];
  let statuses: CommitStatus[];
  let points: string[];
  let forge: Forge | null;
  let stopped: Switch[];
  beforeEach(() => {
    stopped = [];
    branch = branchInMemory();
    now = NOW;
    at = null;
    fault = null;
    orders = [];
    statuses = [];
    points = [];
    forge = {
      type: 'github',
      verified: false,
      can: { propose: true, autoMerge: true, status: true, webhook: true },
      propose(order) {
        if (fault !== null) return Promise.reject(fault);
        orders.push(order);
        at ??= {
          url: 'https://forge.example/pull/7',
          number: 7,
          state: 'open',
          endedBy: null,
          mergeCommit: null,
          branch: order.branch,
        };
        return Promise.resolve({ ...at, leftOut: ['reviewer robin: not a collaborator'] });
      },
      proposalOf: () => (fault === null ? Promise.resolve(at) : Promise.reject(fault)),
      revertsOf: () => Promise.resolve([]),
      comment: () => Promise.resolve(),
      setStatus(status) {
        if (status.description.includes('forbidden')) return Promise.reject(new CodedError('forge_forbidden', 'no'));
        statuses.push(status);
        return Promise.resolve();
      },
      readWebhook: () => Promise.reject(new Error('not here')),
      check: () => Promise.resolve([]),
    };
  });

  const context = () => {
    const own: Partial<Policy> = { application: 'shop', repository: 'deploy', branch: 'main', neverRestore: [] };
    const policy = own as Policy;
    const parts: Partial<ExecutorContext> = {
      clock: { now: () => now },
      policies: new Map([['shop', policy]]),
      repositories: new Map([['deploy', branch.repository]]),
      forgeOf: () => forge,
      fleet: FLEET,
      switches: { stopping: () => Promise.resolve(stopped) } as Partial<
        ExecutorContext['switches']
      > as ExecutorContext['switches'],
      proposalOrder: (rollback) =>
        Promise.resolve({
          branch: `davylamp/${rollback.id}`,
          base: 'main',
          title: 'Revert "x"',
          body: 'why',
          labels: [],
          reviewers: [],
          autoMerge: false,
        }),
      urlOf: () => 'https://lamp.example/rb-1',
      reach: (point) => void points.push(point),
    };
    return parts as ExecutorContext;
  };
  const plan: NonNullable<Rollback['plan']> = {
    kind: 'revert',
    hash: 'h',
    head: BAD,
    good: null,
    undoes: [BAD],
    changed: [FILE],
    kept: [],
    joint: [],
    prunes: [],
    automation: [],
    diff: '',
  };
  const pushed: Rollback = {
    ...(EXAMPLES['Rollback'] as Rollback),
    id: 'rb-1',
    application: 'shop',
    repository: 'deploy',
    branch: 'main',
    badCommit: BAD,
    mode: 'propose',
    state: 'proposed',
    code: 'proposed',
    plan,
    revertCommit: OURS,
    revertRef: 'refs/heads/davylamp/rb-1',
    proposal: null,
    problem: null,
    told: false,
    history: [{ at: new Date(NOW).toISOString(), step: 'proposed', sentence: 'pushed' }],
  };
  const opened = async (): Promise<Rollback> => (await propose(context(), pushed, never)).next;
  const follow = (rollback: Rollback): Promise<Step> => followProposal(context(), rollback, never);

  it('is opened, remembered, and marks the bad commit; what was left out is said', async () => {
    const { next, again } = await propose(context(), pushed, never);
    expect(again).toBeUndefined();
    expect(next).toMatchObject({
      state: 'proposed',
      proposal: { url: 'https://forge.example/pull/7', number: 7, state: 'open' },
      sentence: 'https://forge.example/pull/7 proposes the revert; left out: reviewer robin: not a collaborator',
    });
    expect(orders).toHaveLength(1);
    expect(statuses).toMatchObject([
      { commit: BAD, state: 'failure', context: 'davylamp/shop', url: 'https://lamp.example/rb-1' },
    ]);
    expect(points).toEqual(['proposal-opened']);
  });

  it('does not wait for a status that may not be set', async () => {
    const { next } = await propose(context(), { ...pushed, verdictSentence: 'forbidden' }, never);
    expect(next.proposal).not.toBeNull();
    expect(next.sentence).toMatch(/left out: .*the status of bbbbbbbbbb \(forge_forbidden\)/);
  });

  it('is looked at more and more rarely while it is open, from 10 s to 5 min', async () => {
    const rollback = await opened();
    const waits: number[] = [];
    for (const after of [0, 60_000, 300_000, 3_600_000, 86_400_000]) {
      now = NOW + after;
      const { next, again } = await follow(rollback);
      expect(next).toBe(rollback);
      waits.push((again ?? 0) - now);
    }
    expect(waits).toEqual([10_000, 12_000, 60_000, 300_000, 300_000]);
  });

  it('counts as pushed when it was merged and the bad content is gone', async () => {
    const rollback = await opened();
    const merge = branch.commit('good', OURS);
    at = { ...(at as Proposed), state: 'merged', endedBy: 'robin', mergeCommit: merge };
    const { next } = await follow(rollback);
    expect(next).toMatchObject({
      state: 'pushed',
      code: 'pushed',
      revertCommit: merge,
      revertRef: 'refs/heads/main',
      proposal: { state: 'merged' },
    });
    expect(next.sentence).toContain('was merged by robin');
  });

  it('counts as pushed when others changed the same file after the merge', async () => {
    const rollback = await opened();
    const merge = branch.commit('good', OURS);
    branch.commit('something new');
    at = { ...(at as Proposed), state: 'merged', endedBy: 'robin', mergeCommit: merge };
    expect((await follow(rollback)).next).toMatchObject({ state: 'pushed', revertCommit: merge });
  });

  it('does not take the forge at its word: merged, and the branch does not show it', async () => {
    const rollback = await opened();
    at = { ...(at as Proposed), state: 'merged', endedBy: 'robin', mergeCommit: 'f'.repeat(40) };
    const first = await follow(rollback);
    expect(first.next).toMatchObject({ state: 'proposed', proposal: { state: 'merged' } });
    expect(first.again).toBe(NOW + 10_000);
    now += 700_000;
    expect((await follow(first.next)).next).toMatchObject({ state: 'held', code: 'merged_without_effect' });
  });

  it('is held when somebody brought the bad content back after the merge', async () => {
    const rollback = await opened();
    const merge = branch.commit('good', OURS);
    branch.commit('bad');
    at = { ...(at as Proposed), state: 'merged', endedBy: 'robin', mergeCommit: merge };
    expect((await follow(rollback)).next).toMatchObject({ state: 'held', code: 'came_back' });
  });

  it("5.5 a person's no is a no: closed without a merge is refused, by name", async () => {
    const rollback = await opened();
    at = { ...(at as Proposed), state: 'closed', endedBy: 'robin\n@everyone' };
    const { next } = await follow(rollback);
    expect(next).toMatchObject({ state: 'refused', code: 'proposal_closed', proposal: { state: 'closed' } });
    expect(next.sentence).toContain('was closed by robin??everyone without a merge');
  });

  it('is refused when the forge no longer has it, and not opened again', async () => {
    const rollback = await opened();
    at = null;
    expect((await follow(rollback)).next).toMatchObject({ state: 'refused', code: 'proposal_closed' });
    expect(orders).toHaveLength(1);
  });

  it('5.3 content is the proof: reverted otherwise, open or closed, it is done without us', async () => {
    for (const state of ['open', 'closed'] as const) {
      branch = branchInMemory();
      at = null;
      const rollback = await opened();
      branch.commit('another good one');
      at = { url: 'https://forge.example/pull/7', number: 7, state, endedBy: null, mergeCommit: null, branch: 'davylamp/rb-1' };
      const { next } = await follow(rollback);
      expect(next).toMatchObject({ state: 'refused', code: 'already_reverted' });
      expect(next.sentence).toContain('https://forge.example/pull/7 can be closed');
    }
  });

  it('counts as pushed when our branch was merged by hand past the forge', async () => {
    const rollback = await opened();
    branch.commit('good', OURS);
    expect((await follow(rollback)).next).toMatchObject({ state: 'pushed', revertCommit: OURS });
  });

  it('stays open while others push what has nothing to do with it', async () => {
    const rollback = await opened();
    branch.commit('bad and more');
    const { next, again } = await follow(rollback);
    expect(next).toBe(rollback);
    expect(again).toBe(NOW + 10_000);
  });

  it('says less, and nothing wrong, when the mirror has lost our commit', async () => {
    const rollback = await opened();
    branch.commit('bad and more');
    branch.forget(OURS);
    expect((await follow(rollback)).next.state).toBe('proposed');
  });

  it('is not opened while a kill switch stops it, however long ago its branch was pushed', async () => {
    const at = new Date(NOW).toISOString();
    stopped = [{ scope: 'global', name: null, stopped: true, reason: 'prom is moved', by: 'ada', at }];
    await expect(propose(context(), pushed, never)).rejects.toMatchObject({ code: 'rollbacks_stopped', retryable: true });
    expect(orders).toEqual([]);
    stopped = [];
    await propose(context(), pushed, never);
    expect(orders).toHaveLength(1);
  });

  it('asks again when the limit of the forge is over, not before', async () => {
    const retryAt = new Date(NOW + 1_800_000).toISOString();
    fault = new CodedError('forge_rate_limited', 'no more calls', { retryable: true, details: { retryAt } });
    const step = await propose(context(), pushed, never);
    expect(step.again).toBe(NOW + 1_800_000);
    expect(step.next).toMatchObject({
      state: 'proposed',
      proposal: null,
      problem: { code: 'forge_rate_limited', nextAt: retryAt },
    });
    fault = new CodedError('forge_unreachable', 'away', { retryable: true });
    await expect(propose(context(), pushed, never)).rejects.toBe(fault);
  });

  it('is its branch where there is no forge: the content of the head is watched', async () => {
    forge = null;
    const step = await propose(context(), pushed, never);
    expect(step).toEqual({ next: pushed, again: NOW + 10_000 });
    branch.commit('good', OURS);
    expect((await propose(context(), pushed, never)).next).toMatchObject({ state: 'pushed', revertCommit: OURS });
    expect(orders).toEqual([]);
  });

  it('is known by its branch', () => {
    expect(rollbackOfBranch('davylamp/rb-0f')).toBe('rb-0f');
    expect(rollbackOfBranch('davylamp/rb-0f-2')).toBe('rb-0f');
    for (const other of ['main', 'davylamp/rb-0f/x', 'davylamp/', 'x/davylamp/rb-0f', 'davylamp/rb-../y']) {
      expect(rollbackOfBranch(other)).toBeNull();
    }
  });

  it('keeps the status of a commit within what forges take', () => {
    const status = statusOf({ ...pushed, verdictSentence: `errors\n${'x'.repeat(500)}` }, null);
    expect(status.description).toHaveLength(140);
    expect(status.description).toMatch(/^shop: errors x+…$/);
  });
});

describe('what was proposed before a person had it carried out', () => {
  const calls: string[] = [];
  const forge = {
    can: { propose: true, autoMerge: false, status: false, webhook: false },
    proposalOf: async (branch: string) => {
      calls.push(`look at ${branch}`);
      const state: Proposed['state'] = branch.endsWith('-2') ? 'open' : 'closed';
      return Promise.resolve({ url: 'https://forge.example/7', number: 7, state, endedBy: null, mergeCommit: null, branch });
    },
    comment: async (number: number, text: string) => Promise.resolve(void calls.push(`comment ${number}: ${text}`)),
    close: async (number: number) => Promise.resolve(void calls.push(`close ${number}`)),
  } as Partial<Forge> as Forge;
  const context = { forgeOf: () => forge } as Partial<ExecutorContext> as ExecutorContext;

  it('is closed where it is open, and looked for only where there was one', async () => {
    const pushed = rollbackOf({ revertCommit: 'c'.repeat(40), revertRef: 'refs/heads/main', state: 'pushed' });
    expect(await withdraw(context, pushed, never)).toBeNull();
    expect(calls).toEqual([]);
    expect(await withdraw(context, { ...pushed, proposes: 3 }, never)).toBe('https://forge.example/7 was closed');
    expect(calls).toEqual([
      'look at davylamp/rb-1',
      'look at davylamp/rb-1-2',
      expect.stringContaining('comment 7: A person asked for this rollback meanwhile: cccccccccc on main'),
      'close 7',
    ]);
  });

  it('keeps nothing up where the forge is away', async () => {
    const away = { ...forge, proposalOf: async () => Promise.reject(new CodedError('forge_unreachable', 'it is away')) };
    const said = await withdraw({ ...context, forgeOf: () => away }, { ...rollbackOf(), proposes: 2 }, never);
    expect(said).toContain('forge_unreachable');
  });
});
