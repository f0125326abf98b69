import { setMaxListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Repository, RevertOrder } from '../../src/git/port.ts';
import { describeRepositoryContent } from './repository-content.ts';
import { describeReverters } from './repository-reverters.ts';

/** A repository under test together with the remote that it speaks to and the people who also push there. */
export interface RepositoryWorld {
  /** On the branch `main`, with the author `davylamp <davylamp@example.com>`. */
  repository: Repository;
  /** A commit by somebody else, already on the remote's branch; null removes a file. */
  commit(message: string, files: Readonly<Record<string, string | null>>): Promise<string>;
  /** Id that a branch of the remote points to; null when there is no such branch. */
  remoteHead(branch?: string): Promise<string | null>;
  /** Text of a file at the head of the remote's branch. */
  read(path: string): Promise<string | null>;
  setReachable(reachable: boolean): Promise<void>;
  /** With a reason the remote declines every push. */
  refusePushes(reason: string | null): Promise<void>;
  close(): Promise<void>;
}

// One signal for all calls of the tests; callers in the service have one each.
const signal = new AbortController().signal;
setMaxListeners(0, signal);
const ABSENT = '0123456789012345678901234567890123456789';

export function order(badCommit: string, changes: Partial<RevertOrder> = {}): RevertOrder {
  return { badCommit, message: 'Revert "bad"\n', at: 1_700_000_000_000, paths: ['apps/shop'], ...changes };
}

/** What every adapter of the port has to do, whatever stands behind it. */
export function describeRepository(name: string, make: () => Promise<RepositoryWorld>): void {
  describeRepositoryContent(name, make);
  describeReverters(name, make);
  describe(`repository: ${name}`, () => {
    let world: RepositoryWorld;
    let repository: Repository;
    let first: string;

    beforeEach(async () => {
      world = await make();
      repository = world.repository;
      first = await world.commit('first', { 'apps/shop/a.yaml': 'image: 1\n', 'apps/shopping/a.yaml': 'other: 1\n' });
    });
    afterEach(async () => {
      await world.close();
    });

    const bad = () => world.commit('Deploy shop 2\n\nWith a longer story.', { 'apps/shop/a.yaml': 'image: 2\n' });

    async function revertOf(commit: string, changes: Partial<RevertOrder> = {}): Promise<string> {
      const result = await repository.revert(order(commit, changes), signal);
      if (result.kind !== 'commit') throw new Error(`expected a commit, got ${JSON.stringify(result)}`);
      return result.commit;
    }

    it('follows the head of the branch', async () => {
      expect(await repository.refresh(signal)).toEqual({ head: first });
      const second = await bad();
      expect(await repository.refresh(signal)).toEqual({ head: second });
    });

    it('tells the facts of a commit that was pushed after the last fetch', async () => {
      await repository.refresh(signal);
      const sha = await bad();
      expect(await repository.commit(sha, signal)).toEqual({
        sha,
        parents: [first],
        subject: 'Deploy shop 2',
        message: 'Deploy shop 2\n\nWith a longer story.',
        paths: ['apps/shop/a.yaml'],
        onBranch: true,
        author: { name: expect.any(String) as string, email: expect.stringContaining('@') as string },
        at: expect.any(Number) as number,
      });
    });

    it('tells what another branch of the remote ends with, and whose that is', async () => {
      const sha = await bad();
      await repository.refresh(signal);
      const branch = 'davylamp/rb-0f0f0f0f0f';
      expect(await repository.tipOf(branch, signal)).toBeNull();
      const message = `Revert "bad"\n\nDavylamp-Rollback: rb-0f0f0f0f0f\nReverts: ${sha}\n`;
      const ours = await revertOf(sha, { message });
      await repository.push(ours, branch, signal);
      expect(await repository.tipOf(branch, signal)).toEqual({ commit: ours, rollback: 'rb-0f0f0f0f0f' });
      expect(await repository.tipOf('davylamp/rb-0f', signal)).toBeNull();
      await repository.push(sha, 'davylamp/rb-1f1f1f1f1f', signal);
      expect(await repository.tipOf('davylamp/rb-1f1f1f1f1f', signal)).toEqual({ commit: sha, rollback: null });
    });

    it('tells the facts of the first commit', async () => {
      const facts = await repository.commit(first, signal);
      expect(facts.parents).toEqual([]);
      expect(facts.paths.toSorted()).toEqual(['apps/shop/a.yaml', 'apps/shopping/a.yaml']);
    });

    it('finds a commit by seven digits of its id, in either case', async () => {
      const sha = await bad();
      expect((await repository.commit(sha.slice(0, 7), signal)).sha).toBe(sha);
      expect((await repository.commit(sha.toUpperCase(), signal)).sha).toBe(sha);
    });

    it.each([ABSENT, ABSENT.slice(0, 9), 'main', 'HEAD', '', '1234', '--all', 'v1.2.3'])(
      'does not know the commit %j',
      async (revision) => {
        await expect(repository.commit(revision, signal)).rejects.toMatchObject({ code: 'commit_unknown', retryable: false });
      },
    );

    it('tells ancestors from others, and unknown commits are nobody’s ancestors', async () => {
      const second = await bad();
      expect(await repository.isAncestor(first, second, signal)).toBe(true);
      expect(await repository.isAncestor(second, second, signal)).toBe(true);
      expect(await repository.isAncestor(second, first, signal)).toBe(false);
      expect(await repository.isAncestor(ABSENT, second, signal)).toBe(false);
      expect(await repository.isAncestor(second, ABSENT, signal)).toBe(false);
    });

    it('takes out the bad commit and keeps what came later', async () => {
      const sha = await bad();
      const head = await world.commit('later', { 'apps/shop/b.yaml': 'b: 1\n', 'docs.md': 'text\n' });
      const result = await repository.revert(order(sha, { message: 'Revert "Deploy shop 2"\n\nReverts: x\n' }), signal);
      expect(result).toMatchObject({ kind: 'commit', head, changed: ['apps/shop/a.yaml'] });
      if (result.kind !== 'commit') return;
      expect(await world.remoteHead()).toBe(head);
      expect(await repository.push(result.commit, null, signal)).toBe('pushed');
      expect(await world.remoteHead()).toBe(result.commit);
      expect(await world.read('apps/shop/a.yaml')).toBe('image: 1\n');
      expect(await world.read('apps/shop/b.yaml')).toBe('b: 1\n');
      expect(await world.read('docs.md')).toBe('text\n');
      expect(await repository.commit(result.commit, signal)).toMatchObject({
        parents: [head],
        message: 'Revert "Deploy shop 2"\n\nReverts: x',
        onBranch: true,
      });
    });

    it('makes the same commit of the same order on the same head, and another one otherwise', async () => {
      const sha = await bad();
      const once = await revertOf(sha);
      expect(await revertOf(sha)).toBe(once);
      expect(await revertOf(sha, { at: 1_700_000_001_000 })).not.toBe(once);
      expect(await revertOf(sha, { message: 'another\n' })).not.toBe(once);
    });

    it('has nothing to revert when the content is out already', async () => {
      const sha = await bad();
      const head = await world.commit('by hand', { 'apps/shop/a.yaml': 'image: 1\n' });
      expect(await repository.revert(order(sha), signal)).toEqual({ kind: 'nothing_to_revert', head });
      // Also for a commit that could not be reverted for its paths.
      expect(await repository.revert(order(sha, { paths: ['elsewhere'] }), signal)).toEqual({ kind: 'nothing_to_revert', head });
    });

    it('names the files of a conflict', async () => {
      const sha = await bad();
      const head = await world.commit('on top', { 'apps/shop/a.yaml': 'image: 3\n' });
      expect(await repository.revert(order(sha), signal)).toEqual({ kind: 'conflict', head, paths: ['apps/shop/a.yaml'] });
    });

    it('refuses a guilty commit that also changed something else, with the list', async () => {
      const sha = await world.commit('both', { 'apps/shop/a.yaml': 'image: 2\n', 'apps/shopping/a.yaml': 'other: 2\n' });
      expect(await repository.revert(order(sha), signal)).toEqual({
        kind: 'outside_paths',
        head: sha,
        paths: ['apps/shopping/a.yaml'],
      });
      expect(await repository.revert(order(sha, { paths: ['apps/shop/', './apps/shopping'] }), signal)).toMatchObject({
        kind: 'commit',
      });
      expect(await repository.revert(order(sha, { paths: ['.'] }), signal)).toMatchObject({ kind: 'commit' });
      expect(await repository.revert(order(sha, { paths: [] }), signal)).toMatchObject({ kind: 'outside_paths' });
    });

    it('refuses half of a guilty commit, also when the other half is out already', async () => {
      const sha = await world.commit('both', { 'apps/shop/a.yaml': 'image: 2\n', 'apps/shopping/a.yaml': 'other: 2\n' });
      const head = await world.commit('half by hand', { 'apps/shopping/a.yaml': 'other: 1\n' });
      expect(await repository.revert(order(sha), signal)).toEqual({
        kind: 'outside_paths',
        head,
        paths: ['apps/shopping/a.yaml'],
      });
    });

    it('refuses to revert the first commit', async () => {
      await expect(repository.revert(order(first, { paths: ['.'] }), signal)).rejects.toMatchObject({ code: 'commit_is_root' });
    });

    it('lets the one who pushed first win, and comes second after another look', async () => {
      const sha = await bad();
      const commit = await revertOf(sha);
      const between = await world.commit('between', { 'docs.md': 'between\n' });
      expect(await repository.push(commit, null, signal)).toBe('race');
      expect(await world.remoteHead()).toBe(between);
      await repository.refresh(signal);
      expect(await repository.push(commit, null, signal)).toBe('race');
      expect(await repository.push(await revertOf(sha), null, signal)).toBe('pushed');
      expect(await world.read('docs.md')).toBe('between\n');
      expect(await world.read('apps/shop/a.yaml')).toBe('image: 1\n');
    });

    it('says so when the very commit is there already', async () => {
      const commit = await revertOf(await bad());
      expect(await repository.push(commit, null, signal)).toBe('pushed');
      expect(await repository.push(commit, null, signal)).toBe('up_to_date');
    });

    it('writes a proposal to a branch of its own, once', async () => {
      const sha = await bad();
      const commit = await revertOf(sha);
      expect(await repository.push(commit, 'davylamp/rollback-1', signal)).toBe('pushed');
      expect(await repository.push(commit, 'davylamp/rollback-1', signal)).toBe('up_to_date');
      expect(await world.remoteHead('davylamp/rollback-1')).toBe(commit);
      expect(await world.remoteHead()).toBe(sha);
      await expect(repository.push(commit, '+main', signal)).rejects.toMatchObject({ code: 'git_argument_refused' });
    });

    it('does not push what it does not have', async () => {
      await expect(repository.push(ABSENT, null, signal)).rejects.toMatchObject({ code: 'commit_unknown' });
      await expect(repository.push('main', null, signal)).rejects.toMatchObject({ code: 'commit_unknown' });
    });

    it('finds its own commits by the exact id of the rollback and its own identity', async () => {
      const sha = await bad();
      expect(await repository.ownCommits(sha, 'rb-1', signal)).toEqual([]);
      const message = 'Revert "bad"\n\n> Davylamp-Rollback: rb-2\n\nDavylamp-Rollback: rb-1\nReverts: x\n';
      const commit = await revertOf(sha, { message });
      expect(await repository.ownCommits(sha, 'rb-1', signal)).toEqual([]);
      await repository.push(commit, null, signal);
      await world.commit('an imitation\n\nDavylamp-Rollback: rb-1', { 'docs.md': 'x\n' });
      await repository.refresh(signal);
      expect(await repository.ownCommits(sha, 'rb-1', signal)).toEqual([commit]);
      expect(await repository.ownCommits(sha, 'rb-2', signal)).toEqual([]);
      expect(await repository.ownCommits(sha, 'rb', signal)).toEqual([]);
      expect(await repository.ownCommits(commit, 'rb-1', signal)).toEqual([]);
    });

    it('tells all rollbacks of its own that Git knows, newest first, and no forged one', async () => {
      expect(await repository.ownRollbacks(10, signal)).toEqual([]);
      const sha = await bad();
      const trailers = `Davylamp-Rollback: rb-1\nDavylamp-Application: shop\nReverts: ${sha}`;
      const commit = await revertOf(sha, { message: `Revert "bad"\n\n${trailers}\n` });
      await repository.push(commit, null, signal);
      await world.commit(`an imitation\n\n${trailers.replace('rb-1', 'rb-2')}`, { 'docs.md': 'x\n' });
      await world.commit('a mention of Davylamp-Rollback: rb-3 in a text', { 'docs.md': 'y\n' });
      const found = await repository.ownRollbacks(10, signal);
      const at = found[0]?.at ?? NaN;
      expect(found).toEqual([{ commit, at, rollback: 'rb-1', application: 'shop', reverts: sha }]);
      expect(Number.isInteger(at)).toBe(true);
    });

    it('reports a remote that is down as passing, reads on, and goes on when it is back', async () => {
      const sha = await bad();
      const commit = await revertOf(sha);
      await world.setReachable(false);
      const down = { code: 'git_unreachable', retryable: true };
      await expect(repository.refresh(signal)).rejects.toMatchObject(down);
      await expect(repository.push(commit, null, signal)).rejects.toMatchObject(down);
      await expect(repository.commit(ABSENT, signal)).rejects.toMatchObject(down);
      expect((await repository.commit(sha, signal)).sha).toBe(sha);
      await world.setReachable(true);
      expect(await repository.refresh(signal)).toEqual({ head: sha });
      expect(await repository.push(commit, null, signal)).toBe('pushed');
    });

    it('reports a refused push as final, with the reason', async () => {
      const sha = await bad();
      const commit = await revertOf(sha);
      await world.refusePushes('the branch is frozen');
      const error: unknown = await repository.push(commit, null, signal).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'git_push_refused', retryable: false });
      expect(error).toHaveProperty('details.reason', expect.stringContaining('the branch is frozen'));
      expect(await world.remoteHead()).toBe(sha);
      await world.refusePushes(null);
      expect(await repository.push(commit, null, signal)).toBe('pushed');
    });

    it('shows the change of a commit, shortened to what is asked for', async () => {
      const sha = await bad();
      const diff = await repository.diff(sha, 10_000, signal);
      expect(diff).toContain('\n-image: 1\n+image: 2\n');
      const start = await repository.diff(sha, 40, signal);
      expect(start).toHaveLength(40);
      expect(diff.startsWith(start.slice(0, 39))).toBe(true);
    });

    it('stops when it is told to', async () => {
      const sha = await bad();
      const aborted = AbortSignal.abort(new Error('shutting down'));
      for (const call of [
        () => repository.refresh(aborted),
        () => repository.commit(sha, aborted),
        () => repository.revert(order(sha), aborted),
        () => repository.push(sha, null, aborted),
      ]) {
        await expect(call()).rejects.toThrow('shutting down');
      }
      expect((await repository.commit(sha, signal)).sha).toBe(sha);
    });
  });
}
