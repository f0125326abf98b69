import type { Liveness } from '../port.ts';
import type { ReplicaSet } from './resources.ts';
import { createdAt, revisionOfReplicaSet } from './revisions.ts';

/** What a cluster still knows: a controller keeps the replica sets of its last releases (10 by default). */
export interface HistoryFacts {
  sets: readonly ReplicaSet[];
  annotation: string;
  /** Name of the replica set of the running side, and of the one that is being released or was aborted last. */
  stable: string | null;
  canary: string | null;
  /** When the release was aborted, in milliseconds; null when it was not, or when that is not known. */
  abortedAt: number | null;
  /** When an old replica set was taken into use again, in milliseconds; null when that is not known. */
  reusedAt: number | null;
}

/**
 * When each revision was the newest one, so that a moment can be mapped to the release that was live then. The time
 * from the making of a replica set to the making of the next is that; while a release is under way both sides live.
 * What the cluster does not know is left out: a replica set that was taken into use again keeps its first date.
 */
export function livenessOf({ sets, annotation, stable, canary, abortedAt, reusedAt }: HistoryFacts): Liveness[] {
  const ordered = sets.filter((set) => createdAt(set) > 0).toSorted((one, other) => createdAt(one) - createdAt(other));
  const entries: Liveness[] = [];
  const add = (set: ReplicaSet, from: number, to: number | null, role: Liveness['role']) => {
    const revision = revisionOfReplicaSet(set, annotation);
    if (revision !== null && (to === null || to > from)) entries.push({ revision, from, to, role });
  };
  ordered.forEach((set, at) => {
    const { name } = set.metadata;
    const next = ordered[at + 1];
    const from = createdAt(set);
    if (name === canary) {
      add(set, from, abortedAt, 'canary');
      return;
    }
    if (name === stable) {
      const later = ordered.slice(at + 1).filter((one) => one.metadata.name !== canary);
      const [replacement] = later;
      if (replacement === undefined) {
        add(set, from, null, 'stable');
        return;
      }
      // It ran, was replaced, and came back.
      add(set, from, createdAt(replacement), 'stable');
      if (reusedAt !== null && reusedAt >= createdAt(replacement)) add(set, reusedAt, null, 'stable');
      return;
    }
    const end = next === undefined ? reusedAt : createdAt(next);
    // Without an end it would count as running now, which it does not.
    if (end !== null) add(set, from, end, 'stable');
  });
  return entries;
}
