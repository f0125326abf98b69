import type { Repository } from '../git/port.ts';
import { deliveryOf, repositoryOf, type ExecutorContext, type Step } from './context.ts';
import type { Rollback } from './record.ts';
import { moved, noted, short, troubled } from './transitions.ts';

const TELL_TRIES = 4;
const WATCH_MS = 500;
/** Without a way to observe the operator, its usual poll interval (3 minutes at Argo CD) is waited for. */
const UNOBSERVED_MS = 180_000;
const NOT_SYNCED_AFTER_MS = 300_000;
const NOT_SYNCED_RETRY_MS = 30_000;
const RECOVERY_SAFETY_MS = 30_000;

export async function tell(context: ExecutorContext, rollback: Rollback, signal: AbortSignal): Promise<Step> {
  const delivery = deliveryOf(context, rollback);
  const commit = rollback.revertCommit ?? '';
  const now = context.clock.now();
  if (rollback.problem !== null && rollback.problem.attempts >= TELL_TRIES) {
    const sentence = `the delivery could not be told (${rollback.problem.sentence}); its own poll will find the commit`;
    return { next: noted({ ...rollback, told: true, problem: null }, 'tell_given_up', sentence, now) };
  }
  if (delivery.can.annotate) {
    const values = {
      rollback: rollback.id,
      reason: rollback.verdictSentence,
      'revert-commit': commit,
      'bad-commit': rollback.badCommit,
    };
    await delivery.annotate({ revision: rollback.badCommit, rollback: rollback.id, values }, signal);
  }
  if (delivery.can.sync) await delivery.sync({ commit, rollback: rollback.id }, signal);
  context.reach('deliver-told');
  const told =
    delivery.can.annotate || delivery.can.sync
      ? 'the delivery was annotated and asked to sync'
      : `delivery ${delivery.type} takes no messages`;
  return { next: noted({ ...rollback, told: true, problem: null }, 'told', told, now) };
}

export async function watch(context: ExecutorContext, rollback: Rollback, signal: AbortSignal): Promise<Step> {
  const now = context.clock.now();
  const delivery = deliveryOf(context, rollback);
  const since = now - Date.parse(rollback.history.findLast(({ step }) => step === 'pushed')?.at ?? rollback.updatedAt);
  if (!delivery.can.observe) {
    if (since < UNOBSERVED_MS) return { next: rollback, again: now + UNOBSERVED_MS - since };
    const sentence = `delivery ${delivery.type} cannot be observed; taken as deployed after ${UNOBSERVED_MS / 60_000} minutes`;
    return { next: moved(rollback, { state: 'synced', code: 'not_observed', sentence }, now) };
  }
  const state = await delivery.observe(signal);
  const repository = repositoryOf(context, rollback);
  const applied =
    state.synced !== null &&
    state.canary !== rollback.badCommit &&
    (state.synced === rollback.revertCommit || (await contains(repository, rollback.revertCommit ?? '', state.synced, signal)));
  if (applied) {
    context.reach('deliver-synced');
    return {
      next: moved(
        rollback,
        { state: 'synced', code: 'synced', sentence: `the operator runs ${short(state.synced ?? '')}, which holds the revert` },
        now,
      ),
    };
  }
  if (since < NOT_SYNCED_AFTER_MS) return { next: rollback, again: now + WATCH_MS };
  const nextAt = now + NOT_SYNCED_RETRY_MS;
  const sentence = `the revert is on the branch and the operator still runs ${short(state.synced ?? 'an unknown commit')}; look at its sync status`;
  return { next: troubled(rollback, { code: 'not_synced', sentence, nextAt }, now), again: nextAt };
}

async function contains(repository: Repository, commit: string, head: string, signal: AbortSignal): Promise<boolean> {
  await repository.refresh(signal);
  return repository.isAncestor(commit, head, signal);
}

export async function check(context: ExecutorContext, rollback: Rollback): Promise<Step> {
  const recovery = await context.recoveryOf(rollback);
  context.reach('recovery-started');
  const now = context.clock.now();
  if (rollback.recovery === null)
    return {
      next: noted({ ...rollback, recovery: recovery.id }, 'recovery_started', 'measuring whether the metrics came back', now),
    };
  if (recovery.endedAt === null) return { next: rollback, again: now + RECOVERY_SAFETY_MS };
  if (recovery.code === 'metrics_unavailable' || recovery.verdict === 'error' || recovery.verdict === null) {
    const sentence = `whether it helped is not known (${recovery.sentence}); look at the metrics`;
    return { next: moved(rollback, { state: 'not_recovered', code: 'recovery_unmeasured', sentence }, now) };
  }
  return {
    next:
      recovery.verdict === 'fail'
        ? moved(
            rollback,
            { state: 'not_recovered', code: 'still_bad', sentence: `the metrics did not come back: ${recovery.sentence}` },
            now,
          )
        : moved(
            rollback,
            { state: 'recovered', code: 'recovered', sentence: `the metrics came back: ${recovery.sentence}` },
            now,
          ),
  };
}
