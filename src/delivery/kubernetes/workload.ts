import type { DeliveryState } from '../port.ts';
import type { Condition, Deployment, ReplicaSet, Rollout } from './resources.ts';
import { createdAt, declaredRevision, ownedBy, replicasOf, revisionOfReplicaSet } from './revisions.ts';

/** What a controller runs, read from its object and the replica sets of that. Pure. */
export interface WorkloadView {
  /** Being released; null when nothing is, or when its revision is not known. */
  canary: string | null;
  stable: string | null;
  /** What the object declares now, whether or not the controller has seen it. */
  declared: string | null;
  phase: DeliveryState['phase'];
  /** A release is under way and its controller has seen what is declared: there is something to stop. */
  releasing: boolean;
  /** The controller has not yet seen what is declared, so its status speaks of something older. */
  behind: boolean;
  /** Hashes that pods of the two sides carry as a label; null when there is no such side. */
  canaryHash: string | null;
  stableHash: string | null;
  /** The deadline of exactly what is being released has passed. */
  deadlineExceeded: boolean;
}

export const ROLLOUT_HASH_LABEL = 'rollouts-pod-template-hash';
export const DEPLOYMENT_HASH_LABEL = 'pod-template-hash';
const DEPLOYMENT_REVISION = 'deployment.kubernetes.io/revision';
const DEADLINE_EXCEEDED = 'ProgressDeadlineExceeded';

/**
 * A Rollout of Argo Rollouts. `status.stableRS` is what took all traffic last, `status.currentPodHash` what is declared;
 * they differ while a release is under way, and after an abort (argo-rollouts docs, "Rollout status").
 *
 * @param sets its replica sets; null when they may not be read: then only what the object itself says is known
 */
export function rolloutView(rollout: Rollout, sets: readonly ReplicaSet[] | null, annotation: string): WorkloadView {
  const { status } = rollout;
  const own = ownedBy(rollout, sets ?? []);
  const current = status?.currentPodHash ?? '';
  const stable = status?.stableRS ?? '';
  const observed = status?.observedGeneration;
  const behind = observed !== undefined && Number(observed) < (rollout.metadata.generation ?? 0);
  const declared = declaredRevision(rollout, annotation);
  const of = (hash: string) =>
    own.find((set) => set.metadata.labels?.[ROLLOUT_HASH_LABEL] === hash || set.metadata.name.endsWith(`-${hash}`));
  const revisionOf = (hash: string) => {
    const set = hash === '' ? undefined : of(hash);
    const known = set === undefined ? null : revisionOfReplicaSet(set, annotation);
    // The object speaks for what it declares, and for nothing else.
    return known ?? (hash !== '' && hash === current && !behind ? declared : null);
  };
  const unfinished = current !== '' && current !== stable;
  return {
    canary: behind ? otherThan(declared, revisionOf(stable)) : unfinished ? revisionOf(current) : null,
    stable: revisionOf(stable),
    declared,
    phase: behind ? 'progressing' : phaseOf(status),
    releasing: unfinished && stable !== '' && !behind,
    behind,
    canaryHash: unfinished && !behind ? current : null,
    stableHash: stable === '' ? null : stable,
    deadlineExceeded: unfinished && !behind && exceeded(status?.conditions, `-${current}`),
  };
}

function otherThan(revision: string | null, other: string | null): string | null {
  return revision === other ? null : revision;
}

function phaseOf(status: Rollout['status']): DeliveryState['phase'] {
  if (status?.abort === true) return 'aborted';
  switch (status?.phase) {
    case 'Healthy':
      return 'healthy';
    case 'Progressing':
    case 'Paused':
      return 'progressing';
    case 'Degraded':
      return 'degraded';
    default:
      return 'unknown';
  }
}

/**
 * A Deployment. It is released until its controller says that the newest replica set is available and no older one has
 * pods (the rule of `kubectl rollout status`).
 */
export function deploymentView(deployment: Deployment, sets: readonly ReplicaSet[] | null, annotation: string): WorkloadView {
  const { status, metadata, spec } = deployment;
  const own = ownedBy(deployment, sets ?? []).toSorted(
    (one, other) => numberOf(other) - numberOf(one) || createdAt(other) - createdAt(one),
  );
  const [newest] = own;
  const older = own
    .slice(1)
    .filter((set) => replicasOf(set) > 0)
    .toSorted((one, other) => (other.status?.readyReplicas ?? 0) - (one.status?.readyReplicas ?? 0));
  const behind = (status?.observedGeneration ?? 0) < (metadata.generation ?? 0);
  const declared = declaredRevision(deployment, annotation);
  const newestRevision = (newest === undefined ? null : revisionOfReplicaSet(newest, annotation)) ?? (behind ? null : declared);
  const progress = status?.conditions?.find(({ type }) => type === 'Progressing');
  const wanted = spec.replicas ?? 1;
  const updated = status?.updatedReplicas ?? 0;
  const ready = (status?.availableReplicas ?? 0) >= updated;
  const alone = (status?.replicas ?? 0) <= updated && older.length === 0;
  // Once it was complete, a pod that restarts is no release.
  const complete = !behind && alone && updated >= wanted && (ready || progress?.reason === 'NewReplicaSetAvailable');
  const deadlineExceeded = !behind && !complete && exceeded(status?.conditions, newest === undefined ? '' : newest.metadata.name);
  const oldRevision = older[0] === undefined ? null : revisionOfReplicaSet(older[0], annotation);
  return {
    canary: complete ? null : behind ? otherThan(declared, newestRevision) : newestRevision,
    stable: complete ? newestRevision : behind ? newestRevision : oldRevision,
    declared,
    phase: deadlineExceeded ? 'degraded' : !complete ? 'progressing' : ready ? 'healthy' : 'degraded',
    releasing: !complete && !behind,
    behind,
    canaryHash: complete || behind ? null : hashOf(newest),
    stableHash: hashOf(complete || behind ? newest : older[0]),
    deadlineExceeded,
  };
}

function numberOf(set: ReplicaSet): number {
  const number = Number(set.metadata.annotations?.[DEPLOYMENT_REVISION] ?? 0);
  return Number.isFinite(number) ? number : 0;
}

function hashOf(set: ReplicaSet | undefined): string | null {
  return set?.metadata.labels?.[DEPLOYMENT_HASH_LABEL] ?? null;
}

/** The message names the replica set whose deadline it was; another one's says nothing of this release. */
function exceeded(conditions: readonly Condition[] | undefined, setName: string): boolean {
  const condition = conditions?.find(
    ({ type, status, reason }) => type === 'Progressing' && status === 'False' && reason === DEADLINE_EXCEEDED,
  );
  if (condition === undefined) return false;
  const named = /"([^"]+)"/.exec(condition.message ?? '')?.[1];
  return setName === '' || named === undefined || !/replica ?set/i.test(condition.message ?? '') || named.endsWith(setName);
}
