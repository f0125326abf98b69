import { setMaxListeners } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Repository, RestoreOrder, RevertResult, WriteOrder } from '../../src/git/port.ts';
import type { RepositoryWorld } from './repository.ts';

const signal = new AbortController().signal;
setMaxListeners(0, signal);
const ABSENT = '0123456789012345678901234567890123456789';
const SHOP = 'apps/shop';

type Made = Extract<RevertResult, { kind: 'commit' }>;

function made(result: RevertResult): Made {
  if (result.kind !== 'commit') throw new Error(`expected a commit, got ${JSON.stringify(result)}`);
  return result;
}

/** What every adapter of the port reads from commits, and how it restores and edits. */
export function describeRepositoryContent(name: string, make: () => Promise<RepositoryWorld>): void {
  describe(`content of a repository: ${name}`, () => {
    let world: RepositoryWorld;
    let repository: Repository;
    /** good; then a bad one, a later one of another application, a second bad one. */
    let good: string;
    let bad: string;
    let other: string;
    let worse: string;
    beforeAll(async () => {
      world = await make();
      repository = world.repository;
      await world.commit('root', { 'docs.md': 'text\n' });
      good = await world.commit('good', {
        'apps/shop/a.yaml': 'image: 1\nreplicas: 3\n',
        'apps/shop/gone.yaml': 'gone: 1\n',
        'apps/shop/sealed/secret.yaml': 'secret: 1\n',
        'apps/shopping/a.yaml': 'other: 1\n',
      });
      bad = await world.commit('Deploy 2 (#7)', {
        'apps/shop/a.yaml': 'image: 2\nreplicas: 3\n',
        'apps/shop/gone.yaml': null,
        'apps/shop/new.yaml': 'new: 1\n',
        'apps/shop/sealed/secret.yaml': 'secret: 2\n',
      });
      other = await world.commit('other', { 'apps/shopping/a.yaml': 'other: 2\n' });
      worse = await world.commit('worse', { 'apps/shop/a.yaml': 'image: 3\nreplicas: 3\n', 'apps/shop/sub/b.yaml': 'b: 1\n' });
      await repository.refresh(signal);
    });
    afterAll(async () => {
      await world.close();
    });

    const restore = (changes: Partial<RestoreOrder> = {}): RestoreOrder => {
      return { good, message: 'Restore shop\n', at: 1_700_000_000_000, paths: [SHOP], ...changes };
    };
    const edit = (edits: WriteOrder['edits'], changes: Partial<WriteOrder> = {}): WriteOrder => {
      return { message: 'Set back\n', at: 1_700_000_000_000, paths: [SHOP], edits, ...changes };
    };
    const at = (commit: string, path: string) => repository.readFile(commit, path, signal);

    it('reads files as text, and null where there is none', async () => {
      expect(await at(bad, 'apps/shop/a.yaml')).toBe('image: 2\nreplicas: 3\n');
      expect(await at(good, 'apps/shop/a.yaml')).toBe('image: 1\nreplicas: 3\n');
      for (const path of [
        'apps/shop/new.yaml',
        'apps/shop',
        'apps/shop/',
        '',
        '.',
        '..',
        '/',
        'apps/shop/a.yaml/x',
        '../x',
        'a\0b',
      ]) {
        expect(await at(good, path)).toBeNull();
      }
      await expect(at(ABSENT, 'docs.md')).rejects.toMatchObject({ code: 'commit_unknown' });
    });

    it('lists the files within paths, at most as many as asked for', async () => {
      const files = (commit: string, paths: string[], limit = 100) => repository.filesAt(commit, paths, limit, signal);
      expect(await files(worse, [SHOP])).toEqual([
        'apps/shop/a.yaml',
        'apps/shop/new.yaml',
        'apps/shop/sealed/secret.yaml',
        'apps/shop/sub/b.yaml',
      ]);
      expect(await files(worse, ['./apps/shop/', 'apps/shop/a.yaml'], 1)).toEqual(['apps/shop/a.yaml']);
      expect(await files(worse, ['.'])).toHaveLength(6);
      expect(await files(worse, ['apps/sho'])).toEqual([]);
      expect(await files(worse, [])).toEqual([]);
      expect(await files(worse, ['apps/*', '*'])).toEqual([]);
      await expect(files(worse, ['../x'])).rejects.toMatchObject({ code: 'git_argument_refused' });
    });

    it('gives the same content the same id, whichever commit it is in', async () => {
      const id = (commit: string, paths: string[] = [SHOP]) => repository.contentOf(commit, paths, signal);
      expect(await id(bad)).toBe(await id(other));
      expect(new Set([await id(good), await id(bad), await id(worse)]).size).toBe(3);
      expect(await id(bad, ['apps/shop/'])).toBe(await id(bad));
      expect(await id(good, ['apps/shopping'])).toBe(await id(bad, ['apps/shopping']));
      expect(await id(bad, ['.'])).not.toBe(await id(other, ['.']));
      expect(await id(bad, ['apps/none'])).toBe(await id(good, ['apps/none']));
    });

    it('names the commits that touch paths, newest first', async () => {
      const touching = async (changes: Partial<Parameters<Repository['commitsTouching']>[0]> = {}) =>
        repository.commitsTouching({ from: good, to: worse, paths: [SHOP], limit: 10, ...changes }, signal);
      const found = await touching();
      expect(found.map(({ sha }) => sha)).toEqual([worse, bad]);
      expect(found[1]).toEqual(await repository.commit(bad, signal));
      expect((await touching({ from: null })).map(({ sha }) => sha)).toEqual([worse, bad, good]);
      expect((await touching({ limit: 1 })).map(({ sha }) => sha)).toEqual([worse]);
      expect((await touching({ paths: ['.'] })).map(({ sha }) => sha)).toEqual([worse, other, bad]);
      expect(await touching({ from: worse })).toEqual([]);
      expect(await touching({ paths: [] })).toEqual([]);
      await expect(touching({ from: ABSENT })).rejects.toMatchObject({ code: 'commit_unknown' });
    });

    it('tells who wrote a commit and when', async () => {
      const facts = await repository.commit(bad, signal);
      expect(facts.author.email).toContain('@');
      expect(Math.abs(Date.now() - facts.at)).toBeLessThan(24 * 3_600_000);
    });

    describe('restore', () => {
      it('puts the paths back file for file, added ones go away, and others stay', async () => {
        const result = made(await repository.restore(restore(), signal));
        expect(result.head).toBe(worse);
        expect(result.changes).toEqual([
          { path: 'apps/shop/a.yaml', change: 'modified' },
          { path: 'apps/shop/gone.yaml', change: 'added' },
          { path: 'apps/shop/new.yaml', change: 'deleted' },
          { path: 'apps/shop/sealed/secret.yaml', change: 'modified' },
          { path: 'apps/shop/sub/b.yaml', change: 'deleted' },
        ]);
        expect(result.changed).toEqual(result.changes.map(({ path }) => path));
        expect(result.kept).toEqual([]);
        expect(await repository.contentOf(result.commit, [SHOP], signal)).toBe(await repository.contentOf(good, [SHOP], signal));
        expect(await at(result.commit, 'apps/shopping/a.yaml')).toBe('other: 2\n');
        expect((await repository.commit(result.commit, signal)).parents).toEqual([worse]);
      });

      it('leaves what is to be kept as it is at the head, and says so', async () => {
        const keep = ['apps/shop/sealed/**', '**/new.yaml', 'unrelated/*'];
        const result = made(await repository.restore(restore({ keep }), signal));
        expect(result.kept).toEqual(['apps/shop/new.yaml', 'apps/shop/sealed/secret.yaml']);
        expect(await at(result.commit, 'apps/shop/sealed/secret.yaml')).toBe('secret: 2\n');
        expect(await at(result.commit, 'apps/shop/new.yaml')).toBe('new: 1\n');
        expect(await at(result.commit, 'apps/shop/a.yaml')).toBe('image: 1\nreplicas: 3\n');
      });

      it('has nothing to do where the content is there, or where all of it is kept', async () => {
        expect(await repository.restore(restore({ good: worse }), signal)).toEqual({ kind: 'nothing_to_revert', head: worse });
        expect(await repository.restore(restore({ keep: ['**'] }), signal)).toMatchObject({
          kind: 'nothing_to_revert',
          kept: expect.arrayContaining(['apps/shop/a.yaml']) as string[],
        });
        expect(await repository.restore(restore({ paths: [] }), signal)).toEqual({ kind: 'nothing_to_revert', head: worse });
      });

      it('is the same commit for the same order, and has the same effect on another head', async () => {
        const once = made(await repository.restore(restore(), signal));
        expect(made(await repository.restore(restore(), signal)).commit).toBe(once.commit);
        const elsewhere = made(
          await repository.edit(edit([{ path: 'docs.md', content: 'more\n' }], { paths: ['docs.md'] }), signal),
        );
        const again = made(await repository.restore(restore({ onto: elsewhere.commit }), signal));
        expect(again.commit).not.toBe(once.commit);
        expect(again.head).toBe(elsewhere.commit);
        expect(again.effect).toBe(once.effect);
        expect(made(await repository.restore(restore({ good: bad }), signal)).effect).not.toBe(once.effect);
      });

      it('refuses a commit that is unknown or not on the branch', async () => {
        await expect(repository.restore(restore({ good: ABSENT }), signal)).rejects.toMatchObject({ code: 'commit_unknown' });
        const aside = made(await repository.restore(restore(), signal)).commit;
        await expect(repository.restore(restore({ good: aside }), signal)).rejects.toMatchObject({
          code: 'commit_not_on_branch',
        });
      });
    });

    describe('edit', () => {
      it('changes files as a whole, adds and takes away, also several levels deep', async () => {
        const edits = [
          { path: 'apps/shop/a.yaml', content: 'image: 1 # back\r\nreplicas: 3\n' },
          { path: 'apps/shop/x/y/z.yaml', content: '' },
          { path: 'apps/shop/new.yaml', content: null },
          { path: 'apps/shop/never.yaml', content: null },
        ];
        const result = made(await repository.edit(edit(edits), signal));
        expect(result.changes).toEqual([
          { path: 'apps/shop/a.yaml', change: 'modified' },
          { path: 'apps/shop/new.yaml', change: 'deleted' },
          { path: 'apps/shop/x/y/z.yaml', change: 'added' },
        ]);
        expect(await at(result.commit, 'apps/shop/a.yaml')).toBe('image: 1 # back\r\nreplicas: 3\n');
        expect(await at(result.commit, 'apps/shop/x/y/z.yaml')).toBe('');
        expect(await at(result.commit, 'apps/shop/new.yaml')).toBeNull();
      });

      it('has nothing to do where the files are so already', async () => {
        const edits = [{ path: 'apps/shop/new.yaml', content: 'new: 1\n' }];
        expect(await repository.edit(edit(edits), signal)).toEqual({ kind: 'nothing_to_revert', head: worse });
        expect(await repository.edit(edit([]), signal)).toEqual({ kind: 'nothing_to_revert', head: worse });
      });

      it.each(['', '/etc/passwd', '../x', 'a/../b', './a', 'a//b', 'a/', '.git/config', 'x/.GIT/hooks/a', 'a\0b'])(
        'refuses the path %j',
        async (path) => {
          await expect(repository.edit(edit([{ path, content: 'x' }]), signal)).rejects.toMatchObject({
            code: 'git_argument_refused',
          });
        },
      );

      it('refuses to put a file where a folder is, or a folder where a file is', async () => {
        const refused = { code: 'git_edit_refused', retryable: false };
        await expect(repository.edit(edit([{ path: SHOP, content: 'x' }]), signal)).rejects.toMatchObject(refused);
        await expect(repository.edit(edit([{ path: SHOP, content: null }]), signal)).rejects.toMatchObject(refused);
        const below = 'apps/shop/a.yaml/b';
        await expect(repository.edit(edit([{ path: below, content: 'x' }]), signal)).rejects.toMatchObject(refused);
      });
    });

    describe('edits beside a revert', () => {
      const revert = { badCommit: '', message: 'Revert "worse"\n', at: 1_700_000_000_000, paths: [SHOP] };

      it('go into the same commit, on top, also outside of the paths', async () => {
        const edits = [
          { path: 'automation/policy.yaml', content: 'suspend: true\n' },
          { path: 'apps/shop/a.yaml', content: 'image: 2\nreplicas: 5\n' },
        ];
        const result = made(await repository.revert({ ...revert, badCommit: worse, edits }, signal));
        expect(result.changed).toEqual(['apps/shop/a.yaml', 'apps/shop/sub/b.yaml', 'automation/policy.yaml']);
        expect(await at(result.commit, 'apps/shop/a.yaml')).toBe('image: 2\nreplicas: 5\n');
        expect(await at(result.commit, 'automation/policy.yaml')).toBe('suspend: true\n');
      });

      it('make no commit of their own where there is nothing to revert', async () => {
        const edits = [{ path: 'automation/policy.yaml', content: 'suspend: true\n' }];
        expect(await repository.restore(restore({ good: worse, edits }), signal)).toEqual({
          kind: 'nothing_to_revert',
          head: worse,
        });
      });

      it('keep paths of a revert, too, and a conflict in a kept path is none', async () => {
        const keep = ['apps/shop/sub/**'];
        const result = made(await repository.revert({ ...revert, badCommit: worse, keep }, signal));
        expect(result).toMatchObject({ changed: ['apps/shop/a.yaml'], kept: ['apps/shop/sub/b.yaml'] });
        const order = { ...revert, badCommit: bad };
        expect(await repository.revert(order, signal)).toMatchObject({ kind: 'conflict', paths: ['apps/shop/a.yaml'] });
        const narrowed = made(await repository.revert({ ...order, keep: ['apps/shop/a.yaml'] }, signal));
        expect(narrowed.changed).toEqual(['apps/shop/gone.yaml', 'apps/shop/new.yaml', 'apps/shop/sealed/secret.yaml']);
        expect(await at(narrowed.commit, 'apps/shop/a.yaml')).toBe('image: 3\nreplicas: 3\n');
      });

      it('build a chain, one commit on the one before', async () => {
        const first = made(await repository.revert({ ...revert, badCommit: worse }, signal));
        const second = made(await repository.revert({ ...revert, badCommit: bad, onto: first.commit }, signal));
        expect(second.head).toBe(first.commit);
        expect(await repository.contentOf(second.commit, [SHOP], signal)).toBe(await repository.contentOf(good, [SHOP], signal));
      });
    });
  });
}
