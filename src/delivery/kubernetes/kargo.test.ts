import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KubernetesObject } from '../../../test/support/fake-kubernetes.ts';
import { NAME, NAMESPACE, startFakeCluster, workload, type FakeCluster } from '../../../test/support/kubernetes-harness.ts';
import { createDeploymentDelivery } from '../deployment/delivery.ts';
import type { Delivery } from '../port.ts';

const BAD = 'b'.repeat(40);
const OTHER = 'c'.repeat(40);
const API = 'kargo.akuity.io/v1alpha1';
const PROJECT = 'shop-project';
const ORIGIN = 'Warehouse/shop';
const FREIGHT = { bad: '9b'.repeat(20), good: '1a'.repeat(20), older: '07'.repeat(20), failed: '4f'.repeat(20) };
const STEPS = [
  { uses: 'git-clone', config: { repoURL: 'https://git.example/shop/deploy', checkout: [{ path: './src' }] } },
  { uses: 'git-push', as: 'push', config: { path: './src' } },
];
const never = new AbortController().signal;
const order = { commit: BAD, rollback: 'rb-1' };

/** Objects as Kargo 1.8 leaves them (api/v1alpha1, charts/kargo/resources/crds). */
describe('a Stage of Kargo', () => {
  let cluster: FakeCluster;
  beforeEach(async () => {
    cluster = await startFakeCluster();
    stage();
    for (const [freight, verifiedIn] of [
      [FREIGHT.bad, { test: {}, prod: {} }],
      [FREIGHT.good, { test: {}, prod: { verifiedAt: '2026-11-22T08:00:00Z' } }],
      [FREIGHT.older, { test: {}, prod: {} }],
      [FREIGHT.failed, { test: {} }],
    ] as const) {
      put('Freight', freight, { status: { verifiedIn } });
    }
    promotion('prod.01j0000000000000000000000a.9b9b9b9', FREIGHT.bad, {
      state: { 'step-1': {}, push: { branch: 'main', commit: BAD } },
    });
  });
  afterEach(() => cluster.close());

  const put = (kind: string, name: string, parts: object): KubernetesObject => {
    const { metadata, ...rest } = parts as { metadata?: object };
    return cluster.fake.put({ apiVersion: API, kind, metadata: { name, namespace: PROJECT, ...metadata }, ...rest });
  };
  const promotion = (name: string, freight: string, status: object, metadata: object = {}) =>
    put('Promotion', name, {
      metadata: { labels: { 'kargo.akuity.io/stage': 'prod' }, ...metadata },
      spec: { stage: 'prod', freight, steps: STEPS },
      status: { phase: 'Succeeded', ...status },
    });
  const selection = (freight: string, parts: object = {}) => ({
    id: `of-${freight.slice(0, 4)}`,
    items: { [ORIGIN]: { name: freight, origin: { kind: 'Warehouse', name: 'shop' }, images: [{ tag: '1' }] } },
    verificationHistory: [{ id: 'v', phase: 'Successful' }],
    ...parts,
  });
  function stage(status: object = {}, spec: object = {}): void {
    put('Stage', 'prod', {
      spec: { vars: [{ name: 'env', value: 'prod' }], promotionTemplate: { spec: { steps: STEPS } }, ...spec },
      status: {
        freightHistory: [selection(FREIGHT.bad), selection(FREIGHT.good), selection(FREIGHT.older)],
        lastPromotion: { name: 'prod.01j0000000000000000000000a.9b9b9b9', freight: { name: FREIGHT.bad } },
        ...status,
      },
    });
  }
  const delivery = (kargo: object = { promotePrevious: true }): Delivery =>
    createDeploymentDelivery(
      { type: 'deployment', ...workload, kargo: { namespace: PROJECT, stage: 'prod', ...kargo } },
      cluster.deps,
    );
  const asked = () => cluster.fake.all('promotions').filter(({ metadata }) => metadata.annotations?.['davylamp.io/rollback']);
  const ask = () => {
    const asking = delivery().promotePrevious?.(order, never);
    if (asking === undefined) throw new Error('nothing to ask');
    return asking;
  };

  it('is only told of, and never asked, unless the configuration says so', async () => {
    put('Stage', 'prod', {});
    cluster.fake.put({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: NAME, namespace: NAMESPACE },
      spec: { selector: {}, template: { spec: { containers: [{ image: 'shop:2' }] } } },
    });
    for (const kargo of [{}, { promotePrevious: false }]) {
      expect(delivery(kargo).promotePrevious).toBeUndefined();
      expect(await delivery(kargo).automations?.(never)).toEqual([
        { type: 'kargo', name: `Kargo stage ${PROJECT}/prod`, pastGit: false },
      ]);
    }
  });

  it('promotes the Freight again that it had verified before, by its own steps and a name that sorts last', async () => {
    expect(await ask()).toMatchObject({ outcome: 'promoted', sentence: expect.stringContaining(FREIGHT.good) });
    const [made] = asked();
    expect(asked()).toHaveLength(1);
    expect(made).toMatchObject({
      apiVersion: API,
      kind: 'Promotion',
      metadata: { namespace: PROJECT, annotations: { 'davylamp.io/rollback': 'rb-1', 'davylamp.io/bad-commit': BAD } },
      spec: { stage: 'prod', freight: FREIGHT.good, vars: [{ name: 'env', value: 'prod' }], steps: STEPS },
    });
    // A ULID of 2026 sorts behind one of 2024.
    expect(made?.metadata.name).toMatch(/^prod\.01[0-9a-hjkmnp-tv-z]{24}\.1a1a1a1$/);
    expect((made?.metadata.name ?? '') > 'prod.01j0000000000000000000000a.9b9b9b9').toBe(true);
  });

  it.each([
    ['Pending', 'already'],
    ['Running', 'already'],
    ['Succeeded', 'already'],
    ['Failed', 'failed'],
    ['Errored', 'failed'],
    ['Aborted', 'failed'],
  ])('is asked once for a rollback: one that is %s is %s', async (phase, outcome) => {
    // Kargo names Promotions anew, so the name says nothing of whose they are.
    promotion('prod.01k0.1a1a1a1', FREIGHT.good, { phase }, { annotations: { 'davylamp.io/rollback': 'rb-1' } });
    expect((await ask()).outcome).toBe(outcome);
    expect(asked()).toHaveLength(1);
  });

  it('knows the commit by what its health checks expect, or by the Freight itself', async () => {
    const config = { apps: [{ name: 'shop', namespace: 'argocd', desiredRevisions: [BAD] }] };
    promotion('prod.01j0000000000000000000000a.9b9b9b9', FREIGHT.bad, { healthChecks: [{ uses: 'argocd-update', config }] });
    expect((await ask()).outcome).toBe('promoted');
    const commits = { [ORIGIN]: { name: FREIGHT.bad, commits: [{ repoURL: 'x', id: BAD }] } };
    cluster.fake.objects.clear();
    put('Freight', FREIGHT.good, { status: { verifiedIn: { prod: {} } } });
    stage({ freightHistory: [{ ...selection(FREIGHT.bad), items: commits }, selection(FREIGHT.good)], lastPromotion: null });
    expect((await ask()).outcome).toBe('promoted');
  });

  it.each<[string, () => void]>([
    [
      'another commit came from it',
      () => promotion('prod.01j0000000000000000000000a.9b9b9b9', FREIGHT.bad, { state: { push: { commit: OTHER } } }),
    ],
    [
      'its last promotion failed',
      () =>
        promotion('prod.01j0000000000000000000000a.9b9b9b9', FREIGHT.bad, { phase: 'Failed', state: { push: { commit: BAD } } }),
    ],
    ['it is in the middle of another', () => stage({ currentPromotion: { name: 'prod.01k', freight: { name: FREIGHT.older } } })],
    ['another Freight is there by now', () => stage({ freightHistory: [selection(FREIGHT.older), selection(FREIGHT.bad)] })],
    ['nothing was there before', () => stage({ freightHistory: [selection(FREIGHT.bad)] })],
    [
      'what was there before was never verified',
      () => stage({ freightHistory: [selection(FREIGHT.bad), selection(FREIGHT.failed)] }),
    ],
    [
      'its verification failed there',
      () =>
        stage({
          freightHistory: [selection(FREIGHT.bad), selection(FREIGHT.good, { verificationHistory: [{ phase: 'Failed' }] })],
        }),
    ],
    [
      'what was there before came from another place',
      () => stage({ freightHistory: [selection(FREIGHT.bad), { items: { 'Warehouse/x': { name: FREIGHT.good } } }] }),
    ],
    ['it has no steps', () => stage({}, { promotionTemplate: null })],
    ['it is new', () => put('Stage', 'prod', { spec: {}, status: {} })],
  ])('is not asked when %s', async (_, arrange) => {
    arrange();
    expect((await ask()).outcome).toBe('not_current');
    expect(asked()).toEqual([]);
  });

  it('passes over a Freight that failed, to the one before', async () => {
    stage({
      freightHistory: [selection(FREIGHT.bad), selection(FREIGHT.failed), selection(FREIGHT.bad), selection(FREIGHT.older)],
    });
    expect((await ask()).outcome).toBe('promoted');
    expect(asked()).toMatchObject([{ spec: { freight: FREIGHT.older } }]);
  });

  it('says which right is missing, also the one that Kargo asks for by itself', async () => {
    cluster.fake.denied.add('create promotions').add('promote stages');
    await expect(ask()).rejects.toMatchObject({ code: 'cluster_forbidden', retryable: false });
    cluster.fake.reviews = true;
    const missing = (await delivery().check?.(never))?.filter(({ status }) => status === 'warn').map(({ sentence }) => sentence);
    expect(missing?.join('\n')).toMatch(/create promotions in shop-project[^]*promote stages in shop-project/);
    expect(await delivery({}).check?.(never)).not.toContainEqual(
      expect.objectContaining({ sentence: expect.stringContaining('promotions') }),
    );
  });
});
