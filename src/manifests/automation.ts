import { isScalar, type Document } from 'yaml';
import { documentsOf, nodeAt, replaced, scalarAt, withEntry, withFirstKey, type Step } from './field.ts';

/** Programs that write versions into Git, as their traces in the repository show them. */

/** A line that Flux's image automation rewrites (fluxcd.io, image update guide: setter markers). */
export interface Marked {
  namespace: string;
  policy: string;
  /** The version that stands there. */
  tag: string;
}

const MARKER = /^(.*?)#\s*\{\s*"\$imagepolicy"\s*:\s*"([^":]+):([^":]+)(?::(\w+))?"\s*\}/;

/** Marked lines of one text that the other one does not have: what a plan would set back. */
export function markedLines(text: string, after: string): Marked[] {
  const kept = new Set(after.split(/\r?\n/));
  return text.split(/\r?\n/).flatMap((line) => {
    const match = kept.has(line) ? null : MARKER.exec(line);
    if (match === null) return [];
    const [, written = '', namespace = '', policy = '', part = ''] = match;
    const tag = part === 'name' ? null : tagIn(written, part);
    return tag === null ? [] : [{ namespace, policy, tag }];
  });
}

/** The tag in `image: registry:5000/shop:1.2@sha256:…`, or the whole value of `newTag: "1.2"`. */
function tagIn(written: string, part: string): string | null {
  const value = /[:-]\s+["']?([^\s"']+)["']?\s*$/.exec(written)?.[1];
  if (value === undefined) return null;
  if (part === 'tag') return value;
  const [reference = ''] = value.split('@');
  const tag = reference.slice(reference.lastIndexOf('/') + 1).split(':')[1];
  return tag ?? null;
}

/** Whether a commit is the work of Argo CD Image Updater, by what it writes and how it signs (its documentation, git write-back). */
export function isByImageUpdater(commit: { author: { name: string }; subject: string; paths: readonly string[] }): boolean {
  return (
    commit.author.name === 'argocd-image-updater' ||
    commit.subject.startsWith('build: automatic update of ') ||
    commit.paths.some((path) => /(^|\/)\.argocd-source-[^/]+\.yaml$/.test(path))
  );
}

/** The tags that Image Updater says it brought. */
export function tagsOfImageUpdater(message: string): string[] {
  return [...message.matchAll(/^updates image \S+ tag '[^']*' to '([^']+)'/gm)].map(([, tag = '']) => tag);
}

/** Renovate and Dependabot open pull requests, which people merge. */
export function proposesVersions(author: { name: string; email: string }): boolean {
  return /^(renovate|dependabot)\b/i.test(author.name) || /(^|\+|\.)(renovate|dependabot)(\[bot\])?@/i.test(author.email);
}

/** What an edit of a settings file came to. */
export interface Setting {
  text: string;
  /** For a person. */
  did: string;
}

/**
 * Takes a version out of what a Flux ImagePolicy may choose: a semver range takes exclusions (Masterminds/semver,
 * `>=1.0.0 !=1.2.3`).
 * @returns null when the text has no such policy, or it chooses in another way
 */
export function narrowPolicy(text: string, { namespace, policy, tag }: Marked): Setting | null {
  const document = documentOf(text, { kind: 'ImagePolicy', name: policy, namespace });
  if (document === null || !/^v?\d+(\.\d+){0,2}([-+][\w.+-]+)?$/.test(tag)) return null;
  const range = scalarAt(text, [document], keys('spec', 'policy', 'semver', 'range'));
  // A text over several lines, or with a quote in it, is not ours to write anew.
  if (range === null || typeof range.value !== 'string' || /['\n]/.test(range.value) || range.raw.includes('\n')) return null;
  const exclusion = `!=${wholeVersion(tag)}`;
  const without = range.value
    .split('||')
    .map((part) => (part.split(/[\s,]+/).includes(exclusion) ? part.trim() : `${part.trim()} ${exclusion}`.trim()))
    .join(' || ');
  return { text: replaced(text, range, `'${without}'`), did: `ImagePolicy ${namespace}/${policy} no longer takes ${tag}` };
}

/** `!=1.2` excludes every 1.2.x (Masterminds/semver, comparisons): the one version is meant, with all of its three numbers. */
function wholeVersion(tag: string): string {
  const [, lead = '', numbers = '', rest = ''] = /^(v?)([\d.]+)(.*)$/.exec(tag) ?? [];
  return lead + [...numbers.split('.'), '0', '0'].slice(0, 3).join('.') + rest;
}

/** Suspends a Flux ImageUpdateAutomation in Git; null when the text has none in the namespace. */
export function suspendAutomation(text: string, namespace: string): Setting | null {
  const document = documentOf(text, { kind: 'ImageUpdateAutomation', name: null, namespace });
  if (document === null) return null;
  const name = scalarAt(text, [document], keys('metadata', 'name'));
  const did = `ImageUpdateAutomation ${namespace}/${typeof name?.value === 'string' ? name.value : '?'} is suspended until somebody turns it on again`;
  const suspended = scalarAt(text, [document], keys('spec', 'suspend'));
  if (suspended !== null) return { text: suspended.value === true ? text : replaced(text, suspended, 'true'), did };
  const next = withFirstKey(text, nodeAt([document], keys('spec')), 'suspend', ['true']);
  return next === null ? null : { text: next, did };
}

/** Lets an ImageUpdater (argocd-image-updater.argoproj.io) ignore a tag; null when the text has none. */
export function ignoreTag(text: string, tag: string): Setting | null {
  const document = documentOf(text, { kind: 'ImageUpdater', name: null, namespace: null });
  if (document === null) return null;
  const settings = keys('spec', 'commonUpdateSettings');
  const list = nodeAt([document], [...settings, { key: 'ignoreTags' }]);
  const raw = JSON.stringify(tag);
  const did = `ImageUpdater ignores tag ${tag}`;
  if (list !== null) {
    if ((list.toJS(document) as unknown[]).includes(tag)) return { text, did };
    const next = withEntry(text, list, raw);
    return next === null ? null : { text: next, did };
  }
  const next =
    withFirstKey(text, nodeAt([document], settings), 'ignoreTags', [`[${raw}]`]) ??
    (nodeAt([document], settings) === null
      ? withFirstKey(text, nodeAt([document], keys('spec')), 'commonUpdateSettings', [`{ ignoreTags: [${raw}] }`])
      : null);
  return next === null ? null : { text: next, did };
}

function keys(...names: string[]): Step[] {
  return names.map((key) => ({ key }));
}

/**
 * The one document that is meant; null where there are several: which one is not to be guessed, as it may be another team's.
 * @param wanted null matches any; an object without a namespace matches every one
 */
function documentOf(
  text: string,
  wanted: { kind: string; name: string | null; namespace: string | null },
): Document.Parsed | null {
  const documents = documentsOf(text);
  const valueAt = (document: Document.Parsed, ...path: string[]): unknown => {
    const node = document.getIn(path, true);
    return isScalar(node) ? node.value : undefined;
  };
  const found = (documents ?? []).filter(
    (document) =>
      valueAt(document, 'kind') === wanted.kind &&
      (wanted.name === null || valueAt(document, 'metadata', 'name') === wanted.name) &&
      (wanted.namespace === null || [undefined, wanted.namespace].includes(valueAt(document, 'metadata', 'namespace') as string)),
  );
  return found.length === 1 ? (found[0] ?? null) : null;
}
