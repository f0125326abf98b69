import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seeded, writeRandomHistory } from '../../test/git/random-history.ts';
import type { LocalGit } from './deltas.ts';
import { commitDraft } from './draft.ts';
import { factsOf } from './history.ts';
import { reversalOf } from './revert.ts';
import { runGit } from './run.ts';

const run = promisify(execFile);
const signal = new AbortController().signal;
const STAMP = { name: 'davylamp', email: 'davylamp@example.com', atSeconds: 1_700_000_000 };
const ORDER = { message: 'Revert "bad"\n', at: STAMP.atSeconds * 1_000, paths: ['.'] };
const HISTORIES = Number(process.env['DAVYLAMP_HISTORIES'] ?? 120);
const FIRST_SEED = Number(process.env['DAVYLAMP_SEED'] ?? 1);
const LENGTH = 8;

describe('random histories', () => {
  let folder: string;
  let gitDir: string;
  let workTree: string;
  let git: LocalGit;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'davylamp-random-'));
    gitDir = join(folder, 'all.git');
    workTree = join(folder, 'tree');
    await run('git', ['init', '--quiet', '--bare', gitDir]);
    await run('git', ['--git-dir', gitDir, 'config', 'user.email', 'ada@example.com']);
    await run('git', ['--git-dir', gitDir, 'config', 'user.name', 'Ada']);
    const place = { home: folder, gitDir, searchPath: null, alsoAllow: null };
    git = (call) => runGit(place, { ...call, timeoutMs: 60_000, signal });
    await run('git', ['--git-dir', gitDir, 'worktree', 'add', '--quiet', '--orphan', workTree]).catch(async () => {
      // Before 2.42 a work tree needs a commit.
      const empty = (await run('git', ['--git-dir', gitDir, 'commit-tree', '-m', 'x', EMPTY_TREE])).stdout.trim();
      await run('git', ['--git-dir', gitDir, 'worktree', 'add', '--quiet', '--detach', workTree, empty]);
    });
  });
  afterAll(() => rm(folder, { recursive: true, force: true }), 60_000);

  const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
  const inTree = async (...args: string[]): Promise<string> =>
    (await run('git', ['-C', workTree, ...args], { env: { ...process.env, LC_ALL: 'C' } })).stdout.trim();

  /** What `git revert` makes of it in a work tree: the tree, or what stopped it. */
  async function realRevert(head: string, bad: string): Promise<string> {
    // Left behind where git's own merge ended in an assertion.
    await rm(join(gitDir, 'worktrees', 'tree', 'index.lock'), { force: true });
    await inTree('revert', '--quit');
    await inTree('reset', '--quiet', '--hard', head);
    await inTree('clean', '-ffdxq');
    const ended = await run('git', ['-C', workTree, 'revert', '--no-edit', bad], { env: { ...process.env, LC_ALL: 'C' } }).catch(
      (error: unknown) => error as { stdout: string; stderr: string },
    );
    if (!('code' in ended)) return inTree('rev-parse', 'HEAD^{tree}');
    if (/nothing to commit/.test(ended.stdout)) return 'nothing_to_revert';
    if (/CONFLICT|could not revert|Assertion/.test(ended.stdout + ended.stderr)) return 'conflict';
    return `${ended.stdout}${ended.stderr}`;
  }

  it(
    `are reverted as git reverts them, tree for tree: ${HISTORIES} of them from seed ${FIRST_SEED}`,
    { timeout: 600_000 },
    async () => {
      const seen: Record<string, number> = {};
      for (let seed = FIRST_SEED; seed < FIRST_SEED + HISTORIES; seed += 1) {
        const { commits, story } = await writeRandomHistory(gitDir, 'refs/heads/random', seed, LENGTH);
        const at = 1 + Math.floor(seeded(seed + 0x5eed)() * (LENGTH - 1));
        const [bad = '', head = ''] = [commits[at], commits.at(-1)];
        const hint = `seed ${seed}, bad is commit ${at}: ${story.join(' | ')}`;

        const [facts] = await factsOf(git, bad, 1);
        if (facts === undefined) throw new Error(hint);
        const reversal = await reversalOf(git, head, facts, STAMP, async () => '');
        const draft = { head, ...reversal, involved: [], editsOnly: false };
        const ours = await commitDraft(git, draft, ORDER, STAMP, () => null);
        const tree =
          ours.kind === 'commit'
            ? (
                await git({ subcommand: 'rev-parse', args: ['--verify', '--end-of-options', `${ours.commit}^{tree}`] })
              ).stdout.trim()
            : ours.kind;
        expect(tree, hint).toBe(await realRevert(head, bad));

        const kind = `${reversal.way} ${ours.kind}`;
        seen[kind] = (seen[kind] ?? 0) + 1;
      }
      if (process.env['DAVYLAMP_SEED'] !== undefined) console.log(seen);
      for (const kind of ['direct commit', 'three-way commit', 'three-way conflict']) expect(seen[kind], kind).toBeGreaterThan(0);
    },
  );
});
