import { CodedError, codeOf } from '../errors.ts';
import type { CommitStatus, Forge, Proposed } from '../forge/port.ts';
import type { Repository } from '../git/port.ts';
import { policyOf, repositoryOf, type ExecutorContext, type Step } from './context.ts';
import { waitsForTool, wasAsked } from './freight.ts';
import { branchOf, proposedBy } from './guards/reverts.ts';
import { stoppedBy } from './guards/stopping.ts';
import { askTool } from './promoting.ts';
import type { Rollback } from './record.ts';
import { moved, noted, short, sinceStep, troubled } from './transitions.ts';

/** A person takes minutes to days; the forge counts our calls, and its webhook wakes us earlier. */
const LOOK_MS = 10_000;
const LOOK_CAP_MS = 300_000;
/** How long a merge that the forge tells of may take to show on the branch. */
const MERGE_SHOWS_WITHIN_MS = 600_000;
const STATUS_LIMIT = 140;
const NAME_LIMIT = 100;

/**
 * Opens the pull request of the branch that was pushed, or finds it, and marks the bad commit. Where there is no forge, the
 * branch itself is the proposal, and the content of the head is watched.
 *
 * @throws CodedError of the forge and of git
 */
export async function propose(context: ExecutorContext, rollback: Rollback, signal: AbortSignal): Promise<Step> {
  if (waitsForTool(rollback)) {
    const { head, content } = await contentOf(context, rollback, signal);
    if (content !== 'gone' || wasAsked(rollback)) {
      return askTool(context, rollback, { isGone: content === 'gone', head }, signal);
    }
  }
  const forge = forgeOf(context, rollback);
  if (forge === null) return watchHead(context, rollback, signal);
  await demandAllowed(context, rollback);
  return untilLimitIsOver(context, rollback, async () => {
    const order = await context.proposalOrder(rollback, signal);
    const { leftOut, ...proposed } = await forge.propose(order, signal);
    context.reach('proposal-opened');
    const unmarked = await markCommit(context, rollback, forge, signal);
    const { url, number, state } = proposed;
    const opened: Rollback = { ...rollback, proposal: { url, number, state }, problem: null };
    const missing = [...leftOut, ...(unmarked === null ? [] : [unmarked])];
    const without = missing.length === 0 ? '' : `; left out: ${missing.join('; ')}`;
    const sentence = `${url} proposes the revert${without}`;
    return { next: noted({ ...opened, sentence }, 'proposal_opened', sentence, context.clock.now()) };
  });
}

/**
 * A forge may have been away for long since the branch was pushed: what forbids proposals by now counts.
 * @throws CodedError `rollbacks_stopped`, `mode_changed` (retryable: it waits)
 */
async function demandAllowed(context: ExecutorContext, rollback: Rollback): Promise<void> {
  const policy = policyOf(context, rollback);
  const stop = stoppedBy(context.fleet, policy, await context.switches.stopping(policy));
  if (stop === null && policy.mode !== 'shadow') return;
  const sentence = `${stop?.sentence ?? 'the mode is shadow now'}; the pull request is not opened before that`;
  const code = stop === null ? 'mode_changed' : 'rollbacks_stopped';
  throw new CodedError(code, sentence, { retryable: true, details: { nextAt: context.clock.now() + LOOK_MS } });
}

/**
 * Looks what became of the pull request. What counts is the content of the branch: a merge is done when the bad content is
 * gone from it. A person's no (closed, unmerged) is a no.
 *
 * @throws CodedError of the forge and of git
 */
export async function followProposal(context: ExecutorContext, rollback: Rollback, signal: AbortSignal): Promise<Step> {
  const forge = forgeOf(context, rollback);
  const { proposal } = rollback;
  if (forge === null || proposal === null) return watchHead(context, rollback, signal);
  return untilLimitIsOver(context, rollback, async () => {
    const proposed = await forge.proposalOf(branchIn(rollback), signal);
    const at = await contentOf(context, rollback, signal);
    const state = proposed?.state ?? 'closed';
    const seen: Rollback = state === proposal.state ? rollback : { ...rollback, proposal: { ...proposal, state } };
    if (proposed?.state === 'merged') return merged(context, seen, proposed, at, signal);
    if (at.content === 'gone') return gone(context, seen, at, signal);
    if (state === 'open') return later(context, seen);
    const who = proposed?.endedBy ?? null;
    const by = proposed === null ? 'no longer exists' : `was closed${who === null ? '' : ` by ${named(who)}`} without a merge`;
    const sentence = `${proposal.url} ${by}; a person's no is a no: ask for the rollback by hand if it is wanted after all`;
    return { next: moved(seen, { state: 'refused', code: 'proposal_closed', sentence }, context.clock.now()) };
  });
}

/**
 * Sets the status of the bad commit at the forge, so that whoever looks at it sees why it was taken back.
 *
 * @returns why it could not be set, for the record; that alone holds nothing up
 */
export async function markCommit(
  context: ExecutorContext,
  rollback: Rollback,
  forge: Forge,
  signal: AbortSignal,
): Promise<string | null> {
  if (!forge.can.status) return null;
  try {
    await forge.setStatus(statusOf(rollback, context.urlOf(rollback)), signal);
    return null;
  } catch (error) {
    if (!(error instanceof CodedError) || signal.aborted) throw error;
    return `the status of ${short(rollback.badCommit)} (${error.code})`;
  }
}

/**
 * Closes what was proposed before the rollback was decided anew: merged now, it would be empty, or bring half of it once more.
 *
 * @returns what was done, or why it could not be, for the record; null when nothing was open
 */
export async function withdraw(
  context: ExecutorContext,
  { id, repository, proposes, revertCommit, branch }: Rollback,
  signal: AbortSignal,
): Promise<string | null> {
  const forge = context.forgeOf(repository);
  if (proposes === undefined || forge?.can.propose !== true || forge.close === undefined) return null;
  const said: string[] = [];
  try {
    for (let number = 1; number < proposes; number += 1) {
      const proposed = await forge.proposalOf(branchOf(id, number), signal);
      if (proposed?.state !== 'open') continue;
      const text = `A person asked for this rollback meanwhile: ${short(revertCommit ?? '')} on ${branch} does what is proposed here.`;
      await forge.comment(proposed.number, text, signal);
      await forge.close(proposed.number, signal);
      said.push(`${proposed.url} was closed`);
    }
  } catch (error) {
    if (!(error instanceof CodedError) || signal.aborted) throw error;
    said.push(`an earlier proposal could not be closed (${error.code}); close it by hand`);
  }
  return said.length === 0 ? null : said.join('; ');
}

/** What is said beside the bad commit: the verdict, never a figure's raw text beyond its sentence. */
export function statusOf(rollback: Rollback, url: string | null): CommitStatus {
  const said = rollback.verdictSentence.replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ').trim();
  const text = `${rollback.application}: ${said}`;
  const description = text.length <= STATUS_LIMIT ? text : `${text.slice(0, STATUS_LIMIT - 1)}…`;
  return { commit: rollback.badCommit, state: 'failure', description, url, context: `davylamp/${rollback.application}` };
}

function forgeOf(context: ExecutorContext, rollback: Rollback): Forge | null {
  const forge = context.forgeOf(rollback.repository);
  return forge?.can.propose === true ? forge : null;
}

/** The rollback whose proposal a branch is; null for everybody else's branches. */
export function rollbackOfBranch(branch: string): string | null {
  return proposedBy(branch)?.rollback ?? null;
}

/** Short name of the branch that holds our commit. */
function branchIn({ id, revertRef, proposes = 1 }: Rollback): string {
  return revertRef?.replace(/^refs\/heads\//, '') ?? branchOf(id, proposes);
}

interface Looked {
  head: string;
  content: Content;
}

/** Whether the head still holds what the plan takes away; `unclear`: it was changed since in a way that is neither. */
type Content = 'gone' | 'there' | 'unclear';

async function contentOf(context: ExecutorContext, rollback: Rollback, signal: AbortSignal): Promise<Looked> {
  const repository = repositoryOf(context, rollback);
  const { head } = await repository.refresh(signal);
  // Nothing was committed since the plan was made.
  if (head === rollback.plan?.head) return { head, content: 'there' };
  return { head, content: await contentAt(context, rollback, repository, head, signal) };
}

async function contentAt(
  context: ExecutorContext,
  rollback: Rollback,
  repository: Repository,
  commit: string,
  signal: AbortSignal,
): Promise<Content> {
  const { plan, revertCommit } = rollback;
  if (plan === null) return 'unclear';
  const now = await repository.contentOf(commit, plan.changed, signal);
  const ours = revertCommit === null ? null : await knownContent(repository, revertCommit, plan.changed, signal);
  if (now === ours) return 'gone';
  if (now === (await repository.contentOf(plan.head, plan.changed, signal))) return 'there';
  if (plan.kind !== 'revert') return 'unclear';
  const order = {
    badCommit: plan.undoes[0] ?? rollback.badCommit,
    message: 'looks whether there is anything to revert; never pushed',
    at: Date.parse(rollback.decidedAt),
    paths: ['.'],
    onto: commit,
    keep: policyOf(context, rollback).neverRestore,
  };
  const { kind } = await repository.revert(order, signal);
  return kind === 'nothing_to_revert' ? 'gone' : kind === 'commit' ? 'there' : 'unclear';
}

/** Our commit is lost with a mirror that was made anew; the branch then says less, and never something wrong. */
async function knownContent(
  repository: Repository,
  commit: string,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<string | null> {
  try {
    return await repository.contentOf(commit, paths, signal);
  } catch (error) {
    if (codeOf(error) === 'commit_unknown') return null;
    throw error;
  }
}

async function merged(
  context: ExecutorContext,
  rollback: Rollback,
  proposed: Proposed,
  { head, content }: Looked,
  signal: AbortSignal,
): Promise<Step> {
  const now = context.clock.now();
  const repository = repositoryOf(context, rollback);
  const { mergeCommit } = proposed;
  const isThere = mergeCommit !== null && (await repository.isAncestor(mergeCommit, head, signal));
  const tookOut =
    content === 'gone' ||
    (content === 'unclear' && isThere && (await contentAt(context, rollback, repository, mergeCommit, signal)) === 'gone');
  const by = proposed.endedBy === null ? '' : ` by ${named(proposed.endedBy)}`;
  if (tookOut) return { next: pushedBy(context, rollback, isThere ? mergeCommit : head, `${proposed.url} was merged${by}`) };
  if (isThere) {
    const sentence = `${proposed.url} was merged${by}, and ${rollback.branch} holds the bad content again; somebody brought it back since, so it is not taken out a second time without a person`;
    return { next: moved(rollback, { state: 'held', code: 'came_back', sentence }, now) };
  }
  const since = sinceStep(rollback, ['proposal_merged'], now);
  const known = rollback.history.some(({ step }) => step === 'proposal_merged');
  if (known && since > MERGE_SHOWS_WITHIN_MS) {
    const sentence = `${proposed.url} was merged${by}, and ${rollback.branch} still holds the bad content; look into which branch it was merged`;
    return { next: moved(rollback, { state: 'held', code: 'merged_without_effect', sentence }, now) };
  }
  const said = `${proposed.url} was merged${by}; waiting until the branch shows it`;
  return { next: known ? rollback : noted(rollback, 'proposal_merged', said, now), again: now + LOOK_MS };
}

/** The bad content is gone although the forge tells of no merge: our branch was merged by hand, or somebody did it otherwise. */
async function gone(context: ExecutorContext, rollback: Rollback, { head }: Looked, signal: AbortSignal): Promise<Step> {
  const { revertCommit, branch } = rollback;
  const isOurs = revertCommit !== null && (await repositoryOf(context, rollback).isAncestor(revertCommit, head, signal));
  if (isOurs) return { next: pushedBy(context, rollback, revertCommit, `branch ${branchIn(rollback)} was merged`) };
  if (wasAsked(rollback)) return { next: pushedBy(context, rollback, head, 'the version before was promoted again') };
  const left =
    rollback.proposal === null ? `branch ${branchIn(rollback)} can be deleted` : `${rollback.proposal.url} can be closed`;
  const sentence = `branch ${branch} no longer holds what ${short(rollback.badCommit)} brought, and not by our commit; ${left}`;
  return { next: moved(rollback, { state: 'refused', code: 'already_reverted', sentence }, context.clock.now()) };
}

function pushedBy(context: ExecutorContext, rollback: Rollback, commit: string, how: string): Rollback {
  const { branch } = rollback;
  const done: Rollback = { ...rollback, revertCommit: commit, revertRef: `refs/heads/${branch}` };
  const sentence = `${how}: ${short(commit)} on ${branch} takes ${short(rollback.badCommit)} out`;
  return moved(done, { state: 'pushed', code: 'pushed', sentence }, context.clock.now());
}

async function watchHead(context: ExecutorContext, rollback: Rollback, signal: AbortSignal): Promise<Step> {
  const at = await contentOf(context, rollback, signal);
  return at.content === 'gone' ? gone(context, rollback, at, signal) : later(context, rollback);
}

/** The longer it takes, the more rarely it is looked at. */
function later(context: ExecutorContext, rollback: Rollback): Step {
  const now = context.clock.now();
  const since = sinceStep(rollback, ['proposed', 'proposal_opened'], now);
  const again = now + Math.min(LOOK_CAP_MS, Math.max(LOOK_MS, since / 5));
  return { next: rollback.problem === null ? rollback : { ...rollback, problem: null }, again };
}

/** A forge that counts our calls says when it takes the next; asking before that only makes it longer. */
async function untilLimitIsOver(context: ExecutorContext, rollback: Rollback, step: () => Promise<Step>): Promise<Step> {
  try {
    return await step();
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'forge_rate_limited') throw error;
    const now = context.clock.now();
    const retryAt = Date.parse(String(error.details['retryAt']));
    const nextAt = Number.isNaN(retryAt) ? now + LOOK_CAP_MS : Math.max(now + LOOK_MS, retryAt);
    return { next: troubled(rollback, { code: error.code, sentence: error.message, nextAt }, now), again: nextAt };
  }
}

/** Names at forges are foreign text. */
function named(who: string): string {
  return who.replaceAll(/[^\w.\-[\] ]/g, '?').slice(0, NAME_LIMIT);
}
