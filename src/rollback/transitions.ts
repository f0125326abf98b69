import type { Rollback, RollbackState } from './record.ts';

/** Pure steps of a rollback's record; every change leaves a line in its history. */

const MAX_HISTORY = 200;
const iso = (at: number) => new Date(at).toISOString();

export function moved(rollback: Rollback, to: { state: RollbackState; code: string; sentence: string }, at: number): Rollback {
  return noted({ ...rollback, ...to, problem: null }, to.code, to.sentence, at);
}

export function noted(rollback: Rollback, step: string, sentence: string, at: number): Rollback {
  return {
    ...rollback,
    updatedAt: iso(at),
    history: [...rollback.history, { at: iso(at), step, sentence }].slice(-MAX_HISTORY),
  };
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
  const known = { code: problem.code, sentence: problem.sentence, since: iso(at), attempts: 1, nextAt };
  return { ...noted(rollback, problem.code, problem.sentence, at), problem: known };
}

/** A commit id as people read it. */
export function short(commit: string): string {
  return commit.slice(0, 10);
}
