import type { Finding } from './check.ts';
import type { Path } from './document.ts';
import { isMap, own, type JsonMap } from './schema-node.ts';

/** What the schema knows already and no module of this version does. A line goes when its adapter comes. */
const LATER = {
  storage: new Set<string>(),
  source: new Set<string>(),
  delivery: new Set<string>(),
  forge: new Set<string>(),
};

/** Whether a type or kind of storage, source or delivery is one of those. */
export function comesLater(name: string): boolean {
  return Object.values(LATER).some((names) => names.has(name));
}

/**
 * The parts of a configuration that its schema knows and that this version does not act on yet. `validate` warns of
 * them; the service does not start with them, because a rollback that silently does less is worse than none.
 */
export function unavailableParts(root: JsonMap): { path: Path; what: string }[] {
  const parts: { path: Path; what: string }[] = [];
  const look = (path: Path, value: unknown, kind: keyof typeof LATER) => {
    if (typeof value === 'string' && LATER[kind].has(value)) parts.push({ path, what: `${kind} ${value}` });
  };
  look(['storage', 'kind'], at(root, 'storage', 'kind'), 'storage');
  for (const [name, source] of entries(root, 'sources')) look(['sources', name, 'type'], own(source, 'type'), 'source');
  for (const [name, repository] of entries(root, 'repositories')) {
    look(['repositories', name, 'forge'], own(repository, 'forge'), 'forge');
  }
  for (const [name, application] of entries(root, 'applications')) {
    look(['applications', name, 'delivery', 'type'], at(application, 'delivery', 'type'), 'delivery');
  }
  return parts;
}

export function availabilityWarnings(root: JsonMap): Finding[] {
  return unavailableParts(root).map(({ path, what }) => ({
    path,
    part: 'value',
    message: `${what} comes with a later release; this one does not start with it`,
  }));
}

function at(map: JsonMap, key: string, inner: string): unknown {
  const value = own(map, key);
  return isMap(value) ? own(value, inner) : undefined;
}

function entries(root: JsonMap, key: string): [string, JsonMap][] {
  const section = own(root, key);
  return isMap(section) ? Object.entries(section).filter((entry): entry is [string, JsonMap] => isMap(entry[1])) : [];
}
