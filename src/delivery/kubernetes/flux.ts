import { CodedError } from '../../errors.ts';
import type { Automation, Located } from '../port.ts';
import { callReceiver } from '../receiver/receiver.ts';
import type { Access, KubernetesDependencies } from './access.ts';
import { listedBots } from './bots.ts';
import type { ObjectAddress } from './cluster.ts';
import type { Operator } from './operator.ts';
import type { ResourceKind } from './problem.ts';
import { appliedBy, locatedByHelmRelease, locatedByKustomization, ownerIn, reconcilingOf } from './reconciled.ts';
import type { Released } from './released.ts';
import { maybeSameRepository, shownRepository } from './remote.ts';
import {
  FluxObject,
  GIT_REPOSITORIES,
  HELM_RELEASES,
  IMAGE_UPDATE_AUTOMATIONS,
  ImageUpdateAutomation,
  KUSTOMIZATIONS,
  checked,
  readObject,
} from './resources.ts';
import { commitIn } from './revisions.ts';
import { need, type Need } from './rights.ts';
import type { Flux } from './schema.ts';

const FLUX_KINDS: Readonly<Record<Flux['kind'], ResourceKind>> = {
  Kustomization: KUSTOMIZATIONS,
  HelmRelease: HELM_RELEASES,
  GitRepository: GIT_REPOSITORIES,
};
/** Since Flux 2.7 the version is v1. */
const OLDER_AUTOMATIONS: ResourceKind = { ...IMAGE_UPDATE_AUTOMATIONS, version: 'v1beta2' };

/**
 * Flux: a new value of `reconcile.fluxcd.io/requestedAt` makes a controller reconcile at once. A Kustomization applies
 * what its source has fetched, so the source is asked first.
 */
export function flux(config: Flux, clusterName: string | undefined, access: Access, deps: KubernetesDependencies): Operator {
  const { kind, namespace, name, receiver } = config;
  const cluster = deps.clusters.named(clusterName);
  const { timeoutMs } = access;
  const address = { resource: FLUX_KINDS[kind], namespace, name };

  const read = (from: ObjectAddress, signal: AbortSignal) => readObject(cluster, from, FluxObject, timeoutMs, signal);
  const request = async (to: ObjectAddress, signal: AbortSignal) => {
    const at = new Date(deps.clock.now()).toISOString();
    const body = { metadata: { annotations: { 'reconcile.fluxcd.io/requestedAt': at } } };
    await cluster.patch(to, { body, subresource: null }, timeoutMs, signal);
  };

  async function byKustomization(
    place: { namespace: string; name: string },
    { inSteps }: Released,
    signal: AbortSignal,
  ): Promise<Located> {
    const object = await read({ resource: KUSTOMIZATIONS, ...place }, signal);
    const shown = `Kustomization ${place.namespace}/${place.name}`;
    const located = locatedByKustomization(object, shown, inSteps);
    const source = object.spec?.sourceRef;
    const { repository = null } = deps;
    if (repository === null || source?.kind !== 'GitRepository') return located;
    const from = { resource: GIT_REPOSITORIES, namespace: source.namespace ?? place.namespace, name: source.name };
    const url = (await access.orNull(() => read(from, signal)))?.spec?.url;
    if (url === undefined || maybeSameRepository(url, repository)) return located;
    const sentence = `${shown} deploys from ${shownRepository(url)}, and this application is configured with another repository; revert there, or configure that repository`;
    return { revision: null, how: located.how, notInGit: { code: 'other_repository', sentence }, good: [] };
  }

  async function byHelmRelease(released: Released, signal: AbortSignal): Promise<Located> {
    const object = await read(address, signal);
    const owner = ownerIn(object.metadata.labels, 'Kustomization');
    const declared = owner === null ? null : await access.orNull(() => byKustomization(owner, released, signal));
    return locatedByHelmRelease(object, `HelmRelease ${namespace}/${name}`, declared);
  }

  async function locate(released: Released, signal: AbortSignal): Promise<Located> {
    if (kind === 'Kustomization') return byKustomization({ namespace, name }, released, signal);
    if (kind === 'HelmRelease') return byHelmRelease(released, signal);
    // A source says what was fetched; who has applied it says what was applied.
    const owner = ownerIn(released.labels, 'Kustomization');
    const located = owner === null ? null : await access.orNull(() => byKustomization(owner, released, signal));
    const how = `Flux GitRepository ${namespace}/${name}, which does not say what was applied`;
    return located ?? { revision: null, how, notInGit: null, good: [] };
  }

  return {
    banner: null,
    locate,
    rights: { cluster, namespace, needs: needsOf(address.resource, receiver === undefined) },
    async look(signal) {
      // A source says what was fetched, which is not what was applied.
      if (kind === 'GitRepository') return { synced: null };
      const object = await read(address, signal);
      const { status } = object;
      const isReady = status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') === true;
      const synced = kind === 'Kustomization' ? appliedBy(object) : commitIn(isReady ? status?.lastAttemptedRevision : undefined);
      return { synced, operation: reconcilingOf(object) };
    },
    async sync(commit, signal) {
      if (receiver !== undefined) {
        if (deps.hooks === undefined) throw new CodedError('adapter_not_available', 'this process can call no Receiver of Flux');
        await callReceiver(receiver, commit, deps.hooks, signal);
        return;
      }
      if (kind !== 'GitRepository') {
        const { spec } = await read(address, signal);
        const reference = spec?.sourceRef ?? spec?.chart?.spec.sourceRef;
        if (reference?.kind === 'GitRepository') {
          const { name: sourceName, namespace: sourceNamespace = namespace } = reference;
          await request({ resource: GIT_REPOSITORIES, namespace: sourceNamespace, name: sourceName }, signal);
        }
      }
      await request(address, signal);
    },
    async automations(signal) {
      const newer = await listedBots(access, cluster, IMAGE_UPDATE_AUTOMATIONS, namespace, signal);
      const items = newer.length > 0 ? newer : await listedBots(access, cluster, OLDER_AUTOMATIONS, namespace, signal);
      return items.flatMap((item): Automation[] => {
        const { metadata, spec } = checked(cluster, IMAGE_UPDATE_AUTOMATIONS, 'list', item, ImageUpdateAutomation);
        if (spec?.suspend === true) return [];
        const named = `ImageUpdateAutomation ${namespace}/${metadata.name}`;
        return [{ type: 'flux-image-automation', name: named, pastGit: false }];
      });
    },
  };
}

/** @param asks whether Flux is asked by annotations, which takes the right to write them */
function needsOf(resource: ResourceKind, asks: boolean): Need[] {
  const isSource = resource === GIT_REPOSITORIES;
  return [
    ...(isSource ? [] : [need('get', resource, 'what was applied, and from which commit, is not known')]),
    ...(isSource || !asks ? [] : [need('patch', resource, 'Flux is not asked to reconcile')]),
    need('get', GIT_REPOSITORIES, 'a Kustomization of another repository is not told from one of this'),
    ...(asks ? [need('patch', GIT_REPOSITORIES, 'the source is not fetched before its own interval')] : []),
    need('list', IMAGE_UPDATE_AUTOMATIONS, 'the image automation of Flux is not seen'),
  ];
}
