import type { Rollback, RollbackState } from './record.ts';

/** Pure steps of a rollback's record; every change leaves a line in its history. */

const MAX_HISTORY = 200;
/** What other code asks the history for: the newest of each stays, however long the history is. */
const DECISIVE: ReadonlySet<string> = new Set([
  'decided',
  'approved',
  'mode_changed',
  'pushed',
  'proposed',
  'proposal_opened',
  'proposal_merged',
  'stuck',
]);
const RETRY_FIRST_MS = 250;
export const RETRY_CAP_MS = 3_000;
/** A controller is waited for a short time only, in which it is asked often. */
export const CONTROLLER_RETRY_CAP_MS = 2_000;
/** A remote that says no (a hook, a protected branch) is asked more rarely than one that is merely away. */
export const REFUSED_CAP_MS = 30_000;
/** Longer than what is waited for on purpose: a controller's grace, the fleet's settling. */
const STUCK_MS = 120_000;
/** Problems that take turns are each young; together they were tried so often. */
const STUCK_ATTEMPTS = 30;
const STUCK_AGAIN_MS = 3_600_000;
const iso = (at: number) => new Date(at).toISOString();

export function moved(rollback: Rollback, to: { state: RollbackState; code: string; sentence: string }, at: number): Rollback {
  return noted({ ...rollback, ...to, problem: null, pushStarted: null }, to.code, to.sentence, at);
}

export function noted(rollback: Rollback, step: string, sentence: string, at: number): Rollback {
  return {
    ...rollback,
    updatedAt: iso(at),
    history: cut([...rollback.history, { at: iso(at), step, sentence }]),
  };
}

/** Without its oldest entries, but for its beginning and the newest of each decisive step. */
function cut(history: Rollback['history']): Rollback['history'] {
  const surplus = history.length - MAX_HISTORY;
  if (surplus <= 0) return history;
  const newest = new Map(history.map(({ step }, at) => [step, at]));
  const isKept = (step: string, at: number): boolean => at === 0 || (DECISIVE.has(step) && newest.get(step) === at);
  const dropped = new Set(history.flatMap(({ step }, at) => (isKept(step, at) ? [] : [at])).slice(0, surplus));
  return history.filter((_, at) => !dropped.has(at));
}

/** Something that is being retried; the same problem again only counts up, so that the history stays short. */
export function troubled(
  rollback: Rollback,
  problem: { code: string; sentence: string; nextAt: number | null },
  at: number,
): Rollback {
  const nextAt = problem.nextAt === null ? null : iso(problem.nextAt);
  if (rollback.problem !== null && rollback.problem.code === problem.code) {
    return {
      ...rollback,
      updatedAt: iso(at),
      problem: { ...rollback.problem, sentence: problem.sentence, attempts: rollback.problem.attempts + 1, nextAt },
    };
  }
  // Another problem on the same step goes on counting: a peer that fails in changing ways must not look new each time.
  const attempts = (rollback.problem?.attempts ?? 0) + 1;
  const known = { code: problem.code, sentence: problem.sentence, since: iso(at), attempts, nextAt };
  return { ...noted(rollback, problem.code, problem.sentence, at), problem: known };
}

/** Held by the remote's own rules, in its words; the problem stays, as the push is tried again. */
export function heldByRemote(rollback: Rollback, { code, sentence }: { code: string; sentence: string }): Rollback {
  return { ...rollback, state: 'held', code, sentence };
}

/** Milliseconds since the rollback last came to one of the steps; since it was decided, when it never did. */
export function sinceStep(rollback: Rollback, steps: readonly string[], now: number): number {
  return now - Date.parse(rollback.history.findLast(({ step }) => steps.includes(step))?.at ?? rollback.decidedAt);
}

/**
 * Whether a problem lasts so long that people have to know: a hook that refuses, a remote that is away, an operator that does
 * not apply. True once for each problem, and once in an hour where they change.
 */
export function stuckSince({ problem, history, state }: Rollback, now: number): boolean {
  // What is held was told when it was.
  if (problem === null || state === 'held') return false;
  const since = Date.parse(problem.since);
  if (now - since < STUCK_MS && problem.attempts < STUCK_ATTEMPTS) return false;
  const told = Date.parse(history.findLast(({ step }) => step === 'stuck')?.at ?? '1970-01-01T00:00:00Z');
  return told < since && now - told >= STUCK_AGAIN_MS;
}

/** A commit id as people read it. */
export function short(commit: string): string {
  return commit.slice(0, 10);
}

/** Milliseconds until the next try: a quarter of a second, doubled with each failed one, up to `cap`. */
export function retryDelay(attempts: number, cap: number): number {
  return Math.min(cap, RETRY_FIRST_MS * 2 ** Math.min(attempts, 10));
}
