import { CodedError } from '../errors.ts';
import type { CommitFacts } from '../git/port.ts';
import { deliveryOf, policyOf, repositoryOf, type ExecutorContext, type Step } from './context.ts';
import { outcomeOf } from './outcome.ts';
import type { Rollback } from './record.ts';
import { graceIsOver, guardAgain } from './situation.ts';
import { REFUSED_CAP_MS, moved, noted, retryDelay, short, troubled } from './transitions.ts';

const PUSH_TRIES = 10;
const UNKNOWN_RETRY_MS = 1_000;
/** The remote said no: nothing was written, so another decision is possible meanwhile. */
const NOT_PUSHED: ReadonlySet<string> = new Set(['git_push_refused', 'git_auth_failed', 'commit_unknown']);

/** In the cluster first: it takes a second and is conditional on the revision. */
export async function abort(context: ExecutorContext, rollback: Rollback, signal: AbortSignal): Promise<Step> {
  const delivery = deliveryOf(context, rollback);
  const now = context.clock.now();
  if (!delivery.can.abort) {
    const sentence = `delivery ${delivery.type} cannot abort; the revert does it`;
    return { next: noted({ ...rollback, aborted: 'unsupported' }, 'abort_unsupported', sentence, now) };
  }
  if (graceIsOver(rollback, now)) {
    const sentence = `the delivery did not take the abort (${rollback.problem?.sentence ?? ''}); going on with Git`;
    return { next: noted({ ...rollback, aborted: 'unsupported', problem: null }, 'abort_given_up', sentence, now) };
  }
  context.reach('abort-start');
  const order = { revision: rollback.badCommit, rollback: rollback.id, reason: rollback.verdictSentence };
  const aborted = await delivery.abort(order, signal);
  context.reach('abort-done');
  const sentence = {
    aborted: 'the rollout was aborted',
    already: 'the rollout was aborted already',
    not_running: 'the cluster does not run this revision as a canary, so nothing was aborted',
  }[aborted];
  return { next: noted({ ...rollback, aborted, problem: null }, `abort_${aborted}`, sentence, context.clock.now()) };
}

/**
 * Commit and plain push, again on every race; the branch itself says whether it is done.
 *
 * @param begin stores durably that a push begins, from when on a refusal comes too late; false when somebody changed
 *   the rollback meanwhile: then nothing is pushed
 */
export async function write(
  context: ExecutorContext,
  rollback: Rollback,
  begin: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<Step> {
  const repository = repositoryOf(context, rollback);
  const { clock } = context;
  for (let attempt = 1; attempt <= PUSH_TRIES; attempt += 1) {
    await repository.refresh(signal);
    context.reach('push-fetched');
    const bad = await repository.commit(rollback.badCommit, signal);
    const result = await revertOn(context, rollback, bad, signal);
    if (result.kind === 'done') return { next: result.next };
    const held = await guardAgain(context, rollback, bad, result.changed, signal);
    if (held !== null) return { next: moved(rollback, { state: 'held', ...held }, clock.now()) };
    context.reach('push-committed');
    const proposal = rollback.mode === 'propose' ? `davylamp/${rollback.id}` : null;
    if (!(await begin())) return { next: rollback };
    context.reach('push-start');
    let pushed: Awaited<ReturnType<typeof repository.push>>;
    try {
      pushed = await repository.push(result.commit, proposal, signal);
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      const refused = NOT_PUSHED.has(error.code);
      const now = clock.now();
      const attempts = rollback.problem?.attempts ?? 0;
      const again = now + (refused ? retryDelay(attempts, REFUSED_CAP_MS) : UNKNOWN_RETRY_MS);
      // A push whose outcome is not known may be on the remote: until the branch was read again, nothing else is decided.
      const pushStarted = refused ? null : new Date(now).toISOString();
      return {
        next: troubled({ ...rollback, pushStarted }, { code: error.code, sentence: error.message, nextAt: again }, now),
        again,
      };
    }
    context.reach('push-done');
    if (pushed === 'race' && proposal === null) continue;
    if (pushed === 'race') {
      const sentence = `branch ${proposal} exists already with other commits; merge or delete it, then approve this rollback`;
      return { next: moved(rollback, { state: 'held', code: 'proposal_branch_taken', sentence }, clock.now()) };
    }
    const revertRef = `refs/heads/${proposal ?? repository.branch}`;
    const written: Rollback = { ...rollback, revertCommit: result.commit, revertRef };
    const done =
      proposal === null
        ? {
            state: 'pushed' as const,
            code: 'pushed',
            sentence: `${short(result.commit)} on ${repository.branch} takes ${short(bad.sha)} out`,
          }
        : {
            state: 'proposed' as const,
            code: 'proposed',
            sentence: `the revert ${short(result.commit)} waits on branch ${proposal}; merge it to make it count`,
          };
    return { next: moved(written, done, clock.now()) };
  }
  throw new CodedError('push_races', `the branch moved ${PUSH_TRIES} times while the revert was pushed; trying on`, {
    retryable: true,
  });
}

/** The revert on the present head, or the state that makes it unnecessary or impossible. */
export async function revertOn(
  context: ExecutorContext,
  rollback: Rollback,
  bad: CommitFacts,
  signal: AbortSignal,
): Promise<{ kind: 'revert'; commit: string; head: string; changed: string[] } | { kind: 'done'; next: Rollback }> {
  const repository = repositoryOf(context, rollback);
  const policy = policyOf(context, rollback);
  const [own] = await repository.ownCommits(bad.sha, rollback.id, signal);
  const order = {
    badCommit: bad.sha,
    message: context.messageOf(rollback, bad),
    at: Date.parse(rollback.decidedAt),
    paths: policy.paths,
    ...(rollback.mode === 'propose' && rollback.plan !== null ? { onto: rollback.plan.head } : {}),
  };
  const result = await repository.revert(order, signal);
  const outcome = outcomeOf(result, own, { rollback, application: policy.application });
  if (outcome.kind === 'revert') return outcome;
  return { kind: 'done', next: moved({ ...rollback, ...outcome.facts }, outcome.to, context.clock.now()) };
}
