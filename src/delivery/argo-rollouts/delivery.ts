import { sameCommit } from '../../analysis/revision.ts';
import { CodedError, codeOf } from '../../errors.ts';
import { Access, labelsOf, type KubernetesDependencies } from '../kubernetes/access.ts';
import { livenessOf } from '../kubernetes/history.ts';
import { writeNote } from '../kubernetes/note.ts';
import { operatedBy } from '../kubernetes/operated.ts';
import { comparedSets, releasedOf } from '../kubernetes/released.ts';
import { ROLLOUTS, Rollout, checked, readObject, type ReplicaSet } from '../kubernetes/resources.ts';
import { ownedBy } from '../kubernetes/revisions.ts';
import { COMMON_NEEDS, examineRights, examineWorkload, objectNeeds } from '../kubernetes/rights.ts';
import { releaseTrouble, stateOf } from '../kubernetes/sides.ts';
import { ROLLOUT_HASH_LABEL, rolloutView, type WorkloadView } from '../kubernetes/workload.ts';
import type { Delivery } from '../port.ts';
import type { ArgoRolloutsDelivery } from './schema.ts';

const MAX_TRIES = 8;

interface Reading {
  rollout: Rollout;
  sets: ReplicaSet[] | null;
  labels: string;
  view: WorkloadView;
}

/**
 * A Rollout of Argo Rollouts. The abort is the one of its command line tool: `status.abort`, through the status endpoint
 * (the main endpoint answers 200 to it and does nothing), and only while the object is as it was read. `status.promoteFull`
 * is set the same way. Nothing else of the Rollout is ever changed but annotations.
 *
 * All calls throw the codes of {@link Cluster}.
 */
export function createArgoRolloutsDelivery(config: ArgoRolloutsDelivery, deps: KubernetesDependencies): Delivery {
  const access = new Access(config, deps);
  const { cluster, timeoutMs } = access;
  const address = access.address(ROLLOUTS);

  async function read(signal: AbortSignal): Promise<Reading> {
    const rollout = await readObject(cluster, address, Rollout, timeoutMs, signal);
    // With workloadRef the selector stands in another object, and a copy of it in the status.
    const labels = labelsOf(rollout.spec.selector) || (rollout.status?.selector ?? '');
    const sets = await access.replicaSets(labels, signal);
    return { rollout, sets, labels, view: rolloutView(rollout, sets, access.annotation) };
  }

  /**
   * The Rollout anew. While it runs the same two replica sets, those that were read before are good: what one was made
   * from never changes. So nothing lies between reading and patching, and a controller that writes often is in the way
   * less often.
   */
  async function readAgain(before: Reading, signal: AbortSignal): Promise<Reading> {
    const rollout = await readObject(cluster, address, Rollout, timeoutMs, signal);
    const sides = ({ status }: Rollout) => `${status?.stableRS ?? ''} ${status?.currentPodHash ?? ''}`;
    if (sides(rollout) !== sides(before.rollout)) return read(signal);
    return { ...before, rollout, view: rolloutView(rollout, before.sets, access.annotation) };
  }

  const operated = operatedBy(config, access, deps, async (signal) => {
    const { rollout, sets, view } = await read(signal);
    const sides = comparedSets(ownedBy(rollout, sets ?? []), ROLLOUT_HASH_LABEL, view);
    return releasedOf(rollout, address, { ...sides, template: rollout.spec.template, inSteps: true });
  });

  /**
   * Sets one field of the status, only while exactly this revision is what is released.
   * @param said what the Rollout says already; null where the field is to be set
   */
  async function order<T>(
    revision: string,
    field: 'abort' | 'promoteFull',
    said: (rollout: Rollout) => T | null,
    signal: AbortSignal,
  ): Promise<T | 'not_running' | 'set'> {
    let reading = await read(signal);
    for (let attempt = 1; attempt <= MAX_TRIES; attempt += 1) {
      if (attempt > 1) reading = await readAgain(reading, signal);
      const { rollout, view } = reading;
      if (view.canary === null || !sameCommit(view.canary, revision)) return 'not_running';
      if (view.behind) throw unseen(cluster.name);
      if (!view.releasing) return 'not_running';
      const answered = said(rollout);
      if (answered !== null) return answered;
      const body = { metadata: { resourceVersion: rollout.metadata.resourceVersion }, status: { [field]: true } };
      try {
        const answer = await cluster.patch(address, { body, subresource: 'status' }, timeoutMs, signal);
        if (checked(cluster, ROLLOUTS, 'patch', answer, Rollout).status?.[field] === true) return 'set';
      } catch (error) {
        if (codeOf(error) !== 'cluster_conflict') throw error;
      }
    }
    throw new CodedError('cluster_conflict', `the Rollout was changed at each of ${MAX_TRIES} tries to set its status`, {
      retryable: true,
      details: { cluster: cluster.name },
    });
  }

  return {
    type: 'argo-rollouts',
    can: { observe: true, abort: true, annotate: true, promote: true, ...operated.can },

    async observe(signal) {
      const { view, labels } = await read(signal);
      const seen = await operated.look(view.declared, signal);
      return stateOf(view, seen, await releaseTrouble(access, view, labels, ROLLOUT_HASH_LABEL, signal));
    },

    async history(signal) {
      const { rollout, sets, view } = await read(signal);
      const own = ownedBy(rollout, sets ?? []);
      const named = (hash: string | null) =>
        own.find(({ metadata }) => hash !== null && metadata.labels?.[ROLLOUT_HASH_LABEL] === hash)?.metadata.name ?? null;
      const completed = rollout.status?.conditions?.find(({ type, status }) => type === 'Completed' && status === 'True');
      return livenessOf({
        sets: own,
        annotation: access.annotation,
        stable: named(view.stableHash),
        canary: named(view.canaryHash),
        abortedAt: timeOf(rollout.status?.abortedAt),
        reusedAt: timeOf(completed?.lastTransitionTime),
      });
    },

    async abort({ revision }, signal) {
      const said = ({ status }: Rollout) => (status?.abort === true ? ('already' as const) : null);
      const answer = await order(revision, 'abort', said, signal);
      return answer === 'set' ? 'aborted' : answer;
    },

    async promote({ revision }, signal) {
      const said = ({ status }: Rollout) => {
        // An aborted release is promoted by nobody but a person.
        if (status?.abort === true) return 'not_running' as const;
        return status?.promoteFull === true ? ('promoted' as const) : null;
      };
      const answer = await order(revision, 'promoteFull', said, signal);
      return answer === 'set' ? 'promoted' : answer;
    },

    annotate: (note, signal) => writeNote(access, ROLLOUTS, note, deps.clock, signal),

    sync: operated.sync,
    locate: operated.locate,
    automations: operated.automations,
    banner: operated.banner,
    ...operated.promoting,

    async check(signal) {
      const needs = [...objectNeeds(ROLLOUTS, { abort: true, annotate: true }), ...COMMON_NEEDS];
      const rights = await examineRights(cluster, address, needs, timeoutMs, signal);
      const look = async () => (await read(signal)).view.declared;
      return [...rights, ...(await operated.check(signal)), await examineWorkload(access, look, signal)];
    },
  };
}

function timeOf(text: string | null | undefined): number | null {
  const at = Date.parse(text ?? '');
  return Number.isFinite(at) ? at : null;
}

/** What is set now would be undone when the controller sees the new template (it resets the status). */
function unseen(cluster: string): CodedError {
  return new CodedError(
    'cluster_conflict',
    'the controller of the Rollout has not seen its newest template; this waits until it has',
    { retryable: true, details: { cluster } },
  );
}
