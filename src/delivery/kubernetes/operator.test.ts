import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NAMESPACE, startFakeCluster, workload, type FakeCluster } from '../../../test/support/kubernetes-harness.ts';
import { createDeploymentDelivery } from '../deployment/delivery.ts';
import type { Delivery } from '../port.ts';

const DECLARED = 'd'.repeat(40);
const SYNCED = 'e'.repeat(40);
const never = new AbortController().signal;
const order = { commit: SYNCED, rollback: 'r-1' };

describe('operators', () => {
  let cluster: FakeCluster;
  beforeEach(async () => {
    cluster = await startFakeCluster();
    cluster.fake.put({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: workload.name, namespace: NAMESPACE, generation: 1 },
      spec: { selector: {}, template: { metadata: { annotations: { 'davylamp.io/revision': DECLARED } } } },
    });
  });
  afterEach(() => cluster.close());
  const open = (operators: object): Delivery =>
    createDeploymentDelivery({ type: 'deployment', ...workload, ...operators }, cluster.deps);
  const synced = async (operators: object) => (await open(operators).observe(never)).synced;
  const put = (apiVersion: string, kind: string, plural: string, parts: object) =>
    cluster.fake.put({ apiVersion, kind, metadata: { name: 'shop', namespace: 'ops' }, ...parts }, plural);
  const annotations = (apiVersion: string, plural: string) =>
    cluster.fake.get(apiVersion, plural, 'ops', 'shop')?.metadata.annotations;

  it('are not needed: without one, what the workload declares is what was applied', async () => {
    expect(await synced({})).toBe(DECLARED);
    expect(open({}).can.sync).toBe(false);
  });

  const argocd = { argocd: { namespace: 'ops', application: 'shop' } };
  const application = (status: object) => put('argoproj.io/v1alpha1', 'Application', 'applications', { status });

  it.each([
    ['is Synced', { sync: { status: 'Synced', revision: SYNCED } }, argocd, SYNCED],
    [
      'was synced before',
      { sync: { status: 'OutOfSync', revision: 'f'.repeat(40) }, history: [{ revision: SYNCED }] },
      argocd,
      SYNCED,
    ],
    [
      'has several sources',
      { sync: { status: 'Synced', revisions: ['1.2.3', SYNCED] } },
      { argocd: { ...argocd.argocd, source: 1 } },
      SYNCED,
    ],
    ['has a chart and no commit', { sync: { status: 'Synced', revision: '1.2.3' } }, argocd, null],
    ['is new', {}, argocd, null],
  ])('of Argo CD say what they have applied when the Application %s', async (_when, status, operators, expected) => {
    application(status);
    expect(await synced(operators)).toBe(expected);
  });

  it('of Argo CD are asked to refresh, and to nothing else', async () => {
    application({ sync: { status: 'Synced', revision: SYNCED } });
    const delivery = open(argocd);
    expect(delivery.can.sync).toBe(true);
    await delivery.sync(order, never);
    await delivery.sync(order, never);
    const stored = cluster.fake.get('argoproj.io/v1alpha1', 'applications', 'ops', 'shop');
    expect(stored?.metadata.annotations).toEqual({ 'argocd.argoproj.io/refresh': 'normal' });
    expect(stored?.spec).toBeUndefined();
  });

  const KUSTOMIZE = 'kustomize.toolkit.fluxcd.io/v1';
  const HELM = 'helm.toolkit.fluxcd.io/v2';
  const SOURCE = 'source.toolkit.fluxcd.io/v1';
  const ready = [{ type: 'Ready', status: 'True' }];
  const requested = { 'reconcile.fluxcd.io/requestedAt': '2026-11-23T08:00:00.000Z' };
  const flux = (kind: string) => ({ flux: { kind, namespace: 'ops', name: 'shop' } });

  it('of Flux say what a Kustomization has applied, and fetch its source before they reconcile it', async () => {
    put(KUSTOMIZE, 'Kustomization', 'kustomizations', {
      spec: { sourceRef: { kind: 'GitRepository', name: 'shop' } },
      status: { lastAppliedRevision: `main@sha1:${SYNCED}`, lastAttemptedRevision: `main@sha1:${'f'.repeat(40)}` },
    });
    put(SOURCE, 'GitRepository', 'gitrepositories', {});
    expect(await synced(flux('Kustomization'))).toBe(SYNCED);
    cluster.fake.calls.length = 0;
    await open(flux('Kustomization')).sync(order, never);
    expect(cluster.fake.calls).toEqual(['get kustomizations', 'patch gitrepositories', 'patch kustomizations']);
    expect([annotations(SOURCE, 'gitrepositories'), annotations(KUSTOMIZE, 'kustomizations')]).toEqual([requested, requested]);
  });

  it.each([
    [`0.1.0+${SYNCED.slice(0, 12)}`, ready, SYNCED.slice(0, 12)],
    [`0.1.0+${SYNCED.slice(0, 12)}`, [], null],
    ['0.1.0', ready, null],
  ])('of Flux take the commit out of the version %s of a HelmRelease', async (lastAttemptedRevision, conditions, expected) => {
    put(HELM, 'HelmRelease', 'helmreleases', { status: { lastAttemptedRevision, conditions } });
    expect(await synced(flux('HelmRelease'))).toBe(expected);
  });

  it('of Flux can be a source alone, which says what was fetched and not what was applied', async () => {
    put(SOURCE, 'GitRepository', 'gitrepositories', { status: { artifact: { revision: `main@sha1:${SYNCED}` } } });
    expect(await synced(flux('GitRepository'))).toBeNull();
    await open(flux('GitRepository')).sync(order, never);
    expect(annotations(SOURCE, 'gitrepositories')).toEqual(requested);
  });

  it('that may not be read leave the rest of the observation whole; asking them to sync fails', async () => {
    application({ sync: { status: 'Synced', revision: SYNCED } });
    cluster.fake.denied.add('get applications').add('patch applications');
    expect(await synced(argocd)).toBeNull();
    expect(cluster.reported.map(({ code }) => code)).toEqual(['cluster_forbidden']);
    await expect(open(argocd).sync(order, never)).rejects.toMatchObject({ code: 'cluster_forbidden' });
  });
});
