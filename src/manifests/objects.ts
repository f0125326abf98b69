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
const KIND_LINE = /^kind:[ \t]*["']?([A-Za-z]+)["']?[ \t]*(?:#.*)?$/gm;

/** What a file declares; of a text that is no YAML (yet), the kinds alone. */
export function declaredIn(path: string, text: string | null): Declared[] {
  if (text === null || text.length > LARGEST) return [];
  if (TEMPLATE.test(text)) return kindsIn(path, text);
  try {
    return parseAllDocuments(text)
      .slice(0, MOST_DOCUMENTS)
      .flatMap((document) =>
        document.errors.length > 0 ? kindsIn(path, text) : objectsIn(path, document.toJS({ maxAliasCount: 100 })),
      );
  } catch {
    // Too many aliases, or no YAML at all: what it declares cannot be told, its kinds can.
    return kindsIn(path, text);
  }
}

function objectsIn(path: string, value: unknown): Declared[] {
  if (!isRecord(value)) return [];
  const { kind, items } = value;
  if (kind === 'List' && Array.isArray(items)) return items.flatMap((item) => objectsIn(path, item));
  if (typeof kind !== 'string') return [];
  const metadata = isRecord(value['metadata']) ? value['metadata'] : {};
  const version = textOf(value['apiVersion']);
  const group = version.includes('/') ? (version.split('/')[0] ?? '') : '';
  return [{ group, kind, namespace: textOf(metadata['namespace']), name: textOf(metadata['name']), path }];
}

function kindsIn(path: string, text: string): Declared[] {
  return [...text.matchAll(KIND_LINE)].map(([, kind = '']) => ({ group: '', kind, namespace: '', name: '', path }));
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
