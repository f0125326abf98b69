/**
 * The part of JSON Schema that the configuration uses, as data: checking, defaults, overrides and the reference all
 * walk it, so that src/config/schema.ts stays the only place where a shape is written.
 */
export interface SchemaNode {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly patternProperties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  readonly enum?: readonly (string | number)[];
  readonly const?: string | number | boolean;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  /** True for a map in which anything may stand, as the language of somebody else has it. */
  readonly additionalProperties?: boolean;
  /** Of a duration: the longest that is allowed, where it is not what a timer can wait for. */
  readonly longest?: string;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly description?: string;
}

export type JsonMap = Readonly<Record<string, unknown>>;

export function isMap(value: unknown): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The own value of a key; never what an object inherits. */
export function own(map: JsonMap, key: string): unknown {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}

/**
 * A TypeBox schema as a node. Fails at once, naming the place, for a keyword that those who walk it would overlook.
 */
export function schemaNode(schema: unknown, place = 'schema'): SchemaNode {
  if (!isNode(schema)) throw new TypeError(`${place} is no object, list, union, enumeration, literal or scalar`);
  const below: [string, unknown][] = [
    ...Object.entries(schema.properties ?? {}),
    ...Object.entries(schema.patternProperties ?? {}),
    ...(schema.anyOf ?? []).map((branch, at): [string, unknown] => [`anyOf ${at}`, branch]),
  ];
  if (schema.items !== undefined) below.push(['items', schema.items]);
  for (const [name, child] of below) schemaNode(child, `${place}.${name}`);
  return schema;
}

function isNode(value: unknown): value is SchemaNode {
  if (!isMap(value) || ['allOf', 'oneOf', 'not', '$ref', 'if'].some((keyword) => keyword in value)) return false;
  const scalars = ['object', 'array', 'string', 'number', 'integer', 'boolean'];
  return 'anyOf' in value || 'enum' in value || 'const' in value || scalars.some((type) => type === value['type']);
}

/** Pattern of the keys and schema of the values of a record, undefined for anything else. */
export function recordOf(node: SchemaNode): { pattern: string; value: SchemaNode } | undefined {
  const entry = Object.entries(node.patternProperties ?? {})[0];
  return entry === undefined ? undefined : { pattern: entry[0], value: entry[1] };
}

export interface Discriminator {
  /** `type` or `kind`. */
  key: string;
  branches: ReadonlyMap<string, SchemaNode>;
}

/** How the branches of a union are told apart by one key, when they are. */
export function discriminatorOf(node: SchemaNode): Discriminator | undefined {
  if (node.anyOf === undefined) return undefined;
  for (const key of ['type', 'kind']) {
    const branches = new Map<string, SchemaNode>();
    for (const branch of node.anyOf) {
      const name = branch.properties?.[key]?.const;
      if (typeof name === 'string') branches.set(name, branch);
    }
    if (branches.size === node.anyOf.length) return { key, branches };
  }
  return undefined;
}

/**
 * The branch of a union that a value means: by its discriminator, else by the required keys that it has, else by its
 * JSON type. Undefined when that cannot be said.
 */
export function branchFor(node: SchemaNode, value: unknown): SchemaNode | undefined {
  if (node.anyOf === undefined) return node;
  const discriminator = discriminatorOf(node);
  if (discriminator !== undefined) {
    const name = isMap(value) ? own(value, discriminator.key) : undefined;
    return typeof name === 'string' ? discriminator.branches.get(name) : undefined;
  }
  if (isMap(value)) {
    return node.anyOf.find((branch) => (branch.required ?? []).some((key) => Object.hasOwn(value, key)));
  }
  if (Array.isArray(value)) return node.anyOf.find((branch) => branch.type === 'array');
  return node.anyOf.find((branch) => branch.type === typeof value || (branch.type === 'integer' && typeof value === 'number'));
}

/** Schema of a key inside of a map, whichever branch it comes from. */
export function childOf(node: SchemaNode, key: string, value: unknown): SchemaNode | undefined {
  const chosen = branchFor(node, value);
  const branches = chosen === undefined ? (node.anyOf ?? []) : [chosen];
  for (const branch of branches) {
    const child = branch.properties?.[key] ?? recordOf(branch)?.value;
    if (child !== undefined) return child;
  }
  return undefined;
}

/** Keys that a map of this schema may have by name, in the order of the schema. */
export function keysOf(node: SchemaNode, value: unknown): string[] {
  const chosen = branchFor(node, value);
  const branches = chosen === undefined ? (node.anyOf ?? []) : [chosen];
  return [...new Set(branches.flatMap((branch) => Object.keys(branch.properties ?? {})))];
}
