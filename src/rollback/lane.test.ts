import { describe, expect, it } from 'vitest';
import { CodedError } from '../errors.ts';
import type { PushResult, Repository } from '../git/port.ts';
import { Lane, type LaneOrder } from './lane.ts';

/** A branch that is a list of commits; a commit's name says what it is built on. */
function branch(answers: (PushResult | CodedError)[] = []) {
  const pushes: string[] = [];
  let head = 'h';
  const repository = {
    name: 'shop',
    branch: 'main',
    refresh: async () => ({ head }),
    async push(commit: string): Promise<PushResult> {
      pushes.push(commit);
      const answer = answers.shift() ?? 'pushed';
      if (answer instanceof CodedError) throw answer;
      if (answer === 'race') head += '+';
      else head = commit;
      return answer;
    },
  } as unknown as Repository;
  return { repository, pushes, headIs: () => head };
}

const order = (name: string, more: Partial<LaneOrder> = {}): LaneOrder => ({
  build: async (onto) => `${onto}/${name}`,
  begin: async () => true,
  ...more,
});
const nobodyElse = { respect: async () => false, take: async () => {}, leave: async () => {} };
const lane = (repository: Repository) => new Lane(repository, nobodyElse, new AbortController().signal);

describe('the lane of a branch', () => {
  it('pushes what waits together as one chain, each with a commit of its own', async () => {
    const world = branch();
    const one = lane(world.repository);
    const results = await Promise.all(['a', 'b', 'c'].map((name) => one.submit(order(name))));
    // The first had to leave at once; who came meanwhile went together.
    expect(world.pushes).toEqual(['h/a', 'h/a/b/c']);
    expect(results).toEqual([
      { kind: 'pushed', commit: 'h/a' },
      { kind: 'pushed', commit: 'h/a/b' },
      { kind: 'pushed', commit: 'h/a/b/c' },
    ]);
  });

  it('builds anew on the head that won a race', async () => {
    const world = branch(['race', 'race']);
    expect(await lane(world.repository).submit(order('a'))).toEqual({ kind: 'pushed', commit: 'h++/a' });
  });

  it('gives up for now after ten races, and can be asked again', async () => {
    const world = branch(Array.from({ length: 10 }, () => 'race' as const));
    const one = lane(world.repository);
    await expect(one.submit(order('a'))).rejects.toMatchObject({ code: 'push_races', retryable: true });
    expect(world.pushes).toHaveLength(10);
    expect(await one.submit(order('a'))).toMatchObject({ kind: 'pushed' });
  });

  it('leaves out who has nothing to push, fails to build or may not begin, and pushes the others', async () => {
    const world = branch();
    const one = lane(world.repository);
    const first = one.submit(order('a'));
    const results = await Promise.allSettled([
      one.submit(order('nothing', { build: async () => null })),
      one.submit(
        order('broken', {
          build: async () => {
            throw new CodedError('commit_unknown', 'gone');
          },
        }),
      ),
      one.submit(order('refused', { begin: async () => false })),
      one.submit(order('b')),
    ]);
    await first;
    expect(results[0]).toMatchObject({ value: { kind: 'left' } });
    expect(results[1]).toMatchObject({ reason: { code: 'commit_unknown' } });
    expect(results[2]).toMatchObject({ value: { kind: 'left' } });
    expect(results[3]).toMatchObject({ value: { kind: 'pushed', commit: 'h/a/b' } });
    expect(world.headIs()).toBe('h/a/b');
  });

  it('pushes one by one where the remote refuses the chain, so that one refusal stops nobody else', async () => {
    const refused = new CodedError('git_push_refused', 'a hook said no');
    const world = branch(['pushed', refused, refused, 'pushed']);
    const one = lane(world.repository);
    const first = one.submit(order('a'));
    const results = await Promise.allSettled([one.submit(order('bad')), one.submit(order('b'))]);
    await first;
    expect(results[0]).toMatchObject({ reason: { code: 'git_push_refused' } });
    expect(results[1]).toMatchObject({ value: { kind: 'pushed', commit: 'h/a/b' } });
  });

  it('5.3 lets an order that another one of the chain makes needless wait until that one is pushed', async () => {
    const world = branch([
      'pushed',
      new CodedError('git_push_refused', 'a hook said no'),
      new CodedError('git_push_refused', 'no'),
    ]);
    const one = lane(world.repository);
    const needless = () => order('same', { build: async (onto) => (onto.includes('joint') ? null : `${onto}/same`) });
    const first = one.submit(order('a'));
    const refused = await Promise.allSettled([one.submit(order('joint')), one.submit(needless())]);
    await first;
    expect(refused[0]).toMatchObject({ reason: { code: 'git_push_refused' } });
    // Nothing was pushed that would have made it needless, so it goes out itself.
    expect(refused[1]).toMatchObject({ value: { kind: 'pushed', commit: 'h/a/same' } });
    const taken = await Promise.all([one.submit(order('b')), one.submit(order('joint')), one.submit(needless())]);
    expect(taken.map(({ kind }) => kind)).toEqual(['pushed', 'pushed', 'left']);
  });

  it('5.3 makes the chain shorter on a branch that moves all the time, and loses nobody', async () => {
    const world = branch(['pushed', 'race', 'race', 'pushed']);
    const one = lane(world.repository);
    const results = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => one.submit(order(name))));
    expect(results.every(({ kind }) => kind === 'pushed')).toBe(true);
    // Four went together and lost twice, so two of them went, and then the other two.
    expect(world.pushes).toEqual(['h/a', 'h/a/b/c/d/e', 'h/a+/b/c/d/e', 'h/a++/b/c', 'h/a++/b/c/d/e']);
  });

  it('tells everybody in the chain of a push whose outcome is not known', async () => {
    const world = branch(['pushed', new CodedError('git_unreachable', 'cut off', { retryable: true })]);
    const one = lane(world.repository);
    const first = one.submit(order('a'));
    const results = await Promise.allSettled([one.submit(order('b')), one.submit(order('c'))]);
    await first;
    expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected']);
    expect(world.pushes).toHaveLength(2);
  });
});
