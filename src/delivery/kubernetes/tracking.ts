import { CodedError } from '../../errors.ts';
import type { Cluster } from './cluster.ts';
import type { Released } from './released.ts';
import { APPLICATIONS, Application, readObject } from './resources.ts';
import type { Argocd, ArgocdTracking } from './schema.ts';

const TRACKING_ID = 'argocd.argoproj.io/tracking-id';
/** Where Argo CD is by its own manifests; an Application elsewhere has its namespace in the tracking-id. */
export const CONTROL_PLANE = 'argocd';
export const INSTANCE_LABEL = 'app.kubernetes.io/instance';
const NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

type Named = Pick<Argocd, 'namespace' | 'application'>;

/**
 * The Application that manages an object, by its tracking-id: `APP:GROUP/KIND:NAMESPACE/NAME`, where APP is `NAME` or
 * `NAMESPACE_NAME` (argo-cd docs, "Resource tracking"). One that names another object was copied with it, and says nothing.
 */
export function trackedBy(object: Released, tracking: ArgocdTracking = {}): Named | null {
  const [app = '', kind = '', rest = ''] = splitOnce((object.annotations[TRACKING_ID] ?? '').trim());
  if (kind !== `${object.group}/${object.kind}` || rest !== `${object.namespace}/${object.name}`) return null;
  return namedBy(app, tracking);
}

/**
 * The Application that the instance label names (`application.resourceTrackingMethod: label`). Helm charts write the same label
 * for reasons of their own, so it counts only where the Application lists the object among what it manages.
 *
 * @throws CodedError of {@link Cluster}, but for an Application that is not there or may not be read: that is none
 */
export async function labelledBy(
  object: Released,
  tracking: ArgocdTracking,
  cluster: Cluster,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Named | null> {
  // With an annotation the label only informs, and a copied one speaks against it.
  if (object.annotations[TRACKING_ID] !== undefined) return null;
  const named = namedBy((object.labels[tracking.labelKey ?? INSTANCE_LABEL] ?? '').trim(), tracking);
  if (named === null) return null;
  const address = { resource: APPLICATIONS, namespace: named.namespace, name: named.application };
  try {
    const { status } = await readObject(cluster, address, Application, timeoutMs, signal);
    const isIt = (status?.resources ?? []).some(
      ({ group, kind, namespace, name }) =>
        (group ?? '') === object.group && kind === object.kind && namespace === object.namespace && name === object.name,
    );
    return isIt ? named : null;
  } catch (error) {
    // Most that carry such a label know nothing of Argo CD.
    if (error instanceof CodedError && (error.code === 'cluster_not_found' || error.code === 'cluster_forbidden')) return null;
    throw error;
  }
}

function namedBy(app: string, { namespace: controlPlane = CONTROL_PLANE }: ArgocdTracking): Named | null {
  const at = app.indexOf('_');
  const [namespace, application] = at < 0 ? [controlPlane, app] : [app.slice(0, at), app.slice(at + 1)];
  return NAME.test(namespace) && NAME.test(application) ? { namespace, application } : null;
}

/** Names of objects may hold colons, so only the first two separate. */
function splitOnce(text: string): string[] {
  const first = text.indexOf(':');
  const second = text.indexOf(':', first + 1);
  return first < 0 || second < 0 ? [] : [text.slice(0, first), text.slice(first + 1, second), text.slice(second + 1)];
}
