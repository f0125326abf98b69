import { Type, type Static, type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { badAnswer, type Cluster, type ObjectAddress } from './cluster.ts';
import type { ResourceKind } from './problem.ts';

/** The kinds of objects that are read or written, and of each the part that davylamp looks at. */

const kubernetes = 'Kubernetes';
export const ROLLOUTS: ResourceKind = {
  group: 'argoproj.io',
  version: 'v1alpha1',
  plural: 'rollouts',
  kind: 'Rollout',
  of: 'Argo Rollouts',
};
export const APPLICATIONS: ResourceKind = { ...ROLLOUTS, plural: 'applications', kind: 'Application', of: 'Argo CD' };
export const CANARIES: ResourceKind = {
  group: 'flagger.app',
  version: 'v1beta1',
  plural: 'canaries',
  kind: 'Canary',
  of: 'Flagger',
};
export const DEPLOYMENTS: ResourceKind = {
  group: 'apps',
  version: 'v1',
  plural: 'deployments',
  kind: 'Deployment',
  of: kubernetes,
};
export const REPLICA_SETS: ResourceKind = { ...DEPLOYMENTS, plural: 'replicasets', kind: 'ReplicaSet' };
export const PODS: ResourceKind = { group: '', version: 'v1', plural: 'pods', kind: 'Pod', of: kubernetes };
export const EVENTS: ResourceKind = { ...PODS, plural: 'events', kind: 'Event' };
export const KUSTOMIZATIONS: ResourceKind = {
  group: 'kustomize.toolkit.fluxcd.io',
  version: 'v1',
  plural: 'kustomizations',
  kind: 'Kustomization',
  of: 'Flux',
};
export const HELM_RELEASES: ResourceKind = {
  group: 'helm.toolkit.fluxcd.io',
  version: 'v2',
  plural: 'helmreleases',
  kind: 'HelmRelease',
  of: 'Flux',
};
export const GIT_REPOSITORIES: ResourceKind = {
  group: 'source.toolkit.fluxcd.io',
  version: 'v1',
  plural: 'gitrepositories',
  kind: 'GitRepository',
  of: 'Flux',
};

export const IMAGE_UPDATE_AUTOMATIONS: ResourceKind = {
  group: 'image.toolkit.fluxcd.io',
  version: 'v1',
  plural: 'imageupdateautomations',
  kind: 'ImageUpdateAutomation',
  of: 'Flux image automation',
};
export const IMAGE_UPDATERS: ResourceKind = {
  group: 'argocd-image-updater.argoproj.io',
  version: 'v1alpha1',
  plural: 'imageupdaters',
  kind: 'ImageUpdater',
  of: 'Argo CD Image Updater',
};

const Texts = Type.Record(Type.String(), Type.String());
const optional = Type.Optional;
const Text = optional(Type.String());
const Count = optional(Type.Integer());

const Metadata = Type.Object({
  name: Type.String(),
  uid: Text,
  resourceVersion: Text,
  generation: Count,
  creationTimestamp: optional(Type.Union([Type.String(), Type.Null()])),
  deletionTimestamp: Text,
  annotations: optional(Texts),
  labels: optional(Texts),
  ownerReferences: optional(Type.Array(Type.Object({ uid: Type.String() }))),
});
const Selector = Type.Object({
  matchLabels: optional(Texts),
  matchExpressions: optional(
    Type.Array(Type.Object({ key: Type.String(), operator: Type.String(), values: optional(Type.Array(Type.String())) })),
  ),
});
export type Selector = Static<typeof Selector>;
const PodTemplate = Type.Object({
  metadata: optional(Type.Object({ annotations: optional(Texts) })),
  spec: optional(
    Type.Object({
      containers: optional(Type.Array(Type.Object({ image: Text }))),
      initContainers: optional(Type.Array(Type.Object({ image: Text }))),
    }),
  ),
});
export type PodTemplate = Static<typeof PodTemplate>;
const Conditions = Type.Array(
  Type.Object({
    type: Type.String(),
    status: Type.String(),
    reason: Text,
    message: Text,
    lastUpdateTime: Text,
    lastTransitionTime: Text,
  }),
);
export type Condition = Static<typeof Conditions>[number];

export const Rollout = Type.Object({
  metadata: Metadata,
  spec: Type.Object({ selector: optional(Selector), template: optional(PodTemplate) }),
  status: optional(
    Type.Object({
      abort: optional(Type.Boolean()),
      promoteFull: optional(Type.Boolean()),
      abortedAt: optional(Type.Union([Type.String(), Type.Null()])),
      phase: Text,
      // The controller writes it as text.
      observedGeneration: optional(Type.Union([Type.String(), Type.Integer()])),
      stableRS: Text,
      currentPodHash: Text,
      selector: Text,
      conditions: optional(Conditions),
    }),
  ),
});
export type Rollout = Static<typeof Rollout>;

export const Canary = Type.Object({
  metadata: Metadata,
  spec: Type.Object({ targetRef: Type.Object({ kind: Type.String(), name: Type.String() }) }),
  status: optional(Type.Object({ phase: Text })),
});
export type Canary = Static<typeof Canary>;

export const Deployment = Type.Object({
  metadata: Metadata,
  spec: Type.Object({ replicas: Count, selector: Selector, template: PodTemplate }),
  status: optional(
    Type.Object({
      observedGeneration: Count,
      replicas: Count,
      updatedReplicas: Count,
      availableReplicas: Count,
      conditions: optional(Conditions),
    }),
  ),
});
export type Deployment = Static<typeof Deployment>;

export const ReplicaSet = Type.Object({
  metadata: Metadata,
  spec: Type.Object({ replicas: Count, template: optional(PodTemplate) }),
  status: optional(Type.Object({ replicas: Count, readyReplicas: Count })),
});
export type ReplicaSet = Static<typeof ReplicaSet>;

const Terminated = Type.Object({ exitCode: Count, reason: Text });
const ContainerStatuses = Type.Array(
  Type.Object({
    ready: optional(Type.Boolean()),
    restartCount: Count,
    state: optional(Type.Object({ waiting: optional(Type.Object({ reason: Text })), terminated: optional(Terminated) })),
    lastState: optional(Type.Object({ terminated: optional(Terminated) })),
  }),
);
export const Pod = Type.Object({
  metadata: Metadata,
  status: optional(
    Type.Object({
      phase: Text,
      reason: Text,
      conditions: optional(Type.Array(Type.Object({ type: Type.String(), status: Type.String(), reason: Text }))),
      containerStatuses: optional(ContainerStatuses),
      initContainerStatuses: optional(ContainerStatuses),
    }),
  ),
});
export type Pod = Static<typeof Pod>;

const some = <T extends TSchema>(item: T) => optional(Type.Union([Type.Array(item), Type.Null()]));
/** Where an Application takes its manifests from; in Go it cannot be left out, so without one its fields are empty. */
const Source = Type.Object({
  repoURL: Text,
  chart: Text,
  targetRevision: Text,
  helm: optional(
    Type.Object({
      parameters: some(Type.Object({ name: Text, value: Text })),
      values: Text,
      valuesObject: optional(Type.Unknown()),
    }),
  ),
  kustomize: optional(Type.Object({ images: some(Type.String()) })),
});
export type Source = Static<typeof Source>;
const revisions = { revision: Text, revisions: some(Type.String()) };
const sources = { source: optional(Source), sources: some(Source) };
const Hydration = optional(Type.Object({ drySHA: Text, hydratedSHA: Text }));
const Operation = Type.Object({
  sync: optional(
    Type.Object({
      ...revisions,
      dryRun: optional(Type.Boolean()),
      resources: some(Type.Object({ group: Text, kind: Text, namespace: Text, name: Text })),
    }),
  ),
});

/** `spec`, `operation` and `status` of an Application (argo-cd, pkg/apis/application/v1alpha1/types.go). */
export const Application = Type.Object({
  metadata: Metadata,
  spec: optional(
    Type.Object({
      ...sources,
      sourceHydrator: optional(
        Type.Object({
          drySource: optional(Type.Object({ repoURL: Text })),
          hydrateTo: optional(Type.Object({ targetBranch: Text })),
        }),
      ),
      syncPolicy: optional(
        Type.Object({ automated: optional(Type.Union([Type.Object({ enabled: optional(Type.Boolean()) }), Type.Null()])) }),
      ),
    }),
  ),
  operation: optional(Operation),
  status: optional(
    Type.Object({
      sync: optional(Type.Object({ status: Text, ...revisions })),
      operationState: optional(
        Type.Object({
          phase: Text,
          startedAt: Text,
          operation: optional(Operation),
          syncResult: optional(
            Type.Object({
              ...revisions,
              ...sources,
              resources: some(Type.Object({ kind: Text, namespace: Text, name: Text, status: Text })),
            }),
          ),
        }),
      ),
      sourceHydrator: optional(Type.Object({ lastSuccessfulOperation: Hydration, currentOperation: Hydration })),
      resources: some(Type.Object({ group: Text, kind: Text, namespace: Text, name: Text })),
      history: some(Type.Object({ deployedAt: Text, deployStartedAt: Text, ...revisions, ...sources })),
    }),
  ),
});
export type Application = Static<typeof Application>;

const SourceRef = Type.Object({ kind: Type.String(), name: Type.String(), namespace: Text });
/** Kustomization, HelmRelease and GitRepository: each has some of it. */
export const FluxObject = Type.Object({
  metadata: Metadata,
  spec: optional(
    Type.Object({
      sourceRef: optional(SourceRef),
      chart: optional(Type.Object({ spec: Type.Object({ chart: Text, version: Text, sourceRef: optional(SourceRef) }) })),
      chartRef: optional(SourceRef),
      wait: optional(Type.Boolean()),
      healthChecks: some(Type.Unknown()),
      url: Text,
    }),
  ),
  status: optional(
    Type.Object({
      lastAppliedRevision: Text,
      lastAppliedOriginRevision: Text,
      lastAttemptedRevision: Text,
      conditions: optional(Conditions),
      history: some(
        Type.Object({
          // Of a Kustomization.
          revision: Text,
          metadata: optional(Texts),
          firstReconciled: Text,
          lastReconciled: Text,
          lastReconciledStatus: Text,
          // Of a HelmRelease.
          chartVersion: Text,
        }),
      ),
    }),
  ),
});
export type FluxObject = Static<typeof FluxObject>;

export const ImageUpdateAutomation = Type.Object({
  metadata: Metadata,
  spec: optional(Type.Object({ suspend: optional(Type.Boolean()) })),
});
const WriteBack = optional(Type.Object({ method: Text }));
export const ImageUpdater = Type.Object({
  metadata: Metadata,
  spec: optional(
    Type.Object({
      writeBackConfig: WriteBack,
      applicationRefs: some(Type.Object({ namePattern: Text, writeBackConfig: WriteBack })),
    }),
  ),
});

/** Reads one object and checks the part of it that is looked at; the rest is whatever its version has. */
export async function readObject<T extends TSchema>(
  cluster: Cluster,
  address: ObjectAddress,
  schema: T,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Static<T>> {
  const answer = await cluster.get(address, timeoutMs, signal);
  return checked(cluster, address.resource, 'get', answer, schema);
}

export function checked<T extends TSchema>(
  cluster: Cluster,
  resource: ResourceKind,
  verb: 'get' | 'list' | 'patch',
  value: unknown,
  schema: T,
): Static<T> {
  if (Value.Check(schema, value)) return value;
  const path = Value.Errors(schema, value)[0]?.instancePath ?? '';
  throw badAnswer(
    cluster.name,
    { verb, resource },
    `a ${resource.kind} that is not as expected${path === '' ? '' : ` at ${path}`}`,
  );
}
