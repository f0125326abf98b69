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
const PodTemplate = Type.Object({ metadata: optional(Type.Object({ annotations: optional(Texts) })) });
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

export const Application = Type.Object({
  metadata: Metadata,
  status: optional(
    Type.Object({
      sync: optional(Type.Object({ status: Text, revision: Text, revisions: optional(Type.Array(Type.String())) })),
      history: optional(
        Type.Array(
          Type.Object({
            deployedAt: Text,
            deployStartedAt: Text,
            revision: Text,
            revisions: optional(Type.Array(Type.String())),
          }),
        ),
      ),
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
      chart: optional(Type.Object({ spec: Type.Object({ sourceRef: optional(SourceRef) }) })),
    }),
  ),
  status: optional(
    Type.Object({
      lastAppliedRevision: Text,
      lastAttemptedRevision: Text,
      conditions: optional(Conditions),
    }),
  ),
});
export type FluxObject = Static<typeof FluxObject>;

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
