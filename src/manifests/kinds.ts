/** What the operator deletes with an object that is no longer declared: the object, or data as well. */

const HOLDS_DATA: ReadonlySet<string> = new Set([
  'PersistentVolumeClaim',
  'PersistentVolume',
  'StatefulSet',
  'Namespace',
  'CustomResourceDefinition',
  // What they deploy goes with them, volumes included.
  'Application',
  'ApplicationSet',
  'Kustomization',
  'HelmRelease',
]);

/** Kinds of Kubernetes and of the operators of releases, routing, metrics and secrets whose removal deletes nothing that lasts. */
const STATELESS: ReadonlySet<string> = new Set(
  `Deployment ReplicaSet DaemonSet Pod PodTemplate Job CronJob ReplicationController
  Service Endpoints EndpointSlice Ingress IngressClass NetworkPolicy Gateway GatewayClass HTTPRoute GRPCRoute TCPRoute TLSRoute
  UDPRoute ReferenceGrant BackendTLSPolicy VirtualService DestinationRule ServiceEntry Sidecar EnvoyFilter PeerAuthentication
  RequestAuthentication AuthorizationPolicy Telemetry WasmPlugin IngressRoute Middleware TraefikService ServersTransport
  HTTPProxy TrafficSplit ServiceProfile Server ServerAuthorization BackendConfig FrontendConfig ManagedCertificate
  ConfigMap Secret ServiceAccount Role RoleBinding ClusterRole ClusterRoleBinding LimitRange ResourceQuota PriorityClass
  RuntimeClass PodDisruptionBudget PodSecurityPolicy HorizontalPodAutoscaler VerticalPodAutoscaler ScaledObject ScaledJob
  TriggerAuthentication ClusterTriggerAuthentication MutatingWebhookConfiguration ValidatingWebhookConfiguration
  ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding APIService CiliumNetworkPolicy CiliumClusterwideNetworkPolicy
  GlobalNetworkPolicy Policy ClusterPolicy PolicyException PolicyReport
  Rollout AnalysisTemplate ClusterAnalysisTemplate AnalysisRun Experiment Canary MetricTemplate AlertProvider
  ServiceMonitor PodMonitor Probe PrometheusRule AlertmanagerConfig ScrapeConfig GrafanaDashboard GrafanaDatasource
  Certificate CertificateRequest Issuer ClusterIssuer ExternalSecret ClusterExternalSecret SecretStore ClusterSecretStore
  SealedSecret Alert Provider Receiver ImagePolicy ImageRepository ImageUpdateAutomation ImageUpdater GitRepository
  HelmRepository HelmChart OCIRepository Bucket PromotionStrategy ArgoCDCommitStatus Configuration Revision Route`
    .split(/\s+/)
    .filter((kind) => kind !== ''),
);

/** Groups in which `kind` names no object that anybody applies. */
const NO_OBJECT: ReadonlySet<string> = new Set(['kustomize.config.k8s.io', 'backstage.io']);

/** Kinds by name, or by name and group as kubectl writes it: `Kafka`, `Cluster.postgresql.cnpg.io`. */
export interface KnownKinds {
  data: readonly string[];
  stateless: readonly string[];
}

export const NO_MORE_KINDS: KnownKinds = { data: [], stateless: [] };

/**
 * Whether the data behind an object may go with it. A kind that is not known is taken for one of an operator that owns
 * volumes: databases, queues and stores are declared so.
 */
export function mayHoldData({ kind, group }: { kind: string; group: string }, more: KnownKinds): boolean {
  if (NO_OBJECT.has(group) || (kind === 'Kustomization' && group === '')) return false;
  const names = [kind, `${kind}.${group}`];
  if (more.data.some((one) => names.includes(one))) return true;
  if (more.stateless.some((one) => names.includes(one))) return false;
  // What is no kind of Kubernetes by its writing is a word of somebody's own file.
  return HOLDS_DATA.has(kind) || (/^[A-Z]/.test(kind) && !STATELESS.has(kind));
}

/** Whether a kind is known to hold data, for texts of which nothing but the kind can be told. */
export function isDataKind(kind: string): boolean {
  return HOLDS_DATA.has(kind);
}
