import { Type, type Static } from 'typebox';
import { ApplicationName, Revision, type Analysis } from '../analysis/record.ts';
import { CodedError } from '../errors.ts';
import type { Delivery } from '../delivery/port.ts';
import type { CommitFacts, Repository } from '../git/port.ts';
import { findRevision, guiltyOf } from '../ledger/finding.ts';
import { isPerson } from '../ledger/rules.ts';
import type { Store } from '../store/port.ts';
import type { LedgerView } from './context.ts';
import type { Drafted } from './drafting.ts';
import type { Cause } from './opening.ts';
import { isWithin } from './paths.ts';
import type { Policy } from './policy.ts';

/** A person asks for a rollback; the same guards hold as for an automatic one, but for the verdict. */
export const RollbackRequest = Type.Object(
  {
    application: ApplicationName,
    revision: Type.Optional(Revision),
    reason: Type.String({ minLength: 3, maxLength: 1_000, description: 'Stands in the journal and in the revert commit.' }),
    dryRun: Type.Optional(
      Type.Boolean({ default: false, description: 'Only say what would be written, and what would hold it.' }),
    ),
  },
  { additionalProperties: false, $id: 'RollbackRequest' },
);
export type RollbackRequest = Static<typeof RollbackRequest>;

/** What is asked about a request. */
export interface AskingContext {
  store: Store;
  repositories: ReadonlyMap<string, Repository>;
  deliveries: ReadonlyMap<string, Delivery>;
  ledger: Pick<LedgerView, 'lastGood' | 'entry'>;
}

const REQUEST_TIMEOUT_MS = 20_000;
const ANALYSES = 100;

/**
 * What a person's request is about, with the full id of the commit.
 *
 * @throws CodedError `configuration_changed`, `commit_unknown`, `commit_not_on_branch`, `commit_outside_application`,
 *   `marked_good`, and the codes of git
 */
export async function causeOfRequest(
  context: AskingContext,
  request: RollbackRequest,
  { policy, by }: { policy: Policy; by: string },
  signal: AbortSignal,
): Promise<Cause> {
  const repository = context.repositories.get(policy.repository);
  if (repository === undefined)
    throw new CodedError('configuration_changed', `the configuration has no repository "${policy.repository}"`);
  await repository.refresh(signal);
  const commit = await commitOf(context, repository, request.revision ?? null, policy, signal);
  if (!commit.paths.some((path) => isWithin(path, policy.paths))) {
    throw new CodedError(
      'commit_outside_application',
      `commit ${commit.sha} changes nothing of ${policy.application} (${policy.paths.join(', ')}); name the commit that did`,
    );
  }
  const known = await context.ledger.entry(policy.application, commit.sha);
  if (known?.standing === 'good' && isPerson(known.by)) {
    const sentence = `${known.by} marked ${commit.sha} as good (${known.reason}), so it cannot be the bad one as well; mark it as bad first, or name another commit`;
    throw new CodedError('marked_good', sentence);
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

/** The commit that is named; without a name, the one that brought what is released now. */
async function commitOf(
  { deliveries, ledger }: AskingContext,
  repository: Repository,
  named: string | null,
  policy: Policy,
  signal: AbortSignal,
): Promise<CommitFacts> {
  const { application, paths, lastGood: lowest } = policy;
  const found = await findRevision(
    {
      application,
      paths,
      repository,
      named,
      delivery: deliveries.get(application),
      exactly: named !== null,
      lastGood: async (before) => (await ledger.lastGood(application, { before, lowest, repository }, signal))?.revision ?? null,
    },
    signal,
  );
  if (found.kind === 'none') throw new CodedError(found.code, found.sentence);
  if (named !== null) return found.revision;
  const guilty = await guiltyOf({ repository, paths, revision: found.revision, good: null }, signal);
  if (guilty.kind === 'none') throw new CodedError(guilty.code, guilty.sentence);
  return guilty.kind === 'one' ? guilty.commit : found.revision;
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
