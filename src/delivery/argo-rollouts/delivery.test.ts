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
  type PodCondition,
} from '../../../test/support/kubernetes-harness.ts';
import type { Delivery, DeliveryState } from '../port.ts';
import { createArgoRolloutsDelivery } from './delivery.ts';

const BAD = 'b'.repeat(40);
const GOOD = 'a'.repeat(40);
const OTHER = 'c'.repeat(40);
const HASH = 'rollouts-pod-template-hash';
const never = new AbortController().signal;
const config = { type: 'argo-rollouts', ...workload } as const;
const order = { revision: BAD, rollback: 'r-1', reason: 'errors: 12 % against 1 %' };
const PHASES = { progressing: 'Progressing', healthy: 'Healthy', aborted: 'Degraded', degraded: 'Degraded', unknown: undefined };

/** A Rollout as its controller leaves it, with the replica sets of both sides. */
function arrange(fake: FakeKubernetes, { canary, stable, phase }: DeliveryState): KubernetesObject {
  const hashOf = (revision: string | null) => revision?.slice(0, 8) ?? '';
  const declared = canary ?? stable;
  const rollout = fake.put({
    apiVersion: 'argoproj.io/v1alpha1',
    kind: 'Rollout',
    metadata: { name: NAME, namespace: NAMESPACE, generation: 4 },
    spec: {
      selector: { matchLabels: { app: NAME } },
      template: { metadata: { annotations: declared === null ? {} : { 'davylamp.io/revision': declared } } },
    },
    status: {
      observedGeneration: '4',
      ...(PHASES[phase] !== undefined && { phase: PHASES[phase] }),
      ...(stable !== null && { stableRS: hashOf(stable) }),
      ...(declared !== null && { currentPodHash: hashOf(declared) }),
    },
  });
  const sides = [stable, canary].filter((revision) => revision !== null);
  sides.forEach((revision, minute) => {
    fake.put(replicaSet(rollout, { hash: hashOf(revision), hashLabel: HASH, revision, minute }));
  });
  return rollout;
}

describeDelivery('argo-rollouts', () =>
  kubernetesHarness(
    (deps) => createArgoRolloutsDelivery({ ...config, argocd: { namespace: 'argocd', application: NAME } }, deps),
    arrange,
    { apiVersion: 'argoproj.io/v1alpha1', plural: 'rollouts', abort: 'patch rollouts/status' },
  ),
);

describe('the delivery of type argo-rollouts', () => {
  const releasing: DeliveryState = { canary: BAD, stable: GOOD, synced: BAD, phase: 'progressing' };
  let cluster: FakeCluster;
  let fake: FakeKubernetes;
  let delivery: Delivery;
  beforeEach(async () => {
    cluster = await startFakeCluster();
    fake = cluster.fake;
    delivery = createArgoRolloutsDelivery(config, cluster.deps);
    arrange(fake, releasing);
  });
  afterEach(() => cluster.close());

  const rollout = () => {
    const found = fake.get('argoproj.io/v1alpha1', 'rollouts', NAMESPACE, NAME);
    if (found === undefined) throw new Error('the Rollout is gone');
    return found;
  };
  /** Changes the Rollout as its controller or somebody else would. */
  const change = (status: Record<string, unknown>, more: Partial<KubernetesObject> = {}) => {
    const before = rollout();
    fake.put({ ...before, ...more, status: { ...before.status, ...status } });
  };
  const aborts = () => fake.calls.filter((call) => call === 'patch rollouts/status').length;

  it('reads with three calls what a release does, and with two that there is none', async () => {
    await delivery.observe(never);
    expect(fake.calls.splice(0)).toEqual(['get rollouts', 'list replicasets', 'list pods']);
    arrange(fake, { ...releasing, canary: null, synced: GOOD, phase: 'healthy' });
    await delivery.observe(never);
    expect(fake.calls).toEqual(['get rollouts', 'list replicasets']);
  });

  it('sends the abort to the status endpoint as a merge patch that holds for what was read', async () => {
    const { resourceVersion } = rollout().metadata;
    expect(await delivery.abort(order, never)).toBe('aborted');
    const sent = cluster.far.requests.filter(({ method }) => method === 'PATCH');
    expect(sent.map(({ path, headers, body }) => [path, headers['content-type'], JSON.parse(body) as unknown])).toEqual([
      [
        `/apis/argoproj.io/v1alpha1/namespaces/${NAMESPACE}/rollouts/${NAME}/status`,
        'application/merge-patch+json',
        { metadata: { resourceVersion }, status: { abort: true } },
      ],
    ]);
    expect(sent[0]?.headers.authorization).toBe('Bearer s3cr3t');
    expect(rollout().metadata.generation).toBe(4);
  });

  it('reads again and decides anew when the Rollout was changed between reading and patching', async () => {
    fake.beforePatch = () => change({ message: 'the controller wrote something' });
    expect(await delivery.abort(order, never)).toBe('aborted');
    expect(aborts()).toBe(2);
  });

  it.each<[string, () => void]>([
    ['was completed', () => change({ stableRS: BAD.slice(0, 8), phase: 'Healthy' })],
    [
      'was replaced by another revision',
      () => {
        fake.put(replicaSet(rollout(), { hash: OTHER.slice(0, 8), hashLabel: HASH, revision: OTHER }));
        change({ currentPodHash: OTHER.slice(0, 8) });
      },
    ],
  ])('does nothing when the revision %s between reading and patching', async (_what, meanwhile) => {
    fake.beforePatch = meanwhile;
    expect(await delivery.abort(order, never)).toBe('not_running');
    expect(rollout().status?.['abort']).toBeUndefined();
  });

  it('says that it was aborted already when somebody else did between reading and patching', async () => {
    fake.beforePatch = () => change({ abort: true });
    expect(await delivery.abort(order, never)).toBe('already');
  });

  const promotion = { revision: BAD, rollback: 'r-1' };

  it('skips the canary steps of exactly the revision that is released, on the status endpoint and as it was read', async () => {
    const { resourceVersion } = rollout().metadata;
    expect(delivery.can.promote).toBe(true);
    expect([await delivery.promote?.(promotion, never), await delivery.promote?.(promotion, never)]).toEqual([
      'promoted',
      'promoted',
    ]);
    const sent = cluster.far.requests.filter(({ method }) => method === 'PATCH');
    expect(sent.map(({ path, body }) => [path.endsWith(`/rollouts/${NAME}/status`), JSON.parse(body) as unknown])).toEqual([
      [true, { metadata: { resourceVersion }, status: { promoteFull: true } }],
    ]);
    expect(rollout().metadata.generation).toBe(4);
  });

  it.each<[string, () => void]>([
    ['another revision is released', () => arrange(fake, { ...releasing, canary: OTHER })],
    ['nothing is released', () => arrange(fake, { ...releasing, canary: null })],
    ['it was aborted', () => change({ abort: true })],
    ['it is the first release of all', () => change({ stableRS: '' })],
  ])('5.7 skips no steps when %s, also when that came between reading and patching', async (_when, meanwhile) => {
    fake.beforePatch = meanwhile;
    expect(await delivery.promote?.(promotion, never)).toBe('not_running');
    expect(await delivery.promote?.(promotion, never)).toBe('not_running');
    expect(rollout().status?.['promoteFull']).toBeUndefined();
  });

  it('waits with skipping steps until the controller has seen the newest template', async () => {
    change({ observedGeneration: '3' });
    await expect(delivery.promote?.(promotion, never)).rejects.toMatchObject({ code: 'cluster_conflict', retryable: true });
  });

  it('gives up a storm of conflicts after a few tries, as something to try again later', async () => {
    const storm = () => {
      change({ message: String(fake.calls.length) });
      fake.beforePatch = storm;
    };
    fake.beforePatch = storm;
    await expect(delivery.abort(order, never)).rejects.toMatchObject({ code: 'cluster_conflict', retryable: true });
    expect(aborts()).toBe(8);
    expect(rollout().status?.['abort']).toBeUndefined();
  });

  it('waits for a controller that has not seen the newest template, which would undo the abort', async () => {
    change({ observedGeneration: '3' });
    await expect(delivery.abort(order, never)).rejects.toMatchObject({ code: 'cluster_conflict', retryable: true });
    expect(await delivery.abort({ ...order, revision: OTHER }, never)).toBe('not_running');
    expect(aborts()).toBe(0);
  });

  it('does not abort the first release of all, which has nothing to go back to', async () => {
    change({ stableRS: '' });
    expect(await delivery.observe(never)).toMatchObject({ canary: BAD, stable: null });
    expect(await delivery.abort(order, never)).toBe('not_running');
  });

  it('takes abbreviated revisions for the same', async () => {
    expect(await delivery.abort({ ...order, revision: BAD.slice(0, 12) }, never)).toBe('aborted');
  });

  it('does not act when what the canary runs is not known', async () => {
    arrange(fake, { ...releasing, canary: 'd'.repeat(40) });
    fake.objects.forEach((object) => {
      const template = object.spec?.['template'] as { metadata: { annotations?: Record<string, string> } } | undefined;
      if (template !== undefined) delete template.metadata.annotations;
    });
    expect(await delivery.observe(never)).toEqual({ canary: null, stable: null, synced: null, phase: 'progressing' });
    expect(await delivery.abort(order, never)).toBe('not_running');
  });

  it('observes and aborts with the rights on Rollouts alone, and says once what it lacks', async () => {
    for (const call of ['list replicasets', 'list pods', 'create events']) fake.denied.add(call);
    // What the stable side runs stands in its replica set only.
    expect(await delivery.observe(never)).toEqual({ canary: BAD, stable: null, synced: BAD, phase: 'progressing' });
    await delivery.observe(never);
    expect(await delivery.abort(order, never)).toBe('aborted');
    await delivery.annotate({ revision: BAD, rollback: 'r-1', values: { verdict: 'fail' } }, never);
    expect(rollout().metadata.annotations).toEqual({ 'davylamp.io/verdict': 'fail' });
    expect(cluster.reported.map(({ message }) => message)).toEqual([
      expect.stringContaining('{apiGroups: ["apps"], resources: [replicasets], verbs: [list]}'),
      expect.stringContaining('{apiGroups: [""], resources: [pods], verbs: [list]}'),
      expect.stringContaining('{apiGroups: [""], resources: [events], verbs: [create]}'),
    ]);
  });

  it('takes the annotation of the Rollout itself where the pod template has none', async () => {
    const { spec, metadata } = rollout();
    change({}, { spec: { ...spec, template: {} }, metadata: { ...metadata, annotations: { 'davylamp.io/revision': OTHER } } });
    for (const set of fake.all('replicasets')) if (set.metadata.name.endsWith('bbbbbbbb')) set.spec = { replicas: 1 };
    expect(await delivery.observe(never)).toMatchObject({ canary: OTHER, stable: GOOD });
  });

  it.each([
    ['patch rollouts/status', () => delivery.abort(order, never), 'resources: [rollouts/status], verbs: [patch]'],
    ['get rollouts', () => delivery.observe(never), 'resources: [rollouts], verbs: [get]'],
  ])('names the rule that is missing for %s', async (denied, step, rule) => {
    fake.denied.add(denied);
    await expect(step()).rejects.toMatchObject({
      code: 'cluster_forbidden',
      retryable: false,
      message: expect.stringContaining(`{apiGroups: ["argoproj.io"], ${rule}}`) as string,
    });
  });

  it('tells a Rollout that is not there from a cluster without Argo Rollouts', async () => {
    fake.objects.clear();
    await expect(delivery.observe(never)).rejects.toMatchObject({
      code: 'cluster_not_found',
      message: 'cluster west has no Rollout shop/recommender; check the namespace and the name in the configuration',
    });
    fake.absent.add('rollouts');
    await expect(delivery.observe(never)).rejects.toMatchObject({
      code: 'cluster_not_found',
      message: expect.stringContaining('install Argo Rollouts') as string,
    });
  });

  it.each([
    ['half of its JSON', { kind: 'answer', status: 200, body: '{"metadata": {"name": "s3cr3t' } as const],
    ['another object', { kind: 'answer', status: 200, body: '{"metadata": {"name": 5}, "spec": {}}' } as const],
    ['a list', { kind: 'answer', status: 200, body: '[]' } as const],
  ])('does not act on %s', async (_what, behaviour) => {
    cluster.far.on('*', behaviour);
    const failed = { code: 'cluster_bad_answer', message: expect.not.stringContaining('s3cr3t') as string };
    await expect(delivery.observe(never)).rejects.toMatchObject(failed);
    await expect(delivery.abort(order, never)).rejects.toMatchObject(failed);
  });

  it('annotates the Rollout, never its template, and leaves one Event however often it is asked', async () => {
    const values = { reason: 'errors: 12 %\nagainst 1 %', 'revert-commit': GOOD, verdict: 'fail' };
    const note = { revision: BAD, rollback: 'r-1', values };
    await delivery.annotate(note, never);
    await delivery.annotate(note, never);
    expect(rollout().metadata.annotations).toEqual({
      'davylamp.io/reason': 'errors: 12 % against 1 %',
      'davylamp.io/revert-commit': GOOD,
      'davylamp.io/verdict': 'fail',
    });
    expect(rollout().metadata.generation).toBe(4);
    expect(fake.all('events')).toMatchObject([
      {
        type: 'Warning',
        reason: 'DavylampRollback',
        message: `rollback r-1 of ${BAD}, reverted by ${GOOD}: errors: 12 % against 1 %`,
        involvedObject: { apiVersion: 'argoproj.io/v1alpha1', kind: 'Rollout', name: NAME, namespace: NAMESPACE },
        source: { component: 'davylamp' },
        count: 1,
      },
    ]);
    await delivery.annotate({ ...note, values: { verdict: null, reason: null } }, never);
    expect(rollout().metadata.annotations).toEqual({ 'davylamp.io/revert-commit': GOOD });
    expect(fake.all('events')).toHaveLength(1);
  });

  it('never writes the annotation that says what runs', async () => {
    const call = delivery.annotate({ revision: BAD, rollback: 'r-1', values: { revision: GOOD } }, never);
    await expect(call).rejects.toMatchObject({ code: 'delivery_unsupported' });
    expect(fake.calls).toEqual([]);
  });

  const pods = (own: PodCondition[], other: PodCondition[]) => {
    own.forEach((condition, at) => fake.put(pod(`own-${at}`, HASH, BAD.slice(0, 8), condition)));
    other.forEach((condition, at) => fake.put(pod(`other-${at}`, HASH, GOOD.slice(0, 8), condition)));
  };
  const deadline = (name: string) => ({
    conditions: [
      {
        type: 'Progressing',
        status: 'False',
        reason: 'ProgressDeadlineExceeded',
        message: `ReplicaSet "${name}" has timed out progressing.`,
      },
    ],
  });

  it.each<[PodCondition[], PodCondition[]]>([
    [
      ['looping', 'looping'],
      ['ready', 'ready'],
    ],
    [['restarting'], ['ready']],
    [
      ['looping', 'ready'],
      ['ready', 'starting'],
    ],
  ])('sees a crash loop of the canary alone: %j beside %j', async (own, other) => {
    pods(own, other);
    expect((await delivery.observe(never)).trouble).toMatchObject({ revision: BAD, code: 'crash_loop' });
  });

  it.each<[PodCondition[], PodCondition[]]>([
    [
      ['looping', 'looping'],
      ['ready', 'looping'],
    ],
    [['looping'], ['starting']],
    [['looping'], []],
    [['looping', 'ready', 'ready'], ['ready']],
    [['starting', 'image', 'unschedulable', 'lost'], ['ready']],
    [[], []],
  ])('sees no trouble of the release in %j beside %j', async (own, other) => {
    pods(own, other);
    expect((await delivery.observe(never)).trouble).toBeUndefined();
  });

  it.each<[PodCondition[], PodCondition[], boolean]>([
    [['starting', 'ready'], ['ready'], true],
    [[], [], true],
    [['image', 'image'], ['ready'], false],
    [['unschedulable', 'lost'], ['ready'], false],
    [['starting'], ['starting'], false],
    [['starting'], ['looping', 'ready'], false],
  ])('takes a progress deadline for trouble unless it came from outside: %j beside %j', async (own, other, expected) => {
    pods(own, other);
    change(deadline(`${NAME}-${BAD.slice(0, 8)}`));
    const { trouble } = await delivery.observe(never);
    expect(trouble?.code).toBe(expected ? 'progress_deadline_exceeded' : undefined);
  });

  it('takes no deadline of another replica set and none that an old generation had', async () => {
    change(deadline(`${NAME}-${GOOD.slice(0, 8)}`));
    expect((await delivery.observe(never)).trouble).toBeUndefined();
    change({ ...deadline(`${NAME}-${BAD.slice(0, 8)}`), observedGeneration: '3' });
    expect((await delivery.observe(never)).trouble).toBeUndefined();
  });

  it('knows from the replica sets which revision was the newest one when', async () => {
    const at = (minute: number) => Date.parse('2026-11-23T07:00:00Z') + minute * 60_000;
    fake.put(replicaSet(rollout(), { hash: 'older', hashLabel: HASH, revision: OTHER, minute: -60, replicas: 0 }));
    fake.put(replicaSet(rollout(), { hash: 'oldest', hashLabel: HASH, revision: null, minute: -90, replicas: 0 }));
    expect(await delivery.history?.(never)).toEqual([
      { revision: OTHER, from: at(-60), to: at(0), role: 'stable' },
      { revision: GOOD, from: at(0), to: null, role: 'stable' },
      { revision: BAD, from: at(1), to: null, role: 'canary' },
    ]);
    change({ abort: true, abortedAt: new Date(at(9)).toISOString() });
    expect(await delivery.history?.(never)).toContainEqual({ revision: BAD, from: at(1), to: at(9), role: 'canary' });
  });

  it('reads long lists page by page', async () => {
    for (let index = 0; index < 120; index += 1) fake.put(pod(`own-${index}`, HASH, BAD.slice(0, 8), 'looping'));
    pods([], ['ready']);
    expect((await delivery.observe(never)).trouble?.sentence).toContain('120 of 120 pods');
    expect(fake.calls.filter((call) => call === 'list pods')).toHaveLength(3);
  });

  it('says of a check what is missing, and changes nothing', async () => {
    fake.reviews = true;
    fake.denied.add('patch rollouts/status').add('list pods');
    const findings = (await delivery.check?.(never)) ?? [];
    expect(findings.map(({ status, code }) => `${status} ${code}`)).toEqual([
      'ok cluster_allowed',
      'ok cluster_allowed',
      'fail cluster_forbidden',
      'ok cluster_allowed',
      'warn cluster_forbidden',
      'ok cluster_allowed',
      'ok revision_known',
    ]);
    expect(findings[2]?.sentence).toContain(
      'add the rule {apiGroups: ["argoproj.io"], resources: [rollouts/status], verbs: [patch]}',
    );
    expect(fake.calls.filter((call) => !/^(get|list) /.test(call))).toEqual([]);
  });

  it('says of a check that the workload does not tell its revision, or is not there', async () => {
    arrange(fake, { canary: null, stable: null, synced: null, phase: 'unknown' });
    expect(await delivery.check?.(never)).toMatchObject([{ status: 'warn', code: 'revision_unknown' }]);
    fake.objects.clear();
    expect(await delivery.check?.(never)).toMatchObject([{ status: 'fail', code: 'cluster_not_found' }]);
  });
});
