import { Access, labelsOf, type KubernetesDependencies } from '../kubernetes/access.ts';
import { livenessOf } from '../kubernetes/history.ts';
import { writeNote } from '../kubernetes/note.ts';
import { operatedBy } from '../kubernetes/operated.ts';
import { comparedImages, comparedSets, releasedOf } from '../kubernetes/released.ts';
import { CANARIES, Canary, DEPLOYMENTS, Deployment, readObject } from '../kubernetes/resources.ts';
import { declaredRevision, ownedBy } from '../kubernetes/revisions.ts';
import { COMMON_NEEDS, examineRights, examineWorkload, objectNeeds } from '../kubernetes/rights.ts';
import { stateOf } from '../kubernetes/sides.ts';
import { troubleOf } from '../kubernetes/trouble.ts';
import { DEPLOYMENT_HASH_LABEL, deploymentView } from '../kubernetes/workload.ts';
import type { Delivery, DeliveryState } from '../port.ts';
import type { FlaggerDelivery } from './schema.ts';

const RUNNING: ReadonlySet<string> = new Set(['Progressing', 'Waiting', 'WaitingPromotion', 'Promoting', 'Finalising']);

/**
 * A Canary of Flagger. The Deployment that it names is what Git declares; Flagger copies it to NAME-primary when it is
 * promoted, so the pod templates of the two tell what is released and what is stable.
 *
 * It aborts by asking davylamp (a webhook of type rollback), not by a call from outside; so there is no abort here.
 * All calls throw the codes of {@link Cluster}.
 */
export function createFlaggerDelivery(config: FlaggerDelivery, deps: KubernetesDependencies): Delivery {
  const access = new Access(config, deps);
  const { cluster, timeoutMs } = access;
  const address = access.address(CANARIES);

  async function read(signal: AbortSignal) {
    const canary = await readObject(cluster, address, Canary, timeoutMs, signal);
    const { kind, name } = canary.spec.targetRef;
    const deployment = (named: string) =>
      access.orNull(() => readObject(cluster, access.address(DEPLOYMENTS, named), Deployment, timeoutMs, signal));
    // A DaemonSet or a Service behind a Canary says nothing of its revision here.
    const [target, primary] =
      kind === 'Deployment' ? await Promise.all([deployment(name), deployment(`${name}-primary`)]) : [null, null];
    const declared = target === null ? null : declaredRevision(target, access.annotation);
    const stable = primary === null ? null : declaredRevision(primary, access.annotation);
    return { object: canary, target, primary, declared, ...sidesOf(canary.status?.phase ?? '', declared, stable) };
  }

  async function troubleIn(
    { target, primary, canary, phase }: Awaited<ReturnType<typeof read>>,
    signal: AbortSignal,
  ): Promise<DeliveryState['trouble']> {
    if (target === null || canary === null || phase !== 'progressing') return null;
    const pods = async (deployment: Deployment | null) =>
      deployment === null ? null : access.pods(labelsOf(deployment.spec.selector), signal);
    const [own, other, sets] = await Promise.all([
      pods(target),
      pods(primary),
      access.replicaSets(labelsOf(target.spec.selector), signal),
    ]);
    const view = deploymentView(target, sets, access.annotation);
    if (view.behind) return null;
    // Pods of the release before are still there while the template changes.
    const hash = view.canaryHash ?? view.stableHash;
    const newest = own?.filter(({ metadata }) => hash === null || metadata.labels?.[DEPLOYMENT_HASH_LABEL] === hash) ?? null;
    return troubleOf(canary, { own: newest, other, deadlineExceeded: view.deadlineExceeded });
  }

  const operated = operatedBy(config, access, deps, async (signal) => {
    const { object, target, primary } = await read(signal);
    if (target === null)
      return releasedOf(object, address, { released: undefined, stable: undefined, template: undefined, inSteps: true });
    const sets = (await access.replicaSets(labelsOf(target.spec.selector), signal)) ?? [];
    const own = ownedBy(target, sets);
    const sides = comparedSets(own, DEPLOYMENT_HASH_LABEL, deploymentView(target, own, access.annotation));
    const template = target.spec.template;
    const released = releasedOf(target, access.address(DEPLOYMENTS), { ...sides, template, inSteps: true });
    // What Flagger has promoted stands in the primary, also while the Deployment itself has no pods.
    return primary === null ? released : { ...released, ...comparedImages(template, primary.spec.template) };
  });

  return {
    type: 'flagger',
    can: { observe: true, abort: false, annotate: true, ...operated.can },

    async observe(signal) {
      const found = await read(signal);
      const seen = await operated.look(found.declared, signal);
      return stateOf(found, seen, await troubleIn(found, signal));
    },

    async history(signal) {
      const { target } = await read(signal);
      if (target === null) return [];
      const own = ownedBy(target, (await access.replicaSets(labelsOf(target.spec.selector), signal)) ?? []);
      const view = deploymentView(target, own, access.annotation);
      const hash = view.canaryHash ?? view.stableHash;
      const newest = own.find(({ metadata }) => hash !== null && metadata.labels?.[DEPLOYMENT_HASH_LABEL] === hash);
      return livenessOf({
        sets: own,
        annotation: access.annotation,
        stable: newest?.metadata.name ?? null,
        canary: null,
        abortedAt: null,
        reusedAt: null,
      });
    },

    async abort(_order, signal) {
      signal.throwIfAborted();
      return 'not_running';
    },

    annotate: (note, signal) => writeNote(access, CANARIES, note, deps.clock, signal),

    sync: operated.sync,
    locate: operated.locate,
    automations: operated.automations,
    banner: operated.banner,
    ...operated.promoting,

    async check(signal) {
      const needs = [
        ...objectNeeds(CANARIES, { abort: false, annotate: true }),
        ...objectNeeds(DEPLOYMENTS, { abort: false, annotate: false }),
        ...COMMON_NEEDS,
      ];
      const rights = await examineRights(cluster, address, needs, timeoutMs, signal);
      return [
        ...rights,
        ...(await operated.check(signal)),
        await examineWorkload(access, async () => (await read(signal)).declared, signal),
      ];
    },
  };
}

/**
 * What is released and what is stable. The phase Failed stays after Git took the bad version back, until the next
 * release, so it counts only while the Deployment still declares something else than the primary.
 */
function sidesOf(
  phase: string,
  declared: string | null,
  stable: string | null,
): Pick<DeliveryState, 'canary' | 'stable' | 'phase'> {
  const differs = declared !== null && stable !== null && declared !== stable;
  if (RUNNING.has(phase)) return { canary: declared === stable ? null : declared, stable, phase: 'progressing' };
  if (phase === 'Failed') {
    if (differs || declared === null || stable === null) return { canary: declared, stable, phase: 'aborted' };
    return { canary: null, stable, phase: 'healthy' };
  }
  // Flagger looks for changes at its interval, so a release begins before its phase says so.
  if (differs) return { canary: declared, stable, phase: 'progressing' };
  const settled = phase === 'Succeeded' || phase === 'Initialized';
  return { canary: null, stable: stable ?? (settled ? declared : null), phase: settled ? 'healthy' : phaseOf(phase) };
}

function phaseOf(phase: string): DeliveryState['phase'] {
  return phase === 'Initializing' || phase === 'Terminating' ? 'progressing' : 'unknown';
}
