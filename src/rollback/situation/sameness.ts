import { sameCommit } from '../../analysis/revision.ts';
import { codeOf } from '../../errors.ts';
import { policyOf, repositoryOf, type ExecutorContext } from '../context.ts';
import type { Rollback } from '../record.ts';

/**
 * Whether two revisions hold the same of the application. In a repository of many applications every commit makes a new
 * head, and what was judged is the content of the application's paths, whichever head it is read from.
 *
 * @returns false where the repository does not know one of them: an image tag, another repository's commit
 */
export async function holdsSame(
  context: Pick<ExecutorContext, 'policies' | 'repositories'>,
  rollback: Rollback,
  one: string,
  other: string,
  signal: AbortSignal,
): Promise<boolean> {
  if (sameCommit(one, other)) return true;
  const { paths } = policyOf(context, rollback);
  const repository = repositoryOf(context, rollback);
  try {
    return (await repository.contentOf(one, paths, signal)) === (await repository.contentOf(other, paths, signal));
  } catch (error) {
    if (codeOf(error) === 'commit_unknown') return false;
    throw error;
  }
}
