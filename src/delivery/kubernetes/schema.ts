import { Type, type Static } from 'typebox';
import { Duration } from '../../analysis/quantities.ts';
import { FluxReceiver } from '../receiver/schema.ts';

const closed = { additionalProperties: false };
const ClusterName = Type.String({
  pattern: '^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$',
  description: 'Name of a cluster of the section clusters.',
});
const Namespace = Type.String({
  pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$',
  maxLength: 63,
  description: 'Namespace in the cluster.',
});
const ObjectName = Type.String({
  pattern: '^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$',
  maxLength: 253,
  description: 'Name of the object.',
});

/** One cluster, by one of three ways to reach it. */
export const ClusterConfig = Type.Union(
  [
    Type.Object(
      {
        kubeconfigFile: Type.String({ minLength: 1, description: 'A kubeconfig; exec and OIDC credentials work.' }),
        context: Type.Optional(
          Type.String({ minLength: 1, maxLength: 500, description: 'Context of it; its current one when not given.' }),
        ),
      },
      closed,
    ),
    Type.Object(
      { inCluster: Type.Literal(true, { description: 'The cluster that davylamp itself runs in, with its service account.' }) },
      closed,
    ),
    Type.Object(
      {
        url: Type.String({
          pattern: '^https?://',
          maxLength: 2_000,
          description: 'Address of the API server; http:// only on loopback.',
        }),
        caFile: Type.Optional(Type.String({ minLength: 1, description: 'Certificate authority of the API server, as PEM.' })),
        tokenFile: Type.Optional(
          Type.String({ minLength: 1, description: 'File that holds a bearer token; read anew at every call.' }),
        ),
      },
      closed,
    ),
  ],
  { description: 'A Kubernetes cluster.' },
);
export type ClusterConfig = Static<typeof ClusterConfig>;

export const Argocd = Type.Object(
  {
    namespace: Namespace,
    application: Type.String({ ...ObjectName, description: 'Name of the Application.' }),
    cluster: Type.Optional(Type.String({ ...ClusterName, description: 'Its cluster, where that is another one.' })),
    source: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 50,
        description:
          'Which of several sources (spec.sources) is the repository of this application, from 0; without it, the one with its address.',
      }),
    ),
    sync: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'Begin a sync to the revert where the Application has no automated sync; a refresh alone deploys nothing there.',
      }),
    ),
    terminateStuck: Type.Optional(
      Type.Unsafe<string>({
        ...Duration,
        description:
          'End a sync of another revision that has gone on for so long, before the revert is asked for. Without it: never.',
      }),
    ),
  },
  { ...closed, description: 'Argo CD applies the workload: it is asked to refresh, and says what it has applied.' },
);
export type Argocd = Static<typeof Argocd>;

export const Flux = Type.Object(
  {
    kind: Type.Enum(['Kustomization', 'HelmRelease', 'GitRepository'], { description: 'Kind of the object that applies it.' }),
    namespace: Namespace,
    name: ObjectName,
    cluster: Type.Optional(Type.String({ ...ClusterName, description: 'Its cluster, where that is another one.' })),
    receiver: Type.Optional({
      ...FluxReceiver,
      description: 'Asks for a sync by a Receiver in place of an annotation, so that no right to patch is needed.',
    }),
  },
  { ...closed, description: 'Flux applies the workload: it is asked to reconcile, and says what it has applied.' },
);
export type Flux = Static<typeof Flux>;

export const ArgocdTracking = Type.Object(
  {
    labelKey: Type.Optional(
      Type.String({
        pattern: '^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$',
        maxLength: 317,
        default: 'app.kubernetes.io/instance',
        description: 'Label that names the Application (application.instanceLabelKey of argocd-cm).',
      }),
    ),
    namespace: Type.Optional(
      Type.String({ ...Namespace, default: 'argocd', description: 'Where Applications are that are named without a namespace.' }),
    ),
  },
  { ...closed, description: 'How the Application of a workload is found where argocd is not given.' },
);
export type ArgocdTracking = Static<typeof ArgocdTracking>;

export const Kargo = Type.Object(
  {
    namespace: Type.String({ ...Namespace, description: 'Namespace of the project.' }),
    stage: Type.String({ ...ObjectName, description: 'Stage that promotes to this workload.' }),
    cluster: Type.Optional(Type.String({ ...ClusterName, description: 'Its cluster, where that is another one.' })),
    promotePrevious: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Promote the Freight again that the Stage had verified before, in place of a commit; only in mode rollback.',
      }),
    ),
  },
  {
    ...closed,
    description: 'Kargo writes the versions of the workload: a revert is proposed, or the previous Freight promoted.',
  },
);
export type Kargo = Static<typeof Kargo>;

/** What the three deliveries to Kubernetes have in common. */
export const workloadFields = {
  namespace: Namespace,
  name: ObjectName,
  cluster: Type.Optional(
    Type.String({
      ...ClusterName,
      description:
        'Name of a cluster of the section clusters. Without it: the cluster that davylamp runs in, else the kubeconfig of its user.',
    }),
  ),
  revisionAnnotation: Type.Optional(
    Type.String({
      pattern: '^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$',
      maxLength: 317,
      default: 'davylamp.io/revision',
      description: 'Annotation that holds the Git commit, on the pod template or on the object.',
    }),
  ),
  timeout: Type.Optional(Type.Unsafe<string>({ ...Duration, default: '5s', description: 'For one call.' })),
  argocd: Type.Optional(Argocd),
  argocdTracking: Type.Optional(ArgocdTracking),
  flux: Type.Optional(Flux),
  kargo: Type.Optional(Kargo),
};
const Workload = Type.Object(workloadFields, closed);
export type Workload = Static<typeof Workload>;
