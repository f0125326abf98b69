import type { Analysis } from '../analysis/record.ts';
import { sameCommit } from '../analysis/revision.ts';
import type { DeliveryState } from '../delivery/port.ts';
import { answerBot } from './answering.ts';
import { deliveryOf, policyOf, repositoryOf, type ExecutorContext, type Step } from './context.ts';
import { stoppedBy } from './guards/stopping.ts';
import { markCommit, withdraw } from './proposing.ts';
import type { Rollback } from './record.ts';
import { graceIsOver } from './situation.ts';
import { holdsSame } from './situation/sameness.ts';
import { moved, noted, short, sinceStep, troubled } from './transitions.ts';

const WATCH_MS = 500;
const WATCH_CAP_MS = 10_000;
/** Without a way to observe the operator, its usual poll interval (3 minutes at Argo CD) is waited for. */
const UNOBSERVED_MS = 180_000;
const NOT_SYNCED_AFTER_MS = 300_000;
const NOT_SYNCED_RETRY_MS = 30_000;
const RECOVERY_SAFETY_MS = 30_000;
/** Argo CD shows no more of a notice. */
const BANNER_LIMIT = 500;

export async function tell(context: ExecutorContext, rollback: Rollback, signal: AbortSignal): Promise<Step> {
  const delivery = deliveryOf(context, rollback);
  const commit = rollback.revertCommit ?? '';
  const now = context.clock.now();
  if (policyOf(context, rollback).mode === 'shadow') {
    return { next: noted({ ...rollback, told: true }, 'not_told', 'the mode is shadow now, so the delivery is not told', now) };
  }
  if (graceIsOver(rollback, now)) {
    const sentence = `the delivery could not be told (${rollback.problem?.sentence ?? ''}); its own poll will find the commit`;
    return { next: noted({ ...rollback, told: true, problem: null }, 'tell_given_up', sentence, now) };
  }
  if (delivery.can.annotate) {
    const values = {
      rollback: rollback.id,
      reason: rollback.verdictSentence,
      'revert-commit': commit,
      'bad-commit': rollback.badCommit,
      verdict: rollback.trigger === 'analysis' ? 'fail' : null,
      analysis: rollback.analysis,
      at: rollback.decidedAt,
    };
    await delivery.annotate({ revision: rollback.badCommit, rollback: rollback.id, values }, signal);
  }
  if (delivery.can.banner === true) {
    const content = `${short(rollback.badCommit)} was rolled back by davylamp: ${rollback.verdictSentence}`.slice(
      0,
      BANNER_LIMIT,
    );
    await delivery.banner?.({ content, severity: 'warning', url: context.urlOf(rollback) }, signal);
  }
  if (delivery.can.sync) await delivery.sync({ commit, rollback: rollback.id }, signal);
  context.reach('deliver-told');
  const forge = context.forgeOf(rollback.repository);
  const unmarked = forge === null ? null : await markCommit(context, rollback, forge, signal);
  const told =
    delivery.can.annotate || delivery.can.sync
      ? 'the delivery was annotated and asked to sync'
      : `delivery ${delivery.type} takes no messages`;
  const withdrawn = await withdraw(context, rollback, signal);
  const answered = await answerBot(context, rollback, signal);
  const sentence = [
    told,
    ...(unmarked === null ? [] : [`could not be set: ${unmarked}`]),
    ...(withdrawn === null ? [] : [withdrawn]),
    ...(answered === null ? [] : [answered]),
  ].join('; ');
  return { next: noted({ ...rollback, told: true, problem: null }, 'told', sentence, now) };
}

export async function watch(context: ExecutorContext, rollback: Rollback, signal: AbortSignal): Promise<Step> {
  const now = context.clock.now();
  const delivery = deliveryOf(context, rollback);
  const since = sinceStep(rollback, ['pushed'], now);
  if (!delivery.can.observe) {
    if (since < UNOBSERVED_MS) return { next: rollback, again: now + UNOBSERVED_MS - since };
    const sentence = `delivery ${delivery.type} cannot be observed; taken as deployed after ${UNOBSERVED_MS / 60_000} minutes`;
    return { next: moved(rollback, { state: 'synced', code: 'not_observed', sentence }, now) };
  }
  const state = await delivery.observe(signal);
  const { revertCommit } = rollback;
  const { synced, canary, stable } = state;
  // The same content from a newer head of the repository is as bad.
  const isBad = async (commit: string | null) =>
    commit !== null && (await holdsSame(context, rollback, commit, rollback.badCommit, signal));
  // Who knows the workload and not its operator sees the revert in that the bad revision is neither side any more.
  const applied =
    revertCommit !== null &&
    !(await isBad(canary)) &&
    (synced === null ? stable !== null && !(await isBad(stable)) : await holds(context, rollback, synced, revertCommit, signal));
  if (applied) {
    context.reach('deliver-synced');
    const sentence = `${ranBy(state)}${await promoted(context, rollback, state, signal)}`;
    return { next: moved(rollback, { state: 'synced', code: 'synced', sentence }, now) };
  }
  if (rollback.returnedAt !== null) {
    const sentence = `what ${short(revertCommit ?? '')} took out is on ${rollback.branch} again before the operator ran the revert; somebody brought it back, so it is not taken out a second time without a person`;
    return { next: moved(rollback, { state: 'failed', code: 'came_back', sentence }, now) };
  }
  if (since < NOT_SYNCED_AFTER_MS) {
    // Often at first, when it takes a second, and more rarely the longer it takes: a forge counts our requests.
    const again = now + Math.min(WATCH_CAP_MS, Math.max(WATCH_MS, since / 5));
    return { next: rollback.problem === null ? rollback : { ...rollback, problem: null }, again };
  }
  const nextAt = now + NOT_SYNCED_RETRY_MS;
  const sentence = `the revert is on the branch and the operator still runs ${short(state.synced ?? 'an unknown commit')}; look at its sync status`;
  return { next: troubled(rollback, { code: 'not_synced', sentence, nextAt }, now), again: nextAt };
}

/**
 * After a full promotion the revert is a release like any other and runs its steps again; where the application opted in,
 * they are skipped for what is known to be good.
 */
async function promoted(
  context: ExecutorContext,
  rollback: Rollback,
  { canary }: DeliveryState,
  signal: AbortSignal,
): Promise<string> {
  const delivery = deliveryOf(context, rollback);
  if (canary === null || rollback.aborted === 'aborted' || rollback.aborted === 'already') return '';
  const again = '; the revert runs the steps of a release again, unless its rollbackWindow covers it';
  const policy = policyOf(context, rollback);
  if (!policy.promoteRevert || delivery.can.promote !== true || delivery.promote === undefined) return again;
  if (stoppedBy(context.fleet, policy, await context.switches.stopping(policy)) !== null) return again;
  const repository = repositoryOf(context, rollback);
  const query = { before: rollback.badCommit, lowest: policy.lastGood, repository };
  const good = await context.ledger.lastGood(policy.application, query, signal);
  if (good === null || good.content !== (await repository.contentOf(canary, policy.paths, signal))) return again;
  const done = await delivery.promote({ revision: canary, rollback: rollback.id }, signal);
  return done === 'promoted' ? '; it is what ran before, so its canary steps were skipped' : again;
}

function ranBy({ synced, stable }: DeliveryState): string {
  if (synced !== null) return `the operator runs ${short(synced)}, which holds the revert`;
  return `the workload runs ${short(stable ?? '')} again, and the bad revision no more`;
}

/** Whether what the operator has applied contains the revert; a commit that the mirror does not know is fetched. */
async function holds(
  context: ExecutorContext,
  rollback: Rollback,
  synced: string,
  revertCommit: string,
  signal: AbortSignal,
): Promise<boolean> {
  return sameCommit(synced, revertCommit) || repositoryOf(context, rollback).isAncestor(revertCommit, synced, signal);
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
  const { verdict, sentence } = recovery;
  if (verdict === 'fail') {
    return {
      next: moved(
        rollback,
        { state: 'not_recovered', code: 'still_bad', sentence: `the metrics did not come back: ${sentence}` },
        now,
      ),
    };
  }
  if (verdict === 'pass' || hasNothingAgainst(recovery)) {
    return {
      next: moved(rollback, { state: 'recovered', code: 'recovered', sentence: `the metrics came back: ${sentence}` }, now),
    };
  }
  const unknown = `whether it helped could not be measured (${recovery.code}: ${sentence}); look at the metrics`;
  return { next: moved(rollback, { state: 'not_recovered', code: 'recovery_unmeasured', sentence: unknown }, now) };
}

/** A short check with little traffic cannot prove that all is well; it counts when every metric was seen and speaks for it. */
function hasNothingAgainst({ code, judgement }: Analysis): boolean {
  return (
    code === 'not_enough_data' &&
    judgement !== null &&
    judgement.metrics.every(({ eValue, traffic }) => traffic.ticks > 0 && eValue.value !== null && eValue.value < 1)
  );
}
