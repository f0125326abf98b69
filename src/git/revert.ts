import { CodedError } from '../errors.ts';
import { deltas, textOf, type Delta, type LocalGit } from './deltas.ts';
import type { Stamp } from './run.ts';

/** What a revert would do to the head; with conflicts, the paths that nobody can decide. */
export interface Reversal {
  /** Everything that the bad commit changed. */
  touched: Delta[];
  /** From the head to the head without the bad commit. */
  wanted: Delta[];
  conflicts: string[];
  way: 'direct' | 'three-way';
}

/** The attributes of all files of a commit as one file. */
export type AttributesOf = (git: LocalGit, commit: string) => Promise<string>;

/** git's merge gives up on some heaps of renames (2.39: "Assertion `newinfo && !newinfo->merged.clean' failed"). */
const OWN_BUG = /Assertion `.*' failed|\bBUG: /;

/**
 * The revert of one commit on `head`, computed without a work tree: equal, tree for tree, to what `git revert` yields
 * (mainline 1 for merges).
 *
 * @throws CodedError `commit_is_root`: there is no state before it to go back to
 */
export async function reversalOf(
  git: LocalGit,
  head: string,
  bad: { sha: string; parents: readonly string[] },
  stamp: Stamp,
  attributesOf: AttributesOf,
): Promise<Reversal> {
  const parent = bad.parents[0];
  if (parent === undefined) {
    throw new CodedError('commit_is_root', 'The first commit of a repository cannot be reverted: that would delete everything.', {
      details: { commit: bad.sha },
    });
  }
  const [touched, since] = await Promise.all([deltas(git, parent, bad.sha), deltas(git, bad.sha, head)]);
  if (isDirect(touched, since)) {
    const wanted = touched.map((delta) => ({ ...delta, before: delta.after, after: delta.before }));
    return { touched, wanted, conflicts: [], way: 'direct' };
  }
  try {
    return { touched, ...(await threeWay(git, head, bad.sha, parent, stamp, attributesOf)), way: 'three-way' };
  } catch (error) {
    // git revert ends in the same way: nobody but a person can decide it, however often it is tried.
    if (!(error instanceof CodedError) || !OWN_BUG.test(String(error.details['reason']))) throw error;
    return { touched, wanted: [], conflicts: touched.map(({ path }) => path), way: 'three-way' };
  }
}

/**
 * Whether every path that the bad commit touched stands at the head as that commit left it, and nothing else has a say:
 * no file of the one side where the other has a folder, and no side that both adds and deletes while files come back, as
 * git's merge might see a renamed file or folder there and move what comes back (git-merge(1), directory renames).
 */
function isDirect(touched: readonly Delta[], since: readonly Delta[]): boolean {
  const changedSince = new Set(since.map(({ bytes }) => bytes));
  if (touched.some(({ bytes }) => changedSince.has(bytes))) return false;
  const comesBack = touched.some(({ after }) => after === null);
  const goesAway = touched.some(({ before }) => before === null);
  if (comesBack && goesAway) return false;
  if (!comesBack) return true;
  if (since.some(({ before }) => before === null) && since.some(({ after }) => after === null)) return false;
  return !reachInto(touched, changedSince) && !reachInto(since, new Set(touched.map(({ bytes }) => bytes)));
}

/** Whether one of the paths lies below one of the others. */
function reachInto(found: readonly Delta[], others: ReadonlySet<string>): boolean {
  return found.some(({ bytes }) => {
    for (let slash = bytes.indexOf('/'); slash !== -1; slash = bytes.indexOf('/', slash + 1)) {
      if (others.has(bytes.slice(0, slash))) return true;
    }
    return false;
  });
}

/** Later than every commit: git looks for the merge base by date, and would else walk the whole history. */
const IN_2100 = 4_102_444_800;

/**
 * The merge that `git revert` makes has the bad commit as base, the head as ours and the bad commit's first parent as
 * theirs. `merge-tree` of git 2.38 and 2.39 takes no base, so two throw-away commits carry the two trees, both with the bad
 * commit as their only parent: their merge base is then the bad commit (git-merge-tree(1); `--merge-base` came with 2.40).
 */
async function threeWay(
  git: LocalGit,
  head: string,
  bad: string,
  parent: string,
  author: Stamp,
  attributesOf: AttributesOf,
): Promise<Pick<Reversal, 'wanted' | 'conflicts'>> {
  const stamp = { ...author, atSeconds: IN_2100 };
  const write = async (commit: string, message: string): Promise<string> => {
    const args = ['-p', bad, '-F', '-', '--end-of-options', `${commit}^{tree}`];
    const { stdout } = await git({ subcommand: 'commit-tree', args, input: message, stamp });
    return stdout.trim();
  };
  const [ours, theirs, attributes] = await Promise.all([
    write(head, 'head, as child of the commit that is reverted'),
    write(parent, 'state before the commit that is reverted'),
    attributesOf(git, head),
  ]);
  const merge = await git({
    subcommand: 'merge-tree',
    args: ['--write-tree', '-z', '--name-only', '--no-messages', '--end-of-options', ours, theirs],
    answers: [0, 1],
    encoding: 'latin1',
    attributes,
  });
  const [tree = '', ...conflicts] = merge.stdout.split('\0').filter((field) => field !== '');
  return { wanted: await deltas(git, head, tree), conflicts: merge.exitCode === 0 ? [] : conflicts.map(textOf) };
}
