import { isWithin } from '../rollback/paths.ts';
import { bytesOf, deltas, type Delta, type LocalGit } from './deltas.ts';

/** Files that have a say in what others mean: where one of them changed, everything is computed anew. */
const FAR_REACHING = /(^|\/)(\.gitattributes|kustomization(\.ya?ml)?|(chart|requirements)\.ya?ml)$/i;

/**
 * What a commit of ours changed, where it may be changed on another head in the same way: between the two heads nothing
 * came that touches the same files, and nothing came or went beside them. Then a revert yields the same there, whether it
 * was computed path by path or merged, since git's merge looks for renames only among files that come and go.
 *
 * @param known the commit, the head that it was made on, and every path of what it reverts
 * @param onto a head that has `known.head` among its ancestors
 * @param within folders or files in which nothing may come or go
 * @returns null where that is not certain
 */
export async function carriedOver(
  git: LocalGit,
  known: { head: string; commit: string; touched: readonly string[] },
  onto: string,
  within: readonly string[],
): Promise<Delta[] | null> {
  const [mine, since] = await Promise.all([deltas(git, known.head, known.commit), deltas(git, known.head, onto)]);
  const isEdit = ({ before, after }: Delta) => before !== null && after !== null && before.mode === after.mode;
  if (!mine.every((delta) => isEdit(delta) && !FAR_REACHING.test(delta.path))) return null;
  const touched = new Set([...mine.map(({ bytes }) => bytes), ...known.touched.map(bytesOf)]);
  const isHarmless = (delta: Delta) =>
    !touched.has(delta.bytes) && !FAR_REACHING.test(delta.path) && (isEdit(delta) || !isWithin(delta.path, within));
  return since.every(isHarmless) ? mine : null;
}
