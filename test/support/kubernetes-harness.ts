import type { Delivery, DeliveryState } from '../../src/delivery/port.ts';
import type { KubernetesDependencies } from '../../src/delivery/kubernetes/access.ts';
import { createClusters } from '../../src/delivery/kubernetes/clusters.ts';
import type { CodedError } from '../../src/errors.ts';
import { createHttpClient, type HttpClient } from '../../src/net/client.ts';
import type { Deeds, DeliveryFault, DeliveryHarness } from '../conformance/delivery.ts';
import { FakeKubernetes, type KubernetesObject } from './fake-kubernetes.ts';
import { refusingAddress, startFaultServer, type Behaviour, type FaultServer } from './fault-server.ts';

export const NAMESPACE = 'shop';
export const NAME = 'recommender';
export const TOKEN = 's3cr3t';
/** What the branch of the pretended operator has at its head. */
const HEAD = 'a'.repeat(40);
const PREFIX = 'davylamp.io/';
const TIMEOUT_MS = 2_000;

const FAULTS: Readonly<Record<Exclude<DeliveryFault, 'refuse'>, Behaviour>> = {
  hang: { kind: 'hang' },
  drop: { kind: 'drop' },
  '500': { kind: 'answer', status: 500, body: TOKEN },
  '503': { kind: 'answer', status: 503, body: TOKEN },
  '403': { kind: 'answer', status: 403, body: TOKEN },
  '404': { kind: 'answer', status: 404, body: TOKEN },
  'not understood': { kind: 'answer', status: 200, body: `<html>${TOKEN}</html>` },
  huge: { kind: 'huge', bytes: 10_000_000 },
};

export interface FakeCluster {
  far: FaultServer;
  fake: FakeKubernetes;
  deps: KubernetesDependencies;
  /** What was left out because the cluster refused it. */
  reported: CodedError[];
  /** Whether connections are refused from now on. */
  refuse(refused: boolean): void;
  close(): Promise<void>;
}

/** A pretended cluster behind a real HTTP server, and what a delivery needs to reach it. */
export async function startFakeCluster(): Promise<FakeCluster> {
  const far = await startFaultServer();
  const fake = new FakeKubernetes();
  far.on('*', (request) => fake.handle(request));
  const http = createHttpClient();
  const dead = await refusingAddress();
  const reported: CodedError[] = [];
  let refused = false;
  const through: HttpClient = {
    request: (request, signal) =>
      http.request(refused ? { ...request, url: request.url.replace(far.url, dead) } : request, signal),
    close: () => http.close(),
  };
  const clusters = createClusters(
    { west: { url: far.url, tokenFile: 'token' } },
    { http: through, readSecret: () => Promise.resolve(TOKEN), folder: '/' },
  );
  return {
    far,
    fake,
    reported,
    deps: { clusters, clock: { now: () => Date.parse('2026-11-23T08:00:00Z') }, report: (error) => reported.push(error) },
    refuse: (now) => void (refused = now),
    async close() {
      await http.close();
      await far.close();
    },
  };
}

/** Configuration of a delivery to the fake cluster. */
export const workload = { namespace: NAMESPACE, name: NAME, cluster: 'west', timeout: `${TIMEOUT_MS}ms` };

/** The harness of the conformance suite for a delivery to Kubernetes. */
export async function kubernetesHarness(
  create: (deps: KubernetesDependencies) => Delivery,
  /** Puts the objects of a state into the cluster. */
  arrange: (fake: FakeKubernetes, state: DeliveryState) => void,
  /** The object that is annotated, and how it is aborted. */
  object: { apiVersion: string; plural: string; abort: string | null },
): Promise<DeliveryHarness> {
  const cluster = await startFakeCluster();
  const { far, fake } = cluster;
  let state: DeliveryState | null = null;
  let seen = 0;
  return {
    delivery: create(cluster.deps),
    timeoutMs: TIMEOUT_MS,
    secrets: [TOKEN],
    run(next) {
      cluster.refuse(false);
      state = next;
      fake.objects.clear();
      fake.calls.length = 0;
      arrange(fake, next);
      fake.put(applicationAt(next.synced), 'applications');
      far.on('*', (request) => fake.handle(request));
      seen = far.requests.length;
      return Promise.resolve();
    },
    deeds() {
      const canary = state?.canary ?? '';
      const deeds: Deeds = { aborted: [], annotations: {}, synced: [] };
      deeds.aborted = fake.calls.filter((call) => call === object.abort).map(() => canary);
      const written = fake.get(object.apiVersion, object.plural, NAMESPACE, NAME)?.metadata.annotations ?? {};
      const own = Object.entries(written).filter(([key]) => key.startsWith(PREFIX));
      if (own.length > 0)
        deeds.annotations[canary] = Object.fromEntries(own.map(([key, value]) => [key.slice(PREFIX.length), value]));
      const application = fake.get('argoproj.io/v1alpha1', 'applications', 'argocd', NAME);
      if (application?.metadata.annotations?.['argocd.argoproj.io/refresh'] === 'normal') deeds.synced.push(HEAD);
      return Promise.resolve(deeds);
    },
    fail(fault) {
      cluster.refuse(fault === 'refuse');
      seen = far.requests.length;
      if (fault !== 'refuse') far.on('*', FAULTS[fault]);
      return Promise.resolve();
    },
    called: () => far.arrived(seen + 1),
    close: () => cluster.close(),
  };
}

/** Where `argocd: { namespace: argocd, application: NAME }` leads. */
export function applicationAt(revision: string | null): KubernetesObject {
  const status = revision === null ? {} : { sync: { status: 'Synced', revision } };
  return { apiVersion: 'argoproj.io/v1alpha1', kind: 'Application', metadata: { name: NAME, namespace: 'argocd' }, status };
}

/** One replica set of a workload, made at a minute. */
export function replicaSet(
  owner: KubernetesObject,
  facts: { hash: string; hashLabel: string; revision: string | null; minute?: number; replicas?: number; number?: number },
): KubernetesObject {
  const { hash, hashLabel, revision, minute = 0, replicas = 2, number = 1 } = facts;
  const labels = { app: NAME, [hashLabel]: hash };
  const annotations = revision === null ? {} : { 'davylamp.io/revision': revision };
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: `${owner.metadata.name}-${hash}`,
      namespace: NAMESPACE,
      labels,
      annotations: { 'deployment.kubernetes.io/revision': String(number) },
      creationTimestamp: new Date(Date.parse('2026-11-23T07:00:00Z') + minute * 60_000).toISOString(),
      ownerReferences: [{ uid: owner.metadata.uid ?? '' }],
    },
    spec: { replicas, template: { metadata: { labels, annotations } } },
    status: { replicas, readyReplicas: replicas },
  };
}

export type PodCondition = 'ready' | 'starting' | 'looping' | 'restarting' | 'image' | 'unschedulable' | 'lost';

/** A pod of one side, in one of the conditions that matter. */
export function pod(name: string, hashLabel: string, hash: string, condition: PodCondition, more: object = {}): KubernetesObject {
  const waiting = { looping: 'CrashLoopBackOff', image: 'ImagePullBackOff' }[condition as string];
  const restarts = condition === 'looping' || condition === 'restarting' ? 5 : 0;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, labels: { app: NAME, [hashLabel]: hash }, ...more },
    status: {
      phase: 'Running',
      ...(condition === 'lost' && { reason: 'NodeLost' }),
      conditions: [
        { type: 'Ready', status: condition === 'ready' ? 'True' : 'False' },
        { type: 'PodScheduled', status: condition === 'unschedulable' ? 'False' : 'True' },
      ],
      containerStatuses: [
        {
          ready: condition === 'ready',
          restartCount: restarts,
          state: waiting === undefined ? {} : { waiting: { reason: waiting } },
          lastState: condition === 'restarting' ? { terminated: { exitCode: 1 } } : {},
        },
      ],
    },
  };
}
