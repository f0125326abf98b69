import { describe, expect, it } from 'vitest';
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
});
