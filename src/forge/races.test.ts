import { describe, expect, it } from 'vitest';
import { forgeWorld } from '../../test/support/forges/worlds.ts';
import { githubDialect } from '../../test/support/forges/github.ts';
import type { ProposalOrder } from './port.ts';

const never = new AbortController().signal;
const order: ProposalOrder = {
  branch: 'davylamp/rb-1',
  base: 'main',
  title: 'Revert "x"',
  body: 'why',
  labels: ['davylamp'],
  reviewers: [],
  autoMerge: false,
};

describe('a proposal that another process opened a moment ago', () => {
  it.each(['github', 'gitlab', 'gitea'] as const)('is found when the forge refuses a second one: %s', async (type) => {
    const world = await forgeWorld(type);
    try {
      world.hub.push(order.branch);
      const number = await world.open('us', order);
      world.hub.hideOnce = true;
      expect(await world.forge.propose(order, never)).toMatchObject({ number, state: 'open' });
      expect(world.hub.proposals).toHaveLength(1);
      expect(
        world.hub.requests.filter(({ method, path }) => method === 'POST' && /(pulls|merge_requests)$/.test(path)),
      ).toHaveLength(1);
    } finally {
      await world.close();
    }
  });

  it('is the one that counts where Gitea made two: the second is closed, and speaks for nothing', async () => {
    const world = await forgeWorld('gitea');
    try {
      world.hub.push(order.branch);
      const number = await world.open('us', order);
      // Neither its listing nor its own check shows the first one yet.
      const listed = world.hub.listed.bind(world.hub);
      let looks = 0;
      world.hub.listed = () => ((looks += 1) <= 2 ? [] : listed());
      expect(await world.forge.propose(order, never)).toMatchObject({ number, state: 'open' });
      expect(world.hub.proposals.map(({ state }) => state)).toEqual(['open', 'closed']);
      world.hub.end(number, 'merged', 'robin');
      expect(await world.forge.proposalOf(order.branch, never)).toMatchObject({ number, state: 'merged', endedBy: 'robin' });
    } finally {
      await world.close();
    }
  });
});

describe('what a forge refuses of a proposal', () => {
  it('is said when the branch holds nothing new', async () => {
    const world = await forgeWorld('github');
    try {
      world.hub.branches.set(order.branch, world.hub.branches.get('main') ?? '');
      await expect(world.forge.propose(order, never)).rejects.toMatchObject({ code: 'proposal_empty', retryable: false });
    } finally {
      await world.close();
    }
  });

  it('is left out and named when auto-merge cannot be ordered, and never merged at once instead', async () => {
    const world = await forgeWorld('github', { dialect: githubDialect({ clean: true }) });
    try {
      world.hub.push(order.branch);
      const { leftOut, number } = await world.forge.propose({ ...order, autoMerge: true }, never);
      expect(leftOut).toEqual(['auto-merge: Pull request Pull request is in clean status']);
      expect(world.hub.get(number).state).toBe('open');
    } finally {
      await world.close();
    }
  });

  it('is left out and named when a label cannot be made', async () => {
    const world = await forgeWorld('github');
    try {
      world.hub.push(order.branch);
      const refused = { status: 403, body: { message: 'Must have write access' } };
      world.hub.once.push({ fits: ({ method, path }) => method === 'POST' && path.endsWith('/labels'), answer: refused });
      const { leftOut } = await world.forge.propose(order, never);
      expect(leftOut).toEqual(['label davylamp: You do not have permission to create labels on this repository.']);
    } finally {
      await world.close();
    }
  });

  it.each([
    [{ 'retry-after': '120' }, 120],
    [{ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(Math.floor(Date.now() / 1_000) + 900) }, 900],
    [{}, 60],
  ])('is told with its time when it counts calls, also as 403: %j', async (headers, seconds) => {
    const world = await forgeWorld('github');
    try {
      const body = { message: 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.' };
      world.hub.once.push({ fits: () => true, answer: { status: 403, body, headers: headers as Record<string, string> } });
      const failing = world.forge.proposalOf('davylamp/rb-1', never);
      await expect(failing).rejects.toMatchObject({ code: 'forge_rate_limited', retryable: true });
      const error = (await failing.catch((thrown: unknown) => thrown)) as { details: { retryAt: string } };
      expect(Math.abs(Date.parse(error.details.retryAt) - Date.now() - seconds * 1_000)).toBeLessThan(10_000);
    } finally {
      await world.close();
    }
  });
});
