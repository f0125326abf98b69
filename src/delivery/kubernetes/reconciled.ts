import { sameCommit } from '../../analysis/revision.ts';
import type { DeliveryState, Located } from '../port.ts';
import type { FluxObject } from './resources.ts';
import { commitIn } from './revisions.ts';

/**
 * What objects of Flux say about where the workload came from. Pure.
 *
 * A Kustomization applies a revision (`lastAttemptedRevision`), waits until it is healthy, and only then calls it
 * `lastAppliedRevision`; what came out of an OCI artifact names the commit as `lastAppliedOriginRevision`
 * (kustomize-controller, api/v1/kustomization_types.go).
 */

/** Reasons of a Ready condition that is False although the revision was applied. */
const APPLIED_REASONS: ReadonlySet<string> = new Set(['HealthCheckFailed', 'PruneFailed']);
const BEFORE_APPLYING = /^(fetching|building|detecting|resolving)/i;
const EXACT_VERSION = /^v?\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?$/;
const SUCCEEDED = 'ReconciliationSucceeded';
const MAX_SHOWN = 200;

/** Labels that Flux leaves on what it applies. */
const OWNER = {
  Kustomization: 'kustomize.toolkit.fluxcd.io',
  HelmRelease: 'helm.toolkit.fluxcd.io',
} as const;
const OBJECT_NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/** The object of this kind that has applied something, by the labels that it left there; null without them. */
export function ownerIn(
  labels: Readonly<Record<string, string>> | undefined,
  kind: keyof typeof OWNER,
): { namespace: string; name: string } | null {
  const name = labels?.[`${OWNER[kind]}/name`] ?? '';
  const namespace = labels?.[`${OWNER[kind]}/namespace`] ?? '';
  return OBJECT_NAME.test(name) && OBJECT_NAME.test(namespace) ? { namespace, name } : null;
}

/** The commit that a Kustomization has applied, and found healthy. */
export function appliedBy({ spec, status }: FluxObject): string | null {
  const origin = commitIn(status?.lastAppliedOriginRevision);
  // The digest of an artifact looks like a commit of SHA-256.
  return origin ?? (isOci(spec) ? null : commitIn(status?.lastAppliedRevision));
}

/** A revision that a Kustomization or a HelmRelease is about to apply or to find healthy. */
export function reconcilingOf(object: FluxObject): DeliveryState['operation'] {
  const { status } = object;
  const reconciling = conditionOf(object, 'Reconciling');
  const { lastAttemptedRevision: attempted, lastAppliedRevision: applied } = status ?? {};
  const since = Date.parse(reconciling?.lastTransitionTime ?? '');
  if (reconciling?.status !== 'True' || !Number.isFinite(since) || attempted === undefined || attempted === applied) return null;
  return { revision: attemptedBy(object), since };
}

/** @param inSteps the workload is released in steps, of whose failure Flux knows nothing */
export function locatedByKustomization(object: FluxObject, shown: string, inSteps: boolean): Located {
  const { spec, status } = object;
  // Without a check of health, success means that the API server took it.
  const isHealth = !inSteps && (spec?.wait === true || (spec?.healthChecks ?? []).length > 0);
  const isAttempted = attemptWasApplied(object);
  const revision = isAttempted ? attemptedBy(object) : appliedBy(object);
  const how = `Flux ${shown}, status.${isAttempted ? 'lastAttemptedRevision' : appliedField(object)}`;
  const good = new Map<string, Located['good'][number]>();
  const add = (commit: string | null, since: number, until: number, from: string) => {
    if (commit === null || good.has(commit) || (revision !== null && sameCommit(commit, revision))) return;
    if (Number.isFinite(since) && Number.isFinite(until))
      good.set(commit, { revision: commit, since, healthyFor: isHealth ? until - since : 0, how: `Flux ${shown}, ${from}` });
  };
  for (const entry of status?.history ?? []) {
    const commit = commitOf(object, entry.metadata?.['revision'] ?? entry.revision, entry.metadata?.['originRevision']);
    const [since, until] = [Date.parse(entry.firstReconciled ?? ''), Date.parse(entry.lastReconciled ?? '')];
    if (entry.lastReconciledStatus === SUCCEEDED) add(commit, since, until, `status.history: ${SUCCEEDED}`);
  }
  // Flux of before 2.7 has no history; what was applied last was healthy once, for how long is not known.
  const failedAt = Date.parse(conditionOf(object, 'Ready')?.lastTransitionTime ?? '');
  if (isAttempted) add(appliedBy(object), failedAt, failedAt, 'status.lastAppliedRevision');
  return { revision, how, notInGit: null, good: [...good.values()].toSorted((one, other) => other.since - one.since) };
}

/**
 * A release of a chart. Where the version comes out of Git it names the commit (`reconcileStrategy: Revision`), and where
 * it is written out, whoever applied the HelmRelease knows which commit did.
 *
 * @param declared what the Kustomization says that applied the HelmRelease; null when there is none
 */
export function locatedByHelmRelease(object: FluxObject, shown: string, declared: Located | null): Located {
  const { spec, status } = object;
  const version = status?.lastAttemptedRevision ?? '';
  const chart = spec?.chart?.spec;
  const how = `Flux ${shown}, status.lastAttemptedRevision`;
  const nothing: Located = { revision: null, how, notInGit: null, good: [] };
  const commit = version.includes('+') || chart?.sourceRef?.kind === 'GitRepository' ? commitIn(version) : null;
  if (commit !== null) return { ...nothing, revision: commit };
  const [newest, before] = status?.history ?? [];
  const isSameChart = newest?.chartVersion !== undefined && newest.chartVersion === before?.chartVersion;
  if (declared !== null && (isSameChart || EXACT_VERSION.test(chart?.version ?? ''))) return declared;
  if (isSameChart || version === '') return nothing;
  const back = before?.chartVersion === undefined ? 'an earlier version' : before.chartVersion.slice(0, MAX_SHOWN);
  const name = chart?.chart === undefined ? 'its chart' : `the chart ${chart.chart.slice(0, MAX_SHOWN)}`;
  const sentence = `${shown} deploys version ${version.slice(0, MAX_SHOWN)} of ${name}, not a commit; set the version back to ${back} where the HelmRelease is declared`;
  return { ...nothing, notInGit: { code: 'chart_version', sentence } };
}

function appliedField({ status }: FluxObject): string {
  return status?.lastAppliedOriginRevision === undefined ? 'lastAppliedRevision' : 'lastAppliedOriginRevision';
}

/** Whether the revision that was tried last is in the cluster although it did not become healthy, or not yet. */
function attemptWasApplied(object: FluxObject): boolean {
  const { lastAttemptedRevision: attempted, lastAppliedRevision: applied } = object.status ?? {};
  if (attempted === undefined || attempted === applied) return false;
  const reconciling = conditionOf(object, 'Reconciling');
  if (reconciling?.status === 'True') return !BEFORE_APPLYING.test(reconciling.message ?? '');
  const ready = conditionOf(object, 'Ready');
  return applied === undefined || (ready?.status === 'False' && APPLIED_REASONS.has(ready.reason ?? ''));
}

function attemptedBy(object: FluxObject): string | null {
  const attempted = object.status?.lastAttemptedRevision;
  const entry = object.status?.history?.find(
    ({ metadata, revision }) => attempted !== undefined && (metadata?.['revision'] ?? revision) === attempted,
  );
  return commitOf(object, attempted, entry?.metadata?.['originRevision']);
}

function commitOf({ spec }: FluxObject, revision: string | undefined, origin: string | undefined): string | null {
  return commitIn(origin) ?? (isOci(spec) ? null : commitIn(revision));
}

function isOci(spec: FluxObject['spec']): boolean {
  return spec?.sourceRef?.kind === 'OCIRepository' || spec?.sourceRef?.kind === 'Bucket';
}

function conditionOf({ status }: FluxObject, type: string) {
  return status?.conditions?.find((condition) => condition.type === type);
}
