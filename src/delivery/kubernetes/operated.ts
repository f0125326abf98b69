import type { Finding } from '../../finding.ts';
import type { Automation, Delivery, DeliveryState, Located } from '../port.ts';
import type { Access, KubernetesDependencies } from './access.ts';
import { argocd } from './argocd.ts';
import { flux } from './flux.ts';
import { kargoStage } from './kargo.ts';
import type { Operator } from './operator.ts';
import { ownerIn } from './reconciled.ts';
import type { Released } from './released.ts';
import { examineRights } from './rights.ts';
import type { Workload } from './schema.ts';
import { labelledBy, trackedBy } from './tracking.ts';

/** What the three deliveries to Kubernetes have from whoever applies the workload. */
export interface Operated {
  can: { sync: boolean; banner?: true };
  /** @param declared what the workload itself declares, which counts where no operator is configured */
  look(declared: string | null, signal: AbortSignal): Promise<Pick<DeliveryState, 'synced' | 'operation'>>;
  sync: Delivery['sync'];
  locate: NonNullable<Delivery['locate']>;
  automations: NonNullable<Delivery['automations']>;
  banner: NonNullable<Delivery['banner']>;
  /** Spread into the delivery: there where the configuration allows it. */
  promoting: Pick<Delivery, 'promotePrevious'>;
  check(signal: AbortSignal): Promise<Finding[]>;
}

/**
 * The configured operators; where there is none, those that the workload itself names are asked where it came from, and
 * nothing is written to them.
 */
export function operatedBy(
  config: Workload,
  access: Access,
  deps: KubernetesDependencies,
  released: (signal: AbortSignal) => Promise<Released>,
): Operated {
  const operators: Operator[] = [];
  if (config.argocd !== undefined) operators.push(argocd(config.argocd, config.argocd.cluster ?? config.cluster, access, deps));
  if (config.flux !== undefined) operators.push(flux(config.flux, config.flux.cluster ?? config.cluster, access, deps));
  const kargo = config.kargo === undefined ? null : kargoStage(config.kargo, config.cluster, access, deps);

  async function named(by: Released, signal: AbortSignal): Promise<Operator[]> {
    if (operators.length > 0) return operators;
    const tracking = config.argocdTracking ?? {};
    const application =
      trackedBy(by, tracking) ?? (await labelledBy(by, tracking, deps.clusters.named(config.cluster), access.timeoutMs, signal));
    if (application !== null) return [argocd(application, config.cluster, access, deps)];
    for (const kind of ['HelmRelease', 'Kustomization'] as const) {
      const owner = ownerIn(by.labels, kind);
      if (owner !== null) return [flux({ kind, ...owner }, config.cluster, access, deps)];
    }
    return [];
  }

  return {
    can: { sync: operators.length > 0, ...(operators.some(({ banner }) => banner !== null) && { banner: true }) },

    async look(declared, signal) {
      if (operators.length === 0) return { synced: declared };
      let operation: DeliveryState['operation'] = null;
      for (const operator of operators) {
        const seen = await access.orNull(() => operator.look(signal));
        operation ??= seen?.operation ?? null;
        if (seen !== null && seen.synced !== null) return { synced: seen.synced, operation };
      }
      return { synced: null, operation };
    },

    async sync({ commit }, signal) {
      signal.throwIfAborted();
      for (const operator of operators) await operator.sync(commit, signal);
    },

    async locate(signal) {
      const found = await released(signal);
      if (found.restarted !== null) return movedTag(found.restarted);
      let first: Located | null = null;
      for (const operator of await named(found, signal)) {
        const located = await access.orNull(() => operator.locate(found, signal));
        if (located !== null && (located.revision !== null || located.notInGit !== null)) return located;
        first ??= located;
      }
      return first ?? { revision: null, how: 'no GitOps operator is known for the workload', notInGit: null, good: [] };
    },

    async automations(signal) {
      const found = operators.length > 0 ? operators : await named(await released(signal), signal);
      const bots: Automation[] = kargo === null ? [] : [kargo.automation];
      for (const operator of found) bots.push(...((await access.orNull(() => operator.automations(signal))) ?? []));
      return bots;
    },

    async banner(notice, signal) {
      signal.throwIfAborted();
      // Only a notice: without the right to leave one, everything else still happens.
      for (const { banner } of operators) if (banner !== null) await access.orNull(() => banner(notice, signal));
    },

    promoting:
      kargo !== null && config.kargo?.promotePrevious === true
        ? { promotePrevious: (order, signal) => kargo.promotePrevious(order, signal) }
        : {},

    async check(signal) {
      const findings: Finding[] = [];
      const isAllowed = config.kargo?.promotePrevious === true;
      for (const { rights } of [...operators, ...(kargo !== null && isAllowed ? [kargo] : [])]) {
        const { cluster, namespace, needs } = rights;
        findings.push(...(await examineRights(cluster, { namespace }, needs, access.timeoutMs, signal)));
      }
      return findings;
    },
  };
}

/** Started anew by hand with the same image as before: if that is bad, what its tag names was pushed again. */
function movedTag(image: string): Located {
  const sentence = `the workload was restarted by hand with the image ${image.slice(0, 300)} as before, so nothing in Git made this release; if it is bad, push the good image to that tag again, or name a digest in Git`;
  return { revision: null, how: 'pod templates of the two sides', notInGit: { code: 'mutable_tag', sentence }, good: [] };
}
