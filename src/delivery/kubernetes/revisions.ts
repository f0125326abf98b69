import type { Deployment, ReplicaSet, Rollout } from './resources.ts';

/** As tools write it: bare, `main@sha1:ID` and `sha1:ID` (Flux), `1.2.3+ID` (Helm), `main/ID` (Flux of old). */
const REVISION = /^(?:[^\s]*[@:+/])?([0-9a-f]{7,64})$/;
const MAX_LENGTH = 1_000;

/** The commit id in what a tool calls a revision, in lower case; null when there is none. */
export function commitIn(text: string | undefined): string | null {
  if (text === undefined || text.length > MAX_LENGTH) return null;
  return REVISION.exec(text.trim().toLowerCase())?.[1] ?? null;
}

/** What a replica set was made from: its pod template says it, else the annotations that its controller copied to it. */
export function revisionOfReplicaSet(set: ReplicaSet, annotation: string): string | null {
  return commitIn(set.spec.template?.metadata?.annotations?.[annotation]) ?? commitIn(set.metadata.annotations?.[annotation]);
}

/** What the object declares now. */
export function declaredRevision(object: Rollout | Deployment, annotation: string): string | null {
  return (
    commitIn(object.spec.template?.metadata?.annotations?.[annotation]) ?? commitIn(object.metadata.annotations?.[annotation])
  );
}

/** Those of one owner, as of all that its labels match. */
export function ownedBy(owner: { metadata: { uid?: string } }, sets: readonly ReplicaSet[]): ReplicaSet[] {
  const { uid } = owner.metadata;
  return sets.filter(
    ({ metadata }) => uid !== undefined && (metadata.ownerReferences ?? []).some((reference) => reference.uid === uid),
  );
}

export function createdAt(set: ReplicaSet): number {
  const at = Date.parse(set.metadata.creationTimestamp ?? '');
  return Number.isFinite(at) ? at : 0;
}

/** How many pods a replica set is to have and has. */
export function replicasOf(set: ReplicaSet): number {
  return Math.max(set.spec.replicas ?? 0, set.status?.replicas ?? 0);
}
