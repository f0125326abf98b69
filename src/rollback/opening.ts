import type { Analysis } from '../analysis/record.ts';
import { DELIVERY_METRIC } from '../analysis/trouble.ts';
import { modeFor } from './guards/mode.ts';
import { proposedBy } from './guards/reverts.ts';
import { weaker, type Mode, type Policy } from './policy.ts';
import type { Rollback } from './record.ts';
import { moved } from './transitions.ts';

/** Who asked for what an alert led to. */
export const ALERT = 'alert';

/** What a new rollback is about, and why. */
export interface Cause {
  badCommit: string;
  trigger: Rollback['trigger'];
  analysis: string | null;
  requestedBy: string;
  confounded: boolean;
  /** The evidence is that it does not live, not what its users saw. */
  undeployable?: boolean;
  sentence: string;
  details: Record<string, unknown>;
}

/** @returns null for an analysis that leads to nothing: only a failed release does, and missing evidence never fails */
export function causeOf(analysis: Analysis): Cause | null {
  if (analysis.kind === 'recovery' || analysis.phase !== 'Failed' || analysis.verdict !== 'fail') return null;
  const decidedBy = analysis.judgement?.decidedBy ?? null;
  return {
    badCommit: analysis.revision,
    trigger: 'analysis',
    analysis: analysis.id,
    requestedBy: analysis.kind === 'confirmation' ? ALERT : 'analysis',
    confounded: analysis.judgement?.confounded ?? true,
    undeployable: decidedBy === DELIVERY_METRIC,
    sentence: analysis.sentence,
    details: { verdict: analysis.verdict, decidedBy, metrics: figures(analysis) },
  };
}

/** The figures that decided, for the journal: numbers and codes only. */
function figures(analysis: Analysis): Record<string, unknown>[] {
  return (analysis.judgement?.metrics ?? []).map(({ name, verdict, code, effect, eValue, traffic }) => ({
    name,
    verdict,
    code,
    effect,
    eValue,
    traffic,
  }));
}

export function opened(id: string, policy: Policy, cause: Cause, now: number): Rollback {
  const at = new Date(now).toISOString();
  return {
    id,
    application: policy.application,
    repository: policy.repository,
    branch: policy.branch,
    badCommit: cause.badCommit,
    mode: modeFor(policy, cause),
    trigger: cause.trigger,
    analysis: cause.analysis,
    requestedBy: cause.requestedBy,
    state: 'planned',
    code: 'decided',
    sentence: 'decided and queued',
    evidence: null,
    verdictSentence: cause.sentence,
    decidedAt: at,
    good: null,
    plan: null,
    aborted: 'no',
    pushStarted: null,
    told: false,
    revertCommit: null,
    revertRef: null,
    approvals: [],
    proposal: null,
    returnedAt: null,
    problem: null,
    recovery: null,
    createdAt: at,
    updatedAt: at,
    history: [{ at, step: 'decided', sentence: cause.sentence }],
  };
}

/**
 * A rollback that ended, or waits, without having taken the bad revision out, decided anew because more is allowed, asked for
 * or known now: a plan made in shadow, a proposal that a person wants carried out, one that was refused or failed and that a
 * person asks for, or one that the fleet breaker holds and whose revision failed another analysis since. Null: it stays as it
 * is.
 */
export function reopened(known: Rollback, policy: Policy, cause: Cause, now: number): Rollback | null {
  const mode: Mode = modeFor(policy, cause);
  const endedInShadow = known.code === 'shadow';
  const isAsked = cause.trigger === 'manual';
  const proposal = known.state === 'proposed' && isAsked;
  // Somebody said no, or it came to nothing, and somebody asks for it now.
  const isOverruled = isAsked && (known.state === 'refused' || known.state === 'failed');
  const allowsMore = weaker(mode, known.mode) !== mode;
  if (!isOverruled && !isJudgedAgain(known, cause) && !((endedInShadow || proposal) && allowsMore)) return null;
  const { trigger, analysis, requestedBy, sentence } = cause;
  const { incident: _over, ...before } = known;
  const tried = proposedBy(known.revertRef?.replace(/^refs\/heads\//, '') ?? '')?.number ?? 0;
  const again: Rollback = {
    ...before,
    ...(tried > 0 && { proposes: tried + 1 }),
    mode,
    trigger,
    requestedBy,
    analysis: analysis ?? known.analysis,
    verdictSentence: sentence,
    evidence: null,
    decidedAt: new Date(now).toISOString(),
    plan: null,
    aborted: 'no',
    revertCommit: null,
    revertRef: null,
    told: false,
    returnedAt: null,
    recovery: null,
    approvals: [],
    proposal: null,
  };
  return moved(again, { state: 'planned', code: 'decided', sentence: `decided anew in mode ${mode}` }, now);
}

/**
 * What was measured while many failed together speaks for a shared fault (design 5.2), whatever is the case later; a verdict
 * of its own, measured after that, is another one. Where the others still fail it is held again, as part of the same incident.
 */
function isJudgedAgain({ state, code, analysis }: Rollback, cause: Cause): boolean {
  return state === 'held' && code === 'fleet_breaker' && cause.analysis !== null && cause.analysis !== analysis;
}
