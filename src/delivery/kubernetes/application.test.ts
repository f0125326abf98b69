import { describe, expect, it } from 'vitest';
import type { Located } from '../port.ts';
import { botsIn, locatedIn, operationIn, revisionsWith, syncedIn } from './application.ts';
import type { Released } from './released.ts';
import type { Application } from './resources.ts';

const GOOD = 'a'.repeat(40);
const BAD = 'b'.repeat(40);
const NEXT = 'c'.repeat(40);
const OLDER = 'd'.repeat(40);
const HYDRATED = 'e'.repeat(40);
const DEPLOY = 'https://git.example/shop/deploy.git';
const git = { repoURL: DEPLOY, path: 'recommender' };
const chart = { repoURL: 'https://charts.example', chart: 'recommender' };

const released: Released = {
  kind: 'Rollout',
  group: 'argoproj.io',
  namespace: 'shop',
  name: 'recommender',
  annotations: {},
  labels: {},
  inSteps: true,
  since: null,
  images: null,
  restarted: null,
};
const at = (minute: number) => new Date(Date.parse('2026-11-23T07:00:00Z') + minute * 60_000).toISOString();
const entry = (revision: string, minute: number, more: object = { source: git }) => ({
  revision,
  deployStartedAt: at(minute),
  deployedAt: at(minute),
  ...more,
});
const several = (revisions: string[], minute: number, sources: object[]) => ({ ...entry('', minute, {}), revisions, sources });

function view(parts: Partial<Omit<Application, 'metadata'>> & { annotations?: Record<string, string> }, more: object = {}) {
  const { annotations, ...rest } = parts;
  const application: Application = {
    metadata: { name: 'recommender', ...(annotations && { annotations }) },
    spec: { source: git },
    ...rest,
  };
  return { application, namespace: 'argocd', source: null, repository: DEPLOY, ...more };
}
const operation = (phase: string, revision: string, minute: number, more: object = {}) => ({
  phase,
  startedAt: at(minute),
  operation: { sync: { revision } },
  syncResult: { revision, source: git, ...more },
});

describe('an Application of Argo CD', () => {
  const history = [entry(OLDER, 0), entry(GOOD, 60), entry(BAD, 120)];

  it('says that its last whole sync made what is released, and that the one before stayed for an hour', () => {
    expect(locatedIn(view({ status: { history } }), released)).toEqual<Located>({
      revision: BAD,
      how: 'Argo CD argocd/recommender, status.history',
      notInGit: null,
      good: [GOOD, OLDER].map((revision, index) => ({
        revision,
        since: Date.parse(at(60 - 60 * index)),
        healthyFor: 0,
        how: 'Argo CD argocd/recommender, status.history: deployed for 60 minutes',
      })),
    });
  });

  it.each([
    ['failed', operation('Failed', NEXT, 130), NEXT],
    ['runs', operation('Running', NEXT, 130), NEXT],
    ['is the one in the history', operation('Succeeded', BAD, 120), BAD],
    ['is older than the history', operation('Failed', NEXT, 100), BAD],
    ['was a try', { ...operation('Succeeded', NEXT, 130), operation: { sync: { dryRun: true } } }, BAD],
    [
      'was of another object',
      { ...operation('Succeeded', NEXT, 130), operation: { sync: { resources: [{ kind: 'Service', name: 'recommender' }] } } },
      BAD,
    ],
    [
      'was of this object alone',
      { ...operation('Succeeded', NEXT, 130), operation: { sync: { resources: [{ kind: 'Rollout', name: 'recommender' }] } } },
      NEXT,
    ],
    [
      'failed before it came to this object',
      operation('Failed', NEXT, 130, { resources: [{ kind: 'Job', namespace: 'shop', name: 'migrate', status: 'SyncFailed' }] }),
      BAD,
    ],
    [
      'failed after this object',
      operation('Failed', NEXT, 130, {
        resources: [{ kind: 'Rollout', namespace: 'shop', name: 'recommender', status: 'Synced' }],
      }),
      NEXT,
    ],
  ])('takes the last sync when it %s', (_how, operationState, revision) => {
    expect(locatedIn(view({ status: { history, operationState } }), released).revision).toBe(revision);
  });

  it('5.7 names the sync that began before the release, not one that came later', () => {
    const later = [...history, entry(NEXT, 150)];
    const since = Date.parse(at(121));
    expect(locatedIn(view({ status: { history: later } }), { ...released, since }).revision).toBe(BAD);
    const running = { history, operationState: operation('Running', NEXT, 150) };
    expect(locatedIn(view({ status: running }), { ...released, since }).revision).toBe(BAD);
    expect(locatedIn(view({ status: { history: later } }), { ...released, since: null }).revision).toBe(NEXT);
  });

  it('takes no short try, no repeat and no other repository for a good revision', () => {
    const tried = [
      entry(OLDER, 0, { source: { ...git, repoURL: 'https://git.example/shop/old' } }),
      entry(GOOD, 60),
      entry(NEXT, 118),
      entry(GOOD, 119),
      entry(BAD, 120),
      entry(BAD, 180),
    ];
    expect(locatedIn(view({ status: { history: tried } }), released).good.map(({ revision }) => revision)).toEqual([GOOD]);
  });

  it.each([
    ['configured', [git, { ...git, repoURL: 'https://git.example/shop/values' }], 1, NEXT],
    ['the repository of the application', [chart, git], null, NEXT],
    ['the first in Git', [{ ...git, repoURL: 'https://git.example/x/y' }, chart], null, BAD],
  ])('of several sources takes the one that is %s', (_which, sources, source, revision) => {
    const status = { history: [several([BAD, NEXT], 10, sources)] };
    const seen = view(
      { spec: { sources }, status: { ...status, sync: { status: 'Synced', revisions: [BAD, NEXT] } } },
      { source },
    );
    const repository = source === null ? DEPLOY : null;
    expect(locatedIn({ ...seen, repository: revision === BAD ? null : repository }, released).revision).toBe(revision);
    expect(syncedIn({ ...seen, repository: revision === BAD ? null : repository })).toBe(revision);
  });

  it('syncs several sources with the commit in the place of the one that is meant', () => {
    const spec = { sources: [{ ...chart, targetRevision: '1.2.3' }, git] };
    expect(revisionsWith(view({ spec, status: { sync: { revisions: ['1.2.3', BAD] } } }), GOOD)).toEqual(['1.2.3', GOOD]);
    expect(revisionsWith(view({}), GOOD)).toBeNull();
  });

  describe('with a source hydrator', () => {
    const spec = { sourceHydrator: { drySource: { repoURL: DEPLOY } } };
    const hydrator = (hydratedSHA?: string) => ({
      lastSuccessfulOperation: { drySHA: BAD, ...(hydratedSHA !== undefined && { hydratedSHA }) },
    });
    const status = { sync: { status: 'Synced', revision: HYDRATED }, history: [entry(OLDER, 0), entry(HYDRATED, 60)] };

    it('names the dry commit, of which the hydrated one was made', () => {
      const seen = view({ spec, status: { ...status, sourceHydrator: hydrator(HYDRATED) } });
      expect(locatedIn(seen, released)).toMatchObject({
        revision: BAD,
        good: [],
        how: expect.stringContaining('dry commit') as string,
      });
      expect(syncedIn(seen)).toBe(BAD);
    });

    it('5.7 names none while something newer was hydrated than is applied', () => {
      const seen = view({ spec, status: { ...status, sourceHydrator: hydrator(NEXT) } });
      expect(locatedIn(seen, released).revision).toBeNull();
      expect(syncedIn(seen)).toBeNull();
    });

    it('names the last dry one where a promotion merges what was hydrated', () => {
      const merged = { sourceHydrator: { ...spec.sourceHydrator, hydrateTo: { targetBranch: 'env/prod-next' } } };
      expect(locatedIn(view({ spec: merged, status: { ...status, sourceHydrator: hydrator(NEXT) } }), released).revision).toBe(
        BAD,
      );
    });

    it('compares the repository of the dry source', () => {
      const other = { sourceHydrator: { drySource: { repoURL: 'https://git.example/shop/other' } } };
      const seen = view({ spec: other, status: { ...status, sourceHydrator: hydrator(HYDRATED) } });
      expect(locatedIn(seen, released).notInGit?.code).toBe('other_repository');
    });
  });

  describe('that did not take the release from Git', () => {
    const notInGit = (parts: Parameters<typeof view>[0], more: Partial<Released> = {}) =>
      locatedIn(view(parts), { ...released, ...more }).notInGit;

    it('says which version of a chart, and to what to set it back', () => {
      const versions = { history: [entry('1.2.3', 0, { source: chart }), entry('1.2.4', 60, { source: chart })] };
      const found = locatedIn(view({ spec: { source: chart }, status: versions }), released);
      expect(found).toMatchObject({ revision: null, good: [], notInGit: { code: 'chart_version' } });
      expect(found.notInGit?.sentence).toContain('version 1.2.4 of the chart recommender');
      expect(found.notInGit?.sentence).toContain('back to 1.2.3 where the Application is declared');
    });

    it('says so of a chart beside a repository only while the commit is the same', () => {
      const with4 = (commit: string) => ({
        history: [
          several(['1.2.3', GOOD], 0, [{ ...chart, targetRevision: '1.2.3' }, git]),
          several(['1.2.4', commit], 60, [{ ...chart, targetRevision: '1.2.4' }, git]),
        ],
      });
      expect(notInGit({ status: with4(GOOD) })?.code).toBe('chart_version');
      expect(notInGit({ status: with4(BAD) })).toBeNull();
    });

    it('names the Application that deploys this one', () => {
      const parent = { 'argocd.argoproj.io/tracking-id': 'apps:argoproj.io/Application:argocd/recommender' };
      const found = notInGit({
        annotations: parent,
        spec: { source: chart },
        status: { history: [entry('1.2.4', 0, { source: chart })] },
      });
      expect(found?.sentence).toContain('in what the Application apps deploys');
    });

    const images = ['registry.example:5000/shop/recommender:1.2.4'];
    it.each([
      ['helm parameter image.tag', { helm: { parameters: [{ name: 'image.tag', value: '1.2.4' }] } }],
      ['helm value image.tag', { helm: { valuesObject: { image: { tag: '1.2.4' } } } }],
      ['helm value tag', { helm: { values: 'image:\n  repository: shop\n  tag: "1.2.4" # bad\n' } }],
      ['kustomize image registry.example:5000/shop/recommender:1.2.4', { kustomize: { images } }],
      ['kustomize image recommender', { kustomize: { images: ['recommender=registry.example:5000/shop/recommender:1.2.4'] } }],
    ])('says that the %s of the Application names the image that changed', (name, override) => {
      const status = { history: [entry(GOOD, 0), entry(BAD, 60, { source: { ...git, ...override } })] };
      expect(notInGit({ status }, { images })).toMatchObject({
        code: 'parameter_override',
        sentence: expect.stringContaining(`sets ${name} to `) as string,
      });
      expect(notInGit({ status }, { images: ['shop/recommender:1.2.5'] })).toBeNull();
      expect(notInGit({ status }, { images: [] })).toBeNull();
    });

    it('takes a changed parameter at the same commit for the cause, also where no image is known', () => {
      const replicas = (value: string) => ({ source: { ...git, helm: { parameters: [{ name: 'mode', value }] } } });
      expect(notInGit({ status: { history: [entry(GOOD, 0, replicas('a')), entry(GOOD, 60, replicas('b'))] } })?.code).toBe(
        'parameter_override',
      );
      expect(notInGit({ status: { history: [entry(GOOD, 0, replicas('a')), entry(BAD, 60, replicas('b'))] } })).toBeNull();
    });

    it('says that it deploys from another repository, without its password', () => {
      const source = { ...git, repoURL: 'https://me:s3cr3t@git.example/shop/other' };
      const found = notInGit({ status: { history: [entry(BAD, 0, { source })] } });
      expect(found?.code).toBe('other_repository');
      expect(found?.sentence).not.toContain('s3cr3t');
      const same = { ...git, repoURL: 'git@forge.internal:shop/deploy.git' };
      expect(notInGit({ status: { history: [entry(BAD, 0, { source: same })] } })).toBeNull();
    });
  });

  it('says nothing while it has synced nothing', () => {
    expect(locatedIn(view({}), released)).toMatchObject({ revision: null, notInGit: null, good: [] });
  });

  it('is in the middle of an operation while its phase says so', () => {
    const running = { operationState: operation('Running', BAD, 1) };
    expect(operationIn(view({ status: running }))).toEqual({ revision: BAD, since: Date.parse(at(1)) });
    expect(operationIn(view({ status: { operationState: operation('Failed', BAD, 1) } }))).toBeNull();
  });

  const updater = 'argocd-image-updater.argoproj.io/';
  it.each([
    [{ [`${updater}image-list`]: 'shop=shop' }, [['argocd-image-updater', true]]],
    [{ [`${updater}image-list`]: 'shop=shop', [`${updater}write-back-method`]: 'argocd' }, [['argocd-image-updater', true]]],
    [
      { [`${updater}image-list`]: 'shop=shop', [`${updater}write-back-method`]: 'git:secret:a/b' },
      [['argocd-image-updater', false]],
    ],
    [{ 'kargo.akuity.io/authorized-stage': 'shop:prod' }, [['kargo', false]]],
    [{}, []],
  ])('shows by its annotations %j who else writes versions', (annotations, bots) => {
    expect(botsIn(view({ annotations })).map(({ type, pastGit }) => [type, pastGit])).toEqual(bots);
  });

  it('shows by its staging branch that a promotion merges what was hydrated', () => {
    const spec = { sourceHydrator: { hydrateTo: { targetBranch: 'env/prod-next' } } };
    expect(botsIn(view({ spec }))).toMatchObject([{ type: 'gitops-promoter', pastGit: false }]);
  });
});
