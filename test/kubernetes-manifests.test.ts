import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { parseDuration } from '../src/analysis/quantities.ts';
import { CLOSE_DEADLINE_MS } from '../src/cli/serve.ts';
import { loadConfig } from '../src/config/load.ts';
import {
  APPLICATIONS,
  CANARIES,
  DEPLOYMENTS,
  GIT_REPOSITORIES,
  HELM_RELEASES,
  IMAGE_UPDATE_AUTOMATIONS,
  IMAGE_UPDATERS,
  KUSTOMIZATIONS,
  ROLLOUTS,
} from '../src/delivery/kubernetes/resources.ts';
import { COMMON_NEEDS, objectNeeds, type Need } from '../src/delivery/kubernetes/rights.ts';

const root = fileURLToPath(new URL('../deploy/kubernetes', import.meta.url));
const folders = ['base', 'application-access', 'operator-access', 'embedded', 'redis'] as const;
const variants = ['embedded', 'redis'] as const;

interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
  rules?: { apiGroups: string[]; resources: string[]; verbs: string[] }[];
  subjects?: { kind: string; name: string }[];
  spec?: unknown;
}
interface Workload {
  replicas: number;
  strategy: { type: string };
  selector: { matchLabels: Record<string, string> };
  template: { metadata: { labels: Record<string, string> }; spec: PodSpec };
}
interface PodSpec {
  serviceAccountName: string;
  terminationGracePeriodSeconds: number;
  securityContext: Record<string, unknown>;
  topologySpreadConstraints?: unknown[];
  containers: {
    args: string[];
    ports: { name: string; containerPort: number }[];
    livenessProbe: { httpGet: { path: string; port: string } };
    readinessProbe: { httpGet: { path: string; port: string } };
    resources: { requests: object; limits: { memory: string } };
    securityContext: Record<string, unknown>;
    volumeMounts: { name: string; mountPath: string }[];
  }[];
  volumes: { name: string; persistentVolumeClaim?: { claimName: string }; emptyDir?: object }[];
}

const read = (path: string) => readFileSync(`${root}/${path}`, 'utf8');
const kustomization = (folder: string) =>
  parse(read(`${folder}/kustomization.yaml`)) as { resources: string[]; namespace?: string };
const manifests = (folder: string): Manifest[] =>
  kustomization(folder)
    .resources.filter((file) => file.endsWith('.yaml'))
    .flatMap((file) => parseAllDocuments(read(`${folder}/${file}`)).map((document) => document.toJS() as Manifest));
function workloadOf(variant: string): Workload {
  const found = manifests(variant).find(({ kind }) => kind === 'Deployment')?.spec;
  if (found === undefined) throw new Error(`${variant} has no Deployment`);
  return found as Workload;
}
const rulesOf = (folder: string) => manifests(folder).find(({ kind }) => kind === 'Role')?.rules ?? [];

describe('the manifests for Kubernetes', () => {
  it.each(folders)('of %s are all listed, and have no namespace of their own', (folder) => {
    const files = readdirSync(`${root}/${folder}`).filter((file) => file.endsWith('.yaml'));
    const listed = kustomization(folder).resources.filter((file) => file.endsWith('.yaml'));
    expect(
      [...listed, 'kustomization.yaml', ...(folder === 'embedded' || folder === 'redis' ? ['davylamp.yaml'] : [])].toSorted(),
    ).toEqual(files.toSorted());
    for (const { metadata } of manifests(folder)) expect(metadata.namespace).toBeUndefined();
  });

  it.each(variants)('of %s run without rights over the machine', (variant) => {
    const { template, selector } = workloadOf(variant);
    const { spec } = template;
    expect(template.metadata.labels).toMatchObject(selector.matchLabels);
    expect(spec.serviceAccountName).toBe('davylamp');
    expect(spec.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    for (const container of spec.containers) {
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
    }
    expect(spec.volumes.some((volume) => 'hostPath' in volume)).toBe(false);
  });

  it.each(variants)('of %s have probes, time to end, bounds and a place for all that is written', (variant) => {
    const { spec } = workloadOf(variant).template;
    expect(spec.terminationGracePeriodSeconds).toBe(40);
    const [container] = spec.containers;
    expect(container?.livenessProbe.httpGet).toEqual({ path: '/livez', port: 'http' });
    expect(container?.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'http' });
    expect(container?.resources.limits.memory).toBe('512Mi');
    const mounts = new Set(container?.volumeMounts.map(({ name }) => name));
    expect(mounts).toEqual(new Set(spec.volumes.map(({ name }) => name)));
  });

  it.each(variants)('of %s bring a configuration that is valid for where they run it', async (variant) => {
    const { config, warnings } = await loadConfig({ file: `${root}/${variant}/davylamp.yaml`, environment: {} });
    expect(warnings.filter(({ message }) => !message.includes('later release'))).toEqual([]);
    const [container] = workloadOf(variant).template.spec.containers;
    // Long enough for a node to hear of it; the rest of the end has to fit into what is left.
    const delayMs = parseDuration(config.server?.drainDelay ?? '0s');
    expect(delayMs).toBe(5_000);
    expect(delayMs + CLOSE_DEADLINE_MS).toBeLessThan(workloadOf(variant).template.spec.terminationGracePeriodSeconds * 1_000);
    expect(config.server?.listen).toBe(`0.0.0.0:${container?.ports[0]?.containerPort ?? 0}`);
    expect(container?.args).toEqual(['serve', '--config', '/etc/davylamp/davylamp.yaml']);
    const paths = container?.volumeMounts.map(({ mountPath }) => mountPath);
    expect(paths).toContain(config.storage?.path);
    expect(config.repositories?.['deploy']?.tokenFile).toMatch(/^\/run\/secrets\/davylamp\//);
    expect(config.applications?.['recommender']?.mode).toBe('shadow');
  });

  it('run the embedded store once, on a volume, and never twice at the same time', () => {
    const { replicas, strategy, template } = workloadOf('embedded');
    expect([replicas, strategy]).toEqual([1, { type: 'Recreate' }]);
    const claim = manifests('embedded').find(({ kind }) => kind === 'PersistentVolumeClaim');
    expect(template.spec.volumes).toContainEqual({ name: 'data', persistentVolumeClaim: { claimName: claim?.metadata.name } });
  });

  it('spread several processes on Redis, and keep all but one through a disruption', () => {
    const { replicas, template } = workloadOf('redis');
    expect(replicas).toBeGreaterThan(1);
    expect(template.spec.topologySpreadConstraints?.length).toBe(2);
    expect(manifests('redis').find(({ kind }) => kind === 'PodDisruptionBudget')?.spec).toMatchObject({ maxUnavailable: 1 });
  });

  const granted = (folder: string) =>
    rulesOf(folder).flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) => resources.flatMap((resource) => verbs.map((verb) => `${verb} ${resource}.${group}`))),
    );

  it('give in the namespace of an application exactly what the deliveries ask for', () => {
    const needs: Need[] = [
      ...objectNeeds(ROLLOUTS, { abort: true, annotate: true }),
      ...objectNeeds(CANARIES, { abort: false, annotate: true }),
      ...objectNeeds(DEPLOYMENTS, { abort: false, annotate: true }),
      ...COMMON_NEEDS,
    ];
    const asked = needs.map(
      ({ verb, resource, subresource }) =>
        `${verb} ${resource.plural}${subresource === null ? '' : `/${subresource}`}.${resource.group}`,
    );
    expect(granted('application-access').toSorted()).toEqual([...new Set(asked)].toSorted());
  });

  it('give with an operator no more than to read and patch its objects, and to list the bots beside it', () => {
    const objects = [APPLICATIONS, KUSTOMIZATIONS, HELM_RELEASES, GIT_REPOSITORIES];
    const asked = [
      ...objects.flatMap(({ plural, group }) => [`get ${plural}.${group}`, `patch ${plural}.${group}`]),
      ...[IMAGE_UPDATE_AUTOMATIONS, IMAGE_UPDATERS].map(({ plural, group }) => `list ${plural}.${group}`),
    ];
    expect(granted('operator-access').toSorted()).toEqual(asked.toSorted());
  });

  it('give nothing over a whole cluster, and no secrets', () => {
    for (const folder of folders) {
      expect(manifests(folder).filter(({ kind }) => kind.startsWith('Cluster'))).toEqual([]);
      expect(granted(folder).filter((rule) => /\*|secrets|exec|^delete|^update /.test(rule))).toEqual([]);
    }
  });
});
