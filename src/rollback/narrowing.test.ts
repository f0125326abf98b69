import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';
import { narrowed } from './narrowing.ts';
import type { VersionField } from './policy.ts';

const FILE = 'apps/shop/values.yaml';
const run = (fields: VersionField[], good: string, bad: string, head = bad) =>
  narrowed(
    { application: 'shop', versionFields: fields },
    { good: async () => good, bad: async () => bad, head: async () => head },
  );
const tag: VersionField = { type: 'yaml', file: FILE, path: 'image.tag' };
const image: VersionField = { type: 'kustomize', file: FILE, image: 'registry/shop' };

describe('a narrow plan', () => {
  it('sets one field of Helm values back and leaves every other byte', async () => {
    const text = (version: string, more = '') =>
      `# values of the shop\r\nimage:\r\n  repository: 'registry/shop' # ours\r\n  tag: ${version}   # set by CI\r\n${more}replicas:   3\r\n`;
    const found = await run([tag], text('"1.0"'), text('"2.0"'), text('"2.0"', 'sale: yes\r\n'));
    expect(found).toEqual({
      kind: 'edits',
      edits: [{ path: FILE, content: text('"1.0"', 'sale: yes\r\n') }],
      notes: ['image.tag in apps/shop/values.yaml: "2.0" -> "1.0"'],
    });
  });

  it('sets tag, name and digest of an image of Kustomize back, keys that came or went included', async () => {
    const good = 'resources: [a.yaml]\nimages:\n  - name: other\n    newTag: v1\n  - name: registry/shop\n    newTag: v1 # old\n';
    const bad =
      'resources: [a.yaml]\nimages:\n  - name: other\n    newTag: v1\n  - name: registry/shop\n    newName: mirror/shop\n    digest: sha256:abc\n';
    const found = await run([image], good, bad);
    if (found.kind !== 'edits') throw new Error(found.sentence);
    const [edit] = found.edits;
    expect(parse(edit?.content ?? '')).toEqual(parse(good));
  });

  it('finds the entry of a list by a value, and a document among several', async () => {
    const text = (version: string) =>
      `kind: Service\n---\nkind: Deployment\nspec:\n  containers:\n    - name: log\n      image: log:1\n    - {name: web, image: shop:${version}}\n`;
    const found = await run([{ type: 'yaml', file: FILE, path: 'spec.containers[name=web].image' }], text('1'), text('2'));
    expect(found).toMatchObject({ edits: [{ content: text('1') }] });
  });

  it('changes nothing where the version is back already: the content is the proof', async () => {
    const text = (version: number) => `image: { tag: ${version} }\n`;
    expect(await run([tag], text(1), text(2), text(1))).toEqual({ kind: 'edits', edits: [], notes: [] });
  });

  it.each([
    ['version_moved', 'image: {tag: 1}\n', 'image: {tag: 2}\n', 'image: {tag: 3}\n'],
    ['version_unchanged', 'image: {tag: 1}\n', 'image: {tag: 1}\nsale: yes\n', 'image: {tag: 1}\n'],
    ['version_field_missing', 'image: {tag: 1}\n', 'image: {name: 2}\n', 'image: {tag: 3}\n'],
    ['version_field_missing', 'image: {tag: 1}\n', 'image: [\n', 'image: {tag: 3}\n'],
    ['version_field_unwritable', 'image:\n  tag: |\n    1\n', 'image:\n  tag: 2\n', 'image:\n  tag: 2\n'],
  ])('holds with %s instead of guessing', async (code, good, bad, head) => {
    expect(await run([tag], good, bad, head)).toMatchObject({ kind: 'fault', code });
  });

  it('holds where the value as it was written would mean something else here, or more than the field would change', async () => {
    const cases = [
      ['image:\n  tag: a, b\n', 'image:\n  tag: c\n', 'image: {tag: c}\n'],
      ['image:\n  tag: &t "1"\nproxy: *t\n', 'image:\n  tag: &t "2"\nproxy: *t\n'],
      ['image:\n  tag: 1.1\n', 'image:\n  tag:\n'],
      ['image:\n  tag: !!str 1.10\n', 'image:\n  tag: "2"\n'],
      ['image: &i\n  tag: "1"\nproxy:\n  <<: *i\n', 'image: &i\n  tag: "2"\nproxy:\n  <<: *i\n'],
    ];
    for (const [good = '', bad = '', head = bad] of cases) {
      expect(await run([tag], good, bad, head), head).toMatchObject({ kind: 'fault', code: 'version_field_unwritable' });
    }
    const twice = 'x: &v "2"\nimages:\n  - newTag: *v\n    name: registry/shop\n';
    expect(await run([image], 'images:\n  - newTag: "1"\n    name: registry/shop\n', twice)).toMatchObject({ kind: 'fault' });
  });

  it('takes numbers for what is written: 1.10 is another version than 1.1', async () => {
    const found = await run([tag], 'image:\n  tag: 1.10\n', 'image:\n  tag: 1.1\n');
    expect(found).toMatchObject({
      edits: [{ content: 'image:\n  tag: 1.10\n' }],
      notes: [expect.stringContaining('1.1 -> 1.10')],
    });
  });

  it('holds where no field is declared, or a file is gone', async () => {
    expect(await run([], 'a: 1\n', 'a: 2\n')).toMatchObject({ code: 'version_field_missing' });
    const gone = { good: async () => 'image: {tag: 1}', bad: async () => 'image: {tag: 2}', head: async () => null };
    expect(await narrowed({ application: 'shop', versionFields: [tag] }, gone)).toMatchObject({ code: 'version_field_missing' });
  });
});
