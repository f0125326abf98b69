import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeDelivery } from '../../../test/conformance/delivery.ts';
import type { FakeKubernetes, KubernetesObject } from '../../../test/support/fake-kubernetes.ts';
import {
  NAME,
  NAMESPACE,
  kubernetesHarness,
  pod,
  replicaSet,
  startFakeCluster,
  workload,
  type FakeCluster,
} from '../../../test/support/kubernetes-harness.ts';
import type { Delivery, DeliveryState } from '../port.ts';
import { createDeploymentDelivery } from './delivery.ts';

const BAD = 'b'.repeat(40);
const GOOD = 'a'.repeat(40);
const HASH = 'pod-template-hash';
const never = new AbortController().signal;
const config = { type: 'deployment', ...workload } as const;
const releasing: DeliveryState = { canary: BAD, stable: GOOD, synced: BAD, phase: 'progressing' };
const available = {
  type: 'Progressing',
  status: 'True',
  reason: 'NewReplicaSetAvailable',
  lastUpdateTime: '2026-11-23T07:40:00Z',
};

/** A Deployment in the middle of a rolling update, or after it. */
function arrange(fake: FakeKubernetes, { canary, stable, phase }: DeliveryState): KubernetesObject {
  const declared = canary ?? stable;
  const known = phase !== 'unknown';
  const updated = canary === null ? 2 : 1;
  const deployment = fake.put({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: NAME, namespace: NAMESPACE, generation: 7 },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: NAME }, matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' }] },
      template: { metadata: { annotations: declared === null ? {} : { 'davylamp.io/revision': declared } } },
    },
    status: known
      ? {
          observedGeneration: 7,
          replicas: canary === null ? 2 : 3,
          updatedReplicas: updated,
          availableReplicas: 2,
          conditions: canary === null ? [available] : [{ type: 'Progressing', status: 'True', reason: 'ReplicaSetUpdated' }],
        }
      : {},
  });
  [stable, canary].forEach((revision, index) => {
    if (revision === null) return;
    const facts = { hash: revision.slice(0, 8), hashLabel: HASH, revision, minute: index, number: index + 1 };
    fake.put(replicaSet(deployment, facts));
  });
  return deployment;
}

describeDelivery('deployment', () =>
  kubernetesHarness(
    (deps) => createDeploymentDelivery({ ...config, argocd: { namespace: 'argocd', application: NAME } }, deps),
    arrange,
    { apiVersion: 'apps/v1', plural: 'deployments', abort: null },
  ),
);

describe('the delivery of type deployment', () => {
  let cluster: FakeCluster;
  let fake: FakeKubernetes;
  let delivery: Delivery;
  beforeEach(async () => {
    cluster = await startFakeCluster();
    fake = cluster.fake;
    delivery = createDeploymentDelivery(config, cluster.deps);
  });
  afterEach(() => cluster.close());
  const change = (status: Record<string, unknown>, metadata: Partial<KubernetesObject['metadata']> = {}) => {
    const before = fake.get('apps/v1', 'deployments', NAMESPACE, NAME);
    if (before === undefined) throw new Error('the Deployment is gone');
    fake.put({ ...before, metadata: { ...before.metadata, ...metadata }, status: { ...before.status, ...status } });
  };

  it('never writes but to annotate', async () => {
    arrange(fake, releasing);
    expect(delivery.can).toEqual({ observe: true, abort: false, annotate: true, sync: false });
    expect(await delivery.abort({ revision: BAD, rollback: 'r-1', reason: 'why' }, never)).toBe('not_running');
    await delivery.observe(never);
    expect(fake.calls.filter((call) => !/^(get|list) /.test(call))).toEqual([]);
  });

  it('is over when every replica is new and available, and stays so when a pod restarts later', async () => {
    const idle: DeliveryState = { canary: null, stable: GOOD, synced: null, phase: 'healthy' };
    arrange(fake, idle);
    expect(await delivery.observe(never)).toEqual({ ...idle, synced: GOOD });
    change({ availableReplicas: 1 });
    expect(await delivery.observe(never)).toEqual({ ...idle, synced: GOOD, phase: 'degraded' });
  });

  it('tells the sides apart by the copies of annotations that the controller leaves on replica sets', async () => {
    arrange(fake, releasing);
    for (const set of fake.all('replicasets')) {
      const revision = set.metadata.name.endsWith('b') ? BAD : GOOD;
      set.spec = { replicas: 1 };
      set.metadata.annotations = { ...set.metadata.annotations, 'davylamp.io/revision': revision };
    }
    expect(await delivery.observe(never)).toMatchObject({ canary: BAD, stable: GOOD });
  });

  it('takes what is declared for the canary while the controller has not seen it', async () => {
    arrange(fake, { canary: null, stable: GOOD, synced: null, phase: 'healthy' });
    const before = fake.get('apps/v1', 'deployments', NAMESPACE, NAME);
    fake.put({
      ...before,
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: NAME, namespace: NAMESPACE, generation: 8 },
      spec: { ...before?.spec, template: { metadata: { annotations: { 'davylamp.io/revision': BAD } } } },
    });
    expect(await delivery.observe(never)).toEqual({ canary: BAD, stable: GOOD, synced: BAD, phase: 'progressing' });
  });

  it('sees the trouble of the new replica set only', async () => {
    arrange(fake, releasing);
    fake.put(pod('new', HASH, BAD.slice(0, 8), 'looping'));
    fake.put(pod('old', HASH, GOOD.slice(0, 8), 'ready'));
    expect((await delivery.observe(never)).trouble).toMatchObject({ revision: BAD, code: 'crash_loop' });
    fake.put(pod('old', HASH, GOOD.slice(0, 8), 'looping'));
    expect((await delivery.observe(never)).trouble).toBeUndefined();
  });

  it('sees a progress deadline without being allowed to see pods', async () => {
    arrange(fake, releasing);
    fake.denied.add('list pods');
    const message = `ReplicaSet "${NAME}-${BAD.slice(0, 8)}" has timed out progressing.`;
    change({ conditions: [{ type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded', message }] });
    expect(await delivery.observe(never)).toMatchObject({
      canary: BAD,
      phase: 'degraded',
      trouble: { revision: BAD, code: 'progress_deadline_exceeded' },
    });
  });

  it('knows that an old replica set came back, from when on its controller says so', async () => {
    const at = (text: string) => Date.parse(`2026-11-23T${text}:00Z`);
    const deployment = arrange(fake, { canary: null, stable: GOOD, synced: null, phase: 'healthy' });
    fake.put(replicaSet(deployment, { hash: 'old', hashLabel: HASH, revision: BAD, minute: 20, replicas: 0, number: 2 }));
    fake.put(replicaSet(deployment, { hash: GOOD.slice(0, 8), hashLabel: HASH, revision: GOOD, number: 3 }));
    expect(await delivery.history?.(never)).toEqual([
      { revision: GOOD, from: at('07:00'), to: at('07:20'), role: 'stable' },
      { revision: GOOD, from: at('07:40'), to: null, role: 'stable' },
      { revision: BAD, from: at('07:20'), to: at('07:40'), role: 'stable' },
    ]);
  });
});
