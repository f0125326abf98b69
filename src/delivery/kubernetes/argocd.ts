import { parseDuration } from '../../analysis/quantities.ts';
import { sameCommit } from '../../analysis/revision.ts';
import { CodedError } from '../../errors.ts';
import type { Automation } from '../port.ts';
import type { Access, KubernetesDependencies } from './access.ts';
import { botsIn, isPastGit, locatedIn, operationIn, revisionsWith, syncedIn, type ApplicationView } from './application.ts';
import { listedBots } from './bots.ts';
import type { Notice, Operator } from './operator.ts';
import { APPLICATIONS, Application, IMAGE_UPDATERS, ImageUpdater, checked, readObject } from './resources.ts';
import { need } from './rights.ts';
import type { Argocd } from './schema.ts';

const PREFIX = 'argocd.argoproj.io/';
const NOTICE = 'notice.argocd.argoproj.io/';
/** What Argo CD shows of a notice (docs/operator-manual/annotations). */
const MAX_NOTICE = 500;

/**
 * Argo CD: the annotation `argocd.argoproj.io/refresh` makes it compare with Git at once, and removes itself. An
 * Application has no status endpoint; its operation is begun and ended by writing into the object, as its API server does.
 */
export function argocd(config: Argocd, clusterName: string | undefined, access: Access, deps: KubernetesDependencies): Operator {
  const { namespace, application } = config;
  const cluster = deps.clusters.named(clusterName);
  const { timeoutMs } = access;
  const address = { resource: APPLICATIONS, namespace, name: application };
  const stuckAfterMs = config.terminateStuck === undefined ? null : parseDuration(config.terminateStuck);

  async function read(signal: AbortSignal): Promise<ApplicationView> {
    const object = await readObject(cluster, address, Application, timeoutMs, signal);
    return { application: object, namespace, source: config.source ?? null, repository: deps.repository ?? null };
  }
  async function patch(body: object, signal: AbortSignal): Promise<void> {
    await cluster.patch(address, { body, subresource: null }, timeoutMs, signal);
  }
  const annotate = (annotations: Readonly<Record<string, string | null>>, signal: AbortSignal) =>
    patch({ metadata: { annotations } }, signal);

  /**
   * Ends a sync of another revision that goes on for longer than it may; it is stuck, or tries again and again. What
   * comes after it is begun by automated sync, or when davylamp asks again.
   */
  async function endedStuck(view: ApplicationView, commit: string, signal: AbortSignal): Promise<boolean> {
    const running = operationIn(view);
    if (stuckAfterMs === null || running === null || running === undefined) return false;
    const isOurs = running.revision !== null && sameCommit(running.revision, commit);
    if (isOurs || deps.clock.now() - running.since < stuckAfterMs) return false;
    if (view.application.status?.operationState?.phase !== 'Terminating') {
      const { resourceVersion } = view.application.metadata;
      await patch({ metadata: { resourceVersion }, status: { operationState: { phase: 'Terminating' } } }, signal);
    }
    if (config.sync === true && !isAutomatic(view)) throw busy();
    return true;
  }

  function busy(): CodedError {
    return new CodedError(
      'cluster_conflict',
      `Argo CD is in the middle of another sync of Application ${namespace}/${application}; it is asked again`,
      { retryable: true, details: { cluster: cluster.name } },
    );
  }

  /** Without automated sync a refresh shows the difference and deploys nothing. */
  async function begin(view: ApplicationView, commit: string, signal: AbortSignal): Promise<void> {
    const { spec, status, operation, metadata } = view.application;
    // The hydrated commit of the revert is made after the refresh and has another id.
    if (config.sync !== true || isAutomatic(view) || spec?.sourceHydrator !== undefined) return;
    const revisions = revisionsWith(view, commit);
    const asked = operation?.sync;
    const isAsked = asked?.revision === commit || (asked?.revisions ?? []).includes(commit);
    const running = operationIn(view)?.revision ?? null;
    const isDone = status?.operationState?.phase === 'Succeeded' && syncedIn(view) === commit;
    if (isAsked || isDone || running === commit) return;
    if (operation !== undefined || running !== null) throw busy();
    const sync = revisions === null ? { revision: commit } : { revisions };
    const { resourceVersion } = metadata;
    await patch({ metadata: { resourceVersion }, operation: { initiatedBy: { username: 'davylamp' }, sync } }, signal);
  }

  return {
    banner: async (notice, signal) => annotate(annotationsOf(notice), signal),
    rights: {
      cluster,
      namespace,
      needs: [
        need('get', APPLICATIONS, 'what was applied, and from which commit, is not known'),
        need('patch', APPLICATIONS, 'Argo CD is not asked to sync, and shows no banner'),
        need('list', IMAGE_UPDATERS, 'objects of Argo CD Image Updater are not seen'),
      ],
    },
    async look(signal) {
      const view = await read(signal);
      return { synced: syncedIn(view), operation: operationIn(view) };
    },
    async sync(commit, signal) {
      // Without the right to read it, it is asked to look at Git all the same.
      const view = await access.orNull(() => read(signal));
      const asked: Record<string, string> = { [`${PREFIX}refresh`]: 'normal' };
      if (view?.application.spec?.sourceHydrator !== undefined) asked[`${PREFIX}hydrate`] = 'normal';
      await annotate(asked, signal);
      if (view === null || (stuckAfterMs === null && config.sync !== true)) return;
      // The annotation has changed its version.
      const now = await read(signal);
      if (!(await endedStuck(now, commit, signal))) await begin(now, commit, signal);
    },
    async locate(released, signal) {
      return locatedIn(await read(signal), released);
    },
    async automations(signal) {
      const found = botsIn(await read(signal));
      return [...found, ...(await updaters(signal))];
    },
  };

  /** Since version 1.0 the Image Updater is configured by objects of its own beside the Applications. */
  async function updaters(signal: AbortSignal): Promise<Automation[]> {
    const items = await listedBots(access, cluster, IMAGE_UPDATERS, namespace, signal);
    return items.flatMap((item): Automation[] => {
      const { metadata, spec } = checked(cluster, IMAGE_UPDATERS, 'list', item, ImageUpdater);
      const reference = spec?.applicationRefs?.find(({ namePattern }) => isMatch(namePattern ?? '', application));
      if (reference === undefined) return [];
      const method = (reference.writeBackConfig ?? spec?.writeBackConfig)?.method;
      return [{ type: 'argocd-image-updater', name: `ImageUpdater ${namespace}/${metadata.name}`, pastGit: isPastGit(method) }];
    });
  }
}

function isAutomatic({ application }: ApplicationView): boolean {
  const automated = application.spec?.syncPolicy?.automated;
  return automated !== undefined && automated !== null && automated.enabled !== false;
}

function annotationsOf(notice: Notice): Record<string, string | null> {
  const { content, severity, url } = notice ?? { content: null, severity: null, url: null };
  return { [`${NOTICE}content`]: content?.slice(0, MAX_NOTICE) ?? null, [`${NOTICE}severity`]: severity, [`${NOTICE}url`]: url };
}

/** A name against a pattern with `*` and `?`, in a time that does not depend on how many there are of them. */
function isMatch(pattern: string, name: string): boolean {
  let reached = new Set([0]);
  for (const letter of pattern) {
    const next = new Set<number>();
    for (const at of reached) {
      if (letter === '*') for (let end = at; end <= name.length; end += 1) next.add(end);
      else if (at < name.length && (letter === '?' || name[at] === letter)) next.add(at + 1);
    }
    reached = next;
  }
  return reached.has(name.length);
}
