import { readFile, writeFile } from 'node:fs/promises';
import { afterEach, expect, it } from 'vitest';
import type { Rollback } from '../../src/rollback/record.ts';
import { NAME, NAMESPACE, startFakeCluster, type FakeCluster } from '../support/kubernetes-harness.ts';
import { startService } from '../support/running-service.ts';
import { serviceWorld, type ServiceWorld } from '../support/service-world.ts';

const API = 'kargo.akuity.io/v1alpha1';
const PROJECT = 'shop-project';
const ORIGIN = 'Warehouse/shop';
const FILE = 'apps/shop/rollout.yaml';
const STEPS = [{ uses: 'git-push', as: 'push' }];

let world: ServiceWorld;
let cluster: FakeCluster;
let service: Awaited<ReturnType<typeof startService>>;

afterEach(async () => {
  await service.close();
  await cluster.close();
  await world.close();
});

const runs = (revision: string) =>
  cluster.fake.put({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: NAME, namespace: NAMESPACE, generation: 1, annotations: { 'davylamp.io/revision': revision } },
    spec: { replicas: 1, selector: { matchLabels: { app: NAME } }, template: { spec: { containers: [{ image: 'shop' }] } } },
    status: { observedGeneration: 1, replicas: 1, updatedReplicas: 1, availableReplicas: 1 },
  });
const kargo = (kind: string, name: string, parts: object) =>
  cluster.fake.put({ apiVersion: API, kind, metadata: { name, namespace: PROJECT }, ...parts });

/** A shop that Kargo promotes: its Stage has the Freight of the bad commit, and had another one before. */
async function begin(settings: { mode?: string; more?: string; promotePrevious?: boolean } = {}): Promise<void> {
  const { promotePrevious = true, ...others } = settings;
  world = await serviceWorld(others);
  cluster = await startFakeCluster();
  const text = await readFile(world.config, 'utf8');
  const delivery = `{ type: deployment, namespace: ${NAMESPACE}, name: ${NAME}, cluster: west, kargo: { namespace: ${PROJECT}, stage: prod, promotePrevious: ${promotePrevious} } }`;
  const clusters = `clusters:\n  west: { url: ${cluster.far.url}, tokenFile: ./token }\n`;
  await writeFile(world.config, text.replace(/\{ type: http, url: [^}]+\}/, delivery) + clusters);
  runs(world.bad);
  kargo('Stage', 'prod', {
    spec: { promotionTemplate: { spec: { steps: STEPS } } },
    status: {
      freightHistory: [{ items: { [ORIGIN]: { name: 'f-bad' } } }, { items: { [ORIGIN]: { name: 'f-good' } } }],
      lastPromotion: { name: 'prod.1', freight: { name: 'f-bad' } },
    },
  });
  kargo('Promotion', 'prod.1', {
    spec: { stage: 'prod', freight: 'f-bad', steps: STEPS },
    status: { phase: 'Succeeded', state: { push: { commit: world.bad } } },
  });
  kargo('Freight', 'f-good', { status: { verifiedIn: { prod: {} } } });
  service = await startService(world.config);
}

const ask = () => service.call('POST', '/api/v1/rollbacks', { application: 'shop', revision: world.bad, reason: 'errors rose' });
const asked = () => cluster.fake.all('promotions').filter(({ metadata }) => metadata.annotations !== undefined);
const noted = (step: string) =>
  service.until<{ items: Rollback[] }>('/api/v1/rollbacks', ({ items }) =>
    (items[0]?.history ?? []).some((one) => one.step === step),
  );

it('has Kargo promote the Freight before, and follows what Kargo then writes', async () => {
  await begin();
  expect((await ask()).status).toBe(202);
  await noted('freight_promoted');
  expect(asked()).toMatchObject([{ spec: { stage: 'prod', freight: 'f-good', steps: STEPS } }]);
  // Nothing of ours is on the branch: Kargo writes the version before, as it does.
  expect((await world.commits()).map(({ rollback }) => rollback).join('')).toBe('');
  await world.colleague.pull();
  const back = await world.colleague.commit('promote f-good', { [FILE]: 'version: 1.1.0\ncanary:\n  weight: 10\n' });
  await world.colleague.push();
  const pushed = await service.rollback('pushed', 'synced', 'recovered', 'not_recovered');
  expect(pushed).toMatchObject({ revertCommit: back, revertRef: 'refs/heads/main' });
  runs(back);
  expect((await service.rollback('synced', 'recovered', 'not_recovered')).badCommit).toBe(world.bad);
  expect(asked()).toHaveLength(1);
}, 60_000);

it.each<[string, Parameters<typeof begin>[0]]>([
  ['the configuration does not allow it', { promotePrevious: false }],
  ['the application only proposes', { mode: 'propose' }],
  ['a guard would hold the push', { more: '    guards: { approvalPaths: ["apps/**"] }' }],
])(
  'proposes, and asks Kargo for nothing, where %s',
  async (_, settings) => {
    await begin(settings);
    await ask();
    const rollback = await service.rollback('proposed', 'held');
    expect(rollback.history.map(({ step }) => step)).not.toContain('freight_first');
    expect(asked()).toEqual([]);
  },
  60_000,
);

it('proposes where what Kargo runs did not come from the commit', async () => {
  await begin();
  kargo('Promotion', 'prod.1', {
    spec: { stage: 'prod', freight: 'f-bad', steps: STEPS },
    status: { phase: 'Succeeded', state: { push: { commit: 'c'.repeat(40) } } },
  });
  await ask();
  await noted('freight_left');
  expect((await service.rollback('proposed')).mode).toBe('propose');
  expect(asked()).toEqual([]);
}, 60_000);
