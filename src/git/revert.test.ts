import { setMaxListeners } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Content } from '../../test/git/colleague.ts';
import { gitWorld, type GitWorld } from '../../test/git/world.ts';
import type { RevertResult } from './port.ts';

// One signal for all calls of the tests; callers in the service have one each.
const signal = new AbortController().signal;
setMaxListeners(0, signal);
const LINES = Array.from({ length: 20 }, (_, index) => `line ${index}\n`);
const withLine = (number: number, text: string) => LINES.map((line, index) => (index === number ? `${text}\n` : line)).join('');
const GITLINK = ['1111111111111111111111111111111111111111', '2222222222222222222222222222222222222222'] as const;

type Step = { message: string; files: Readonly<Record<string, Content>> };
const step = (message: string, files: Readonly<Record<string, Content>>): Step => ({ message, files });

/** before, the bad one, after: each a list of commits in app/ (and notes.txt, which nobody means). */
const CASES: ReadonlyArray<{ what: string; before: Step[]; bad: Step; after: Step[] }> = [
  {
    what: 'a normal commit with a later one beside it',
    before: [step('base', { 'app/f': LINES.join('') })],
    bad: step('bad', { 'app/f': withLine(3, 'bad') }),
    after: [step('later', { 'app/f': withLine(3, 'bad').replace('line 15', 'later'), 'notes.txt': 'n\n' })],
  },
  {
    what: 'a file that was renamed later',
    before: [step('base', { 'app/f': LINES.join('') })],
    bad: step('bad', { 'app/f': withLine(3, 'bad') }),
    after: [step('rename', { 'app/f': null, 'app/moved/g': withLine(3, 'bad') })],
  },
  {
    what: 'a rename itself',
    before: [step('base', { 'app/f': LINES.join('') })],
    bad: step('rename', { 'app/f': null, 'app/g': LINES.join('') }),
    after: [step('later', { 'app/g': withLine(9, 'later') })],
  },
  {
    what: 'added files',
    before: [step('base', { 'app/f': 'f\n' })],
    bad: step('add', { 'app/new': 'new\n', 'app/deep/er/new': 'new too\n' }),
    after: [step('later', { 'app/f': 'g\n' })],
  },
  {
    what: 'a deleted file',
    before: [step('base', { 'app/f': 'f\n', 'app/gone': 'gone\n' })],
    bad: step('delete', { 'app/gone': null }),
    after: [step('later', { 'app/f': 'g\n' })],
  },
  {
    what: 'a change of mode',
    before: [step('base', { 'app/run.sh': 'echo\n', 'app/f': 'f\n' })],
    bad: step('mode', { 'app/run.sh': { program: 'echo\n' } }),
    after: [step('later', { 'app/f': 'g\n' })],
  },
  {
    what: 'a file that became a symbolic link',
    before: [step('base', { 'app/f': 'f\n', 'app/current': 'text\n' })],
    bad: step('link', { 'app/current': { link: '/etc/passwd' } }),
    after: [step('later', { 'app/f': 'g\n' })],
  },
  {
    what: 'CRLF line ends, also where .gitattributes would convert them',
    before: [step('base', { '.gitattributes': '*.win text eol=crlf\n', 'app/a.txt': 'a\r\nb\r\n', 'app/f': 'f\n' })],
    bad: step('bad', { 'app/a.txt': 'a\r\nB\r\n' }),
    after: [step('later', { 'app/f': 'g\n' })],
  },
  {
    what: 'a binary file',
    before: [step('base', { 'app/bin': 'a\0b', 'app/f': 'f\n' })],
    bad: step('bad', { 'app/bin': 'a\0c' }),
    after: [step('later', { 'app/f': 'g\n' })],
  },
  {
    what: 'names with spaces, quotes, line feeds and other scripts',
    before: [step('base', { 'app/a b': '1\n', 'app/"q"': '1\n', 'app/l\nf': '1\n', 'app/зщ': '1\n', 'app/-x': '1\n' })],
    bad: step('bad', { 'app/a b': '2\n', 'app/"q"': '2\n', 'app/l\nf': '2\n', 'app/зщ': '2\n', 'app/-x': '2\n' }),
    after: [step('later', { 'app/f': 'g\n' })],
  },
  {
    what: 'half of it taken back by hand',
    before: [step('base', { 'app/f': '1\n', 'app/g': '1\n' })],
    bad: step('bad', { 'app/f': '2\n', 'app/g': '2\n' }),
    after: [step('by hand', { 'app/f': '1\n' })],
  },
];

/** What the real `git revert` makes of it in a work tree; null when it ends in a conflict or has nothing to do. */
async function realRevert(world: GitWorld, commit: string, mainline: string[] = []): Promise<string | null> {
  await world.colleague.pull();
  try {
    await world.colleague.git('revert', '--no-edit', ...mainline, commit);
    return await world.colleague.tree('HEAD');
  } catch {
    return null;
  } finally {
    await world.colleague.git('reset', '--quiet', '--hard', 'origin/main');
  }
}

describe('revert without a work tree', () => {
  let world: GitWorld;
  beforeAll(async () => {
    world = await gitWorld();
    await world.commit('root', { 'notes.txt': 'notes\n' });
  });
  afterAll(async () => {
    await world.close();
  });

  const order = (badCommit: string, paths: string[] = ['app']) => ({
    badCommit,
    paths,
    message: 'Revert "bad"\n',
    at: 1_700_000_000_000,
  });

  async function ourTree(result: RevertResult): Promise<string | null> {
    if (result.kind !== 'commit') return null;
    expect(await world.repository.push(result.commit, 'ours/latest', signal)).not.toBe('race');
    await world.colleague.git('fetch', '--quiet', 'origin', 'refs/heads/ours/latest');
    const tree = await world.colleague.tree('FETCH_HEAD');
    await world.colleague.git('--git-dir', world.server.repository, 'update-ref', '-d', 'refs/heads/ours/latest');
    return tree;
  }

  async function emptied(): Promise<void> {
    await world.colleague.pull();
    await world.colleague.git('rm', '-r', '--quiet', '--ignore-unmatch', 'app', '.gitattributes');
  }

  async function play(steps: readonly Step[]): Promise<string> {
    let sha = '';
    for (const { message, files } of steps) sha = await world.colleague.commit(message, files);
    await world.colleague.push();
    return sha;
  }

  it.each(CASES)('makes the tree that `git revert` makes: $what', async ({ before, bad, after }) => {
    await emptied();
    await play(before);
    const sha = await play([bad]);
    const head = await play(after);
    await world.repository.refresh(signal);
    const result = await world.repository.revert(order(sha), signal);
    expect(result).toMatchObject({ kind: 'commit', head });
    const tree = await ourTree(result);
    expect(tree).toBe(await realRevert(world, sha));
    expect(tree).not.toBeNull();
  });

  it('reverts a merge against its first parent, and tells the paths that the merge brought', async () => {
    await emptied();
    await play([step('base', { 'app/f': LINES.join(''), 'app/other': '1\n' })]);
    const { colleague } = world;
    await colleague.git('checkout', '--quiet', '-b', 'feature');
    await colleague.commit('feature 1', { 'app/f': withLine(3, 'feature') });
    await colleague.commit('feature 2', { 'app/added': 'x\n' });
    await colleague.git('checkout', '--quiet', 'main');
    await colleague.commit('meanwhile', { 'app/other': '2\n' });
    await colleague.git('merge', '--quiet', '--no-ff', '-m', 'Merge feature', 'feature');
    const merge = await colleague.git('rev-parse', 'HEAD');
    await colleague.push();
    await play([step('later', { 'app/other': '3\n' })]);
    await world.repository.refresh(signal);

    const facts = await world.repository.commit(merge, signal);
    expect(facts.parents).toHaveLength(2);
    expect(facts.paths.toSorted()).toEqual(['app/added', 'app/f']);
    const result = await world.repository.revert(order(merge), signal);
    expect(await ourTree(result)).toBe(await realRevert(world, merge, ['-m', '1']));
    expect(result).toMatchObject({ kind: 'commit', changed: ['app/added', 'app/f'] });
  });

  it('puts the link of a submodule back without fetching the submodule', async () => {
    await emptied();
    const { colleague } = world;
    const link = async (sha: string) => {
      await colleague.git('update-index', '--add', '--cacheinfo', `160000,${sha},app/module`);
      await colleague.git('commit', '--quiet', '-m', `module at ${sha}`);
      return colleague.git('rev-parse', 'HEAD');
    };
    await link(GITLINK[0]);
    const bad = await link(GITLINK[1]);
    await colleague.git(
      'update-index',
      '--add',
      '--cacheinfo',
      `100644,${await colleague.git('rev-parse', 'HEAD:notes.txt')},app/f`,
    );
    await colleague.git('commit', '--quiet', '-m', 'later');
    await colleague.push();
    await world.repository.refresh(signal);
    const result = await world.repository.revert(order(bad), signal);
    const tree = await ourTree(result);
    expect(await colleague.git('ls-tree', String(tree), 'app/module')).toBe(`160000 commit ${GITLINK[0]}\tapp/module`);
    await colleague.git('rm', '--quiet', '--cached', 'app/module');
    await colleague.commit('module away');
    await colleague.push();
  });

  it('conflicts where `git revert` conflicts: the same or an adjacent line changed later, a file deleted later', async () => {
    for (const later of [
      { 'app/f': withLine(3, 'later') },
      { 'app/f': withLine(3, 'bad').replace('line 4', 'adjacent') },
      { 'app/f': null },
    ]) {
      await emptied();
      await play([step('base', { 'app/f': LINES.join(''), 'app/keep': 'k\n' })]);
      const bad = await play([step('bad', { 'app/f': withLine(3, 'bad') })]);
      const head = await play([step('later', later)]);
      await world.repository.refresh(signal);
      expect(await realRevert(world, bad)).toBeNull();
      expect(await world.repository.revert(order(bad), signal)).toEqual({ kind: 'conflict', head, paths: ['app/f'] });
    }
  });

  it('reverts a revert, and then has nothing to revert of the first', async () => {
    await emptied();
    await play([step('base', { 'app/f': '1\n' })]);
    const bad = await play([step('bad', { 'app/f': '2\n' })]);
    const reverted = await play([step('Revert "bad"', { 'app/f': '1\n' })]);
    await world.repository.refresh(signal);
    expect(await world.repository.revert(order(bad), signal)).toMatchObject({ kind: 'nothing_to_revert' });
    const result = await world.repository.revert(order(reverted), signal);
    expect(await ourTree(result)).toBe(await realRevert(world, reverted));
    expect(result).toMatchObject({ kind: 'commit', changed: ['app/f'] });
  });

  it('does not follow a file out of the application', async () => {
    await emptied();
    await play([step('base', { 'app/f': LINES.join('') })]);
    const bad = await play([step('bad', { 'app/f': withLine(3, 'bad') })]);
    await play([step('moved away', { 'app/f': null, 'elsewhere/f': withLine(3, 'bad') })]);
    await world.repository.refresh(signal);
    expect(await world.repository.revert(order(bad), signal)).toMatchObject({ kind: 'outside_paths', paths: ['elsewhere/f'] });
  });

  it('keeps to folder boundaries and takes a file as a path, too', async () => {
    await emptied();
    await play([step('base', { 'app/f': '1\n', 'app/fg': '1\n' })]);
    const bad = await play([step('bad', { 'app/f': '2\n' })]);
    await world.repository.refresh(signal);
    expect(await world.repository.revert(order(bad, ['app/f']), signal)).toMatchObject({ kind: 'commit' });
    expect(await world.repository.revert(order(bad, ['ap', 'app/fg', 'app/']), signal)).toMatchObject({ kind: 'commit' });
    expect(await world.repository.revert(order(bad, ['ap', 'app/fg', 'pp/f']), signal)).toMatchObject({ kind: 'outside_paths' });
  });

  it('refuses a commit that is not on the branch', async () => {
    await emptied();
    await play([step('base', { 'app/f': '1\n' })]);
    const result = await world.repository.revert(order(await play([step('bad', { 'app/f': '2\n' })])), signal);
    if (result.kind !== 'commit') throw new Error(result.kind);
    await expect(world.repository.revert(order(result.commit), signal)).rejects.toMatchObject({ code: 'commit_not_on_branch' });
  });

  it('commits under its own name at the time of the order', async () => {
    await emptied();
    await play([step('base', { 'app/f': '1\n' })]);
    const bad = await play([step('bad', { 'app/f': '2\n' })]);
    const result = await world.repository.revert(order(bad), signal);
    if (result.kind !== 'commit') throw new Error(result.kind);
    await world.repository.push(result.commit, 'ours/stamp', signal);
    await world.colleague.git('fetch', '--quiet', 'origin', 'refs/heads/ours/stamp');
    const stamp = 'davylamp <davylamp@example.com> 1700000000 +0000';
    expect(await world.colleague.git('cat-file', 'commit', 'FETCH_HEAD')).toContain(
      `\nauthor ${stamp}\ncommitter ${stamp}\n\nRevert "bad"`,
    );
  });
});
