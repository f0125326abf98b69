import type { CommitFacts } from '../git/port.ts';
import { policyOf, repositoryOf, type ExecutorContext, type Step } from './context.ts';
import { heldBy, type GuardFacts } from './guards.ts';
import type { Rollback } from './record.ts';
import { rollbackIn } from './stored.ts';
import { moved, short } from './transitions.ts';
import { revertOn } from './writing.ts';

const DAY_MS = 86_400_000;
const DIFF_LIMIT = 20_000;

/** Works out what would be written, asks the guards, and in shadow ends there. */
export async function plan(context: ExecutorContext, rollback: Rollback, signal: AbortSignal): Promise<Step> {
  const repository = repositoryOf(context, rollback);
  context.reach('plan-start');
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
  if (result.kind === 'done') return { next: result.next };
  const diff = await repository.diff(result.commit, DIFF_LIMIT, signal);
  const planned: Rollback = { ...rollback, plan: { kind: 'revert', head: result.head, changed: result.changed, diff } };
  if (rollback.mode === 'shadow') {
    const sentence = `shadow: would ${describe(rollback)}; nothing was touched, set mode to propose or rollback to let it act`;
    return { next: moved(planned, { state: 'planned', code: 'shadow', sentence }, now) };
  }
  const held = heldBy(await factsOf(context, planned, bad, result.changed, now));
  if (held !== null) return { next: moved(planned, { state: 'held', ...held }, now) };
  return {
    next: moved(
      planned,
      { state: 'executing', code: 'executing', sentence: `all guards passed; will ${describe(rollback)}` },
      now,
    ),
  };
}

async function factsOf(
  context: ExecutorContext,
  rollback: Rollback,
  bad: CommitFacts,
  changed: readonly string[],
  now: number,
): Promise<GuardFacts> {
  const { records } = await context.store.list('rollback', { application: rollback.application, limit: 100 });
  const others = records.map(rollbackIn).filter((other) => other.id !== rollback.id);
  const pushedToday = others.filter((other) => other.revertCommit !== null && Date.parse(other.decidedAt) > now - DAY_MS).length;
  const lastEnded = others.find((other) => other.state === 'recovered' || other.state === 'not_recovered');
  return {
    rollback,
    policy: policyOf(context, rollback),
    badCommit: bad,
    changed,
    pushedToday,
    unhelpful: lastEnded?.state === 'not_recovered' ? lastEnded.id : null,
  };
}

function describe(rollback: Rollback): string {
  const commit = short(rollback.badCommit);
  return rollback.mode === 'propose'
    ? `push a revert of ${commit} to a branch of its own`
    : `abort the rollout and push a revert of ${commit} to ${rollback.branch}`;
}
