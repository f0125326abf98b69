import { repositoryOf, type ExecutorContext, type Step } from './context.ts';
import { heldBy } from './guards.ts';
import type { Rollback } from './record.ts';
import { demandReconciled, factsOf, otherCanary } from './situation.ts';
import { moved, short } from './transitions.ts';
import { revertOn } from './writing.ts';

const DIFF_LIMIT = 20_000;
const JOURNAL_LIMIT = 500;

/** Works out what would be written, asks the guards, and in shadow ends there. */
export async function plan(context: ExecutorContext, known: Rollback, signal: AbortSignal): Promise<Step> {
  const repository = repositoryOf(context, known);
  context.reach('plan-start');
  const rollback: Rollback = { ...known, evidence: await evidenceOf(context, known) };
  await repository.refresh(signal);
  context.reach('plan-fetched');
  const bad = await repository.commit(rollback.badCommit, signal);
  const now = context.clock.now();
  if (!bad.onBranch) {
    const sentence = `commit ${short(bad.sha)} is not part of branch ${rollback.branch}, so there is nothing to take out of it; check which revision was analysed`;
    return { next: moved(rollback, { state: 'refused', code: 'commit_not_on_branch', sentence }, now) };
  }
  const result = await revertOn(context, rollback, bad, signal);
  context.reach('plan-computed');
  if (result.kind === 'done') return { next: rollback.mode === 'shadow' ? untouched(result.next, now) : result.next };
  const diff = await repository.diff(result.commit, DIFF_LIMIT, signal);
  const planned: Rollback = { ...rollback, plan: { kind: 'revert', head: result.head, changed: result.changed, diff } };
  if (rollback.mode === 'shadow') {
    const sentence = `shadow: would ${describe(rollback)}; nothing was touched, set mode to propose or rollback to let it act`;
    return { next: moved(planned, { state: 'planned', code: 'shadow', sentence }, now) };
  }
  demandReconciled(context, rollback);
  const held =
    (await otherCanary(context, rollback, 'wait', signal)) ?? heldBy(await factsOf(context, planned, bad, result.changed, now));
  if (held !== null) return { next: moved(planned, { state: 'held', ...held }, now) };
  const sentence = `all guards passed; will ${describe(rollback)}`;
  return { next: moved(planned, { state: 'executing', code: 'executing', sentence }, now) };
}

/** The hash of the journal entry of the decision: it goes into the revert commit. */
async function evidenceOf(context: ExecutorContext, rollback: Rollback): Promise<string | null> {
  if (rollback.evidence !== null) return rollback.evidence;
  const entries = await context.store.journal({ subject: rollback.id, limit: JOURNAL_LIMIT });
  return entries.findLast(({ event }) => event === 'rollback.decided')?.hash ?? null;
}

/** In shadow nothing follows even from our own earlier commit: neither is the operator told, nor is anything measured. */
function untouched(next: Rollback, now: number): Rollback {
  if (next.state !== 'pushed') return next;
  return moved(
    next,
    { state: 'refused', code: 'already_reverted', sentence: `${next.sentence}; the mode is shadow, so nothing else is done` },
    now,
  );
}

function describe(rollback: Rollback): string {
  const commit = short(rollback.badCommit);
  return rollback.mode === 'propose'
    ? `push a revert of ${commit} to a branch of its own`
    : `abort the rollout and push a revert of ${commit} to ${rollback.branch}`;
}
