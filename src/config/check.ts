import { parseDuration } from '../analysis/quantities.ts';
import { nearestName } from '../analysis/nearest.ts';
import type { Path } from './document.ts';
import {
  branchFor,
  discriminatorOf,
  isMap,
  keysOf,
  own,
  recordOf,
  type Discriminator,
  type JsonMap,
  type SchemaNode,
} from './schema-node.ts';
import { expectedWords, gotWords, isDuration, isShare, patternWords, shown } from './words.ts';

/** One thing that is wrong, or worth a warning, at one place of the configuration. */
export interface Finding {
  path: Path;
  /** Whether the key itself or its value is meant. */
  part: 'key' | 'value';
  message: string;
  hint?: string;
}

/** The longest time that a timer of the runtime can wait for, 2^31 milliseconds, in whole days; a longer one would fire at once. */
const LONGEST_TIMER = '24d';

/** Where a map stands among others, for hints about keys that belong one level up, down or into another branch. */
interface Around {
  key: string;
  node: SchemaNode;
  value: unknown;
}

/**
 * Compares a value with its schema and says in plain words everything that does not fit. Stricter than JSON Schema in
 * three points: keys of records must match their pattern, durations must fit into a timer, and a duration is 0 only
 * where 0 is its default or one of its examples.
 */
export function check(node: SchemaNode, value: unknown, path: Path = [], around?: Around): Finding[] {
  if (node.anyOf !== undefined) return checkUnion(node, value, path, around);
  if (node.enum !== undefined || node.const !== undefined) return checkChoice(node, value, path);
  switch (node.type) {
    case 'object':
      if (!isMap(value)) return [mismatch(node, value, path)];
      return node.additionalProperties === true ? [] : checkMap(node, value, path, around);
    case 'array':
      return Array.isArray(value) ? checkList(node, value, path) : [mismatch(node, value, path)];
    case 'string':
      return typeof value === 'string' ? checkText(node, value, path) : [mismatch(node, value, path)];
    case 'boolean':
      return typeof value === 'boolean' ? [] : [mismatch(node, value, path)];
    default:
      return checkNumber(node, value, path);
  }
}

function mismatch(node: SchemaNode, value: unknown, path: Path): Finding {
  const message = `expected ${expectedWords(node)}; got ${gotWords(value, node)}`;
  const forgotUnit = isDuration(node) && typeof value === 'number' && value > 0;
  return { path, part: 'value', message, ...(forgotUnit && { hint: `did you mean ${value}s?` }) };
}

function checkText(node: SchemaNode, value: string, path: Path): Finding[] {
  if (value.length < (node.minLength ?? 0)) return [{ path, part: 'value', message: 'expected a text; got an empty one' }];
  if (value.length > (node.maxLength ?? Infinity)) {
    const message = `expected at most ${node.maxLength} characters; got ${value.length}`;
    return [{ path, part: 'value', message }];
  }
  if (node.pattern !== undefined && !new RegExp(node.pattern).test(value)) return [mismatch(node, value, path)];
  if (!isDuration(node)) return [];
  const milliseconds = parseDuration(value);
  const longest = node.longest ?? LONGEST_TIMER;
  if (milliseconds > parseDuration(longest)) {
    return [{ path, part: 'value', message: `expected a duration of at most ${longest}; got '${shown(value)}'` }];
  }
  if (milliseconds === 0 && node.default !== '0s' && node.examples?.includes('0s') !== true) {
    return [{ path, part: 'value', message: `expected a duration above 0; got '${shown(value)}'` }];
  }
  return [];
}

function checkNumber(node: SchemaNode, value: unknown, path: Path): Finding[] {
  const fits =
    typeof value === 'number' &&
    Number.isFinite(value) &&
    (node.type !== 'integer' || Number.isInteger(value)) &&
    value >= (node.minimum ?? -Infinity) &&
    value <= (node.maximum ?? Infinity);
  return fits ? [] : [mismatch(node, value, path)];
}

function checkChoice(node: SchemaNode, value: unknown, path: Path): Finding[] {
  const choices = node.enum ?? (node.const === undefined ? [] : [String(node.const)]);
  if (value === node.const || choices.some((choice) => choice === value)) return [];
  return [{ ...mismatch(node, value, path), ...didYouMean(value, choices.map(String)) }];
}

function checkUnion(node: SchemaNode, value: unknown, path: Path, around: Around | undefined): Finding[] {
  const discriminator = discriminatorOf(node);
  if (discriminator !== undefined && isMap(value)) return checkVariant(node, discriminator, value, path, around);
  if (isShare(node)) {
    const fits = (node.anyOf ?? []).some((option) => check(option, value, path).length === 0);
    return fits ? [] : [mismatch(node, value, path)];
  }
  const branch = branchFor(node, value);
  if (branch !== undefined) return check(branch, value, path, around);
  if (!isMap(value)) return [mismatch(node, value, path)];
  const keys = keysOf(node, value);
  const wrong = Object.keys(value).map((key) => unknownKey(key, value, path, node, keys, around));
  const missing: Finding = { path, part: 'value', message: `expected ${expectedWords(node)}` };
  return wrong.some((finding) => finding.hint !== undefined) ? wrong : [missing, ...wrong];
}

function checkVariant(
  node: SchemaNode,
  { key, branches }: Discriminator,
  value: JsonMap,
  path: Path,
  around: Around | undefined,
): Finding[] {
  const name = own(value, key);
  const branch = typeof name === 'string' ? branches.get(name) : undefined;
  if (branch !== undefined) return checkMap(branch, value, path, around, node);
  const choices = [...branches.keys()];
  if (name !== undefined) {
    const message = `expected one of ${choices.join(', ')}; got ${gotWords(name, {})}`;
    return [{ path: [...path, key], part: 'value', message, ...didYouMean(name, choices) }];
  }
  const typo = nearestName(key, Object.keys(value));
  if (typo !== null && !keysOf(node, value).includes(typo)) {
    return [{ path: [...path, typo], part: 'key', message: `unknown key '${shown(typo)}'`, hint: `did you mean ${key}?` }];
  }
  return [{ path: [...path, key], part: 'value', message: `is required; expected one of ${choices.join(', ')}` }];
}

function checkMap(node: SchemaNode, value: JsonMap, path: Path, around: Around | undefined, union?: SchemaNode): Finding[] {
  const findings: Finding[] = [];
  const record = recordOf(node);
  const properties = node.properties ?? {};
  const unknown: Finding[] = [];
  for (const [key, entry] of Object.entries(value)) {
    const child = Object.hasOwn(properties, key) ? properties[key] : undefined;
    const here: Around = { key: String(path.at(-1) ?? ''), node, value };
    if (child !== undefined) {
      findings.push(...check(child, entry, [...path, key], here));
    } else if (record === undefined) {
      unknown.push(unknownKey(key, value, path, union ?? node, Object.keys(properties), around));
    } else {
      if (key === '__proto__' || !new RegExp(record.pattern).test(key)) {
        const message = `expected ${patternWords(record.pattern)} as the key; got '${shown(key)}'`;
        findings.push({ path: [...path, key], part: 'key', message });
      }
      findings.push(...check(record.value, entry, [...path, key], here));
    }
  }
  findings.push(...unknown, ...missingKeys(node, value, path, unknown), ...countKeys(node, value, path));
  return findings;
}

/** Required keys that are not there, but for those that an unknown key was already said to mean. */
function missingKeys(node: SchemaNode, value: JsonMap, path: Path, unknown: readonly Finding[]): Finding[] {
  const meant = new Set(unknown.map((finding) => finding.hint));
  return (node.required ?? [])
    .filter((key) => own(value, key) === undefined && !meant.has(`did you mean ${key}?`))
    .map((key) => ({
      path: [...path, key],
      part: 'value',
      message: `is required; expected ${expectedWords(node.properties?.[key] ?? {})}`,
    }));
}

function countKeys(node: SchemaNode, value: JsonMap, path: Path): Finding[] {
  const count = Object.keys(value).length;
  if (count < (node.minProperties ?? 0)) {
    return [{ path, part: 'value', message: `expected at least ${node.minProperties} entry; got an empty map` }];
  }
  if (count > (node.maxProperties ?? Infinity)) {
    return [{ path, part: 'value', message: `expected at most ${node.maxProperties} entries; got ${count}` }];
  }
  return [];
}

function checkList(node: SchemaNode, value: readonly unknown[], path: Path): Finding[] {
  if (value.length < (node.minItems ?? 0)) {
    return [{ path, part: 'value', message: `expected at least ${node.minItems} entry; got an empty list` }];
  }
  if (value.length > (node.maxItems ?? Infinity)) {
    return [{ path, part: 'value', message: `expected at most ${node.maxItems} entries; got ${value.length}` }];
  }
  const { items } = node;
  return items === undefined ? [] : value.flatMap((entry, at) => check(items, entry, [...path, at]));
}

function didYouMean(got: unknown, choices: readonly string[]): { hint?: string } {
  const near = typeof got === 'string' ? nearestName(got, choices) : null;
  return near === null ? {} : { hint: `did you mean ${near}?` };
}

/**
 * An unknown key, with the best hint there is: a key of another branch, of the map around it or of a map inside of
 * it, else a misspelling of a key of this map.
 */
function unknownKey(
  key: string,
  value: JsonMap,
  path: Path,
  node: SchemaNode,
  known: readonly string[],
  around: Around | undefined,
): Finding {
  const absent = known.filter((name) => !Object.hasOwn(value, name));
  const near = nearestName(key, absent);
  const elsewhere = otherBranch(key, node, value) ?? levelAbove(key, around) ?? levelBelow(key, node, value);
  const hint = elsewhere ?? (near === null ? undefined : `did you mean ${near}?`);
  const rest = known.length === 0 ? '' : `; known here: ${known.join(', ')}`;
  const message = `unknown key '${shown(key)}'${hint === undefined ? rest : ''}`;
  return { path: [...path, key], part: 'key', message, ...(hint !== undefined && { hint }) };
}

function otherBranch(key: string, node: SchemaNode, value: JsonMap): string | undefined {
  const discriminator = discriminatorOf(node);
  if (discriminator === undefined) return undefined;
  const name = own(value, discriminator.key);
  for (const [branch, shape] of discriminator.branches) {
    const there = Object.hasOwn(shape.properties ?? {}, key);
    if (there) return `'${key}' belongs to ${discriminator.key} ${branch}, this one is ${String(name)}`;
  }
  return undefined;
}

function levelAbove(key: string, around: Around | undefined): string | undefined {
  if (around === undefined || !keysOf(around.node, around.value).includes(key)) return undefined;
  return around.key === '' ? `'${key}' belongs to the top level` : `'${key}' belongs one level up, under ${around.key}`;
}

function levelBelow(key: string, node: SchemaNode, value: JsonMap): string | undefined {
  const branch = branchFor(node, value);
  for (const [name, child] of Object.entries(branch?.properties ?? {})) {
    const inside = keysOf(child, own(value, name)).includes(key);
    if (inside) return `'${key}' belongs one level down, under ${name}`;
  }
  return undefined;
}
