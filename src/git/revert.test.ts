import { setMaxListeners } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Content } from '../../test/git/colleague.ts';
import { gitWorld, sshWorld, type GitWorld } from '../../test/git/world.ts';
import type { RevertResult } from './port.ts';

// One signal for all calls of the tests; callers in the service have one each.
const signal = new AbortController().signal;
setMaxListeners(0, signal);
const LINES = Array.from({ length: 20 }, (_, index) => `line ${index}\n`);
const withLine = (number: number, text: string) => LINES.map((line, index) => (index === number ? `${text}\n` : line)).join('');
const GITLINK = ['1111111111111111111111111111111111111111', '2222222222222222222222222222222222222222'] as const;

type Step = { message: string; files: Readonly<Record<string, Content>> };
const FOLDER = { 'app/d/a': LINES.join(''), 'app/d/b': withLine(1, 'b'), 'app/d/c': withLine(2, 'c') };
const moved = (from: string, to: string): Record<string, Content> =>
  Object.fromEntries(
    Object.entries(FOLDER).flatMap(([path, text]) => [
      [path, null],
      [path.replace(from, to), text],
    ]),
  );
const pointer = (digit: string) => `version https://git-lfs.github.com/spec/v1\noid sha256:${digit.repeat(64)}\nsize 12\n`;
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
  {
    what: 'pointers of Git LFS, without the program and without the objects',
    before: [step('base', { 'app/.gitattributes': '*.bin filter=lfs diff=lfs merge=lfs -text\n', 'app/a.bin': pointer('1') })],
    bad: step('bad', { 'app/a.bin': pointer('2'), 'app/new.bin': pointer('3') }),
    after: [step('later', { 'app/f': 'f\n' })],
  },
  {
    what: 'CRLF line ends that were changed beside a later change',
    before: [step('base', { 'app/f': LINES.join('').replaceAll('\n', '\r\n') })],
    bad: step('bad', { 'app/f': withLine(3, 'bad\r').replaceAll(/(?<!\r)\n/g, '\r\n') }),
    after: [
      step('later', {
        'app/f': withLine(3, 'bad\r')
          .replaceAll(/(?<!\r)\n/g, '\r\n')
          .replace('line 15', 'later'),
      }),
    ],
  },
  {
    what: 'CRLF line ends turned into LF',
    before: [step('base', { 'app/f': 'a\r\nb\r\n', 'app/g': 'g\n' })],
    bad: step('bad', { 'app/f': 'a\nb\n' }),
    after: [step('later', { 'app/g': 'h\n' })],
  },
  {
    what: 'a symbolic link that points elsewhere, and one that became a file',
    before: [step('base', { 'app/current': { link: 'v1' }, 'app/next': { link: 'v2' }, 'app/f': 'f\n' })],
    bad: step('bad', { 'app/current': { link: 'v2' }, 'app/next': 'text\n' }),
    after: [step('later', { 'app/f': 'g\n' })],
  },
  {
    what: 'a mode and a content at once, beside a later change of the same file',
    before: [step('base', { 'app/run.sh': LINES.join('') })],
    bad: step('bad', { 'app/run.sh': { program: withLine(2, 'bad') } }),
    after: [step('later', { 'app/run.sh': { program: withLine(2, 'bad').replace('line 17', 'later') } })],
  },
  {
    what: 'a file that became a folder',
    before: [step('base', { 'app/x': 'file\n', 'app/f': 'f\n' })],
    bad: step('bad', { 'app/x': null, 'app/x/y': 'below\n' }),
    after: [step('later', { 'app/f': 'g\n' })],
  },
  {
    what: 'a folder that became a file',
    before: [step('base', { 'app/x/y': 'below\n', 'app/x/z': 'below, too\n', 'app/f': 'f\n' })],
    bad: step('bad', { 'app/x': 'file\n' }),
    after: [step('later', { 'app/f': 'g\n' })],
  },
  {
    what: 'a renamed file with changed lines, whose copy was changed later',
    before: [step('base', { 'app/f': LINES.join('') })],
    bad: step('bad', { 'app/f': null, 'app/g': withLine(3, 'bad') }),
    after: [step('later', { 'app/g': withLine(3, 'bad').replace('line 12', 'later') })],
  },
  {
    what: 'two files that changed places',
    before: [step('base', { 'app/a': withLine(0, 'a'), 'app/b': withLine(0, 'b') + LINES.join('') })],
    bad: step('bad', { 'app/a': withLine(0, 'b') + LINES.join(''), 'app/b': withLine(0, 'a') }),
    after: [step('later', { 'app/f': 'g\n' })],
  },
  {
    what: 'a file that was deleted and came back as it was',
    before: [step('base', { 'app/f': LINES.join('') })],
    bad: step('bad', { 'app/f': withLine(3, 'bad') }),
    after: [step('away', { 'app/f': null }), step('back', { 'app/f': withLine(3, 'bad') })],
  },
  {
    what: 'lines of a file that its attributes join, in a folder whose name has signs of a pattern',
    before: [step('base', { 'app/[x] "y"/.gitattributes': 'list merge=union\n', 'app/[x] "y"/list': 'a\nb\nc\n' })],
    bad: step('bad', { 'app/[x] "y"/list': 'a\nbad\nc\n' }),
    after: [step('later', { 'app/[x] "y"/list': 'a\nlater\nc\n' })],
  },
  {
    what: 'a path that the attributes of a deeper folder decide otherwise than those of the root',
    before: [
      step('base', {
        '.gitattributes': 'app/d/list -merge\n*.md merge=binary\n',
        'app/d/.gitattributes': '/list merge=union\n',
        'app/d/list': 'a\nb\nc\n',
      }),
    ],
    bad: step('bad', { 'app/d/list': 'a\nbad\nc\n' }),
    after: [step('later', { 'app/d/list': 'a\nlater\nc\n' })],
  },
];

/** Where `git revert` asks a person. */
const CONFLICTS: typeof CASES = [
  {
    what: 'the same line changed later',
    before: [step('base', { 'app/f': LINES.join('') })],
    bad: step('bad', { 'app/f': withLine(5, 'bad') }),
    after: [step('later', { 'app/f': withLine(5, 'worse') })],
  },
  {
    what: 'a line beside it changed later',
    before: [step('base', { 'app/f': LINES.join('') })],
    bad: step('bad', { 'app/f': withLine(5, 'bad') }),
    after: [step('later', { 'app/f': withLine(5, 'bad').replace('line 6', 'later') })],
  },
  {
    what: 'the file was deleted later',
    before: [step('base', { 'app/f': '1\n', 'app/g': '1\n' })],
    bad: step('bad', { 'app/f': '2\n' }),
    after: [step('delete', { 'app/f': null })],
  },
  {
    what: 'a file came to stand where the deleted folder would come back',
    before: [step('base', { 'app/x/y': 'below\n', 'app/f': 'f\n' })],
    bad: step('bad', { 'app/x/y': null }),
    after: [step('later', { 'app/x': 'file\n' })],
  },
  {
    what: 'a folder came to stand where the deleted file would come back',
    before: [step('base', { 'app/x': 'file\n', 'app/f': 'f\n' })],
    bad: step('bad', { 'app/x': null }),
    after: [step('later', { 'app/x/y': 'below\n' })],
  },
  {
    what: 'a folder was renamed, and a file was added to it later',
    before: [step('base', FOLDER)],
    bad: step('rename', moved('app/d/', 'app/e/')),
    after: [step('later', { 'app/e/new': 'new\n' })],
  },
  {
    what: 'a file was deleted whose folder was renamed later',
    before: [step('base', { ...FOLDER, 'app/d/gone': 'gone\n' })],
    bad: step('delete', { 'app/d/gone': null }),
    after: [step('rename', moved('app/d/', 'app/e/'))],
  },
  {
    what: 'its attributes say that nothing is to be merged',
    before: [step('base', { 'app/.gitattributes': '*.lock -merge\n', 'app/d/a.lock': LINES.join('') })],
    bad: step('bad', { 'app/d/a.lock': withLine(3, 'bad') }),
    after: [step('later', { 'app/d/a.lock': withLine(3, 'bad').replace('line 15', 'later') })],
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

describe.each([
  ['HTTP', gitWorld],
  ['ssh', sshWorld],
] as const)('revert without a work tree, over %s', (_name, make) => {
  let world: GitWorld;
  beforeAll(async () => {
    world = await make();
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
    await world.colleague.git('rm', '-r', '--quiet', '--ignore-unmatch', 'app', 'elsewhere', '.gitattributes');
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

  it.each(CONFLICTS)('conflicts where `git revert` conflicts: $what', async ({ before, bad, after }) => {
    await emptied();
    await play(before);
    const sha = await play([bad]);
    const head = await play(after);
    await world.repository.refresh(signal);
    expect(await world.repository.revert(order(sha), signal)).toMatchObject({ kind: 'conflict', head });
    expect(await realRevert(world, sha)).toBeNull();
  });

  it('has nothing to revert where `git revert` has nothing: an empty commit, one that was reverted already', async () => {
    await emptied();
    await play([step('base', { 'app/f': '1\n' })]);
    const empty = await play([step('empty', {})]);
    const bad = await play([step('bad', { 'app/f': '2\n' }), step('by hand', { 'app/f': '1\n' })]);
    const undone = await world.colleague.git('rev-parse', `${bad}~1`);
    await world.repository.refresh(signal);
    for (const sha of [empty, undone]) {
      expect(await world.repository.revert(order(sha), signal)).toEqual({ kind: 'nothing_to_revert', head: bad });
      expect(await realRevert(world, sha)).toBeNull();
    }
  });

  it('reverts a range commit by commit, newest first, to the tree that `git revert` makes of the range', async () => {
    await emptied();
    const good = await play([step('base', { 'app/f': LINES.join(''), 'app/g': 'g\n' })]);
    const first = await play([step('bad 1', { 'app/f': withLine(3, 'bad'), 'app/new': 'n\n' })]);
    const second = await play([step('bad 2', { 'app/f': withLine(3, 'worse'), 'app/g': null })]);
    const head = await play([step('later', { 'notes.txt': `after ${second}\n` })]);
    await world.repository.refresh(signal);
    const newest = await world.repository.revert(order(second), signal);
    if (newest.kind !== 'commit') throw new Error(newest.kind);
    const both = await world.repository.revert({ ...order(first), onto: newest.commit }, signal);
    const tree = await ourTree(both);

    await world.colleague.pull();
    await world.colleague.git('revert', '--no-commit', `${good}..${second}`);
    expect(tree).toBe(await world.colleague.git('write-tree'));
    await world.colleague.git('revert', '--abort');
    expect(await world.colleague.git('rev-parse', 'HEAD')).toBe(head);
    const { message, at, paths } = order(second);
    const restored = await world.repository.restore({ good, message, at, paths }, signal);
    expect(await ourTree(restored)).toBe(tree);
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
