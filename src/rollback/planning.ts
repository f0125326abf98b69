import { repositoryOf, type ExecutorContext, type Step } from './context.ts';
import type { Draft } from './drafting.ts';
import type { Drafts } from './drafts.ts';
import { mayAskTool, toolFirst } from './freight.ts';
import { heldIn } from './guards/held.ts';
import type { Rollback } from './record.ts';
import { guardPlan, demandReconciled } from './situation.ts';
import { moved, noted, short } from './transitions.ts';

const JOURNAL_LIMIT = 500;

/** Works out what would be written, asks the guards, and in shadow ends there. */
export async function plan(context: ExecutorContext, known: Rollback, drafts: Drafts, signal: AbortSignal): Promise<Step> {
  const repository = repositoryOf(context, known);
  context.reach('plan-start');
  const { judgedSince: _then, ...before } = known;
  const [evidence, { head }] = await Promise.all([evidenceOf(context, known), repository.refresh(signal)]);
  const rollback: Rollback = { ...before, evidence };
  context.reach('plan-fetched');
  const drafted = await drafts.on(rollback, head, signal);
  const now = context.clock.now();
  context.reach('plan-computed');
  if (drafted.kind === 'done') {
    const next = moved({ ...rollback, ...drafted.facts }, drafted.to, now);
    return { next: rollback.mode === 'shadow' ? untouched(next, now) : next };
  }
  const planned = withPlan(rollback, drafted.draft);
  if (rollback.mode === 'shadow') {
    const would = describe(drafted.kind === 'propose' ? { ...planned, mode: 'propose' } : { ...planned, mode: 'rollback' });
    const sentence = `shadow: would ${would}; nothing was touched, set mode to propose or rollback to let it act`;
    return { next: moved(planned, { state: 'planned', code: 'shadow', sentence }, now) };
  }
  demandReconciled(context, rollback);
  const asked: Rollback =
    drafted.kind === 'propose' && planned.mode === 'rollback'
      ? noted({ ...planned, mode: 'propose' }, drafted.code, drafted.sentence, now)
      : planned;
  const about = drafted.draft;
  const held = await guardPlan(context, asked, about, 'plan', signal);
  if (held !== null) return { next: heldIn(asked, held, now) };
  // What acts by itself has to pass what a push has to pass.
  const byTool =
    drafted.kind === 'propose' &&
    planned.mode === 'rollback' &&
    mayAskTool(context, planned, drafted.code) &&
    (await guardPlan(context, planned, about, 'plan', signal)) === null;
  const sentence = `all guards passed; will ${describe(asked)}`;
  return { next: moved(byTool ? toolFirst(asked, now) : asked, { state: 'executing', code: 'executing', sentence }, now) };
}

/** The record with what was drafted. */
export function withPlan(rollback: Rollback, { plan: drafted, since }: Draft): Rollback {
  return {
    ...rollback,
    plan: drafted,
    good: drafted.good ?? rollback.good,
    ...(since !== undefined && { judgedSince: since }),
  };
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

function describe({ mode, plan: drafted, badCommit, branch }: Rollback): string {
  const commit = short(badCommit);
  const what = {
    revert: `a revert of ${commit}`,
    narrow: `the version from before ${commit}`,
    restore: `the state of ${short(drafted?.good ?? '')}, which takes back ${drafted?.undoes.length ?? 0} commits,`,
  }[drafted?.kind ?? 'revert'];
  return mode === 'propose' ? `push ${what} to a branch of its own` : `abort the rollout and push ${what} to ${branch}`;
}
