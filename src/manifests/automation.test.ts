import { parse, parseAllDocuments } from 'yaml';
import { describe, expect, it } from 'vitest';
import {
  ignoreTag,
  isByImageUpdater,
  markedLines,
  narrowPolicy,
  proposesVersions,
  suspendAutomation,
  tagsOfImageUpdater,
} from './automation.ts';

const POLICY = `apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata:
  name: shop
  namespace: flux
spec:
  policy:
    semver:
      range: '>=1.0.0' # production
`;
const marked = { namespace: 'flux', policy: 'shop', tag: '1.4.2' };

describe('Flux image automation', () => {
  it('is found by the marker on a line that the plan sets back, with the version that stands there', () => {
    const line = (tag: string) => `      image: registry:5000/shop:${tag} # {"$imagepolicy": "flux:shop"}`;
    const other = '      image: proxy:3 # {"$imagepolicy": "flux:proxy"}';
    const text = ['spec:', line('1.4.2'), other].join('\n');
    expect(markedLines(text, ['spec:', line('1.4.1'), other].join('\n'))).toEqual([marked]);
    const tagged = 'newTag: "1.4.2" # {"$imagepolicy": "flux:shop:tag"}\nnewName: r/shop # {"$imagepolicy": "flux:shop:name"}\n';
    expect(markedLines(tagged, '')).toEqual([marked]);
    expect(markedLines('image: shop:1.4.2 # by hand', '')).toEqual([]);
  });

  it('is kept from the bad version by an exclusion in the range of its policy', () => {
    const narrowed = narrowPolicy(POLICY, marked);
    expect(narrowed?.text).toBe(POLICY.replace("'>=1.0.0'", "'>=1.0.0 !=1.4.2'"));
    expect(narrowPolicy(narrowed?.text ?? '', marked)?.text).toBe(narrowed?.text);
    const either = narrowPolicy(POLICY.replace('>=1.0.0', '1.x || 2.x'), marked);
    expect(either?.text).toContain("'1.x !=1.4.2 || 2.x !=1.4.2'");
  });

  it('takes out exactly the one version, whatever the range excludes already', () => {
    const rangeFor = (range: string, tag: string) => {
      const text = narrowPolicy(POLICY.replace("'>=1.0.0'", range), { ...marked, tag })?.text ?? '';
      return /range: (.*) # production/.exec(text)?.[1];
    };
    expect(rangeFor("'>=1.0.0 !=1.4.20'", '1.4.2')).toBe("'>=1.0.0 !=1.4.20 !=1.4.2'");
    expect(rangeFor("'>=1.0.0, !=1.4.2'", '1.4.2')).toBe("'>=1.0.0, !=1.4.2'");
    // `!=1.4` would exclude all of 1.4.x.
    expect(rangeFor("'>=1.0.0'", '1.4')).toBe("'>=1.0.0 !=1.4.0'");
    expect(rangeFor("'>=1.0.0'", 'v2-rc.1')).toBe("'>=1.0.0 !=v2.0.0-rc.1'");
    expect(narrowPolicy(POLICY.replace("'>=1.0.0' # production", '>-\n        >=1.0.0'), marked)).toBeNull();
  });

  it('is left alone where it is not known which settings are meant', () => {
    const second = POLICY.replace('  namespace: flux\n', '');
    expect(narrowPolicy(`${POLICY}---\n${second}`, marked)).toBeNull();
    const updater = 'kind: ImageUpdater\nmetadata: {name: a}\nspec:\n  namespace: argocd\n';
    expect(ignoreTag(updater, '1.4.2')).not.toBeNull();
    expect(ignoreTag(`${updater}---\n${updater}`, '1.4.2')).toBeNull();
  });

  it('is not narrowed where the policy is another one or chooses in another way', () => {
    expect(narrowPolicy(POLICY, { ...marked, policy: 'proxy' })).toBeNull();
    expect(narrowPolicy(POLICY.replace(/semver:[^]*/, 'alphabetical:\n      order: asc\n'), marked)).toBeNull();
    expect(narrowPolicy(POLICY, { ...marked, tag: "main-1' || '*" })).toBeNull();
  });

  it('is suspended in Git otherwise', () => {
    const automation = `${POLICY}---\nkind: ImageUpdateAutomation\nmetadata:\n  name: all\n  namespace: flux\nspec:\n  interval: 1m\n  update:\n    path: ./apps\n`;
    const done = suspendAutomation(automation, 'flux');
    const [policy, suspended] = parseAllDocuments(done?.text ?? '').map((document) => document.toJS() as unknown);
    expect(policy).toEqual(parse(POLICY));
    expect(suspended).toMatchObject({ spec: { suspend: true, interval: '1m', update: { path: './apps' } } });
    expect(suspendAutomation(done?.text ?? '', 'flux')?.text).toBe(done?.text);
    expect(suspendAutomation(automation, 'other')).toBeNull();
    expect(suspendAutomation('kind: ImageUpdateAutomation\nspec: {suspend: false}\n', 'flux')?.text).toContain('suspend: true');
  });
});

describe('Argo CD Image Updater', () => {
  it('is known by its author, its subject and its files', () => {
    const commit = { author: { name: 'ada' }, subject: 'Deploy', paths: ['apps/shop/values.yaml'] };
    expect(isByImageUpdater(commit)).toBe(false);
    expect(isByImageUpdater({ ...commit, author: { name: 'argocd-image-updater' } })).toBe(true);
    expect(isByImageUpdater({ ...commit, subject: 'build: automatic update of shop' })).toBe(true);
    expect(isByImageUpdater({ ...commit, paths: ['apps/shop/.argocd-source-shop.yaml'] })).toBe(true);
  });

  it('is told to ignore the tag that it brought', () => {
    const message = "build: automatic update of shop\n\nupdates image registry/shop tag '1.4.1' to '1.4.2'\n";
    expect(tagsOfImageUpdater(message)).toEqual(['1.4.2']);
    const head = 'kind: ImageUpdater\nmetadata: {name: all}\nspec:\n';
    const tagsOf = (text: string | undefined) =>
      (parse(text ?? '') as { spec: { commonUpdateSettings: { ignoreTags: string[] } } }).spec.commonUpdateSettings.ignoreTags;
    expect(tagsOf(ignoreTag(`${head}  namespace: argocd\n`, '1.4.2')?.text)).toEqual(['1.4.2']);
    expect(tagsOf(ignoreTag(`${head}  commonUpdateSettings:\n    updateStrategy: semver\n`, '1.4.2')?.text)).toEqual(['1.4.2']);
    expect(tagsOf(ignoreTag(`${head}  commonUpdateSettings:\n    ignoreTags: [a]\n`, '1.4.2')?.text)).toEqual(['a', '1.4.2']);
    const block = `${head}  commonUpdateSettings:\n    ignoreTags:\n      - a # old\n    updateStrategy: semver\n`;
    expect(tagsOf(ignoreTag(block, '1.4.2')?.text)).toEqual(['a', '1.4.2']);
    const ignored = `${head}  commonUpdateSettings:\n    ignoreTags: ["1.4.2"]\n`;
    expect(ignoreTag(ignored, '1.4.2')?.text).toBe(ignored);
    expect(ignoreTag('kind: Deployment\n', '1.4.2')).toBeNull();
  });
});

it('knows who only proposes versions', () => {
  expect(proposesVersions({ name: 'renovate[bot]', email: '29139614+renovate[bot]@users.noreply.github.com' })).toBe(true);
  expect(proposesVersions({ name: 'dependabot[bot]', email: 'support@github.com' })).toBe(true);
  expect(proposesVersions({ name: 'Ada', email: 'ada@example.com' })).toBe(false);
});
