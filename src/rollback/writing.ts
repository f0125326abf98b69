import { CodedError } from '../errors.ts';
import type { CommitFacts } from '../git/port.ts';
import { deliveryOf, policyOf, repositoryOf, type ExecutorContext, type Step } from './context.ts';
import { outcomeOf } from './outcome.ts';
import type { Rollback } from './record.ts';
import { moved, noted, short } from './transitions.ts';

const PUSH_TRIES = 10;
/** After so many failed calls the abort is left to the revert: Git must not wait for a controller that is gone. */
const ABORT_TRIES = 4;

/** In the cluster first: it takes a second and is conditional on the revision. */
export async function abort(context: ExecutorContext, rollback: Rollback, signal: AbortSignal): Promise<Step> {
  const delivery = deliveryOf(context, rollback);
  if (!delivery.can.abort) {
    return {
      next: noted(
        { ...rollback, aborted: 'unsupported' },
        'abort_unsupported',
        `delivery ${delivery.type} cannot abort; the revert does it`,
        context.clock.now(),
      ),
    };
  }
  if (rollback.problem !== null && rollback.problem.attempts >= ABORT_TRIES) {
    const sentence = `the delivery did not take the abort (${rollback.problem.sentence}); going on with Git`;
    return {
      next: noted({ ...rollback, aborted: 'unsupported', problem: null }, 'abort_given_up', sentence, context.clock.now()),
    };
  }
  context.reach('abort-start');
  const aborted = await delivery.abort(
    { revision: rollback.badCommit, rollback: rollback.id, reason: rollback.verdictSentence },
    signal,
  );
  context.reach('abort-done');
  const sentence = {
    aborted: 'the rollout was aborted',
    already: 'the rollout was aborted already',
    not_running: 'the cluster does not run this revision as a canary, so nothing was aborted',
  }[aborted];
  return { next: noted({ ...rollback, aborted, problem: null }, `abort_${aborted}`, sentence, context.clock.now()) };
}

/** Commit and plain push, again on every race; the branch itself says whether it is done. */
export async function write(context: ExecutorContext, rollback: Rollback, signal: AbortSignal): Promise<Step> {
  const repository = repositoryOf(context, rollback);
  for (let attempt = 1; attempt <= PUSH_TRIES; attempt += 1) {
    await repository.refresh(signal);
    context.reach('push-fetched');
    const bad = await repository.commit(rollback.badCommit, signal);
    const result = await revertOn(context, rollback, bad, signal);
    if (result.kind === 'done') return { next: result.next };
    context.reach('push-committed');
    const ref = rollback.mode === 'propose' ? `davylamp/${rollback.id}` : null;
    context.reach('push-start');
    const pushed = await repository.push(result.commit, ref, signal);
    context.reach('push-done');
    if (pushed === 'race') continue;
    const written: Rollback = { ...rollback, revertCommit: result.commit, revertRef: `refs/heads/${ref ?? repository.branch}` };
    if (rollback.mode === 'propose') {
      const sentence = `the revert ${short(result.commit)} waits on branch davylamp/${rollback.id}; merge it to make it count`;
      return { next: moved(written, { state: 'proposed', code: 'proposed', sentence }, context.clock.now()) };
    }
    return {
      next: moved(
        written,
        {
          state: 'pushed',
          code: 'pushed',
          sentence: `${short(result.commit)} on ${repository.branch} takes ${short(bad.sha)} out`,
        },
        context.clock.now(),
      ),
    };
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
  const now = context.clock.now();
  const policy = policyOf(context, rollback);
  const [own] = await repository.ownCommits(bad.sha, rollback.id, signal);
  const result = await repository.revert(
    {
      badCommit: bad.sha,
      message: context.messageOf(rollback, bad),
      at: Date.parse(rollback.decidedAt),
      paths: policy.paths,
      ...(rollback.mode === 'propose' && rollback.plan !== null ? { onto: rollback.plan.head } : {}),
    },
    signal,
  );
  const outcome = outcomeOf(result, own, { rollback, application: policy.application });
  return outcome.kind === 'revert' ? outcome : { kind: 'done', next: moved({ ...rollback, ...outcome.facts }, outcome.to, now) };
}
