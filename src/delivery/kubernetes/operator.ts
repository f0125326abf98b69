import type { Access, KubernetesDependencies } from './access.ts';
import type { Cluster, ObjectAddress } from './cluster.ts';
import type { ResourceKind } from './problem.ts';
import {
  APPLICATIONS,
  Application,
  FluxObject,
  GIT_REPOSITORIES,
  HELM_RELEASES,
  KUSTOMIZATIONS,
  readObject,
} from './resources.ts';
import { commitIn } from './revisions.ts';
import type { Argocd, Flux, Workload } from './schema.ts';

const FLUX_KINDS: Readonly<Record<Flux['kind'], ResourceKind>> = {
  Kustomization: KUSTOMIZATIONS,
  HelmRelease: HELM_RELEASES,
  GitRepository: GIT_REPOSITORIES,
};

/** What applies the workload from Git. */
export interface Operator {
  /** Head commit that it has applied last; null when it does not say. */
  synced(signal: AbortSignal): Promise<string | null>;
  /** Asks it to look at Git now. Asking again is harmless. */
  sync(signal: AbortSignal): Promise<void>;
  /** Objects that are read and patched for it. */
  readonly objects: readonly { cluster: Cluster; address: ObjectAddress }[];
}

export function operatorsOf(config: Workload, access: Access, { clusters, clock }: KubernetesDependencies): Operator[] {
  const operators: Operator[] = [];
  if (config.argocd !== undefined) {
    operators.push(argocd(config.argocd, clusters.named(config.argocd.cluster ?? config.cluster), access.timeoutMs));
  }
  if (config.flux !== undefined) {
    const now = () => new Date(clock.now()).toISOString();
    operators.push(flux(config.flux, clusters.named(config.flux.cluster ?? config.cluster), access.timeoutMs, now));
  }
  return operators;
}

/**
 * Argo CD: the annotation `argocd.argoproj.io/refresh` makes it compare with Git at once, and removes itself. While the
 * Application is Synced, `status.sync.revision` is what runs; otherwise the last full sync is.
 */
function argocd({ namespace, application, source = 0 }: Argocd, cluster: Cluster, timeoutMs: number): Operator {
  const address = { resource: APPLICATIONS, namespace, name: application };
  const of = (one: { revision?: string; revisions?: string[] } | undefined) =>
    commitIn(one?.revisions?.[source] ?? one?.revision);
  return {
    objects: [{ cluster, address }],
    async synced(signal) {
      const { status } = await readObject(cluster, address, Application, timeoutMs, signal);
      if (status?.sync?.status === 'Synced') return of(status.sync);
      return of(status?.history?.at(-1));
    },
    async sync(signal) {
      const body = { metadata: { annotations: { 'argocd.argoproj.io/refresh': 'normal' } } };
      await cluster.patch(address, { body, subresource: null }, timeoutMs, signal);
    },
  };
}

/**
 * Flux: a new value of `reconcile.fluxcd.io/requestedAt` makes a controller reconcile at once. A Kustomization applies
 * what its source has fetched, so the source is asked first.
 */
function flux({ kind, namespace, name }: Flux, cluster: Cluster, timeoutMs: number, now: () => string): Operator {
  const address = { resource: FLUX_KINDS[kind], namespace, name };
  const request = async (to: ObjectAddress, signal: AbortSignal) => {
    const body = { metadata: { annotations: { 'reconcile.fluxcd.io/requestedAt': now() } } };
    await cluster.patch(to, { body, subresource: null }, timeoutMs, signal);
  };
  return {
    objects: [{ cluster, address }],
    async synced(signal) {
      // A source says what was fetched, which is not what was applied.
      if (kind === 'GitRepository') return null;
      const { status } = await readObject(cluster, address, FluxObject, timeoutMs, signal);
      const ready = status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') === true;
      return commitIn(kind === 'Kustomization' ? status?.lastAppliedRevision : ready ? status?.lastAttemptedRevision : undefined);
    },
    async sync(signal) {
      if (kind !== 'GitRepository') {
        const { spec } = await readObject(cluster, address, FluxObject, timeoutMs, signal);
        const reference = spec?.sourceRef ?? spec?.chart?.spec.sourceRef;
        if (reference?.kind === 'GitRepository') {
          const { name: sourceName, namespace: sourceNamespace = namespace } = reference;
          await request({ resource: GIT_REPOSITORIES, namespace: sourceNamespace, name: sourceName }, signal);
        }
      }
      await request(address, signal);
    },
  };
}

/** The first operator that says so; what the workload itself declares where none is configured. */
export async function syncedOf(
  operators: readonly Operator[],
  access: Access,
  declared: string | null,
  signal: AbortSignal,
): Promise<string | null> {
  if (operators.length === 0) return declared;
  for (const operator of operators) {
    const synced = await access.orNull(() => operator.synced(signal));
    if (synced !== null) return synced;
  }
  return null;
}
