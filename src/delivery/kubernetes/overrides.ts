import type { Source } from './resources.ts';

const MAX_DEPTH = 8;
const MAX_VALUES = 1_000;

/** A setting in the source of an Application that takes the place of what Git declares. */
export interface Override {
  /** For a person: `helm parameter image.tag`. */
  name: string;
  value: string;
}

/**
 * The first setting of the source that sets one of these images: a Helm parameter or value that is the image, its tag
 * or its digest, or an entry of Kustomize images (argo-cd docs, "Parameter overrides").
 */
export function overrideOf(sources: readonly Source[], images: readonly string[]): Override | null {
  const wanted = new Set(images.flatMap(partsOf));
  const sets = (entry: string) => images.some((image) => image === entry || image.endsWith(`/${entry}`));
  for (const override of overridesIn(sources)) {
    if (override.kind === 'kustomize' ? sets(override.value) : wanted.has(override.value)) {
      return { name: override.name, value: override.value };
    }
  }
  return null;
}

/** What is set in one and is not, or is another value, in what was deployed before. */
export function changedOverride(sources: readonly Source[], before: readonly Source[]): Override | null {
  const known = new Set(overridesIn(before).map(({ name, value }) => `${name}=${value}`));
  const found = overridesIn(sources).find(({ name, value }) => !known.has(`${name}=${value}`));
  return found === undefined ? null : { name: found.name, value: found.value };
}

function overridesIn(sources: readonly Source[]): (Override & { kind: 'helm' | 'kustomize' })[] {
  return sources.flatMap(({ helm, kustomize }) => [
    ...(helm?.parameters ?? []).flatMap(({ name, value }) =>
      name === undefined || value === undefined ? [] : [{ kind: 'helm' as const, name: `helm parameter ${name}`, value }],
    ),
    ...leavesOf(helm?.valuesObject).map(({ path, value }) => ({ kind: 'helm' as const, name: `helm value ${path}`, value })),
    ...linesOf(helm?.values).map(({ path, value }) => ({ kind: 'helm' as const, name: `helm value ${path}`, value })),
    ...(kustomize?.images ?? []).map((entry) => ({
      kind: 'kustomize' as const,
      name: `kustomize image ${entry.split('=')[0] ?? entry}`,
      value: entry.slice(entry.indexOf('=') + 1),
    })),
  ]);
}

/** The image as a whole, its tag and its digest. */
function partsOf(image: string): string[] {
  const [named = '', digest] = image.split('@');
  const tag = /:([^:/]+)$/.exec(named)?.[1];
  return [image, named, digest, tag].filter((part) => part !== undefined);
}

function leavesOf(value: unknown): { path: string; value: string }[] {
  const found: { path: string; value: string }[] = [];
  const walk = (at: unknown, path: string, depth: number) => {
    if (depth > MAX_DEPTH || found.length >= MAX_VALUES) return;
    if (typeof at === 'string' || typeof at === 'number') found.push({ path, value: String(at) });
    else if (typeof at === 'object' && at !== null) {
      for (const [key, inner] of Object.entries(at)) walk(inner, path === '' ? key : `${path}.${key}`, depth + 1);
    }
  };
  walk(value, '', 0);
  return found;
}

/** Values that were written as YAML text; only what stands on one line counts, which a tag and an image always do. */
function linesOf(text: string | undefined): { path: string; value: string }[] {
  return (text ?? '')
    .split('\n')
    .slice(0, MAX_VALUES)
    .flatMap((line) => {
      const [, key, value] = /^[\s-]*([A-Za-z0-9_.-]+):\s*["']?([^\s"'#]+)["']?\s*(?:#.*)?$/.exec(line) ?? [];
      return key === undefined || value === undefined ? [] : [{ path: key, value }];
    });
}
