import { CRASH_POINTS } from '../../../src/crash-points.ts';
import { EXECUTOR_POINTS } from '../../../src/rollback/context.ts';
import type { PushMoment } from '../../support/push-gate.ts';

/** How a rollback comes about and what it writes; `stages.ts` says how each is set up. */
export const MODES = ['revert', 'narrow', 'restore', 'propose'] as const;
export type Mode = (typeof MODES)[number];

export const SIGNINGS = ['unsigned', 'ssh', 'gpg'] as const;
export type Signing = (typeof SIGNINGS)[number];

export const STORAGES = ['embedded', 'redis'] as const;
export type Storage = (typeof STORAGES)[number];

/** Kills from outside while git pushes: a git that is left behind ends its push beside the next process. */
export const PUSH_MOMENTS: Readonly<Record<string, PushMoment>> = {
  'in the push': 'update',
  'before its answer': 'post-receive',
};

/** One kill. */
export interface Cell {
  mode: Mode;
  signing: Signing;
  storage: Storage;
  /** A named point of the service, or one of `PUSH_MOMENTS`. */
  point: string;
}

/** Every point that a mode passes. One that is new in the code is expected in each mode that pushes. */
export function pointsOf(mode: Mode): readonly string[] {
  const moments = Object.keys(PUSH_MOMENTS);
  if (mode === 'propose') return [...EXECUTOR_POINTS.filter((point) => /^(plan|push|proposal)-/.test(point)), ...moments];
  // A verdict is only where an analysis decides.
  const points = mode === 'revert' ? CRASH_POINTS : EXECUTOR_POINTS;
  return [...points.filter((point) => !point.startsWith('proposal-')), ...moments];
}

export function everyCell(signings: readonly Signing[]): Cell[] {
  return signings.flatMap((signing) =>
    MODES.flatMap((mode) => pointsOf(mode).flatMap((point) => STORAGES.map((storage) => ({ mode, signing, storage, point })))),
  );
}

/**
 * Few of them: every point of every mode, and every point on both storages; the seed turns the rest. Where the push is on the
 * remote and nobody knows, gpg signs: another try makes another commit then.
 */
export function someCells(signings: readonly Signing[], seed: number): Cell[] {
  const at = <T>(all: readonly T[], n: number): T => {
    const found = all[(n + seed) % all.length];
    if (found === undefined) throw new RangeError('there is nothing to choose from');
    return found;
  };
  const points = [...new Set(MODES.flatMap(pointsOf))];
  let count = 0;
  return points.flatMap((point, n) => {
    const modes = MODES.filter((mode) => pointsOf(mode).includes(point));
    const onRedis = at(modes, n);
    return modes.flatMap((mode) => {
      const storages: Storage[] = mode !== onRedis ? ['embedded'] : modes.length > 1 ? ['redis'] : ['embedded', 'redis'];
      const isUnknown = point === 'push-done' || point in PUSH_MOMENTS;
      return storages.map((storage) => {
        const signing = (isUnknown ? signings.at(-1) : undefined) ?? at(signings, (count += 1));
        return { mode, signing, storage, point };
      });
    });
  });
}
