import { sameCommit } from '../../analysis/revision.ts';
import type { Automation, DeliveryState, Located } from '../port.ts';
import { changedOverride, overrideOf } from './overrides.ts';
import type { Released } from './released.ts';
import { maybeSameRepository, shownRepository } from './remote.ts';
import type { Application, Source } from './resources.ts';
import { commitIn } from './revisions.ts';

/**
 * What an Application of Argo CD says about where the workload came from. Pure.
 *
 * `status.sync` is what Git says now and moves with every commit; `status.history` are whole syncs that succeeded, oldest
 * first; `status.operationState` is the last sync of any kind, also one that failed or was of single resources (argo-cd,
 * pkg/apis/application/v1alpha1/types.go and docs/user-guide/source-hydrator.md).
 */
export interface ApplicationView {
  application: Application;
  namespace: string;
  /** Which of several sources is meant; null where the configuration does not say. */
  source: number | null;
  /** Address of the repository that the application is configured with; null when not known. */
  repository: string | null;
}

/** A revision that did not stay so long was a repeat or a try. */
const STAYED_MS = 600_000;
/** Kubernetes writes times in whole seconds, and clocks of clusters differ. */
const CLOCK_SLACK_MS = 5_000;
const MAX_SHOWN = 200;

interface Synced {
  /** As Argo CD writes it: a commit, or the version of a chart. */
  written: string | null;
  sources: readonly Source[];
  source: Source | undefined;
  at: number | null;
  from: 'status.history' | 'status.operationState';
}

/** The commit that is applied as a whole; null when there is none, or when the hydrated one has no known origin. */
export function syncedIn(view: ApplicationView): string | null {
  const { status } = view.application;
  if (status?.sync?.status === 'Synced') return dryCommit(view, writtenIn(view, status.sync));
  return dryCommit(view, writtenIn(view, status?.history?.at(-1)));
}

/** A sync that Argo CD is in the middle of. */
export function operationIn(view: ApplicationView): DeliveryState['operation'] {
  const state = view.application.status?.operationState;
  if (state?.phase !== 'Running' && state?.phase !== 'Terminating') return null;
  const since = timeOf(state.startedAt);
  if (since === null) return null;
  return { revision: dryCommit(view, writtenIn(view, state.operation?.sync) ?? writtenIn(view, state.syncResult)), since };
}

export function locatedIn(view: ApplicationView, released: Released): Located {
  const known = syncsOf(view, released);
  const made = madeBy(known, released);
  const earlier = made === undefined ? [] : known.slice(0, known.indexOf(made)).toReversed();
  const how = `Argo CD ${shown(view)}, ${made?.from ?? 'which has synced nothing yet'}`;
  const nothing: Located = { revision: null, how, notInGit: null, good: [] };
  if (made === undefined) return nothing;
  const notInGit = overridden(view, made, earlier[0], released) ?? fromChart(view, made, earlier) ?? fromElsewhere(view, made);
  if (notInGit !== null) return { ...nothing, notInGit };
  const revision = dryCommit(view, made.written);
  const hydrated = view.application.spec?.sourceHydrator === undefined ? '' : ', dry commit of its source hydrator';
  return { revision, how: how + hydrated, notInGit: null, good: goodOf(view, known, made, how) };
}

/** Programs that the Application names and that write versions. */
export function botsIn({ application, namespace }: ApplicationView): Automation[] {
  const { annotations = {}, name } = application.metadata;
  const where = `Application ${namespace}/${name}`;
  const bots: Automation[] = [];
  if (annotations[`${UPDATER}image-list`] !== undefined) {
    const named = `annotation ${UPDATER}image-list of ${where}`;
    bots.push({ type: 'argocd-image-updater', name: named, pastGit: isPastGit(annotations[`${UPDATER}write-back-method`]) });
  }
  const stage = annotations['kargo.akuity.io/authorized-stage'];
  if (stage !== undefined) {
    bots.push({ type: 'kargo', name: `Kargo stage ${stage.slice(0, MAX_SHOWN)} of ${where}`, pastGit: false });
  }
  const staging = application.spec?.sourceHydrator?.hydrateTo?.targetBranch;
  if (staging !== undefined && staging !== '') {
    const named = `branch ${staging.slice(0, MAX_SHOWN)}, to which ${where} is hydrated`;
    bots.push({ type: 'gitops-promoter', name: named, pastGit: false });
  }
  return bots;
}

const UPDATER = 'argocd-image-updater.argoproj.io/';

/** Without a method it writes into the Application (Argo CD Image Updater docs, "Update methods"). */
export function isPastGit(method: string | undefined): boolean {
  return method === undefined || !method.trim().startsWith('git');
}

/** Syncs that may have made what runs, oldest first. */
function syncsOf(view: ApplicationView, released: Released): Synced[] {
  const { status } = view.application;
  const known = (status?.history ?? []).map((entry): Synced => {
    const at = timeOf(entry.deployStartedAt) ?? timeOf(entry.deployedAt);
    return { ...fromOf(view, entry), at, from: 'status.history' };
  });
  const state = status?.operationState;
  const result = state?.syncResult;
  const at = timeOf(state?.startedAt);
  const last = known.at(-1);
  const isNewer = last === undefined || (at !== null && (last.at === null || at > last.at));
  if (state === undefined || result === undefined || !isNewer || !hasApplied(state, released)) return known;
  const operation: Synced = { ...fromOf(view, result), at, from: 'status.operationState' };
  return operation.written === null ? known : [...known, operation];
}

type OperationState = NonNullable<NonNullable<Application['status']>['operationState']>;

/** A sync that failed before it came to this object, or that left it out, made nothing of it. */
function hasApplied({ operation, syncResult }: OperationState, released: Released): boolean {
  const { dryRun, resources: selected } = operation?.sync ?? {};
  if (dryRun === true) return false;
  const isIt = ({ kind, namespace, name }: { kind?: string; namespace?: string; name?: string }) =>
    kind === released.kind && name === released.name && (namespace ?? released.namespace) === released.namespace;
  if (selected && selected.length > 0 && !selected.some(isIt)) return false;
  const results = syncResult?.resources ?? [];
  return results.length === 0 || results.some((result) => isIt(result) && result.status === 'Synced');
}

/** The last sync that began before the release was rolled out; later ones brought something else. */
function madeBy(known: readonly Synced[], { since }: Released): Synced | undefined {
  if (since === null) return known.at(-1);
  return known.findLast(({ at }) => at !== null && at <= since + CLOCK_SLACK_MS) ?? known.at(-1);
}

function overridden(view: ApplicationView, made: Synced, before: Synced | undefined, { images }: Released): Located['notInGit'] {
  const isSameCommit = before !== undefined && before.written === made.written;
  const override =
    (images !== null && images.length > 0 ? overrideOf(made.sources, images) : null) ??
    (isSameCommit && before.sources.length > 0 ? changedOverride(made.sources, before.sources) : null);
  if (override === null) return null;
  const sentence = `Application ${shown(view)} sets ${override.name} to ${override.value.slice(0, MAX_SHOWN)} in its own spec, which a revert in Git does not change; set it back ${whereDeclared(view)}`;
  return { code: 'parameter_override', sentence };
}

function fromChart(view: ApplicationView, made: Synced, earlier: readonly Synced[]): Located['notInGit'] {
  const [before] = earlier;
  // Of several sources the one in Git made the release, unless only the version of a chart beside it is another one.
  const isSameCommit = before !== undefined && before.written === made.written;
  const chart = isChart(made.source)
    ? made.source
    : isSameCommit
      ? made.sources.find((source, at) => isChart(source) && versionOf(source) !== versionOf(before.sources[at]))
      : undefined;
  if (chart === undefined) return null;
  const version = (chart === made.source ? made.written : null) ?? chart.targetRevision ?? '';
  const place = made.sources.indexOf(chart);
  const previous = earlier
    .map((one) => (chart === made.source ? one.written : (one.sources[place]?.targetRevision ?? null)))
    .find((one) => one !== null && one !== version);
  const back = previous === undefined || previous === null ? 'an earlier version' : previous.slice(0, MAX_SHOWN);
  const sentence = `Application ${shown(view)} deploys version ${version.slice(0, MAX_SHOWN)} of the chart ${(chart.chart ?? '').slice(0, MAX_SHOWN)}, not a commit; set targetRevision back to ${back} ${whereDeclared(view)}`;
  return { code: 'chart_version', sentence };
}

function fromElsewhere(view: ApplicationView, { source }: Synced): Located['notInGit'] {
  const address = view.application.spec?.sourceHydrator?.drySource?.repoURL ?? source?.repoURL ?? '';
  if (view.repository === null || address === '' || maybeSameRepository(address, view.repository)) return null;
  const sentence = `Application ${shown(view)} deploys from ${shownRepository(address)}, and this application is configured with another repository; revert there, or configure that repository`;
  return { code: 'other_repository', sentence };
}

/** Earlier syncs that stayed for a while, newest first. Argo CD does not keep whether they were healthy. */
function goodOf(view: ApplicationView, known: readonly Synced[], made: Synced, how: string): Located['good'] {
  // Of a hydrated commit the dry one is known for the newest only.
  if (view.application.spec?.sourceHydrator !== undefined) return [];
  const bad = commitIn(made.written ?? undefined);
  const stays: { revision: string; since: number; until: number }[] = [];
  known.forEach((one, index) => {
    const revision = isChart(one.source) ? null : commitIn(one.written ?? undefined);
    const until = known[index + 1]?.at ?? null;
    if (revision === null || one.at === null || until === null || one.source?.repoURL !== made.source?.repoURL) return;
    const last = stays.at(-1);
    if (last !== undefined && last.revision === revision && last.until === one.at) last.until = until;
    else stays.push({ revision, since: one.at, until });
  });
  const found = new Map<string, Located['good'][number]>();
  for (const { revision, since, until } of stays.toReversed()) {
    if (until - since < STAYED_MS || found.has(revision) || (bad !== null && sameCommit(revision, bad))) continue;
    // An aborted canary stays deployed as well, so how long it was healthy is not known.
    found.set(revision, {
      revision,
      since,
      healthyFor: 0,
      how: `${how}: deployed for ${Math.floor((until - since) / 60_000)} minutes`,
    });
  }
  return [...found.values()];
}

/** The commit that people write: with a source hydrator that is the dry one, of which the hydrated one was made. */
function dryCommit({ application }: ApplicationView, written: string | null): string | null {
  const { spec, status } = application;
  if (spec?.sourceHydrator === undefined) return commitIn(written ?? undefined);
  if (written === null) return null;
  const { lastSuccessfulOperation: done, currentOperation: current } = status?.sourceHydrator ?? {};
  const isOf = (hydrated: string | undefined) => hydrated !== undefined && hydrated !== '' && sameCommit(hydrated, written);
  const own = [done, current].find((one) => isOf(one?.hydratedSHA));
  if (own !== undefined) return commitIn(own.drySHA);
  // Merged from a staging branch, it has another id. Otherwise something newer was hydrated, and is not applied yet.
  const isMerged = (spec.sourceHydrator.hydrateTo?.targetBranch ?? '') !== '';
  return isMerged || done?.hydratedSHA === undefined ? commitIn(done?.drySHA) : null;
}

/** What a sync of several sources is to take from each: the commit from the one that is meant. Null with one source. */
export function revisionsWith(view: ApplicationView, commit: string): string[] | null {
  const { spec, status } = view.application;
  const sources = spec?.sources ?? [];
  if (sources.length === 0) return null;
  const index = indexIn(view, sources);
  return sources.map((source, at) => (at === index ? commit : (status?.sync?.revisions?.[at] ?? source.targetRevision ?? '')));
}

interface Written {
  revision?: string;
  revisions?: string[] | null;
  source?: Source;
  sources?: Source[] | null;
}

function fromOf(view: ApplicationView, entry: Written): Pick<Synced, 'written' | 'sources' | 'source'> {
  const sources = sourcesOf(entry) ?? sourcesOf(view.application.spec ?? {}) ?? [];
  return { written: writtenIn(view, entry), sources, source: sources[indexIn(view, sources)] };
}

function writtenIn(view: ApplicationView, entry: Written | undefined): string | null {
  if (entry === undefined) return null;
  const sources = sourcesOf(entry) ?? sourcesOf(view.application.spec ?? {}) ?? [];
  const several = entry.revisions?.[indexIn(view, sources)];
  return several || entry.revision || null;
}

function sourcesOf({ source, sources }: Written): readonly Source[] | null {
  if (sources && sources.length > 0) return sources;
  return source === undefined || (source.repoURL ?? '') === '' ? null : [source];
}

/** As configured; else the one that is the repository of the application, else the first one that is in Git. */
function indexIn({ source, repository }: ApplicationView, sources: readonly Source[]): number {
  if (source !== null) return sources.length === 1 ? 0 : source;
  const own = sources.findIndex(
    (one) => repository !== null && !isChart(one) && maybeSameRepository(one.repoURL ?? '', repository),
  );
  return own >= 0
    ? own
    : Math.max(
        0,
        sources.findIndex((one) => !isChart(one)),
      );
}

function isChart(source: Source | undefined): boolean {
  return source !== undefined && (source.chart ?? '') !== '';
}

function versionOf(source: Source | undefined): string {
  return source?.targetRevision ?? '';
}

/** An Application that another one manages is declared in Git, too. */
function whereDeclared({ application }: ApplicationView): string {
  const parent = (application.metadata.annotations?.['argocd.argoproj.io/tracking-id'] ?? '').split(':')[0] ?? '';
  return parent === '' ? 'where the Application is declared' : `in what the Application ${parent.slice(0, MAX_SHOWN)} deploys`;
}

function shown({ application, namespace }: ApplicationView): string {
  return `${namespace}/${application.metadata.name}`;
}

function timeOf(text: string | undefined): number | null {
  const at = Date.parse(text ?? '');
  return Number.isFinite(at) ? at : null;
}
