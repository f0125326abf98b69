import { parseAllDocuments } from 'yaml';

/** An object of Kubernetes as a manifest declares it. */
export interface Declared {
  /** Without the version: `apps`, empty for the core. */
  group: string;
  kind: string;
  /** Empty where the manifest leaves it to whoever applies it. */
  namespace: string;
  /** Empty where it cannot be read (a template). */
  name: string;
  path: string;
}

const LARGEST = 1024 * 1024;
const MOST_DOCUMENTS = 1_000;
/** Helm and its likes: the text is YAML only after they have run. */
const TEMPLATE = /\{\{/;
const KIND_LINE = /^kind:[ \t]*["']?([A-Za-z]+)["']?[ \t]*(?:#.*)?$|"kind"[ \t]*:[ \t]*"([A-Za-z]+)"/gm;

/** What a file declares; of a text that is no YAML (yet), the kinds alone. */
export function declaredIn(path: string, text: string | null): Declared[] {
  if (text === null) return [];
  if (TEMPLATE.test(text) || text.length > LARGEST) return kindsIn(path, text);
  try {
    const documents = parseAllDocuments(text);
    // Whoever reads half of a text believes the other half to be gone.
    if (documents.length > MOST_DOCUMENTS || documents.some(({ errors }) => errors.length > 0)) return kindsIn(path, text);
    return documents.flatMap((document) => objectsIn(path, document.toJS({ maxAliasCount: 100 })));
  } catch {
    // Too many aliases, or no YAML at all: what it declares cannot be told, its kinds can.
    return kindsIn(path, text);
  }
}

function objectsIn(path: string, value: unknown): Declared[] {
  if (!isRecord(value)) return [];
  const { kind, items, apiVersion } = value;
  if (typeof kind !== 'string') return [];
  if (kind.endsWith('List') && Array.isArray(items)) {
    // In a list of one kind, the entries need not say theirs.
    const one = kind === 'List' ? {} : { apiVersion, kind: kind.slice(0, -'List'.length) };
    return items.flatMap((item) => (isRecord(item) ? objectsIn(path, { ...one, ...item }) : []));
  }
  const metadata = isRecord(value['metadata']) ? value['metadata'] : {};
  const version = textOf(value['apiVersion']);
  const group = version.includes('/') ? (version.split('/')[0] ?? '') : '';
  return [{ group, kind, namespace: textOf(metadata['namespace']), name: textOf(metadata['name']), path }];
}

function kindsIn(path: string, text: string): Declared[] {
  return [...text.matchAll(KIND_LINE)]
    .map(([, line, quoted]) => line ?? quoted ?? '')
    .map((kind) => ({ group: '', kind, namespace: '', name: '', path }));
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
