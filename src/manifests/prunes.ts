import { parse } from 'yaml';
import { declaredIn, isRecord, type Declared } from './objects.ts';

/** A file of a repository at one commit; null: there is none. */
export interface FileText {
  path: string;
  text: string | null;
}

/** Who applies from Git deletes what is no longer declared, and with these kinds the data behind it. */
const HOLDS_DATA: ReadonlySet<string> = new Set([
  'PersistentVolumeClaim',
  'PersistentVolume',
  'StatefulSet',
  'Namespace',
  'CustomResourceDefinition',
  // What they deploy goes with them, volumes included.
  'Application',
  'ApplicationSet',
  'Kustomization',
  'HelmRelease',
]);
/** `kind: Kustomization` of kustomize itself declares no object. */
const NO_OBJECT: ReadonlySet<string> = new Set(['kustomize.config.k8s.io']);
const KUSTOMIZATION = /(^|\/)(kustomization\.ya?ml|Kustomization)$/;
const FOLDER_FILES = ['kustomization.yaml', 'kustomization.yml', 'Kustomization'];
/** With another one of these, everything that a kustomization lists gets another name, and what had the old one goes. */
const NAMING = ['namespace', 'namePrefix', 'nameSuffix'];
/** A patch that takes an object away (kustomize, strategic merge patches). */
const DELETES = /\$patch["']?[ \t]*:[ \t]*["']?delete\b/g;
const MOST_READS = 50;
const MOST_SHOWN = 100;

/**
 * Objects that hold data and are declared before and no more after: deleted, taken out of a file, no longer listed in a
 * `kustomization.yaml`, or renamed by it. An object that moves to another file stays.
 *
 * @param read a file that did not change, for what a kustomization no longer lists
 * @returns lines for a person, `PersistentVolumeClaim shop/data (apps/shop/pvc.yaml)`
 */
export async function prunesOf(
  before: readonly FileText[],
  after: readonly FileText[],
  read: (path: string) => Promise<string | null>,
): Promise<string[]> {
  const { files: unlisted, unread } = await unlistedBy(before, after, read);
  const isListed = ({ path }: FileText) => unlisted.every((one) => one.path !== path);
  const gone = [...before.filter(isListed), ...unlisted].flatMap(({ path, text }) => declaredIn(path, text)).filter(holdsData);
  const left = new Map<string, number>();
  for (const one of after.filter(isListed).flatMap(({ path, text }) => declaredIn(path, text)))
    left.set(keyOf(one), (left.get(keyOf(one)) ?? 0) + 1);
  const lines: string[] = [...unread.map((path) => `what ${path} declares`), ...deletedByPatch(before, after)];
  for (const one of gone) {
    const key = keyOf(one);
    const count = left.get(key) ?? 0;
    if (count > 0) left.set(key, count - 1);
    else lines.push(`${one.kind} ${[one.namespace, one.name || '?'].filter((part) => part !== '').join('/')} (${one.path})`);
  }
  return [...new Set(lines)].sort().slice(0, MOST_SHOWN);
}

function holdsData({ kind, group }: Declared): boolean {
  return HOLDS_DATA.has(kind) && !NO_OBJECT.has(group) && !(kind === 'Kustomization' && group === '');
}

function keyOf({ group, kind, namespace, name, path }: Declared): string {
  // Without a name, only the same file can say that it is still there.
  return JSON.stringify(name === '' ? [group, kind, path] : [group, kind, namespace, name]);
}

/** Files that have more patches after which delete an object than before. */
function deletedByPatch(before: readonly FileText[], after: readonly FileText[]): string[] {
  const count = (texts: readonly FileText[], path: string) =>
    texts.find((one) => one.path === path)?.text?.match(DELETES)?.length ?? 0;
  const paths = after.map(({ path }) => path).filter((path) => count(after, path) > count(before, path));
  return paths.map((path) => `what a patch deletes ($patch: delete, ${path})`);
}

/** Files and folders that a kustomization listed before and does not after, or lists under other names. */
async function unlistedBy(
  before: readonly FileText[],
  after: readonly FileText[],
  read: (path: string) => Promise<string | null>,
): Promise<{ files: FileText[]; unread: string[] }> {
  const earlier = new Map(before.map(({ path, text }) => [path, text]));
  const later = new Map(after.map(({ path, text }) => [path, text]));
  const listedAfter = new Set(
    after.filter(({ path }) => KUSTOMIZATION.test(path)).flatMap(({ path, text }) => resourcesOf(path, text)),
  );
  const waiting = before
    .filter(({ path }) => KUSTOMIZATION.test(path))
    .flatMap(({ path, text }) => {
      const isRenamed = namingOf(text) !== namingOf(later.get(path) ?? null);
      return resourcesOf(path, text).filter((one) => isRenamed || !listedAfter.has(one));
    });
  const files: FileText[] = [];
  const unread: string[] = [];
  for (let reads = 0; waiting.length > 0; reads += 1) {
    const path = waiting.shift() ?? '';
    // A file that is deleted is compared as such: what it declared may have moved.
    if (files.some((one) => one.path === path) || (earlier.has(path) && (later.get(path) ?? null) === null)) continue;
    if (reads >= MOST_READS || path.includes('://')) {
      unread.push(path);
      continue;
    }
    const text = earlier.get(path) ?? (await read(path));
    if (text !== null) {
      files.push({ path, text });
      continue;
    }
    let isFolder = false;
    for (const file of FOLDER_FILES) {
      const inner = await read(`${path}/${file}`);
      if (inner === null) continue;
      isFolder = true;
      waiting.push(...resourcesOf(`${path}/${file}`, inner));
      break;
    }
    if (!isFolder) unread.push(path);
  }
  return { files, unread };
}

/** What a kustomization makes of the names of all that it lists. */
function namingOf(text: string | null): string {
  const value = kustomizationIn(text);
  return JSON.stringify(NAMING.map((key) => value?.[key] ?? ''));
}

/** Paths that a kustomization lists, from the root of the repository. */
function resourcesOf(path: string, text: string | null): string[] {
  const value = kustomizationIn(text);
  if (value === null) return [];
  const folder = path.split('/').slice(0, -1);
  return ['resources', 'bases', 'components']
    .flatMap((key) => (Array.isArray(value[key]) ? (value[key] as unknown[]) : []))
    .filter((entry): entry is string => typeof entry === 'string')
    .flatMap((entry) => (entry.includes('://') ? [entry] : resolved(folder, entry)));
}

/** @returns null for one that cannot be read: it lists nothing that could be compared */
function kustomizationIn(text: string | null): Record<string, unknown> | null {
  if (text === null) return null;
  try {
    const value: unknown = parse(text, { maxAliasCount: 100 });
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

/** @returns none for a path that leaves the repository */
function resolved(folder: readonly string[], entry: string): string[] {
  const parts = [...folder];
  for (const part of entry.split('/')) {
    if (part === '..') {
      if (parts.pop() === undefined) return [];
    } else if (part !== '' && part !== '.') parts.push(part);
  }
  return [parts.join('/')];
}
