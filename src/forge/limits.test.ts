import { afterEach, describe, expect, it } from 'vitest';
import { forgeWorld } from '../../test/support/forges/worlds.ts';
import type { HubAnswer } from '../../test/support/forges/hub.ts';
import type { ProposalOrder } from './port.ts';

const never = new AbortController().signal;
const NOW = Date.parse('2026-03-01T12:00:00Z');
const order: ProposalOrder = {
  branch: 'davylamp/rb-1',
  base: 'main',
  title: 'Revert "x"',
  body: 'why',
  labels: [],
  reviewers: [],
  autoMerge: true,
};

let world: Awaited<ReturnType<typeof forgeWorld>>;
afterEach(() => world.close());

describe('a limit of calls', () => {
  const until = async (): Promise<number> => {
    const error: unknown = await world.forge.proposalOf('davylamp/rb-1', never).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'forge_rate_limited', retryable: true });
    const { details } = error as { details: { retryAt: string } };
    return (Date.parse(details.retryAt) - NOW) / 1_000;
  };
  const answering = (answer: HubAnswer) => world.hub.once.push({ fits: () => true, answer });
  const secondary = { message: 'You have exceeded a secondary rate limit.' };
  const abuse = { message: 'You have triggered an abuse detection mechanism. Please wait a few minutes before you try again.' };

  it('is waited for twice as long each time in a row that nothing says how long, and for an hour at most', async () => {
    world = await forgeWorld('github', { deps: { clock: { now: () => NOW } } });
    const waits: number[] = [];
    for (let time = 0; time < 8; time += 1) {
      answering({ status: 403, body: time % 2 === 0 ? secondary : abuse });
      waits.push(await until());
    }
    expect(waits).toEqual([60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
    expect(await world.forge.proposalOf('davylamp/rb-1', never)).toBeNull();
    answering({ status: 429, body: secondary });
    expect(await until()).toBe(60);
  });

  it('is the time that GitLab names', async () => {
    world = await forgeWorld('gitlab', { deps: { clock: { now: () => NOW } } });
    const headers = { 'ratelimit-remaining': '0', 'ratelimit-reset': String(NOW / 1_000 + 42) };
    answering({ status: 429, body: { message: 'Retry later' }, headers });
    expect(await until()).toBe(42);
  });

  it('is also seen where the GraphQL API of GitHub tells of it with status 200', async () => {
    world = await forgeWorld('github', { deps: { clock: { now: () => NOW } } });
    world.hub.push(order.branch);
    const body = { data: null, errors: [{ type: 'RATE_LIMITED', message: 'API rate limit exceeded for user ID 1.' }] };
    const headers = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(NOW / 1_000 + 600) };
    world.hub.once.push({ fits: ({ path }) => path === '/api/graphql', answer: { status: 200, body, headers } });
    await expect(world.forge.propose(order, never)).rejects.toMatchObject({
      code: 'forge_rate_limited',
      details: { retryAt: new Date(NOW + 600_000).toISOString() },
    });
  });
});

describe('auto-merge at GitLab', () => {
  const merge = { fits: ({ path }: { path: string }) => path.endsWith('/merge') };

  it('is left out where the user may not merge, which GitLab says as 401', async () => {
    world = await forgeWorld('gitlab');
    world.hub.push(order.branch);
    world.hub.once.push({ ...merge, answer: { status: 401, body: { message: '401 Unauthorized' } } });
    const { leftOut, state } = await world.forge.propose(order, never);
    expect({ leftOut, state }).toEqual({ leftOut: ['auto-merge: 401 Unauthorized'], state: 'open' });
  });

  it.each([405, 406, 422])('is asked for again while the merge request is prepared, which it says as %i', async (status) => {
    world = await forgeWorld('gitlab');
    world.hub.push(order.branch);
    world.hub.once.push({ ...merge, answer: { status, body: { message: 'Branch cannot be merged' } } });
    expect((await world.forge.propose(order, never)).leftOut).toEqual([]);
    expect(world.hub.get(1).autoMerge).toBe(true);
  });

  it('still says of any other call that the credential is worn out', async () => {
    world = await forgeWorld('gitlab');
    world.hub.push(order.branch);
    const fits = ({ method }: { method: string }) => method === 'POST';
    world.hub.once.push({ fits, answer: { status: 401, body: { message: '401 Unauthorized' } } });
    await expect(world.forge.propose(order, never)).rejects.toMatchObject({ code: 'forge_auth_failed' });
  });
});
