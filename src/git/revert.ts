import { CodedError } from '../errors.ts';
import { isWithin } from '../rollback/paths.ts';
import type { Identity } from './names.ts';
import type { CommitFacts, RevertOrder, RevertResult } from './port.ts';
import type { GitAnswer, GitCall } from './run.ts';

/** Runs a local git command in the mirror. */
export type LocalGit = (call: Pick<GitCall, 'subcommand' | 'args' | 'input' | 'stamp' | 'answers'>) => Promise<GitAnswer>;

/** Files whose content differs between two trees; both names of a rename. */
export async function changedPaths(git: LocalGit, from: string, to: string): Promise<string[]> {
  const { stdout } = await git({
    subcommand: 'diff-tree',
    args: ['-r', '-z', '--name-only', '--no-renames', '--no-ext-diff', '--end-of-options', from, to, '--'],
  });
  return stdout.split('\0').filter((path) => path !== '');
}

/** The tree of a commit. */
async function treeOf(git: LocalGit, commit: string): Promise<string> {
  const { stdout } = await git({ subcommand: 'rev-parse', args: ['--verify', '--end-of-options', `${commit}^{tree}`] });
  return stdout.trim();
}

/**
 * The revert of one commit on `head`, computed without a work tree: the merge that `git revert` makes has the bad commit as
 * base, the head as ours and the bad commit's first parent as theirs. `merge-tree` of git 2.38 and 2.39 takes no base, so
 * two throw-away commits carry the two trees, both with the bad commit as their only parent: their merge base is then the bad
 * commit (git-merge-tree(1); `--merge-base` came with 2.40). The tree is the one of `git revert` (mainline 1 for merges);
 * `.gitattributes` are not read, as in any bare repository.
 *
 * All commits made here carry our identity and the order's date: the same order on the same head is the same commit, so
 * that two workers who race push one and the same id.
 *
 * @throws CodedError `commit_is_root`: there is no state before it to go back to
 */
export async function revertOn(
  git: LocalGit,
  head: string,
  bad: CommitFacts,
  author: Identity,
  order: Pick<RevertOrder, 'message' | 'at' | 'paths'>,
): Promise<RevertResult> {
  const parent = bad.parents[0];
  if (parent === undefined) {
    throw new CodedError('commit_is_root', 'The first commit of a repository cannot be reverted: that would delete everything.', {
      details: { commit: bad.sha },
    });
  }
  const stamp = { ...author, atSeconds: Math.floor(order.at / 1000) };
  const write = async (tree: string, parentCommit: string, message: string): Promise<string> => {
    const { stdout } = await git({
      subcommand: 'commit-tree',
      args: ['-p', parentCommit, '-F', '-', '--end-of-options', tree],
      input: message,
      stamp,
    });
    return stdout.trim();
  };

  const [headTree, parentTree] = await Promise.all([treeOf(git, head), treeOf(git, parent)]);
  const [ours, theirs] = await Promise.all([
    write(headTree, bad.sha, 'head, as child of the commit that is reverted'),
    write(parentTree, bad.sha, 'state before the commit that is reverted'),
  ]);
  const merge = await git({
    subcommand: 'merge-tree',
    args: ['--write-tree', '-z', '--name-only', '--no-messages', '--end-of-options', ours, theirs],
    answers: [0, 1],
  });
  const [resultTree = '', ...conflicts] = merge.stdout.split('\0').filter((field) => field !== '');
  const isClean = merge.exitCode === 0;
  if (isClean && resultTree === headTree) return { kind: 'nothing_to_revert', head };

  const changed = isClean ? await changedPaths(git, headTree, resultTree) : conflicts;
  const outside = [...new Set([...bad.paths, ...changed])].filter((path) => !isWithin(path, order.paths));
  if (outside.length > 0) return { kind: 'outside_paths', head, paths: outside };
  if (!isClean) return { kind: 'conflict', head, paths: conflicts };
  return { kind: 'commit', commit: await write(resultTree, head, order.message), head, changed };
}
