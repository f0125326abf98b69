import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ledgerWorld, type LedgerWorld } from '../../test/support/ledger-world.ts';
import type { Delivery, DeliveryState, Located } from '../delivery/port.ts';
import { findRevision, guiltyOf, type FindOrder } from './finding.ts';

const signal = new AbortController().signal;
const PATHS = ['apps/shop'];

let world: LedgerWorld;
beforeEach(async () => {
  world = await ledgerWorld();
});
afterEach(async () => {
  await world.close();
});

const cart = (version: string) => world.commit(`cart ${version}`, { 'apps/cart/rollout.yaml': `image: cart:${version}\n` });

/** The guilty commits as ids, or the reason why there are none. */
async function guilty(revision: string, good: string | null) {
  const { repository } = world;
  const found = await guiltyOf({ repository, paths: PATHS, revision: await repository.commit(revision, signal), good }, signal);
  if (found.kind === 'none') return found.code;
  return found.kind === 'one' ? [found.commit.sha] : found.commits.map(({ sha }) => sha);
}

describe('the guilty commit', () => {
  it('is the one that changed the application since the last good revision', async () => {
    const [good, bad] = [await world.release('1'), await world.release('2')];
    expect(await guilty(bad, good)).toEqual([bad]);
  });

  it('is an earlier one where the cluster runs the head of a repository of many applications', async () => {
    const good = await world.release('1');
    await cart('1');
    const bad = await world.release('2');
    const head = await cart('2');
    expect(await guilty(head, good)).toEqual([bad]);
    expect(await guilty(head, null)).toEqual([bad]);
  });

  it('is one of several where several came since, newest first', async () => {
    const good = await world.release('1');
    const [two, three] = [await world.release('2'), await world.release('3')];
    const head = await cart('1');
    expect(await guilty(head, good)).toEqual([three, two]);
    expect(await guilty(three, null)).toEqual([three]);
  });

  it('is none of those that were taken back before it', async () => {
    const good = await world.release('1');
    await world.release('2');
    await world.release('1');
    const bad = await world.release('3');
    expect(await guilty(bad, good)).toEqual([bad]);
  });

  it('is none where nothing of the application changed, and the sentence says where to look', async () => {
    const good = await world.release('1');
    const head = await cart('1');
    const { repository } = world;
    const revision = await repository.commit(head, signal);
    expect(await guiltyOf({ repository, paths: PATHS, revision, good }, signal)).toMatchObject({
      kind: 'none',
      code: 'nothing_in_git',
      sentence: expect.stringMatching(/apps\/shop.*tag that was pushed again, a chart version, a parameter override/),
    });
    expect(await guilty(good, good)).toBe('nothing_in_git');
  });

  it('is none where what was changed was changed back', async () => {
    const good = await world.release('1');
    await world.release('2');
    const back = await world.release('1');
    expect(await guilty(back, good)).toBe('nothing_in_git');
  });

  it('is the merge that brought a branch, as one', async () => {
    const good = await world.release('1');
    const { colleague } = world;
    await colleague.git('checkout', '--quiet', '-b', 'feature');
    for (const version of ['2', '3']) {
      await colleague.commit(`work ${version}`, { 'apps/shop/rollout.yaml': `image: shop:${version}\n` });
    }
    await colleague.git('checkout', '--quiet', 'main');
    await colleague.git('merge', '--quiet', '--no-ff', '-m', 'Merge feature', 'feature');
    const merge = await colleague.git('rev-parse', 'HEAD');
    await colleague.push();
    await world.repository.refresh(signal);
    expect(await guilty(merge, good)).toEqual([merge]);
  });
});

/** What an operator and a workload say. */
function delivery(says: { state?: Partial<DeliveryState>; located?: Partial<Located> }): Delivery {
  const state: DeliveryState = { canary: null, stable: null, synced: null, phase: 'progressing', ...says.state };
  const located: Located = { revision: null, how: 'Argo CD shop/recommender', notInGit: null, good: [], ...says.located };
  return {
    type: 'double',
    can: { observe: says.state !== undefined, abort: false, annotate: false, sync: false },
    observe: async () => state,
    ...(says.located !== undefined && { locate: async () => located }),
    abort: async () => 'not_running',
    annotate: async () => undefined,
    sync: async () => undefined,
  };
}

async function find(change: Partial<FindOrder>) {
  const found = await findRevision(
    {
      application: 'shop',
      paths: PATHS,
      repository: world.repository,
      delivery: undefined,
      named: null,
      exactly: false,
      lastGood: async () => null,
      ...change,
    },
    signal,
  );
  return found.kind === 'found' ? [found.revision.sha, found.how] : found.code;
}

describe('the revision that is meant', () => {
  it('is the one that the request names, before what anybody else says', async () => {
    const [one, two] = [await world.release('1'), await world.release('2')];
    const told = delivery({ located: { revision: two }, state: { canary: two } });
    expect(await find({ named: one.slice(0, 9), delivery: told })).toEqual([one, 'named by the request']);
  });

  it('is what the operator says before what the workload says, and that before Git alone', async () => {
    const [one, two, three] = [await world.release('1'), await world.release('2'), await world.release('3')];
    const lastGood = async () => one;
    const both = delivery({
      located: { revision: two, how: 'Argo CD shop/recommender, status.history' },
      state: { canary: three },
    });
    expect(await find({ delivery: both, lastGood })).toEqual([two, 'Argo CD shop/recommender, status.history']);
    const silent = delivery({ located: {}, state: { canary: two, stable: one } });
    expect(await find({ delivery: silent, lastGood })).toEqual([two, 'as the workload says']);
    const between = delivery({ state: { stable: two } });
    expect(await find({ delivery: between, lastGood })).toEqual([two, 'as the workload says']);
    expect(await find({ lastGood })).toEqual([three, `the newest change since the good revision ${one.slice(0, 12)}`]);
  });

  it('is looked for elsewhere when the request names a tag or a commit of another repository', async () => {
    const two = await world.release('2');
    const told = delivery({ located: { revision: two } });
    for (const named of ['v1.4.0', 'd'.repeat(40)]) {
      expect(await find({ named, delivery: told })).toEqual([two, 'Argo CD shop/recommender']);
    }
  });

  it('is the commit whose trailer names the commit of the code', async () => {
    const good = await world.release('1');
    const code = 'c0de'.repeat(10);
    const deploy = await world.commit(`Deploy\n\nArgocd-reference-commit-sha: ${code}\n`, {
      'apps/shop/rollout.yaml': 'image: shop:2\n',
    });
    await world.release('3');
    const lastGood = async () => good;
    expect(await find({ named: code.slice(0, 10), lastGood })).toEqual([deploy, 'its message names the commit']);
  });

  it('is exactly the one that a person names, or an error: nothing else is guessed', async () => {
    const two = await world.release('2');
    const told = delivery({ located: { revision: two } });
    const asked = find({ named: 'd'.repeat(40), exactly: true, delivery: told });
    await expect(asked).rejects.toMatchObject({ code: 'commit_unknown' });
    await expect(find({ named: 'v1.4.0', exactly: true, delivery: told })).rejects.toMatchObject({ code: 'commit_unknown' });
  });

  it('is not in Git where the operator says so, with what to do instead', async () => {
    await world.release('2');
    const notInGit = { code: 'chart_version', sentence: 'the chart version was raised; set it back' } as const;
    const told = delivery({ located: { notInGit }, state: { canary: 'a'.repeat(40) } });
    expect(await find({ delivery: told })).toBe('chart_version');
  });

  it('is not known where nobody names it and no revision is known to be good', async () => {
    const head = await world.release('2');
    expect(await find({})).toBe('revision_unknown');
    expect(await find({ lastGood: async () => head })).toBe('nothing_in_git');
  });
});
