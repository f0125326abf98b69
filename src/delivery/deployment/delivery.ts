import { Access, labelsOf, type KubernetesDependencies } from '../kubernetes/access.ts';
import { livenessOf } from '../kubernetes/history.ts';
import { writeNote } from '../kubernetes/note.ts';
import { operatedBy } from '../kubernetes/operated.ts';
import { comparedSets, releasedOf } from '../kubernetes/released.ts';
import { DEPLOYMENTS, Deployment, readObject } from '../kubernetes/resources.ts';
import { ownedBy } from '../kubernetes/revisions.ts';
import { COMMON_NEEDS, examineRights, examineWorkload, objectNeeds } from '../kubernetes/rights.ts';
import { releaseTrouble, stateOf } from '../kubernetes/sides.ts';
import { DEPLOYMENT_HASH_LABEL, deploymentView } from '../kubernetes/workload.ts';
import type { Delivery } from '../port.ts';
import type { DeploymentDelivery } from './schema.ts';

/**
 * A Deployment that Argo CD, Flux or a pipeline applies. There is nothing to abort: a Deployment knows no way back but
 * another template, and that is what the revert in Git brings.
 *
 * All calls throw the codes of {@link Cluster}.
 */
export function createDeploymentDelivery(config: DeploymentDelivery, deps: KubernetesDependencies): Delivery {
  const access = new Access(config, deps);
  const { cluster, timeoutMs } = access;
  const address = access.address(DEPLOYMENTS);

  async function read(signal: AbortSignal) {
    const deployment = await readObject(cluster, address, Deployment, timeoutMs, signal);
    const labels = labelsOf(deployment.spec.selector);
    const sets = await access.replicaSets(labels, signal);
    return { deployment, sets, labels, view: deploymentView(deployment, sets, access.annotation) };
  }

  const operated = operatedBy(config, access, deps, async (signal) => {
    const { deployment, sets, view } = await read(signal);
    const sides = comparedSets(ownedBy(deployment, sets ?? []), DEPLOYMENT_HASH_LABEL, view);
    return releasedOf(deployment, address, { ...sides, template: deployment.spec.template, inSteps: false });
  });

  return {
    type: 'deployment',
    can: { observe: true, abort: false, annotate: true, ...operated.can },

    async observe(signal) {
      const { view, labels } = await read(signal);
      const seen = await operated.look(view.declared, signal);
      return stateOf(view, seen, await releaseTrouble(access, view, labels, DEPLOYMENT_HASH_LABEL, signal));
    },

    async history(signal) {
      const { deployment, sets, view } = await read(signal);
      const own = ownedBy(deployment, sets ?? []);
      const named = (hash: string | null) =>
        own.find(({ metadata }) => hash !== null && metadata.labels?.[DEPLOYMENT_HASH_LABEL] === hash)?.metadata.name ?? null;
      const done = deployment.status?.conditions?.find(({ reason }) => reason === 'NewReplicaSetAvailable');
      const reusedAt = Date.parse(done?.lastUpdateTime ?? '');
      return livenessOf({
        sets: own,
        annotation: access.annotation,
        stable: named(view.stableHash),
        canary: named(view.canaryHash),
        abortedAt: null,
        reusedAt: Number.isFinite(reusedAt) ? reusedAt : null,
      });
    },

    async abort(_order, signal) {
      signal.throwIfAborted();
      return 'not_running';
    },

    annotate: (note, signal) => writeNote(access, DEPLOYMENTS, note, deps.clock, signal),

    sync: operated.sync,
    locate: operated.locate,
    automations: operated.automations,
    banner: operated.banner,
    ...operated.promoting,

    async check(signal) {
      const needs = [...objectNeeds(DEPLOYMENTS, { abort: false, annotate: true }), ...COMMON_NEEDS];
      const rights = await examineRights(cluster, address, needs, timeoutMs, signal);
      return [
        ...rights,
        ...(await operated.check(signal)),
        await examineWorkload(access, async () => (await read(signal)).view.declared, signal),
      ];
    },
  };
}
