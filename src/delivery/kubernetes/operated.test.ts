import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  NAME,
  NAMESPACE,
  replicaSet,
  startFakeCluster,
  workload,
  type FakeCluster,
} from '../../../test/support/kubernetes-harness.ts';
import type { KubernetesObject } from '../../../test/support/fake-kubernetes.ts';
import { startFaultServer } from '../../../test/support/fault-server.ts';
import { createHttpClient } from '../../net/client.ts';
import { createArgoRolloutsDelivery } from '../argo-rollouts/delivery.ts';
import { createDeploymentDelivery } from '../deployment/delivery.ts';
import { createFlaggerDelivery } from '../flagger/delivery.ts';
import type { Delivery } from '../port.ts';

const GOOD = 'a'.repeat(40);
const BAD = 'b'.repeat(40);
const never = new AbortController().signal;
const ARGOCD = 'argoproj.io/v1alpha1';
const KUSTOMIZE = 'kustomize.toolkit.fluxcd.io/v1';
const argocd = { argocd: { namespace: 'argocd', application: NAME } };
const flux = { flux: { kind: 'Kustomization', namespace: 'ops', name: 'shop' } } as const;
const order = { commit: GOOD, rollback: 'r-1' };
/** As long before the clock of the fake cluster. */
const ago = (minutes: number) => new Date(Date.parse('2026-11-23T08:00:00Z') - minutes * 60_000).toISOString();

describe('who applies a workload', () => {
  let cluster: FakeCluster;
  beforeEach(async () => {
    cluster = await startFakeCluster();
  });
  afterEach(() => cluster.close());

  const rollouts = (operators: object, repository?: string): Delivery =>
    createArgoRolloutsDelivery(
      { type: 'argo-rollouts', ...workload, ...operators },
      { ...cluster.deps, ...(repository !== undefined && { repository }) },
    );
  const put = (apiVersion: string, kind: string, namespace: string, name: string, parts: object, plural?: string) => {
    const { metadata, ...rest } = parts as { metadata?: object };
    return cluster.fake.put({ apiVersion, kind, metadata: { name, namespace, ...metadata }, ...rest }, plural);
  };
  const template = (image: string, annotations: object = {}) => ({
    metadata: { annotations },
    spec: { containers: [{ image }] },
  });
  /** A Rollout that is in the middle of a release from shop:1 to `image`. */
  function rollout(image: string, metadata: object = {}, annotations: object = {}): KubernetesObject {
    const made = put(ARGOCD, 'Rollout', NAMESPACE, NAME, {
      metadata,
      spec: { selector: { matchLabels: { app: NAME } }, template: template(image, annotations) },
      status: { phase: 'Paused', stableRS: 'old', currentPodHash: 'new' },
    });
    for (const [hash, minute, parts] of [
      ['old', 0, template('shop:1')],
      ['new', 30, template(image, annotations)],
    ] as const) {
      const set = replicaSet(made, { hash, hashLabel: 'rollouts-pod-template-hash', revision: null, minute });
      cluster.fake.put({ ...set, spec: { ...set.spec, template: parts } });
    }
    return made;
  }
  const application = (parts: object, namespace = 'argocd', name = NAME) =>
    put(ARGOCD, 'Application', namespace, name, { spec: { source: { repoURL: 'https://git.example/shop/deploy' } }, ...parts });
  const stored = () => cluster.fake.get(ARGOCD, 'applications', 'argocd', NAME) as KubernetesObject & { operation?: unknown };
  const entry = (revision: string, minutes: number, source?: object) => ({
    revision,
    deployStartedAt: ago(minutes),
    ...(source !== undefined && { source }),
  });

  it('is asked where it took the release from', async () => {
    rollout('shop:2');
    application({ status: { history: [entry(GOOD, 60), entry(BAD, 31), entry('c'.repeat(40), 5)] } });
    expect(await rollouts(argocd).locate?.(never)).toMatchObject({ revision: BAD, notInGit: null, good: [{ revision: GOOD }] });
  });

  it('takes the newest sync when an old replica set came back, which is older than its release', async () => {
    rollout('shop:2');
    const set = cluster.fake.get('apps/v1', 'replicasets', NAMESPACE, `${NAME}-new`);
    if (set === undefined) throw new Error('the replica set is gone');
    set.metadata.annotations = { 'rollout.argoproj.io/revision-history': '2' };
    application({ status: { history: [entry(GOOD, 60), entry(BAD, 5)] } });
    expect((await rollouts(argocd).locate?.(never))?.revision).toBe(BAD);
  });

  it.each([
    ['argocd', NAME],
    ['team-a', `team-a_${NAME}`],
  ])('is found by the tracking-id of the workload, in namespace %s', async (namespace, app) => {
    const id = `${app}:argoproj.io/Rollout:${NAMESPACE}/${NAME}`;
    rollout('shop:2', { annotations: { 'argocd.argoproj.io/tracking-id': id } });
    application({ status: { history: [entry(BAD, 31)] } }, namespace);
    const delivery = rollouts({});
    expect((await delivery.locate?.(never))?.revision).toBe(BAD);
    // What the configuration does not name is read, and never written to.
    expect(delivery.can).toEqual({ observe: true, abort: true, annotate: true, promote: true, sync: false });
    await delivery.sync(order, never);
    await delivery.banner?.({ content: 'x', severity: 'info', url: null }, never);
    expect(cluster.fake.calls.filter((call) => /patch|create/.test(call))).toEqual([]);
  });

  it.each([`${NAME}:argoproj.io/Rollout:${NAMESPACE}/other`, `${NAME}:apps/Deployment:${NAMESPACE}/${NAME}`, 'x', '../a:b:c'])(
    'is not found by the tracking-id %s, which does not name the workload',
    async (id) => {
      rollout('shop:2', { annotations: { 'argocd.argoproj.io/tracking-id': id } });
      application({ status: { history: [entry(BAD, 31)] } });
      expect(await rollouts({}).locate?.(never)).toMatchObject({ revision: null, notInGit: null });
    },
  );

  const mine = { group: 'argoproj.io', kind: 'Rollout', namespace: NAMESPACE, name: NAME };

  it.each<[string, object, string, object]>([
    ['the label of Argo CD', { 'app.kubernetes.io/instance': NAME }, 'argocd', {}],
    ['the label with a namespace', { 'app.kubernetes.io/instance': `team-a_${NAME}` }, 'team-a', {}],
    ['a label key of its own', { 'ci.example/app': NAME }, 'argocd', { argocdTracking: { labelKey: 'ci.example/app' } }],
    [
      'the label, with Argo CD in another namespace',
      { 'app.kubernetes.io/instance': NAME },
      'gitops',
      { argocdTracking: { namespace: 'gitops' } },
    ],
  ])('is found by %s, where it tracks by label alone', async (_, labels, namespace, config) => {
    rollout('shop:2', { labels });
    application({ status: { resources: [mine], history: [entry(BAD, 31)] } }, namespace);
    const delivery = rollouts(config);
    expect((await delivery.locate?.(never))?.revision).toBe(BAD);
    expect(delivery.can.sync).toBe(false);
  });

  it('is not believed by a label that Helm wrote, or that was copied with an annotation', async () => {
    const labels = { 'app.kubernetes.io/instance': NAME };
    application({ status: { resources: [{ ...mine, name: 'other' }], history: [entry(BAD, 31)] } });
    rollout('shop:2', { labels });
    expect((await rollouts({}).locate?.(never))?.revision).toBeNull();
    application({ status: { resources: [mine], history: [entry(BAD, 31)] } });
    const copied = { 'argocd.argoproj.io/tracking-id': `${NAME}:argoproj.io/Rollout:${NAMESPACE}/other` };
    rollout('shop:2', { labels, annotations: copied });
    expect((await rollouts({}).locate?.(never))?.revision).toBeNull();
  });

  it('complains of nothing where a label names no Application, or where none may be read', async () => {
    rollout('shop:2', { labels: { 'app.kubernetes.io/instance': NAME } });
    expect((await rollouts({}).locate?.(never))?.revision).toBeNull();
    application({ status: { resources: [mine], history: [entry(BAD, 31)] } });
    cluster.fake.denied.add('get applications');
    expect((await rollouts({}).locate?.(never))?.revision).toBeNull();
    expect(cluster.reported).toEqual([]);
  });

  it('is found by the labels that Flux leaves on the workload', async () => {
    const owner = 'kustomize.toolkit.fluxcd.io';
    put('apps/v1', 'Deployment', NAMESPACE, NAME, {
      metadata: { labels: { [`${owner}/name`]: 'shop', [`${owner}/namespace`]: 'ops' } },
      spec: { selector: {}, template: template('shop:2') },
    });
    put(KUSTOMIZE, 'Kustomization', 'ops', 'shop', { status: { lastAppliedRevision: `main@sha1:${BAD}` } });
    const delivery = createDeploymentDelivery({ type: 'deployment', ...workload }, cluster.deps);
    expect((await delivery.locate?.(never))?.revision).toBe(BAD);
  });

  it('is asked for the Deployment of a Canary, too', async () => {
    put(
      'flagger.app/v1beta1',
      'Canary',
      NAMESPACE,
      NAME,
      { spec: { targetRef: { kind: 'Deployment', name: NAME } } },
      'canaries',
    );
    for (const [name, image] of [
      [NAME, 'shop:2'],
      [`${NAME}-primary`, 'shop:1'],
    ] as const) {
      put('apps/v1', 'Deployment', NAMESPACE, name, { spec: { selector: {}, template: template(image) } });
    }
    const source = { repoURL: 'https://git.example/shop/deploy', kustomize: { images: ['shop:2'] } };
    application({ status: { history: [entry(BAD, 31, source)] } });
    const delivery = createFlaggerDelivery({ type: 'flagger', ...workload, ...argocd }, cluster.deps);
    expect((await delivery.locate?.(never))?.notInGit?.code).toBe('parameter_override');
  });

  it('names the override of the image that changed, and none of one that did not', async () => {
    rollout('shop:2');
    const source = (image: string) => ({ repoURL: 'https://git.example/shop/deploy', kustomize: { images: [image] } });
    application({ status: { history: [entry(BAD, 31, source('shop:2'))] } });
    expect((await rollouts(argocd).locate?.(never))?.notInGit?.code).toBe('parameter_override');
    application({ status: { history: [entry(BAD, 31, source('shop:1'))] } });
    expect((await rollouts(argocd).locate?.(never))?.notInGit).toBeNull();
  });

  it('did not make what was restarted by hand with the same image', async () => {
    rollout('shop:1', {}, { 'kubectl.kubernetes.io/restartedAt': ago(30) });
    application({ status: { history: [entry(BAD, 60)] } });
    expect(await rollouts(argocd).locate?.(never)).toMatchObject({ revision: null, notInGit: { code: 'mutable_tag' } });
    const set = cluster.fake.get('apps/v1', 'replicasets', NAMESPACE, `${NAME}-new`);
    const parts = set?.spec?.['template'] as { spec: object } | undefined;
    if (parts === undefined) throw new Error('the replica set is gone');
    // Something else has changed as well, which may have come from Git.
    Object.assign(parts.spec, { priorityClassName: 'high' });
    expect(await rollouts(argocd).locate?.(never)).toMatchObject({ revision: BAD, notInGit: null });
  });

  it('deploys from another repository than the application is configured with', async () => {
    rollout('shop:2');
    application({ status: { history: [entry(BAD, 31)] } });
    expect((await rollouts(argocd, 'https://git.example/shop/other').locate?.(never))?.notInGit?.code).toBe('other_repository');
    put(KUSTOMIZE, 'Kustomization', 'ops', 'shop', {
      spec: { sourceRef: { kind: 'GitRepository', name: 'deploy' } },
      status: { lastAppliedRevision: `main@sha1:${BAD}` },
    });
    const url = { spec: { url: 'ssh://git@git.example/shop/deploy' } };
    put('source.toolkit.fluxcd.io/v1', 'GitRepository', 'ops', 'deploy', url, 'gitrepositories');
    expect((await rollouts(flux, 'https://git.example/shop/other').locate?.(never))?.notInGit?.code).toBe('other_repository');
    expect((await rollouts(flux, 'https://git.example/shop/deploy').locate?.(never))?.revision).toBe(BAD);
  });

  it('that may not be read leaves it open where the release came from, and says so once', async () => {
    rollout('shop:2');
    cluster.fake.denied.add('get applications');
    for (let time = 0; time < 2; time += 1) {
      expect(await rollouts(argocd).locate?.(never)).toMatchObject({ revision: null, notInGit: null });
    }
    expect(new Set(cluster.reported.map(({ code }) => code))).toEqual(new Set(['cluster_forbidden']));
  });

  it('says that it is in the middle of a sync', async () => {
    rollout('shop:2');
    application({ status: { operationState: { phase: 'Running', startedAt: ago(2), operation: { sync: { revision: BAD } } } } });
    expect((await rollouts(argocd).observe(never)).operation).toEqual({ revision: BAD, since: Date.parse(ago(2)) });
    application({ status: { operationState: { phase: 'Succeeded', startedAt: ago(2) } } });
    expect('operation' in (await rollouts(argocd).observe(never))).toBe(false);
  });

  it('shows the bots that write versions', async () => {
    rollout('shop:2');
    application({ metadata: { annotations: { 'kargo.akuity.io/authorized-stage': 'shop:prod' } } });
    const updater = (name: string, namePattern: string, method: string) =>
      put('argocd-image-updater.argoproj.io/v1alpha1', 'ImageUpdater', 'argocd', name, {
        spec: { writeBackConfig: { method }, applicationRefs: [{ namePattern }] },
      });
    updater('one', 'recom*', 'argocd');
    updater('two', '*mender', 'git');
    updater('three', 'search-?', 'argocd');
    expect((await rollouts(argocd).automations?.(never))?.map(({ name, pastGit }) => [name, pastGit])).toEqual([
      [`Kargo stage shop:prod of Application argocd/${NAME}`, false],
      ['ImageUpdater argocd/one', true],
      ['ImageUpdater argocd/two', false],
    ]);
    const automation = (name: string, spec: object, version = 'v1') =>
      put(`image.toolkit.fluxcd.io/${version}`, 'ImageUpdateAutomation', 'ops', name, { spec });
    automation('paused', { suspend: true });
    automation('all', {});
    expect(await rollouts(flux).automations?.(never)).toEqual([
      { type: 'flux-image-automation', name: 'ImageUpdateAutomation ops/all', pastGit: false },
    ]);
  });

  it('shows no bots where their kinds are not installed, and says once where it may not look', async () => {
    rollout('shop:2');
    cluster.fake.absent.add('imageupdateautomations');
    expect(await rollouts(flux).automations?.(never)).toEqual([]);
    expect(cluster.reported).toEqual([]);
    cluster.fake.absent.clear();
    cluster.fake.denied.add('list imageupdateautomations');
    const delivery = rollouts(flux);
    for (let time = 0; time < 2; time += 1) expect(await delivery.automations?.(never)).toEqual([]);
    expect(cluster.reported.filter(({ message }) => message.includes('[imageupdateautomations]'))).toHaveLength(1);
  });

  it('says on its page what happened, and takes it away', async () => {
    application({ metadata: { annotations: { theirs: 'stays' } } });
    const delivery = rollouts(argocd);
    expect(delivery.can.banner).toBe(true);
    const notice = { content: 'x'.repeat(600), severity: 'warning', url: 'https://davylamp.example/r-1' } as const;
    await delivery.banner?.(notice, never);
    expect(stored().metadata.annotations).toEqual({
      theirs: 'stays',
      'notice.argocd.argoproj.io/content': 'x'.repeat(500),
      'notice.argocd.argoproj.io/severity': 'warning',
      'notice.argocd.argoproj.io/url': 'https://davylamp.example/r-1',
    });
    await delivery.banner?.(null, never);
    await delivery.banner?.(null, never);
    expect(stored().metadata.annotations).toEqual({ theirs: 'stays' });
    expect(rollouts(flux).can.banner).toBeUndefined();
  });

  it('goes on without a banner where it may not leave one', async () => {
    cluster.fake.denied.add('patch applications');
    await rollouts(argocd).banner?.({ content: 'x', severity: 'critical', url: null }, never);
    expect(cluster.reported.map(({ code }) => code)).toEqual(['cluster_forbidden']);
  });

  const running = (revision: string, minutes: number) => ({
    operationState: { phase: 'Running', startedAt: ago(minutes), operation: { sync: { revision } } },
  });
  const syncing = { argocd: { ...argocd.argocd, sync: true } };

  it('begins a sync to the revert where nothing else would, and only once', async () => {
    application({});
    const delivery = rollouts(syncing);
    await delivery.sync(order, never);
    await delivery.sync(order, never);
    expect(stored().operation).toEqual({ initiatedBy: { username: 'davylamp' }, sync: { revision: GOOD } });
    expect(cluster.far.requests.filter(({ body }) => body.includes('"operation"'))).toHaveLength(1);
    expect(stored().metadata.annotations).toEqual({ 'argocd.argoproj.io/refresh': 'normal' });
  });

  it.each<[string, object, object]>([
    ['it was not configured to', argocd, {}],
    ['the Application syncs by itself', syncing, { spec: { syncPolicy: { automated: {} } } }],
    [
      'the revert is applied',
      syncing,
      { status: { sync: { status: 'Synced', revision: GOOD }, operationState: { phase: 'Succeeded' } } },
    ],
    ['a sync to the revert runs', syncing, { status: running(GOOD, 5) }],
    ['its manifests are hydrated first', syncing, { spec: { sourceHydrator: {} } }],
  ])('begins no sync when %s', async (_when, operators, parts) => {
    application(parts);
    await rollouts(operators).sync(order, never);
    expect(stored().operation).toBeUndefined();
    expect(stored().metadata.annotations).toMatchObject({ 'argocd.argoproj.io/refresh': 'normal' });
  });

  it('waits with its own sync until another one is over', async () => {
    application({ status: running(BAD, 5) });
    await expect(rollouts(syncing).sync(order, never)).rejects.toMatchObject({ code: 'cluster_conflict', retryable: true });
  });

  it('asks for hydration, too, where the manifests are hydrated', async () => {
    application({ spec: { sourceHydrator: {} } });
    await rollouts(argocd).sync(order, never);
    expect(stored().metadata.annotations).toEqual({
      'argocd.argoproj.io/refresh': 'normal',
      'argocd.argoproj.io/hydrate': 'normal',
    });
  });

  it.each([
    ['another revision for longer than that', BAD, 11, 'Terminating'],
    ['another revision, not as long yet', BAD, 9, 'Running'],
    ['the revert', GOOD, 60, 'Running'],
  ])('ends a stuck sync of %s', async (_what, revision, minutes, phase) => {
    application({ spec: { syncPolicy: { automated: {} } }, status: running(revision, minutes) });
    await rollouts({ argocd: { ...argocd.argocd, terminateStuck: '10m' } }).sync(order, never);
    expect(stored().status?.['operationState']).toMatchObject({ phase });
    application({ status: running(revision, minutes) });
    await rollouts(argocd).sync(order, never);
    expect(stored().status?.['operationState']).toMatchObject({ phase: 'Running' });
  });

  it('is asked by a Receiver in place of an annotation, without a right to write', async () => {
    const receiver = await startFaultServer();
    const http = createHttpClient();
    try {
      receiver.on('*', { kind: 'answer', status: 200 });
      cluster.fake.reviews = true;
      cluster.fake.denied.add('patch kustomizations').add('patch gitrepositories');
      put(KUSTOMIZE, 'Kustomization', 'ops', 'shop', {
        spec: { sourceRef: { kind: 'GitRepository', name: 'deploy' } },
        status: { lastAppliedRevision: `main@sha1:${GOOD}` },
      });
      const delivery = createArgoRolloutsDelivery(
        { type: 'argo-rollouts', ...workload, flux: { ...flux.flux, receiver: { urlFile: 'hook' } } },
        { ...cluster.deps, hooks: { http, readSecret: () => Promise.resolve(`${receiver.url}/hook/0a1b`) } },
      );
      expect(delivery.can.sync).toBe(true);
      await delivery.sync(order, never);
      expect(receiver.requests).toMatchObject([{ method: 'POST', path: '/hook/0a1b', body: JSON.stringify({ commit: GOOD }) }]);
      expect(cluster.fake.calls.filter((call) => /patch|create/.test(call))).toEqual([]);
      const missing = (await delivery.check?.(never))?.filter(({ sentence }) => /kustomizations|gitrepositories/.test(sentence));
      expect(missing?.map(({ status }) => status)).toEqual(['ok', 'ok']);
    } finally {
      await http.close();
      await receiver.close();
    }
  });

  it('says of a check which rights over the operator are missing, and what is lost', async () => {
    rollout('shop:2');
    cluster.fake.reviews = true;
    cluster.fake.denied.add('list imageupdaters');
    const findings = (await rollouts(argocd).check?.(never)) ?? [];
    const found = findings.filter(({ sentence }) => /applications|imageupdaters/.test(sentence));
    expect(found.map(({ status }) => status)).toEqual(['ok', 'ok', 'warn']);
    expect(found[2]?.sentence).toContain('without it objects of Argo CD Image Updater are not seen');
  });
});
