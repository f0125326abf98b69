import { parse } from 'yaml';
import { NO_MORE_KINDS, isDataKind, mayHoldData, type KnownKinds } from './kinds.ts';
import { declaredIn, isRecord, type Declared } from './objects.ts';
import { turnedOff } from './values.ts';

/** A file of a repository at one commit; null: there is none. */
export interface FileText {
  path: string;
  text: string | null;
}

const KUSTOMIZATION = /(^|\/)(kustomization\.ya?ml|Kustomization)$/;
const CHART = /(^|\/)(Chart|requirements)\.ya?ml$/;
const ARCHIVE = /\.tgz$/;
/** Programs that make manifests. */
const PROGRAM = /\.(jsonnet|libsonnet|cue)$/;
/** What may declare objects, or decide what a chart declares. */
export const MANIFEST = /\.(ya?ml|json|jsonnet|libsonnet|cue|tgz)$|(^|\/)Kustomization$/i;
const FOLDER_FILES = ['kustomization.yaml', 'kustomization.yml', 'Kustomization'];
/** With another one of these, everything that a kustomization lists gets another name, and what had the old one goes. */
const NAMING = ['namespace', 'namePrefix', 'nameSuffix'];
/** A patch that takes an object away (kustomize, strategic merge patches). */
const DELETES = /\$patch["']?[ \t]*:[ \t]*["']?delete\b/g;
const MOST_READS = 50;
const MOST_SHOWN = 100;

/**
 * Objects that may hold data and are declared before and no more after: deleted, taken out of a file, no longer listed in a
 * `kustomization.yaml`, or renamed by it; charts and switches of charts that are gone. An object that moves to another file stays.
 *
 * @param read a file that did not change, for what a kustomization no longer lists
 * @returns lines for a person, `PersistentVolumeClaim shop/data (apps/shop/pvc.yaml)`
 */
export async function prunesOf(
  before: readonly FileText[],
  after: readonly FileText[],
  read: (path: string) => Promise<string | null>,
  kinds: KnownKinds = NO_MORE_KINDS,
): Promise<string[]> {
  const { files: unlisted, unread } = await unlistedBy(before, after, read);
  const isListed = ({ path }: FileText) => unlisted.every((one) => one.path !== path);
  const gone = [...before.filter(isListed), ...unlisted]
    .flatMap(({ path, text }) => declaredIn(path, text))
    .filter((one) => mayHoldData(one, kinds));
  const left = new Map<string, number>();
  for (const one of after.filter(isListed).flatMap(({ path, text }) => declaredIn(path, text)))
    left.set(keyOf(one), (left.get(keyOf(one)) ?? 0) + 1);
  const lines: string[] = [
    ...unread.map((path) => `what ${path} declares`),
    ...deletedByPatch(before, after),
    ...unclear(before, after),
    ...chartsGone(before, after),
    ...settingsGone(before, after),
  ];
  for (const one of gone) {
    const key = keyOf(one);
    const count = left.get(key) ?? 0;
    if (count > 0) left.set(key, count - 1);
    else lines.push(`${one.kind} ${[one.namespace, one.name || '?'].filter((part) => part !== '').join('/')} (${one.path})`);
  }
  return [...new Set(lines)].sort().slice(0, MOST_SHOWN);
}

function keyOf({ group, kind, namespace, name, path }: Declared): string {
  // Without a name, only the same file can say that it is still there.
  return JSON.stringify(name === '' ? [group, kind, path] : [group, kind, namespace, name]);
}

const laterOf = (after: readonly FileText[], path: string): string | null => after.find((one) => one.path === path)?.text ?? null;

/**
 * Files that declare objects in a way that is not read as objects: a program (Jsonnet, CUE), a template without a plain kind, a
 * chart in an archive. One that goes may take anything with it; one that changes counts where a kind that holds data is no
 * longer in it.
 */
function unclear(before: readonly FileText[], after: readonly FileText[]): string[] {
  const archives = new Set(after.flatMap(({ path, text }) => (text !== null && ARCHIVE.test(path) ? [stemOf(path)] : [])));
  return before.flatMap(({ path, text }) => {
    if (text === null) return [];
    const later = laterOf(after, path);
    if (ARCHIVE.test(path)) return later === null && !archives.has(stemOf(path)) ? [`what ${path} declares`] : [];
    if (PROGRAM.test(path)) {
      const isLess = later === null || wordsIn(text) > wordsIn(later);
      return isLess ? [`what ${path} declares (it cannot be read; look through the diff)`] : [];
    }
    const isOpaque = later === null && /\{\{/.test(text) && /^[ \t]*["']?kind["']?[ \t]*:.*\{\{/m.test(text);
    return isOpaque ? [`what ${path} declares (its kind is made by a template)`] : [];
  });
}

/** How often a program speaks of something that holds data, in whatever way it writes that. */
function wordsIn(text: string): number {
  return [...text.matchAll(/[A-Za-z]+/g)].filter(([word]) => isDataKind(word.charAt(0).toUpperCase() + word.slice(1))).length;
}

/** The name of a chart's archive, whatever version of it. */
function stemOf(path: string): string {
  return path.replace(/-v?\d[^/]*\.tgz$/, '');
}

/** Charts that a kustomization inflates (`helmCharts`) or that a chart depends on, and that are no longer there. */
function chartsGone(before: readonly FileText[], after: readonly FileText[]): string[] {
  return before
    .filter(({ path }) => KUSTOMIZATION.test(path) || CHART.test(path))
    .flatMap(({ path, text }) => {
      const left = new Set(chartsIn(laterOf(after, path)));
      return chartsIn(text)
        .filter((chart) => !left.has(chart))
        .map((chart) => `what chart ${chart} declares (${path})`);
    });
}

/** By what their objects are named after; another version of the same chart is the same. */
function chartsIn(text: string | null): string[] {
  const value = kustomizationIn(text);
  return ['helmCharts', 'helmChartInflationGenerator', 'dependencies']
    .flatMap((key) => (Array.isArray(value?.[key]) ? (value[key] as unknown[]) : []))
    .filter(isRecord)
    .map(({ name, chartName, alias, releaseName, namespace }) =>
      [namespace, alias ?? releaseName, name ?? chartName].filter((part) => typeof part === 'string').join('/'),
    );
}

function settingsGone(before: readonly FileText[], after: readonly FileText[]): string[] {
  const added = after.filter(({ path }) => before.every((one) => one.path !== path || one.text === null));
  const elsewhere = added.filter(isValues).map(({ text }) => text);
  return before.filter(isValues).flatMap(({ path, text }) => {
    return turnedOff(text, laterOf(after, path), elsewhere).map((setting) => `what ${setting} keeps (${path})`);
  });
}

function isValues({ path }: FileText): boolean {
  return !PROGRAM.test(path) && !ARCHIVE.test(path);
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
  return ['resources', 'bases', 'components', 'generators']
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
