import { describe, expect, it } from 'vitest';
import { appliedBy, locatedByHelmRelease, locatedByKustomization, ownerIn, reconcilingOf } from './reconciled.ts';
import type { FluxObject } from './resources.ts';

const GOOD = 'a'.repeat(40);
const BAD = 'b'.repeat(40);
const DIGEST = 'e'.repeat(64);
const at = (minute: number) => new Date(Date.parse('2026-11-23T07:00:00Z') + minute * 60_000).toISOString();
const condition = (type: string, status: string, reason: string, message = '') => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime: at(90),
});
const object = (status: FluxObject['status'], spec: FluxObject['spec'] = {}): FluxObject => ({
  metadata: { name: 'shop' },
  spec,
  ...(status !== undefined && { status }),
});
const located = (status: FluxObject['status'], spec?: FluxObject['spec'], inSteps = false) =>
  locatedByKustomization(object(status, spec), 'Kustomization ops/shop', inSteps);

describe('a Kustomization of Flux', () => {
  it.each([
    ['main@sha1:', BAD],
    ['main/', BAD],
    ['sha1:', BAD],
    ['refs/heads/main@sha1:', BAD],
    ['', BAD],
  ])('names the commit in a revision that begins with "%s"', (before, commit) => {
    expect(located({ lastAppliedRevision: before + commit, lastAttemptedRevision: before + commit })).toMatchObject({
      revision: commit,
      how: 'Flux Kustomization ops/shop, status.lastAppliedRevision',
      notInGit: null,
    });
  });

  const tried = { lastAppliedRevision: `main@sha1:${GOOD}`, lastAttemptedRevision: `main@sha1:${BAD}` };
  it.each([
    ['did not become healthy', [condition('Ready', 'False', 'HealthCheckFailed')], BAD],
    ['waits for health', [condition('Reconciling', 'True', 'Progressing', 'Running health checks for revision')], BAD],
    ['is being built', [condition('Reconciling', 'True', 'Progressing', 'Building manifests for revision')], GOOD],
    ['could not be built', [condition('Ready', 'False', 'BuildFailed')], GOOD],
    ['waits for another one', [condition('Ready', 'False', 'DependencyNotReady')], GOOD],
  ])(
    'takes for what runs the revision that was tried last only when it is in the cluster: it %s',
    (_how, conditions, revision) => {
      expect(located({ ...tried, conditions }).revision).toBe(revision);
    },
  );

  it('knows from its history what was healthy, and for how long', () => {
    const snapshot = (revision: string, minute: number, lastReconciledStatus: string) => ({
      metadata: { revision: `main@sha1:${revision}` },
      firstReconciled: at(minute),
      lastReconciled: at(minute + 30),
      lastReconciledStatus,
    });
    const history = [
      snapshot(BAD, 90, 'HealthCheckFailed'),
      snapshot('c'.repeat(40), 60, 'HealthCheckFailed'),
      snapshot(GOOD, 0, 'ReconciliationSucceeded'),
    ];
    const conditions = [condition('Ready', 'False', 'HealthCheckFailed')];
    expect(located({ ...tried, conditions, history }, { wait: true }).good).toEqual([
      {
        revision: GOOD,
        since: Date.parse(at(0)),
        healthyFor: 30 * 60_000,
        how: 'Flux Kustomization ops/shop, status.history: ReconciliationSucceeded',
      },
    ]);
    // It did not look, or looked at an object that stays healthy when its canary was aborted.
    expect(located({ ...tried, conditions, history }).good).toMatchObject([{ revision: GOOD, healthyFor: 0 }]);
    expect(located({ ...tried, conditions, history }, { wait: true }, true).good).toMatchObject([{ healthyFor: 0 }]);
  });

  it('without a history takes what was applied before the failure for good, for no known time', () => {
    const { good } = located({ ...tried, conditions: [condition('Ready', 'False', 'HealthCheckFailed')] });
    expect(good).toMatchObject([{ revision: GOOD, since: Date.parse(at(90)), healthyFor: 0 }]);
  });

  it('of an OCI artifact names the commit that it was made from, and never its digest', () => {
    const spec = { sourceRef: { kind: 'OCIRepository', name: 'shop' } };
    const applied = { lastAppliedRevision: `latest@sha256:${DIGEST}`, lastAttemptedRevision: `latest@sha256:${DIGEST}` };
    const origin = { ...applied, lastAppliedOriginRevision: `main@sha1:${BAD}` };
    expect(located(origin, spec)).toMatchObject({ revision: BAD, how: expect.stringContaining('OriginRevision') as string });
    expect(appliedBy(object(origin, spec))).toBe(BAD);
    expect(located(applied, spec).revision).toBeNull();
    expect(appliedBy(object(applied, spec))).toBeNull();
    const failed = {
      ...origin,
      lastAttemptedRevision: `latest@sha256:${'f'.repeat(64)}`,
      conditions: [condition('Ready', 'False', 'HealthCheckFailed')],
      history: [{ metadata: { revision: `latest@sha256:${'f'.repeat(64)}`, originRevision: `main@sha1:${GOOD}` } }],
    };
    expect(located(failed, spec).revision).toBe(GOOD);
  });

  it('is in the middle of an operation while it reconciles another revision than it has applied', () => {
    const conditions = [condition('Reconciling', 'True', 'Progressing')];
    expect(reconcilingOf(object({ ...tried, conditions }))).toEqual({ revision: BAD, since: Date.parse(at(90)) });
    expect(reconcilingOf(object({ ...tried, lastAttemptedRevision: tried.lastAppliedRevision, conditions }))).toBeNull();
    expect(reconcilingOf(object(tried))).toBeNull();
  });
});

describe('a HelmRelease of Flux', () => {
  const fromHelm = (version: string) => ({
    chart: { spec: { chart: 'shop', version, sourceRef: { kind: 'HelmRepository', name: 'h' } } },
  });
  const fromGit = { chart: { spec: { chart: './chart', sourceRef: { kind: 'GitRepository', name: 'g' } } } };
  const declared = { revision: BAD, how: 'Kustomization', notInGit: null, good: [] };
  const versions = (...list: string[]) => ({ history: list.map((chartVersion) => ({ chartVersion })) });
  const release = (version: string, spec: FluxObject['spec'], more: object = {}) =>
    object({ lastAttemptedRevision: version, ...more }, spec);

  it('names the commit that its chart was made from', () => {
    const found = locatedByHelmRelease(release(`0.1.0+${BAD.slice(0, 12)}`, fromGit), 'HelmRelease ops/shop', null);
    expect(found).toMatchObject({ revision: BAD.slice(0, 12), notInGit: null });
  });

  it('says which version of a chart, and to what to set it back', () => {
    const found = locatedByHelmRelease(
      release('1.2.4', fromHelm('1.x'), versions('1.2.4', '1.2.3')),
      'HelmRelease ops/shop',
      declared,
    );
    expect(found).toMatchObject({ revision: null, notInGit: { code: 'chart_version' } });
    expect(found.notInGit?.sentence).toContain('version 1.2.4 of the chart shop, not a commit; set the version back to 1.2.3');
  });

  it.each([
    ['its version is written out', release('1.2.4', fromHelm('1.2.4'), versions('1.2.4', '1.2.3'))],
    ['only its values have changed', release('1.2.4', fromHelm('1.x'), versions('1.2.4', '1.2.4'))],
  ])('that a Kustomization applies comes from the commit of that when %s', (_when, seen) => {
    expect(locatedByHelmRelease(seen, 'HelmRelease ops/shop', declared)).toBe(declared);
  });

  it('whose values have changed without a known Kustomization says nothing', () => {
    const seen = release('1.2.4', fromHelm('1.x'), versions('1.2.4', '1.2.4'));
    expect(locatedByHelmRelease(seen, 'HelmRelease ops/shop', null)).toMatchObject({ revision: null, notInGit: null });
  });
});

describe('the labels of Flux', () => {
  const label = 'kustomize.toolkit.fluxcd.io';
  it.each([
    [
      { [`${label}/name`]: 'shop', [`${label}/namespace`]: 'ops' },
      { name: 'shop', namespace: 'ops' },
    ],
    [{ [`${label}/name`]: 'shop' }, null],
    [{ [`${label}/name`]: '../x', [`${label}/namespace`]: 'ops' }, null],
    [undefined, null],
  ])('%j lead to %j', (labels, owner) => {
    expect(ownerIn(labels, 'Kustomization')).toEqual(owner);
  });
});
