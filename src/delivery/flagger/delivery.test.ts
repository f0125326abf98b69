import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeDelivery } from '../../../test/conformance/delivery.ts';
import type { FakeKubernetes } from '../../../test/support/fake-kubernetes.ts';
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
import { createFlaggerDelivery } from './delivery.ts';

const BAD = 'b'.repeat(40);
const GOOD = 'a'.repeat(40);
const HASH = 'pod-template-hash';
const never = new AbortController().signal;
const config = { type: 'flagger', ...workload } as const;
const PHASES = { progressing: 'Progressing', healthy: 'Succeeded', aborted: 'Failed', degraded: 'Failed', unknown: '' };

/** The Canary, and the two Deployments that Flagger keeps for it. */
function arrange(fake: FakeKubernetes, declared: string | null, primary: string | null, phase: string): void {
  fake.put(
    {
      apiVersion: 'flagger.app/v1beta1',
      kind: 'Canary',
      metadata: { name: NAME, namespace: NAMESPACE, generation: 1 },
      spec: { targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: NAME } },
      status: phase === '' ? {} : { phase, canaryWeight: 10 },
    },
    'canaries',
  );
  for (const [name, revision] of [
    [NAME, declared],
    [`${NAME}-primary`, primary],
  ] as const) {
    const deployment = fake.put({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace: NAMESPACE, generation: 2 },
      spec: {
        replicas: 1,
        selector: { matchLabels: { app: name } },
        template: { metadata: { annotations: revision === null ? {} : { 'davylamp.io/revision': revision } } },
      },
      status: { observedGeneration: 2, replicas: 1, updatedReplicas: 1, availableReplicas: 0 },
    });
    if (revision === null) continue;
    const set = replicaSet(deployment, { hash: revision.slice(0, 8), hashLabel: HASH, revision });
    fake.put({ ...set, metadata: { ...set.metadata, labels: { ...set.metadata.labels, app: name } } });
  }
}

describeDelivery('flagger', () =>
  kubernetesHarness(
    (deps) => createFlaggerDelivery({ ...config, argocd: { namespace: 'argocd', application: NAME } }, deps),
    (fake, { canary, stable, phase }) => arrange(fake, canary ?? stable, stable, PHASES[phase]),
    { apiVersion: 'flagger.app/v1beta1', plural: 'canaries', abort: null },
  ),
);

describe('the delivery of type flagger', () => {
  let cluster: FakeCluster;
  let fake: FakeKubernetes;
  let delivery: Delivery;
  beforeEach(async () => {
    cluster = await startFakeCluster();
    fake = cluster.fake;
    delivery = createFlaggerDelivery(config, cluster.deps);
  });
  afterEach(() => cluster.close());

  it('leaves the abort to its own webhook', async () => {
    arrange(fake, BAD, GOOD, 'Progressing');
    expect(delivery.can.abort).toBe(false);
    expect(await delivery.abort({ revision: BAD, rollback: 'r-1', reason: 'why' }, never)).toBe('not_running');
    expect(fake.calls).toEqual([]);
  });

  it('follows every phase that the real controller was seen in', async () => {
    const file = new URL('../../../test/fixtures/kubernetes/flagger-outcomes.json', import.meta.url);
    const { canaries } = JSON.parse(await readFile(file, 'utf8')) as { canaries: { phases: string[] }[] };
    const seen = new Set(canaries.flatMap(({ phases }) => phases));
    const during: Record<string, Pick<DeliveryState, 'canary' | 'phase'>> = {};
    for (const phase of seen) {
      arrange(fake, BAD, GOOD, phase);
      const { canary, phase: read } = await delivery.observe(never);
      during[phase] = { canary, phase: read };
    }
    const progressing = { canary: BAD, phase: 'progressing' };
    expect(during).toEqual({
      Initializing: progressing,
      Initialized: progressing,
      Waiting: progressing,
      Progressing: progressing,
      Promoting: progressing,
      Finalising: progressing,
      Succeeded: progressing,
      Failed: { canary: BAD, phase: 'aborted' },
    });
  });

  it.each([
    ['Succeeded', 'healthy'],
    ['Initialized', 'healthy'],
    // Flagger leaves the phase only with the next release.
    ['Failed', 'healthy'],
    ['Finalising', 'progressing'],
  ])('has no canary in phase %s once both sides are the same', async (phase, expected) => {
    arrange(fake, GOOD, GOOD, phase);
    expect(await delivery.observe(never)).toMatchObject({ canary: null, stable: GOOD, phase: expected });
  });

  it('sees a crash loop of the canary alone', async () => {
    arrange(fake, BAD, GOOD, 'Progressing');
    const onPrimary = { labels: { app: `${NAME}-primary`, [HASH]: GOOD.slice(0, 8) } };
    fake.put(pod('canary', HASH, BAD.slice(0, 8), 'looping'));
    fake.put(pod('primary', HASH, GOOD.slice(0, 8), 'ready', onPrimary));
    expect((await delivery.observe(never)).trouble).toMatchObject({ revision: BAD, code: 'crash_loop' });
    fake.put(pod('primary', HASH, GOOD.slice(0, 8), 'looping', onPrimary));
    expect((await delivery.observe(never)).trouble).toBeUndefined();
  });

  it('says nothing of revisions when Flagger runs something else than Deployments', async () => {
    arrange(fake, BAD, GOOD, 'Progressing');
    const canary = fake.get('flagger.app/v1beta1', 'canaries', NAMESPACE, NAME);
    if (canary !== undefined) canary.spec = { targetRef: { kind: 'DaemonSet', name: NAME } };
    expect(await delivery.observe(never)).toEqual({ canary: null, stable: null, synced: null, phase: 'progressing' });
  });

  it('annotates the Canary and not the Deployment, which would begin a release', async () => {
    arrange(fake, BAD, GOOD, 'Failed');
    await delivery.annotate({ revision: BAD, rollback: 'r-1', values: { verdict: 'fail' } }, never);
    expect(fake.calls.filter((call) => call.startsWith('patch'))).toEqual(['patch canaries']);
    expect(fake.all('events')).toMatchObject([{ involvedObject: { kind: 'Canary', apiVersion: 'flagger.app/v1beta1' } }]);
  });
});
