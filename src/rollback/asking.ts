import { Type, type Static } from 'typebox';
import { ApplicationName, Revision, type Analysis } from '../analysis/record.ts';
import { CodedError } from '../errors.ts';
import type { Repository } from '../git/port.ts';
import type { Store } from '../store/port.ts';
import type { Drafted } from './drafting.ts';
import type { Cause } from './opening.ts';
import { isWithin } from './paths.ts';
import type { Policy } from './policy.ts';

/** A person asks for a rollback; the same guards hold as for an automatic one, but for the verdict. */
export const RollbackRequest = Type.Object(
  {
    application: ApplicationName,
    revision: Revision,
    reason: Type.String({ minLength: 3, maxLength: 1_000, description: 'Stands in the journal and in the revert commit.' }),
    dryRun: Type.Optional(
      Type.Boolean({ default: false, description: 'Only say what would be written, and what would hold it.' }),
    ),
  },
  { additionalProperties: false, $id: 'RollbackRequest' },
);
export type RollbackRequest = Static<typeof RollbackRequest>;

const REQUEST_TIMEOUT_MS = 20_000;
const ANALYSES = 100;

/**
 * What a person's request is about, with the full id of the commit.
 *
 * @throws CodedError `configuration_changed`, `commit_unknown`, `commit_not_on_branch`, `commit_outside_application`,
 *   and the codes of git
 */
export async function causeOfRequest(
  context: { store: Store; repositories: ReadonlyMap<string, Repository> },
  request: RollbackRequest,
  { policy, by }: { policy: Policy; by: string },
  signal: AbortSignal,
): Promise<Cause> {
  const repository = context.repositories.get(policy.repository);
  if (repository === undefined)
    throw new CodedError('configuration_changed', `the configuration has no repository "${policy.repository}"`);
  await repository.refresh(signal);
  const commit = await repository.commit(request.revision, signal);
  if (!commit.onBranch) {
    throw new CodedError(
      'commit_not_on_branch',
      `commit ${commit.sha} is not part of branch ${policy.branch}; name the commit that brought the bad version there`,
    );
  }
  if (!commit.paths.some((path) => isWithin(path, policy.paths))) {
    throw new CodedError(
      'commit_outside_application',
      `commit ${commit.sha} changes nothing of ${policy.application} (${policy.paths.join(', ')}); name the commit that did`,
    );
  }
  return {
    badCommit: commit.sha,
    trigger: 'manual',
    analysis: await analysisOf(context.store, policy.application, commit.sha),
    requestedBy: by,
    confounded: false,
    sentence: request.reason,
    details: { reason: request.reason },
  };
}

/** The newest analysis of the revision, so that a manual rollback can be checked for recovery, too. */
async function analysisOf(store: Store, application: string, revision: string): Promise<string | null> {
  const { records } = await store.list('analysis', { application, limit: ANALYSES });
  return (
    records.find(({ value }) => (value as Analysis).revision === revision && (value as Analysis).kind === 'release')?.id ?? null
  );
}

/** @throws CodedError `git_timeout` (retryable) when the repository does not answer within the time of a request */
export async function withinTime<T>(repository: string, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  try {
    return await ask(signal);
  } catch (error) {
    if (error instanceof CodedError || !signal.aborted) throw error;
    const sentence = `repository ${repository} did not answer within ${REQUEST_TIMEOUT_MS / 1_000} s; try again when it does`;
    throw new CodedError('git_timeout', sentence, { retryable: true, cause: error });
  }
}

/** What could only end as refused is refused at once, and leaves nothing behind. */
export function refuseImpossible(drafted: Drafted): void {
  if (drafted.kind === 'done' && drafted.to.state === 'refused') throw new CodedError(drafted.to.code, drafted.to.sentence);
}
