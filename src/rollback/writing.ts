import { CodedError } from '../errors.ts';
import { deliveryOf, policyOf, repositoryOf, type ExecutorContext, type Step } from './context.ts';
import type { Repository } from '../git/port.ts';
import { draftOf, type Draft } from './drafting.ts';
import type { Drafts } from './drafts.ts';
import { heldIn } from './guards/held.ts';
import { branchOf } from './guards/reverts.ts';
import { stoppedBy } from './guards/stopping.ts';
import type { Lane } from './lane.ts';
import { withPlan } from './planning.ts';
import { PUSH_REFUSED, type Plan, type Rollback } from './record.ts';
import { graceIsOver, guardAbort, guardPlan } from './situation.ts';
import { REFUSED_CAP_MS, RETRY_CAP_MS, heldByRemote, moved, noted, retryDelay, short, troubled } from './transitions.ts';

const UNKNOWN_RETRY_MS = 1_000;
/** Branches of one rollback that are tried: each holds an older plan of it. */
const MOST_BRANCHES = 5;
/** What the guards said of a plan is good for so long: a branch that others push to all the time is raced for. */
const GUARDED_FOR_MS = 2_000;
/** The remote said no: nothing was written, so another decision is possible meanwhile. */
const NOT_PUSHED: ReadonlySet<string> = new Set([
  PUSH_REFUSED,
  'git_branch_protected',
  'git_auth_failed',
  'git_host_key_refused',
  'commit_unknown',
]);

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
  const { held, revision } = await guardAbort(context, rollback, signal);
  if (held !== null) return { next: heldIn(rollback, held, now) };
  context.reach('abort-start');
  const order = { revision, rollback: rollback.id, reason: rollback.verdictSentence };
  const aborted = await delivery.abort(order, signal);
  context.reach('abort-done');
  const sentence = {
    aborted: 'the rollout was aborted',
    already: 'the rollout was aborted already',
    not_running: 'the cluster does not run this revision as a canary, so nothing was aborted',
  }[aborted];
  return { next: noted({ ...rollback, aborted, problem: null }, `abort_${aborted}`, sentence, context.clock.now()) };
}

/** What a push is made with. */
export interface Pushing {
  lane: Lane;
  drafts: Drafts;
  /** Stores durably that a push begins, from when on a refusal comes too late; false when somebody changed the rollback. */
  begin: () => Promise<boolean>;
}

/** Commit and plain push; the branch itself says whether it is done. */
export async function write(context: ExecutorContext, rollback: Rollback, pushing: Pushing, signal: AbortSignal): Promise<Step> {
  let begun = false;
  const begin = async () => {
    if (!(await pushing.begin())) return false;
    begun = true;
    context.reach('push-start');
    return true;
  };
  try {
    return rollback.mode === 'propose'
      ? await pushProposal(context, rollback, { ...pushing, begin }, signal)
      : await pushToBranch(context, rollback, { ...pushing, begin }, signal);
  } catch (error) {
    pushing.drafts.forget(rollback.id);
    if (!begun || !(error instanceof CodedError)) throw error;
    return failed(context, rollback, error);
  }
}

async function pushToBranch(
  context: ExecutorContext,
  rollback: Rollback,
  { lane, begin, drafts }: Pushing,
  signal: AbortSignal,
): Promise<Step> {
  const { clock } = context;
  const made: { next: Rollback | null; plan: Plan | null; guardedAt: number } = { next: null, plan: null, guardedAt: -Infinity };
  const result = await lane.submit({
    async build(onto) {
      signal.throwIfAborted();
      // What an earlier try found may have changed with the branch.
      made.next = null;
      context.reach('push-fetched');
      const drafted = await drafts.on(rollback, onto, signal);
      if (drafted.kind === 'done') {
        made.next = moved({ ...rollback, ...drafted.facts }, drafted.to, clock.now());
        return null;
      }
      if (drafted.kind === 'propose') {
        const { code, sentence } = drafted;
        made.next = moved({ ...rollback, mode: 'propose', plan: null }, { state: 'planned', code, sentence }, clock.now());
        return null;
      }
      const { draft } = drafted;
      if (made.plan?.hash !== draft.plan.hash || clock.now() - made.guardedAt > GUARDED_FOR_MS) {
        // The guards say what was the case when they were asked, however long they took.
        const askedAt = clock.now();
        const held = await guardPlan(context, rollback, draft, 'push', signal);
        if (held !== null) {
          made.next = heldIn(withPlan(rollback, draft), held, clock.now());
          return null;
        }
        made.guardedAt = askedAt;
      } else {
        // A kill switch counts at once; it costs one read, where the other guards cost looks at the cluster and at Git.
        const policy = policyOf(context, rollback);
        const stop = stoppedBy(context.fleet, policy, await context.switches.stopping(policy));
        if (stop !== null) {
          made.next = heldIn(withPlan(rollback, draft), stop, clock.now());
          return null;
        }
      }
      made.plan = draft.plan;
      context.reach('push-committed');
      return draft.commit;
    },
    begin,
  });
  if (result.kind === 'left') return { next: made.next ?? rollback };
  context.reach('push-done');
  drafts.forget(rollback.id);
  const { commit } = result;
  const written: Rollback = {
    ...rollback,
    plan: made.plan ?? rollback.plan,
    approvals: [],
    revertCommit: commit,
    revertRef: `refs/heads/${rollback.branch}`,
  };
  const sentence = `${short(commit)} on ${rollback.branch} takes ${short(rollback.badCommit)} out`;
  return { next: moved(written, { state: 'pushed', code: 'pushed', sentence }, clock.now()) };
}

/**
 * A branch of its own, on the present head: what was fixed meanwhile is not proposed. A rerun finds what it has pushed there by
 * our identity, the trailer and the content, since a commit that is signed anew, or made on another head, has another id.
 */
async function pushProposal(
  context: ExecutorContext,
  rollback: Rollback,
  { begin }: Pushing,
  signal: AbortSignal,
): Promise<Step> {
  const repository = repositoryOf(context, rollback);
  const { clock } = context;
  const { head } = await repository.refresh(signal);
  context.reach('push-fetched');
  const drafted = await draftOf(context, rollback, head, signal);
  if (drafted.kind === 'done') return { next: moved({ ...rollback, ...drafted.facts }, drafted.to, clock.now()) };
  const { draft } = drafted;
  const held = await guardPlan(context, rollback, draft, 'push', signal);
  if (held !== null) {
    return { next: heldIn(withPlan(rollback, draft), held, clock.now()) };
  }
  context.reach('push-committed');
  if (!(await begin())) return { next: rollback };
  const first = rollback.proposes ?? 1;
  for (let number = first; number < first + MOST_BRANCHES; number += 1) {
    const branch = branchOf(rollback.id, number);
    const pushed = await repository.push(draft.commit, branch, signal);
    context.reach('push-done');
    const there = pushed === 'race' ? await pushedBefore(repository, { branch, draft, rollback }, signal) : draft;
    if (there === 'other content') continue;
    if (there === 'not ours') {
      const sentence = `branch ${branch} exists already with commits that are not ours; delete it, then approve this rollback`;
      return { next: moved(rollback, { state: 'held', code: 'proposal_branch_taken', sentence }, clock.now()) };
    }
    const { commit } = there;
    const written: Rollback = {
      ...withPlan(rollback, draft),
      ...(number > 1 && { proposes: number }),
      approvals: [],
      revertCommit: commit,
      revertRef: `refs/heads/${branch}`,
    };
    const sentence = `the revert ${short(commit)} waits on branch ${branch}; merge it to make it count`;
    return { next: moved(written, { state: 'proposed', code: 'proposed', sentence }, clock.now()) };
  }
  const sentence = `${MOST_BRANCHES} branches from ${branchOf(rollback.id, first)} on hold other reverts of ours; merge or delete them, then approve this rollback`;
  return { next: moved(rollback, { state: 'held', code: 'proposal_branch_taken', sentence }, clock.now()) };
}

/** What is on a branch that does not take our commit: the same revert as a commit of ours, an older one, or somebody's work. */
async function pushedBefore(
  repository: Repository,
  { branch, draft, rollback }: { branch: string; draft: Draft; rollback: Rollback },
  signal: AbortSignal,
): Promise<{ commit: string } | 'other content' | 'not ours'> {
  const tip = await repository.tipOf(branch, signal);
  // Deleted at this moment: its name is left alone.
  if (tip === null) return 'other content';
  if (tip.rollback !== rollback.id) return 'not ours';
  const { changed, head } = draft.plan;
  const holds = async (commit: string) => repository.contentOf(commit, changed, signal);
  const [parent] = (await repository.commit(tip.commit, signal)).parents;
  const isSame =
    parent !== undefined &&
    (await holds(tip.commit)) === (await holds(draft.commit)) &&
    (await holds(parent)) === (await holds(head));
  return isSame ? { commit: tip.commit } : 'other content';
}

function failed(context: ExecutorContext, rollback: Rollback, error: CodedError): Step {
  const now = context.clock.now();
  if (error.code === 'git_branch_protected' && rollback.mode === 'rollback') {
    const sentence = `the branch takes no pushes from us (${error.message}); the revert is proposed`;
    const proposed: Rollback = { ...rollback, mode: 'propose', plan: null, pushStarted: null };
    return { next: moved(proposed, { state: 'planned', code: 'branch_protected', sentence }, now) };
  }
  const refused = NOT_PUSHED.has(error.code);
  const attempts = rollback.problem?.attempts ?? 0;
  // A new credential counts soon; what a hook says changes seldom.
  const cap = error.retryable ? RETRY_CAP_MS : REFUSED_CAP_MS;
  const again = now + (refused ? retryDelay(attempts, cap) : UNKNOWN_RETRY_MS);
  // A push whose outcome is not known may be on the remote: until the branch was read again, nothing else is decided.
  const pushStarted = refused ? null : new Date(now).toISOString();
  const problem = { code: error.code, sentence: error.message, nextAt: again };
  const next = troubled({ ...rollback, pushStarted }, problem, now);
  // People look for what waits for them among what is held. The remote is asked on: its rules may change by themselves.
  return { next: error.code === PUSH_REFUSED ? heldByRemote(next, problem) : next, again };
}
