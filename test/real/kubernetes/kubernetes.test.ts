import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { KubernetesDependencies } from '../../../src/delivery/kubernetes/access.ts';
import { createArgoRolloutsDelivery } from '../../../src/delivery/argo-rollouts/delivery.ts';
import { createDeploymentDelivery } from '../../../src/delivery/deployment/delivery.ts';
import { createFlaggerDelivery } from '../../../src/delivery/flagger/delivery.ts';
import { createClusters } from '../../../src/delivery/kubernetes/clusters.ts';
import type { Delivery } from '../../../src/delivery/port.ts';
import { createHttpClient, type HttpClient } from '../../../src/net/client.ts';
import { documents, startKubelite, until, type Kubelite } from './kubelite.ts';

/** The deliveries on a real API server, with the rights of the role that is shipped and with no others. */
const BAD = 'b'.repeat(40);
const GOOD = 'a'.repeat(40);
const NAMESPACE = 'shop';
const ROLLOUT = `/apis/argoproj.io/v1alpha1/namespaces/${NAMESPACE}/rollouts/recommender`;
const never = new AbortController().signal;
const order = { revision: BAD, rollback: 'r-1', reason: 'errors: 12 % against 1 %' };
const note = { revision: BAD, rollback: 'r-1', values: { reason: order.reason, 'revert-commit': GOOD } };

interface Stored {
  metadata: { uid: string; resourceVersion: string; generation: number; annotations?: Record<string, string> };
  spec: unknown;
  status?: { abort?: boolean };
}

let kubelite: Kubelite;
let http: HttpClient;
let reported: string[];

beforeAll(async () => {
  kubelite = await startKubelite();
  const access = fileURLToPath(new URL('../../../deploy/kubernetes/application-access/', import.meta.url));
  await kubelite.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  for (const file of ['role.yaml', 'rolebinding.yaml']) {
    for (const object of (await documents(access + file)) as { metadata: object }[]) {
      await kubelite.create({ ...object, metadata: { ...object.metadata, namespace: NAMESPACE } });
    }
  }
});
afterAll(() => kubelite.close());
beforeEach(() => {
  http = createHttpClient();
  reported = [];
  return () => http.close();
});

function deps(user: 'admin' | 'service' | 'nobody' = 'service'): KubernetesDependencies {
  const clusters = createClusters(
    {
      file: { kubeconfigFile: kubelite.kubeconfig(user) },
      url: { url: kubelite.server, caFile: `${kubelite.folder}/certs/apiserver.crt`, tokenFile: `${kubelite.folder}/token` },
    },
    {
      http,
      folder: kubelite.folder,
      readSecret: (file) => (file.endsWith('/token') ? Promise.resolve(`test-${user}`) : readFile(file, 'utf8')),
    },
  );
  return { clusters, clock: { now: () => Date.now() }, report: ({ message }) => reported.push(message) };
}

const rollouts = (user?: 'admin' | 'nobody', cluster = 'file'): Delivery =>
  createArgoRolloutsDelivery({ type: 'argo-rollouts', namespace: NAMESPACE, name: 'recommender', cluster }, deps(user));
const stored = async (path = ROLLOUT) => (await kubelite.call('GET', path)) as Stored;
const template = (revision: string, labels: object = {}) => ({
  metadata: { labels: { app: 'recommender', ...labels }, annotations: { 'davylamp.io/revision': revision } },
  spec: { containers: [{ name: 'shop', image: 'shop:1' }] },
});
function replicaSet(
  owner: { uid: string; apiVersion: string; kind: string; name: string },
  hash: string,
  labels: object,
  revision: string,
) {
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: `${owner.name}-${hash}`,
      namespace: NAMESPACE,
      labels: { app: owner.name, ...labels },
      ownerReferences: [{ ...owner, controller: true }],
    },
    spec: { replicas: 1, selector: { matchLabels: { app: owner.name, ...labels } }, template: template(revision, labels) },
  };
}
const events = async () => {
  const { items } = (await kubelite.call('GET', `/api/v1/namespaces/${NAMESPACE}/events`)) as {
    items: { reason: string; involvedObject: { kind: string } }[];
  };
  return items.filter(({ reason }) => reason === 'DavylampRollback').map(({ involvedObject }) => involvedObject.kind);
};

describe('argo-rollouts on a real API server, with the role that is shipped', () => {
  beforeEach(async () => {
    await kubelite.create({
      apiVersion: 'argoproj.io/v1alpha1',
      kind: 'Rollout',
      metadata: { name: 'recommender', namespace: NAMESPACE },
      spec: { replicas: 2, selector: { matchLabels: { app: 'recommender' } }, template: template(BAD) },
    });
    const { uid } = (await stored()).metadata;
    const owner = { apiVersion: 'argoproj.io/v1alpha1', kind: 'Rollout', name: 'recommender', uid };
    await kubelite.create(
      replicaSet(owner, 'good', { 'rollouts-pod-template-hash': 'good' }, GOOD),
      replicaSet(owner, 'bad', { 'rollouts-pod-template-hash': 'bad' }, BAD),
    );
    await kubelite.call('PATCH', `${ROLLOUT}/status`, {
      status: { phase: 'Paused', stableRS: 'good', currentPodHash: 'bad', observedGeneration: '1' },
    });
    return async () => {
      await kubelite.call('DELETE', ROLLOUT);
      for (const hash of ['good', 'bad'])
        await kubelite.call('DELETE', `/apis/apps/v1/namespaces/${NAMESPACE}/replicasets/recommender-${hash}`);
    };
  });

  it.each(['file', 'url'])('observes and aborts, and only once, by a cluster of kind %s', async (cluster) => {
    const delivery = rollouts(undefined, cluster);
    expect(await delivery.observe(never)).toEqual({ canary: BAD, stable: GOOD, synced: BAD, phase: 'progressing' });
    expect([await delivery.abort(order, never), await delivery.abort(order, never)]).toEqual(['aborted', 'already']);
    const after = await stored();
    expect([after.status?.abort, after.metadata.generation]).toEqual([true, 1]);
    expect(await delivery.observe(never)).toMatchObject({ canary: BAD, phase: 'aborted' });
    expect(reported).toEqual([]);
  });

  it('skips the steps of exactly what is released', async () => {
    const delivery = rollouts();
    expect(await delivery.promote?.({ revision: GOOD, rollback: 'r-1' }, never)).toBe('not_running');
    expect(await delivery.promote?.({ revision: BAD, rollback: 'r-1' }, never)).toBe('promoted');
    const after = (await stored()) as Stored & { status?: { promoteFull?: boolean } };
    expect([after.status?.promoteFull, after.metadata.generation]).toEqual([true, 1]);
  });

  it('aborts nothing that was completed or replaced', async () => {
    await kubelite.call('PATCH', `${ROLLOUT}/status`, { status: { stableRS: 'bad', phase: 'Healthy' } });
    expect(await rollouts().abort(order, never)).toBe('not_running');
    await kubelite.call('PATCH', `${ROLLOUT}/status`, { status: { stableRS: 'good' } });
    await kubelite.call('PATCH', ROLLOUT, { spec: { template: template('c'.repeat(40)) } });
    expect(await rollouts().abort(order, never)).toBe('not_running');
    expect((await stored()).status?.abort).toBeUndefined();
  });

  it('bears a controller that writes all the time', async () => {
    let on = true;
    const busy = (async () => {
      for (let round = 0; on; round += 1)
        await kubelite.call('PATCH', `${ROLLOUT}/status`, { status: { message: `round ${round}` } });
    })();
    try {
      const delivery = rollouts();
      const outcome = await until(() => delivery.abort(order, never));
      expect(['aborted', 'already']).toContain(outcome);
    } finally {
      on = false;
      await busy;
    }
    expect((await stored()).status?.abort).toBe(true);
  });

  it('annotates without a new generation, and leaves one Event', async () => {
    const delivery = rollouts();
    const before = (await events()).length;
    await delivery.annotate(note, never);
    await delivery.annotate(note, never);
    const { metadata } = await stored();
    expect(metadata.annotations).toEqual({ 'davylamp.io/reason': order.reason, 'davylamp.io/revert-commit': GOOD });
    expect(metadata.generation).toBe(1);
    expect((await events()).length - before).toBe(1);
    await delivery.annotate({ ...note, values: { reason: null, 'revert-commit': null } }, never);
    expect((await stored()).metadata.annotations).toBeUndefined();
  });

  it('knows when each revision lived', async () => {
    const history = (await rollouts().history?.(never)) ?? [];
    expect(history.map(({ revision, role, to }) => [revision, role, to])).toContainEqual([BAD, 'canary', null]);
  });

  it('names the rule that an account without rights lacks', async () => {
    await expect(rollouts('nobody').observe(never)).rejects.toMatchObject({
      code: 'cluster_forbidden',
      message: expect.stringContaining('{apiGroups: ["argoproj.io"], resources: [rollouts], verbs: [get]}') as string,
    });
  });

  it('tells objects that are not there', async () => {
    const absent = createArgoRolloutsDelivery(
      { type: 'argo-rollouts', namespace: NAMESPACE, name: 'absent', cluster: 'file' },
      deps(),
    );
    await expect(absent.observe(never)).rejects.toMatchObject({ code: 'cluster_not_found' });
    await expect(absent.abort(order, never)).rejects.toMatchObject({ code: 'cluster_not_found' });
  });
});

describe('Argo CD and Flux on a real API server, with the role that is shipped', () => {
  const OPERATORS = 'operators';
  const open = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  /** A kind with the scope and the endpoints that its project gives it: an Application has none for its status. */
  const kind = (group: string, version: string, name: string, plural: string, subresources?: object) => ({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind: name, listKind: `${name}List`, plural, singular: name.toLowerCase() },
      versions: [
        { name: version, served: true, storage: true, schema: { openAPIV3Schema: open }, ...(subresources && { subresources }) },
      ],
    },
  });
  const application = `/apis/argoproj.io/v1alpha1/namespaces/${OPERATORS}/applications/recommender`;
  const since = '2026-11-23T07:00:00Z';
  const delivery = (operators: object): Delivery =>
    createArgoRolloutsDelivery(
      { type: 'argo-rollouts', namespace: NAMESPACE, name: 'operated', cluster: 'file', ...operators },
      deps(),
    );
  const argocd = { namespace: OPERATORS, application: 'recommender' };

  beforeAll(async () => {
    await kubelite.create(
      kind('argoproj.io', 'v1alpha1', 'Application', 'applications'),
      kind('kustomize.toolkit.fluxcd.io', 'v1', 'Kustomization', 'kustomizations', { status: {} }),
      kind('image.toolkit.fluxcd.io', 'v1', 'ImageUpdateAutomation', 'imageupdateautomations', { status: {} }),
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: OPERATORS } },
    );
    for (const path of ['argoproj.io/v1alpha1/applications', 'kustomize.toolkit.fluxcd.io/v1/kustomizations']) {
      await until(() => kubelite.call('GET', `/apis/${path}`));
    }
    await until(() => kubelite.call('GET', '/apis/image.toolkit.fluxcd.io/v1/imageupdateautomations'));
    const access = fileURLToPath(new URL('../../../deploy/kubernetes/operator-access/', import.meta.url));
    for (const file of ['role.yaml', 'rolebinding.yaml']) {
      for (const object of (await documents(access + file)) as { metadata: object }[]) {
        await kubelite.create({ ...object, metadata: { ...object.metadata, namespace: OPERATORS } });
      }
    }
    await kubelite.create(
      {
        apiVersion: 'argoproj.io/v1alpha1',
        kind: 'Rollout',
        metadata: { name: 'operated', namespace: NAMESPACE },
        spec: { replicas: 1, selector: { matchLabels: { app: 'operated' } }, template: template(BAD) },
      },
      {
        apiVersion: 'argoproj.io/v1alpha1',
        kind: 'Application',
        metadata: { name: 'recommender', namespace: OPERATORS, annotations: { 'kargo.akuity.io/authorized-stage': 'shop:prod' } },
        spec: { source: { repoURL: 'https://git.example/shop/deploy' } },
        status: {
          history: [
            { revision: GOOD, deployStartedAt: '2026-11-23T05:00:00Z' },
            { revision: BAD, deployStartedAt: '2026-11-23T06:00:00Z' },
          ],
        },
      },
      {
        apiVersion: 'kustomize.toolkit.fluxcd.io/v1',
        kind: 'Kustomization',
        metadata: { name: 'shop', namespace: OPERATORS },
        spec: { sourceRef: { kind: 'OCIRepository', name: 'shop' } },
      },
      {
        apiVersion: 'image.toolkit.fluxcd.io/v1',
        kind: 'ImageUpdateAutomation',
        metadata: { name: 'all', namespace: OPERATORS },
        spec: { interval: '1m' },
      },
    );
  });

  it('asks an Application which commit made the release, leaves a banner there, and takes it away', async () => {
    const asked = delivery({ argocd });
    expect(await asked.locate?.(never)).toMatchObject({ revision: BAD, notInGit: null, good: [{ revision: GOOD }] });
    expect(await asked.automations?.(never)).toMatchObject([{ type: 'kargo' }]);
    await asked.banner?.({ content: 'rolled back', severity: 'warning', url: null }, never);
    const notices = async () =>
      Object.keys((await stored(application)).metadata.annotations ?? {}).filter((key) => key.startsWith('notice.'));
    expect(await notices()).toEqual(['notice.argocd.argoproj.io/content', 'notice.argocd.argoproj.io/severity']);
    await asked.banner?.(null, never);
    expect(await notices()).toEqual([]);
    expect(reported).toEqual([]);
  });

  it('begins a sync of an Application, and ends one that is stuck, on the one endpoint that it has', async () => {
    const asked = delivery({ argocd: { ...argocd, sync: true, terminateStuck: '10m' } });
    await asked.sync({ commit: GOOD, rollback: 'r-1' }, never);
    await asked.sync({ commit: GOOD, rollback: 'r-1' }, never);
    const read = async () =>
      (await kubelite.call('GET', application)) as { operation?: unknown; status: { operationState: object } };
    expect((await read()).operation).toEqual({ initiatedBy: { username: 'davylamp' }, sync: { revision: GOOD } });
    const running = { phase: 'Running', startedAt: since, operation: { sync: { revision: BAD } } };
    await kubelite.call('PATCH', application, { operation: null, status: { operationState: running } });
    expect((await asked.observe(never)).operation).toEqual({ revision: BAD, since: Date.parse(since) });
    await expect(asked.sync({ commit: GOOD, rollback: 'r-1' }, never)).rejects.toMatchObject({ retryable: true });
    expect((await read()).status.operationState).toMatchObject({ phase: 'Terminating' });
  });

  it('asks Flux which commit an artifact was made from, and who writes versions', async () => {
    const path = `/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/${OPERATORS}/kustomizations/shop`;
    const status = { lastAppliedRevision: `latest@sha256:${'e'.repeat(64)}`, lastAppliedOriginRevision: `main@sha1:${BAD}` };
    await kubelite.call('PATCH', `${path}/status`, { status });
    const asked = delivery({ flux: { kind: 'Kustomization', namespace: OPERATORS, name: 'shop' } });
    expect(await asked.locate?.(never)).toMatchObject({ revision: BAD, notInGit: null });
    expect(await asked.automations?.(never)).toMatchObject([{ name: `ImageUpdateAutomation ${OPERATORS}/all` }]);
    expect(reported).toEqual([]);
  });
});

describe('deployment and flagger on a real API server, with the role that is shipped', () => {
  const path = (name: string) => `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/${name}`;
  const deployment = (name: string, revision: string, annotations: object = {}) => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: NAMESPACE, annotations },
    spec: { replicas: 1, selector: { matchLabels: { app: name } }, template: template(revision) },
  });
  const ready = (name: string) =>
    until(async () => {
      const { status } = (await kubelite.call('GET', path(name))) as { status?: { observedGeneration?: number } };
      if (status?.observedGeneration === undefined) throw new Error('the controller has not seen it');
    });

  it('observes a Deployment that is available, and one that missed its deadline', async () => {
    await kubelite.create(deployment('fine', GOOD), deployment('stuck', BAD, { 'testbed/never-ready': 'true' }));
    await Promise.all([ready('fine'), ready('stuck')]);
    const open = (name: string) =>
      createDeploymentDelivery({ type: 'deployment', namespace: NAMESPACE, name, cluster: 'file' }, deps());
    expect(await open('fine').observe(never)).toEqual({ canary: null, stable: GOOD, synced: GOOD, phase: 'healthy' });
    expect(await open('stuck').observe(never)).toMatchObject({
      canary: BAD,
      phase: 'degraded',
      trouble: { revision: BAD, code: 'progress_deadline_exceeded' },
    });
    await open('stuck').annotate(note, never);
    const { metadata } = await stored(path('stuck'));
    expect([metadata.annotations?.['davylamp.io/revert-commit'], metadata.generation]).toEqual([GOOD, 1]);
  });

  it('observes and annotates a Canary', async () => {
    await kubelite.create(
      {
        apiVersion: 'flagger.app/v1beta1',
        kind: 'Canary',
        metadata: { name: 'cart', namespace: NAMESPACE },
        spec: { targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'cart' } },
      },
      deployment('cart', BAD),
      deployment('cart-primary', GOOD),
    );
    const canary = `/apis/flagger.app/v1beta1/namespaces/${NAMESPACE}/canaries/cart`;
    await kubelite.call('PATCH', `${canary}/status`, { status: { phase: 'Progressing', canaryWeight: 10 } });
    const delivery = createFlaggerDelivery({ type: 'flagger', namespace: NAMESPACE, name: 'cart', cluster: 'file' }, deps());
    expect(await delivery.observe(never)).toEqual({ canary: BAD, stable: GOOD, synced: BAD, phase: 'progressing' });
    await delivery.annotate(note, never);
    expect((await stored(canary)).metadata.annotations).toMatchObject({ 'davylamp.io/revert-commit': GOOD });
    expect(await events()).toContain('Canary');
    expect(reported).toEqual([]);
  });
});
