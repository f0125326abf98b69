import { describe, expect, it } from 'vitest';
import type { KnownKinds } from './kinds.ts';
import { prunesOf } from './prunes.ts';

const claim = (name: string) => `apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: ${name}\n  namespace: shop\n`;
const nothing = async () => null;

describe('what a plan would delete', () => {
  it('names a claim whose file goes, and one that is taken out of a file', async () => {
    const before = [
      { path: 'a/pvc.yaml', text: claim('data') },
      { path: 'a/all.yaml', text: `${claim('cache')}---\nkind: Service\napiVersion: v1\nmetadata: {name: shop}\n` },
    ];
    const after = [
      { path: 'a/pvc.yaml', text: null },
      { path: 'a/all.yaml', text: 'kind: Service\napiVersion: v1\nmetadata: {name: shop}\n' },
    ];
    expect(await prunesOf(before, after, nothing)).toEqual([
      'PersistentVolumeClaim shop/cache (a/all.yaml)',
      'PersistentVolumeClaim shop/data (a/pvc.yaml)',
    ]);
  });

  it('takes a move to another file for no deletion, and a rename for one', async () => {
    const moved = [
      [
        { path: 'a/one.yaml', text: claim('data') },
        { path: 'a/two.yaml', text: null },
      ],
      [
        { path: 'a/one.yaml', text: null },
        { path: 'a/two.yaml', text: claim('data') },
      ],
    ] as const;
    expect(await prunesOf(moved[0], moved[1], nothing)).toEqual([]);
    expect(await prunesOf([{ path: 'a', text: claim('data') }], [{ path: 'a', text: claim('files') }], nothing)).toEqual([
      'PersistentVolumeClaim shop/data (a)',
    ]);
  });

  it('sees what a kustomization no longer lists, folders included', async () => {
    const files: Record<string, string> = {
      'a/pvc.yaml': claim('data'),
      'base/kustomization.yaml': 'resources: [set.yaml]\n',
      'base/set.yaml': 'apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\n',
    };
    const before = [{ path: 'a/kustomization.yaml', text: 'resources:\n  - web.yaml\n  - pvc.yaml\n  - ../base\n' }];
    const after = [{ path: 'a/kustomization.yaml', text: 'resources:\n  - web.yaml\n' }];
    expect(await prunesOf(before, after, async (path) => files[path] ?? null)).toEqual([
      'PersistentVolumeClaim shop/data (a/pvc.yaml)',
      'StatefulSet db (base/set.yaml)',
    ]);
  });

  it('counts kinds in templates, lists and other formats, and ignores what holds no data', async () => {
    const template = '{{- if .Values.db }}\nkind: StatefulSet\nmetadata:\n  name: {{ .Release.Name }}\n{{- end }}\n';
    expect(
      await prunesOf([{ path: 't.yaml', text: template }], [{ path: 't.yaml', text: 'kind: Deployment\n' }], nothing),
    ).toEqual(['StatefulSet ? (t.yaml)']);
    const list = JSON.stringify({ kind: 'List', items: [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } }] });
    expect(await prunesOf([{ path: 'l.json', text: list }], [{ path: 'l.json', text: '{}' }], nothing)).toEqual([
      'Namespace shop (l.json)',
    ]);
    const plain = 'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n---\nkind: Deployment\n';
    expect(await prunesOf([{ path: 'k.yaml', text: plain }], [{ path: 'k.yaml', text: null }], nothing)).toEqual([]);
  });

  it('sees what a kustomization lists under another name, patches away, or takes with it when it goes', async () => {
    const head: Record<string, string> = {
      'a/pvc.yaml': claim('data'),
      'base/Kustomization': 'resources: [pvc.yaml]\n',
      'base/pvc.yaml': claim('base'),
    };
    const prunes = (before: string, after: string | null, more: Record<string, string> = {}) =>
      prunesOf(
        [
          { path: 'a/kustomization.yaml', text: before },
          ...Object.keys(more).map((path) => ({ path, text: head[path] ?? null })),
        ],
        [{ path: 'a/kustomization.yaml', text: after }, ...Object.entries(more).map(([path, text]) => ({ path, text }))],
        async (path) => head[path] ?? null,
      );
    const data = ['PersistentVolumeClaim shop/data (a/pvc.yaml)'];
    for (const naming of ['namespace: x', 'namePrefix: x-', 'nameSuffix: -x']) {
      expect(await prunes(`${naming}\nresources: [pvc.yaml]\n`, 'resources: [pvc.yaml]\n')).toEqual(data);
    }
    // The file stays, changed as well, and nobody lists it any more.
    expect(await prunes('resources: [pvc.yaml]\n', 'resources: []\n', { 'a/pvc.yaml': `# moved\n${claim('data')}` })).toEqual(
      data,
    );
    expect(await prunes('resources: [../base]\n', null)).toEqual(['PersistentVolumeClaim shop/base (base/pvc.yaml)']);
    const patch = 'resources: [pvc.yaml]\npatches:\n  - patch: |\n      $patch: delete\n';
    expect(await prunes('resources: [pvc.yaml]\n', patch)).toEqual([
      'what a patch deletes ($patch: delete, a/kustomization.yaml)',
    ]);
    expect(await prunes('resources: ["https://git.example/base"]\n', 'resources: []\n')).toEqual([
      'what https://git.example/base declares',
    ]);
  });

  it('reads large bundles, templated JSON and lists of one kind for what they declare', async () => {
    const gone = (path: string, text: string) => prunesOf([{ path, text }], [{ path, text: null }], nothing);
    const long = `# ${'x'.repeat(1024 * 1024)}\n${claim('data')}`;
    expect(await gone('a/all.yaml', long)).toEqual(['PersistentVolumeClaim ? (a/all.yaml)']);
    expect(await gone('a/t.json', '{"kind": "StatefulSet", "metadata": {"name": "{{ .Name }}"}}')).toEqual([
      'StatefulSet ? (a/t.json)',
    ]);
    const list = 'apiVersion: v1\nkind: PersistentVolumeClaimList\nitems:\n  - metadata: {name: data}\n';
    expect(await gone('a/l.yaml', list)).toEqual(['PersistentVolumeClaim data (a/l.yaml)']);
  });

  it('is not stopped by text that is no YAML', async () => {
    const bomb = `a: &a [x,x]\nb: &b [*a,*a]\n${'c: [*b]\n'.repeat(5)}kind: Namespace\n`;
    expect(
      await prunesOf(
        [
          { path: 'x', text: ': : [' },
          { path: 'y', text: bomb },
        ],
        [],
        nothing,
      ),
    ).toEqual(['Namespace ? (y)']);
  });

  const change = async (
    path: string,
    before: string | null,
    after: string | null,
    kinds = { data: [], stateless: [] } as KnownKinds,
  ) => prunesOf([{ path, text: before }], [{ path, text: after }], nothing, kinds);

  it('takes a kind that it does not know for one that owns volumes, and knows those that do not', async () => {
    const one = (apiVersion: string, kind: string) => `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: main}\n`;
    for (const [apiVersion, kind] of [
      ['postgresql.cnpg.io/v1', 'Cluster'],
      ['kafka.strimzi.io/v1beta2', 'Kafka'],
      ['elasticsearch.k8s.elastic.co/v1', 'Elasticsearch'],
      ['acid.zalan.do/v1', 'postgresql'.replace('p', 'P')],
    ] as const) {
      expect(await change('a.yaml', one(apiVersion, kind), null)).toEqual([`${kind} main (a.yaml)`]);
    }
    for (const kind of [
      'Deployment',
      'Service',
      'ConfigMap',
      'Ingress',
      'HTTPRoute',
      'Rollout',
      'ServiceMonitor',
      'ExternalSecret',
    ]) {
      expect(await change('a.yaml', one('x.example/v1', kind), null), kind).toEqual([]);
    }
    const kafka = one('kafka.strimzi.io/v1beta2', 'Kafka');
    expect(await change('a.yaml', kafka, null, { data: [], stateless: ['Kafka.kafka.strimzi.io'] })).toEqual([]);
    expect(await change('a.yaml', one('v1', 'ConfigMap'), null, { data: ['ConfigMap'], stateless: [] })).toHaveLength(1);
    expect(await change('ci.yaml', 'kind: pipeline\nname: build\n', null)).toEqual([]);
  });

  it('sees switches of charts that keep data, and lets ordinary values pass', async () => {
    const values = (more: string) => `image:\n  repository: shop\n  tag: 1.2.0\nreplicas: 3\n${more}`;
    const off: [string, string, string][] = [
      ['persistence:\n  enabled: true\n', 'persistence:\n  enabled: false\n', 'persistence.enabled'],
      ['redis:\n  master:\n    persistence:\n      enabled: true\n', '', 'redis.master.persistence.enabled'],
      ['postgresql:\n  enabled: true\n', 'postgresql: {}\n', 'postgresql.enabled'],
      ['controller:\n  type: statefulset\n', 'controller:\n  type: deployment\n', 'controller.type'],
      ['fullnameOverride: shop\n', 'fullnameOverride: shop-v2\n', 'fullnameOverride'],
    ];
    for (const [before, after, path] of off) {
      expect(await change('values.yaml', values(before), values(after))).toEqual([`what ${path} keeps (values.yaml)`]);
      expect(await change('values.yaml', values(after), values(before)), path).toEqual(
        path === 'fullnameOverride' ? [`what ${path} keeps (values.yaml)`] : [],
      );
    }
    const ordinary: [string, string][] = [
      ['', ''],
      ['features:\n  newCheckout:\n    enabled: true\n', 'features:\n  newCheckout:\n    enabled: false\n'],
      ['metrics: {enabled: true}\ningress: {enabled: true}\nautoscaling: {enabled: true}\n', ''],
      ['volumeMounts: [{name: a, readOnly: true}]\n', 'volumeMounts: [{name: a}]\n'],
      ['persistence: {enabled: true, size: 10Gi}\n', 'persistence: {enabled: true, size: 8Gi}\n'],
      ['env: [{name: REDIS_TLS, value: "true"}]\n', 'env: []\n'],
    ];
    for (const [before, after] of ordinary) {
      const next = values(after).replace('1.2.0', '1.1.0');
      expect(await change('values.yaml', values(before), next), before).toEqual([]);
    }
    const release = (enabled: boolean) =>
      `apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: shop}\nspec:\n  values:\n    mysql: {enabled: ${enabled}}\n`;
    expect(await change('hr.yaml', release(true), release(false))).toEqual(['what spec.values.mysql.enabled keeps (hr.yaml)']);
  });

  it('sees charts that a kustomization inflates or a chart depends on, by their names and not by their versions', async () => {
    const chart = (version: string) => `helmCharts:\n  - name: postgresql\n    releaseName: db\n    version: ${version}\n`;
    expect(await change('kustomization.yaml', chart('12.1.0'), chart('12.0.0'))).toEqual([]);
    expect(await change('kustomization.yaml', chart('12.1.0'), 'helmCharts: []\n')).toEqual([
      'what chart db/postgresql declares (kustomization.yaml)',
    ]);
    const needs = 'dependencies:\n  - {name: redis, version: 1.0.0}\n';
    expect(await change('Chart.yaml', needs, 'version: 2\n')).toEqual(['what chart redis declares (Chart.yaml)']);
    const generator = 'apiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: db}\nname: postgresql\n';
    const before = [{ path: 'kustomization.yaml', text: 'generators: [db.yaml]\n' }];
    const after = [{ path: 'kustomization.yaml', text: 'generators: []\n' }];
    expect(await prunesOf(before, after, async () => generator)).toEqual(['HelmChartInflationGenerator db (db.yaml)']);
  });

  it('cannot rule it out where a program, an archive or a templated kind goes, and asks for nothing when one is edited', async () => {
    const program = "{ db: k.apps.v1.statefulSet.new('db'), web: { kind: 'Deployment', tag: '1.2.0' } }";
    const unread = ['what a.jsonnet declares (it cannot be read; look through the diff)'];
    expect(await change('a.jsonnet', program, null)).toEqual(unread);
    expect(await change('a.jsonnet', program, program.replace(/db: [^,]*, /, ''))).toEqual(unread);
    expect(await change('a.jsonnet', program, program.replace('1.2.0', '1.1.0'))).toEqual([]);
    expect(await change('charts/db-1.2.0.tgz', '', null)).toEqual(['what charts/db-1.2.0.tgz declares']);
    const archives = (from: string | null, to: string | null) => [
      { path: 'charts/db-1.2.0.tgz', text: from },
      { path: 'charts/db-1.1.0.tgz', text: to },
    ];
    expect(await prunesOf(archives('', null), archives(null, ''), nothing)).toEqual([]);
    const template = 'kind: {{ .Values.kind }}\nmetadata:\n  name: web\n';
    expect(await change('templates/web.yaml', template, null)).toEqual([
      'what templates/web.yaml declares (its kind is made by a template)',
    ]);
    expect(await change('templates/web.yaml', template, `${template}  labels: {}\n`)).toEqual([]);
  });
});
