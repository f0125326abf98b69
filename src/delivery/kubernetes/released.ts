import type { ObjectAddress } from './cluster.ts';
import type { PodTemplate, ReplicaSet } from './resources.ts';
import { createdAt } from './revisions.ts';
import type { WorkloadView } from './workload.ts';

/** What the cluster shows of what is being released, or runs alone, for whoever looks for where it came from. */
export interface Released {
  kind: string;
  group: string;
  namespace: string;
  name: string;
  annotations: Readonly<Record<string, string>>;
  labels: Readonly<Record<string, string>>;
  /** It is released in steps, so that an operator finds it healthy although it was aborted. */
  inSteps: boolean;
  /** When it was first rolled out, in milliseconds; null when that is not known, or when an old replica set came back. */
  since: number | null;
  /** Its images that the other side does not run; all of them where there is no such side; null when not known. */
  images: readonly string[] | null;
  /** An image of it when its pods were only started anew and are the same as before; null otherwise. */
  restarted: string | null;
}

const RESTARTED_AT = 'kubectl.kubernetes.io/restartedAt';
/** Controllers write it when they take an old replica set into use again, which then is older than its release. */
const REUSED = ['deployment.kubernetes.io/revision-history', 'rollout.argoproj.io/revision-history'];

interface Labelled {
  metadata: { name: string; annotations?: Record<string, string>; labels?: Record<string, string> };
}

/**
 * @param sides replica sets of what is released and of what is stable, where they are known
 * @param template what the object declares, where no replica set is known
 */
export function releasedOf(
  object: Labelled,
  { resource: { kind, group }, namespace }: Pick<ObjectAddress, 'resource' | 'namespace'>,
  sides: {
    released: ReplicaSet | undefined;
    stable: ReplicaSet | undefined;
    template: PodTemplate | undefined;
    inSteps: boolean;
  },
): Released {
  const { released, stable } = sides;
  const own = released?.spec.template ?? sides.template;
  const other = stable?.spec.template;
  return {
    kind,
    group,
    namespace,
    name: object.metadata.name,
    annotations: object.metadata.annotations ?? {},
    labels: object.metadata.labels ?? {},
    inSteps: sides.inSteps,
    since: released === undefined || isReused(released) ? null : createdAt(released) || null,
    ...comparedImages(own, other),
  };
}

/** What two pod templates say of their images. */
export function comparedImages(
  own: PodTemplate | undefined,
  other: PodTemplate | undefined,
): Pick<Released, 'images' | 'restarted'> {
  const images = imagesOf(own);
  const before = imagesOf(other);
  if (images.length === 0) return { images: null, restarted: null };
  const changed = images.filter((image) => !before.includes(image));
  const at = own?.metadata?.annotations?.[RESTARTED_AT];
  const isLater = at !== undefined && at !== other?.metadata?.annotations?.[RESTARTED_AT];
  // Both come from the same server, which writes fields in the same order.
  const isSame = before.length > 0 && JSON.stringify(own?.spec) === JSON.stringify(other?.spec);
  return { images: changed, restarted: isLater && isSame ? (images[0] ?? null) : null };
}

/**
 * The replica set of what is released, or runs alone, and the one to compare it with: that of the stable side, else the
 * one before it.
 */
export function comparedSets(
  sets: readonly ReplicaSet[],
  label: string,
  { canaryHash, stableHash, behind }: Pick<WorkloadView, 'canaryHash' | 'stableHash' | 'behind'>,
): { released: ReplicaSet | undefined; stable: ReplicaSet | undefined } {
  const withHash = (hash: string | null) => sets.find(({ metadata }) => hash !== null && metadata.labels?.[label] === hash);
  const stable = withHash(stableHash);
  // The controller has not made one for the newest template yet.
  if (behind) return { released: undefined, stable };
  if (canaryHash !== null) return { released: withHash(canaryHash), stable };
  const before = sets
    .filter((set) => stable !== undefined && createdAt(set) < createdAt(stable))
    .toSorted((one, other) => createdAt(other) - createdAt(one))[0];
  return { released: stable, stable: before };
}

function imagesOf(template: PodTemplate | undefined): string[] {
  const containers = [...(template?.spec?.containers ?? []), ...(template?.spec?.initContainers ?? [])];
  return containers.flatMap(({ image }) => (image === undefined || image === '' ? [] : [image]));
}

function isReused({ metadata }: ReplicaSet): boolean {
  return REUSED.some((annotation) => metadata.annotations?.[annotation] !== undefined);
}
