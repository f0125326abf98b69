import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bytesOf, type LocalGit } from './deltas.ts';
import { importCommit } from './import.ts';
import { identity } from './names.ts';
import { runGit } from './run.ts';

const signal = new AbortController().signal;
const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';

describe('a commit by fast-import', () => {
  let folder: string;
  let gitDir: string;
  let git: LocalGit;
  let parent: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'davylamp-import-'));
    gitDir = join(folder, 'a.git');
    execFileSync('git', ['init', '--quiet', '--bare', gitDir]);
    git = (call) => runGit({ home: folder, gitDir, searchPath: null, alsoAllow: null }, { ...call, timeoutMs: 30_000, signal });
    const stamp = { name: 'Ada', email: 'ada@example.com', atSeconds: 1_600_000_000 };
    parent = (await git({ subcommand: 'commit-tree', args: ['-m', 'root', EMPTY_TREE], stamp })).stdout.trim();
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const show = (id: string, ...args: string[]) =>
    execFileSync('git', ['--git-dir', gitDir, ...args, id], {
      cwd: gitDir,
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C' },
    });

  it.each([
    ['Revert "bad"\n', 'davylamp'],
    ['no line feed at the end', 'davylamp'],
    ['two at the end\n\n', 'Davy, Lamp, Inc.'],
    ['\n\nat the start', '  "Davy" '],
    ['carriage\r\nreturns\rtoo\r\n', 'Ünïcode ☃'],
    ['# no comment\n\n---\ndata 3\nfrom x\n<<EOF\n', 'd'],
    ['emoji 🔥 and \u202e turns\n', 'x'],
    ['', 'davylamp'],
    ['x'.repeat(200_000), 'davylamp'],
  ])('has the id that commit-tree gives it: %#', async (message, name) => {
    const stamp = { ...identity({ name, email: 'davylamp@example.com' }), atSeconds: 1_700_000_000 };
    const made = await importCommit(git, parent, new Map([['a', { mode: '100644', content: 'a\n' }]]), message, stamp);
    const args = ['-p', parent, '-F', '-', '--end-of-options', `${made}^{tree}`];
    const { stdout } = await git({ subcommand: 'commit-tree', args, input: message, stamp: { ...stamp, name } });
    expect(made).toBe(stdout.trim());
  });

  it('takes any bytes as a path, and every kind of entry', async () => {
    const blob = show('HEAD', 'hash-object', '-w').trim();
    const names = [
      'a b',
      '"q"',
      'back\\slash',
      'l\nf',
      't\tab',
      '-x',
      '--all',
      'é',
      '☃',
      '*',
      ':(glob)**',
      '%x00',
      "it's",
      '\u007f',
      ' ',
    ];
    const changes = new Map(names.map((name) => [bytesOf(`dir/${name}`), { mode: '100755', content: name }]));
    const all = new Map<string, Parameters<typeof importCommit>[2] extends ReadonlyMap<string, infer C> ? C : never>(changes);
    all.set('latin1-\xe9', { mode: '100644', content: 'no UTF-8' });
    all.set('link', { mode: '120000', content: '/etc/passwd' });
    all.set('module', { mode: '160000', id: '1'.repeat(40) });
    all.set('known', { mode: '100644', id: blob });
    all.set('gone', null);
    const stamp = { name: 'd', email: 'd@example.com', atSeconds: 0 };
    const made = await importCommit(git, parent, all, 'm', stamp);
    const listed = execFileSync('git', ['--git-dir', gitDir, 'ls-tree', '-r', '-z', '--name-only', made], { encoding: 'latin1' });
    const expected = [...all.keys()].filter((bytes) => bytes !== 'gone');
    expect(
      listed
        .split('\0')
        .filter((path) => path !== '')
        .toSorted(),
    ).toEqual(expected.toSorted());
  });

  it('lets a file make room for a folder and the other way round', async () => {
    const stamp = { name: 'd', email: 'd@example.com', atSeconds: 0 };
    const file = { mode: '100644', content: 'x' };
    const first = await importCommit(git, parent, new Map([['a', file], ['b/c', file]]), 'm', stamp); // prettier-ignore
    const second = await importCommit(git, first, new Map([['b', file], ['a/c', file], ['b/c', null], ['a', null]]), 'm', stamp); // prettier-ignore
    expect(show(second, 'ls-tree', '-r', '--name-only').split('\n').filter(Boolean)).toEqual(['a/c', 'b']);
  });

  it('leaves no name behind, and nothing but objects', async () => {
    expect(show('refs/davylamp', 'for-each-ref')).toBe('');
    const left = await readdir(gitDir);
    expect(left.filter((name) => name.includes('crash') || name.endsWith('.lock'))).toEqual([]);
  });

  it('refuses a message that no commit can hold', async () => {
    const stamp = { name: 'd', email: 'd@example.com', atSeconds: 0 };
    await expect(importCommit(git, parent, new Map(), 'a\0b', stamp)).rejects.toMatchObject({ code: 'git_argument_refused' });
  });
});
