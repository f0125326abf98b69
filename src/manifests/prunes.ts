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
const KUSTOMIZATION = /(^|\/)kustomization\.ya?ml$/;
const FOLDER_FILES = ['kustomization.yaml', 'kustomization.yml'];
const MOST_READS = 50;
const MOST_SHOWN = 100;

/**
 * Objects that hold data and are declared before and no more after: deleted, taken out of a file, or no longer listed in a
 * `kustomization.yaml`. An object that moves to another file stays.
 *
 * @param read a file that did not change, for what a kustomization no longer lists
 * @returns lines for a person, `PersistentVolumeClaim shop/data (apps/shop/pvc.yaml)`
 */
export async function prunesOf(
  before: readonly FileText[],
  after: readonly FileText[],
  read: (path: string) => Promise<string | null>,
): Promise<string[]> {
  const unlisted = await unlistedBy(before, after, read);
  const gone = [...before, ...unlisted].flatMap(({ path, text }) => declaredIn(path, text)).filter(holdsData);
  const left = new Map<string, number>();
  for (const one of after.flatMap(({ path, text }) => declaredIn(path, text)))
    left.set(keyOf(one), (left.get(keyOf(one)) ?? 0) + 1);
  const lines: string[] = [];
  for (const one of gone) {
    const key = keyOf(one);
    const count = unlisted.some(({ path }) => path === one.path) ? 0 : (left.get(key) ?? 0);
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

/** Files and folders that a kustomization listed before and does not after, as far as they can be read. */
async function unlistedBy(
  before: readonly FileText[],
  after: readonly FileText[],
  read: (path: string) => Promise<string | null>,
): Promise<FileText[]> {
  const later = new Map(after.map(({ path, text }) => [path, text]));
  const changed = new Set(before.map(({ path }) => path));
  const listedAfter = new Set(
    after.filter(({ path }) => KUSTOMIZATION.test(path)).flatMap(({ path, text }) => resourcesOf(path, text)),
  );
  const waiting = before
    .filter(({ path, text }) => KUSTOMIZATION.test(path) && text !== null && (later.get(path) ?? null) !== null)
    .flatMap(({ path, text }) => resourcesOf(path, text))
    .filter((path) => !listedAfter.has(path));
  const found: FileText[] = [];
  for (let reads = 0; waiting.length > 0 && reads < MOST_READS; reads += 1) {
    const path = waiting.shift() ?? '';
    if (changed.has(path)) continue;
    const text = await read(path);
    if (text !== null) {
      found.push({ path, text });
      continue;
    }
    for (const file of FOLDER_FILES) {
      const inner = await read(`${path}/${file}`);
      if (inner === null) continue;
      waiting.push(...resourcesOf(`${path}/${file}`, inner));
      break;
    }
  }
  return found;
}

/** Paths that a kustomization lists, from the root of the repository. */
function resourcesOf(path: string, text: string | null): string[] {
  if (text === null) return [];
  let value: unknown;
  try {
    value = parse(text, { maxAliasCount: 100 });
  } catch {
    // A kustomization that cannot be read lists nothing that could be compared.
    return [];
  }
  if (!isRecord(value)) return [];
  const folder = path.split('/').slice(0, -1);
  return ['resources', 'bases', 'components']
    .flatMap((key) => (Array.isArray(value[key]) ? (value[key] as unknown[]) : []))
    .filter((entry): entry is string => typeof entry === 'string' && !entry.includes('://'))
    .flatMap((entry) => resolved(folder, entry));
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
