import { parseYamlValue, pathText, type Path } from './document.ts';
import { nearestName } from '../analysis/nearest.ts';
import { childOf, isMap, keysOf, own, recordOf, type JsonMap, type SchemaNode } from './schema-node.ts';

/** Two underscores: DAVYLAMP_CRASH_AT and the like are no overrides. */
export const OVERRIDE_PREFIX = 'DAVYLAMP__';
const MAX_OVERRIDES = 500;
const MAX_VALUE_LENGTH = 100_000;

export interface Override {
  variable: string;
  path: Path;
}

export interface OverrideProblem {
  variable: string;
  message: string;
  hint?: string;
}

/**
 * Lays `DAVYLAMP__SERVER__LISTEN=0.0.0.0:8080` over the value of the file. Segments are matched with the keys of the
 * schema and of the maps that the file has, in either case and with `_` for `-` and `.`; a number means an entry of a
 * list. The value is YAML, a scalar or a flow collection; where the schema wants a text it may be written as it is.
 */
export function applyOverrides(
  schema: SchemaNode,
  value: unknown,
  environment: Readonly<Record<string, string | undefined>>,
): { value: unknown; overrides: Override[]; problems: OverrideProblem[] } {
  const problems: OverrideProblem[] = [];
  const overrides: Override[] = [];
  let result = value;
  const variables = Object.keys(environment).filter((name) => name.startsWith(OVERRIDE_PREFIX));
  if (variables.length > MAX_OVERRIDES) {
    const message = `expected at most ${MAX_OVERRIDES} variables that begin with ${OVERRIDE_PREFIX}; got ${variables.length}`;
    return { value, overrides, problems: [{ variable: OVERRIDE_PREFIX, message }] };
  }
  // A whole map is laid over before single keys of it.
  for (const variable of variables.toSorted((a, b) => depth(a) - depth(b) || a.localeCompare(b))) {
    const found = resolve(schema, result, variable);
    if ('message' in found) {
      problems.push(found);
      continue;
    }
    const twice = overrides.find((other) => pathText(other.path) === pathText(found.path));
    if (twice !== undefined) {
      problems.push({ variable, message: `${pathText(found.path)} is set by ${twice.variable}, too` });
      continue;
    }
    const parsed = valueOf(environment[variable] ?? '', found.node);
    if (parsed === undefined) {
      problems.push({ variable, message: `expected a YAML scalar, [list] or {map} for ${pathText(found.path)}` });
      continue;
    }
    overrides.push({ variable, path: found.path });
    result = withValue(schema, result, found.path, parsed.value);
  }
  return { value: result, overrides, problems };
}

function depth(variable: string): number {
  return variable.slice(OVERRIDE_PREFIX.length).split('__').length;
}

function resolve(schema: SchemaNode, root: unknown, variable: string): { path: Path; node: SchemaNode } | OverrideProblem {
  const path: (string | number)[] = [];
  let node: SchemaNode | undefined = schema;
  let value = root;
  for (const segment of variable.slice(OVERRIDE_PREFIX.length).split('__')) {
    const level: SchemaNode = node ?? {};
    if (level.type === 'array') {
      const list: readonly unknown[] = Array.isArray(value) ? value : [];
      const index = /^[0-9]{1,6}$/.test(segment) ? Number(segment) : -1;
      if (index < 0 || index >= list.length) {
        const range = list.length === 0 ? 'which is empty; set it whole' : `from 0 to ${list.length - 1}`;
        return { variable, message: `expected the number of an entry of ${pathText(path)}, ${range}; got '${segment}'` };
      }
      path.push(index);
      node = level.items;
      value = list[index];
      continue;
    }
    const known = [...new Set([...keysOf(level, value), ...(isMap(value) ? Object.keys(value) : [])])];
    const key = matching(segment, known);
    if (Array.isArray(key)) {
      return { variable, message: `'${segment}' could mean each of ${key.join(', ')}; set ${pathText(path)} whole` };
    }
    const child = key === undefined ? undefined : childOf(level, key, value);
    if (key === undefined || child === undefined) return unknownSegment(variable, segment, path, known, level);
    path.push(key);
    node = child;
    value = isMap(value) ? own(value, key) : undefined;
  }
  return { path, node: node ?? {} };
}

function unknownSegment(
  variable: string,
  segment: string,
  path: Path,
  known: readonly string[],
  level: SchemaNode,
): OverrideProblem {
  const where = path.length === 0 ? 'the configuration' : pathText(path);
  const only = recordOf(level) === undefined ? '' : '; only entries that the file has can be overridden';
  const near = nearestName(plain(segment), known.map(plain));
  const meant = known.find((key) => plain(key) === near);
  return {
    variable,
    message: `'${segment}' is no key of ${where}${only}`,
    ...(meant !== undefined && { hint: `did you mean ${meant}?` }),
  };
}

function plain(text: string): string {
  return text.toLowerCase().replace(/[-._]/g, '');
}

/** The key that a segment means, several when that is not clear. */
function matching(segment: string, known: readonly string[]): string | string[] | undefined {
  const sameLetters = known.filter((key) => key.toLowerCase() === segment.toLowerCase());
  const candidates = sameLetters.length > 0 ? sameLetters : known.filter((key) => plain(key) === plain(segment));
  return candidates.length > 1 ? candidates : candidates[0];
}

function valueOf(text: string, node: SchemaNode): { value: unknown } | undefined {
  if (text.length > MAX_VALUE_LENGTH) return undefined;
  const parsed = parseYamlValue(text);
  const wantsText = node.type === 'string' || (node.enum ?? []).some((choice) => typeof choice === 'string');
  // `[::1]:8080`, `1.0` and `yes: no` are good texts, whatever YAML thinks of them.
  if (wantsText && typeof parsed?.value !== 'string') return { value: text };
  return parsed;
}

/**
 * A copy with the value set; the parts that are not on the path are shared, never changed. A map that is not there
 * begins as its default, so that one key of it can be set alone.
 */
function withValue(node: SchemaNode, container: unknown, path: Path, value: unknown): unknown {
  const [segment, ...rest] = path;
  if (segment === undefined) return value;
  if (typeof segment === 'number') {
    const list: readonly unknown[] = Array.isArray(container) ? container : [];
    return list.map((entry, at) => (at === segment ? withValue(node.items ?? {}, entry, rest, value) : entry));
  }
  const absent: JsonMap = isMap(node.default) ? node.default : {};
  const map = isMap(container) ? container : absent;
  return { ...map, [segment]: withValue(childOf(node, segment, map) ?? {}, own(map, segment), rest, value) };
}
