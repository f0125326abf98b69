import type { FastifyInstance, FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile, Errors } from 'typebox/schema';
import { invalid, type InputError } from './problem.ts';

/** A JSON Schema as plain data. */
type Node = Readonly<Record<string, unknown>>;

const MAX_ERRORS = 20;
const MAX_NAMES = 20;
const CODES = { body: 'body_invalid', querystring: 'query_invalid', params: 'path_invalid', headers: 'header_invalid' } as const;

/**
 * Checks requests with TypeBox's own checker; fastify's default would load Ajv, a second schema library. Nothing is coerced and nothing is removed, except that numbers of a query string become numbers.
 */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const compiled = Compile(schema);
  const code = CODES[isPart(httpPart) ? httpPart : 'body'];
  return (value: unknown) => {
    const input = httpPart === 'querystring' ? withNumbers(schema, value) : value;
    if (compiled.Check(input)) return { value: input };
    return { error: invalid(code, explain(schema, input)) };
  };
};

/** Keeps fastify from loading its own compilers, which it would do as soon as it is made; see `checkWithTypeBox`. */
export const noCompilers = { compilersFactory: { buildValidator: unreachable, buildSerializer: unreachable } };

/**
 * Requests are checked by TypeBox; answers are written as they are: the types of the routes have checked them, and
 * fastify's own writer would silently leave out what a schema does not name.
 */
export function checkWithTypeBox(app: FastifyInstance): void {
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(() => (data: unknown) => JSON.stringify(data));
}

function unreachable(): never {
  throw new Error('call checkWithTypeBox before a route is added');
}

function isPart(part: string | undefined): part is keyof typeof CODES {
  return part !== undefined && Object.hasOwn(CODES, part);
}

/** A query string has texts only; those of numeric parameters become numbers when they are decimal digits. */
function withNumbers(schema: TSchema, value: unknown): unknown {
  if (!isNode(value)) return value;
  const properties = nodeAt({ ...schema }, 'properties');
  const entries = Object.entries(value).map(([name, text]) => {
    const numeric = ['integer', 'number'].includes(String(nodeAt(properties, name)['type']));
    return [name, numeric && typeof text === 'string' && /^-?[0-9]{1,15}(\.[0-9]{1,15})?$/.test(text) ? Number(text) : text];
  });
  return Object.fromEntries(entries);
}

/** What does not fit, each with its JSON pointer (RFC 6901) and what was expected there; bounded in number. */
export function explain(schema: TSchema, value: unknown): InputError[] {
  const narrowed = narrow({ ...schema }, value);
  const found = new Map<string, Set<string>>();
  for (const error of Errors(narrowed, value)[1]) {
    for (const { path, message } of wordsFor(narrowed, error)) {
      const messages = found.get(path) ?? new Set();
      found.set(path, messages.add(message));
    }
  }
  if (found.size === 0) return [{ path: '', message: 'it does not have the expected shape' }];
  return [...found].slice(0, MAX_ERRORS).map(([path, messages]) => ({ path, message: joined([...messages]) }));
}

/** What the branches of a union say of one place: "expected number or null". */
function joined(messages: readonly string[]): string {
  const [first = '', ...others] = messages;
  const start = 'expected ';
  return [
    first,
    ...others.map((message) => (first.startsWith(start) && message.startsWith(start) ? message.slice(start.length) : message)),
  ].join(' or ');
}

type SchemaError = ReturnType<typeof Errors>[1][number];

function wordsFor(schema: Node, error: SchemaError): InputError[] {
  const path = error.instancePath;
  switch (error.keyword) {
    case 'required':
      return error.params.requiredProperties.map((name) => ({ path: `${path}/${escaped(name)}`, message: 'is required' }));
    case 'boolean':
      return [{ path, message: unknownName(schema, path) }];
    // Its members are named one by one by "boolean"; of a union, the branches say more.
    case 'additionalProperties':
    case 'anyOf':
      return [];
    case 'enum':
      return [{ path, message: `expected one of ${error.params.allowedValues.slice(0, MAX_NAMES).map(String).join(', ')}` }];
    case 'const':
      return [{ path, message: `expected ${JSON.stringify(error.params.allowedValue)}` }];
    case 'pattern':
    case 'format': {
      const description = schemaAt(schema, path)['description'];
      return [{ path, message: typeof description === 'string' ? `expected: ${description}` : error.message }];
    }
    case 'type':
      return [{ path, message: `expected ${String(error.params.type)}` }];
    default:
      return [{ path, message: error.message }];
  }
}

function unknownName(schema: Node, path: string): string {
  const parent = schemaAt(schema, path.slice(0, path.lastIndexOf('/')));
  const pattern = Object.keys(nodeAt(parent, 'patternProperties'))[0];
  if (pattern !== undefined) return `the name does not match ${pattern}`;
  const known = Object.keys(nodeAt(parent, 'properties')).slice(0, MAX_NAMES);
  return known.length === 0 ? 'is not known here' : `is not known here; known are ${known.join(', ')}`;
}

/**
 * The schema with each union replaced by the branch that the value means, so that errors speak of that branch only.
 * Where no branch or several are meant, what tells the branches apart remains.
 */
function narrow(schema: Node, value: unknown): Node {
  const branches = Array.isArray(schema['anyOf']) ? schema['anyOf'].filter(isNode) : [];
  if (branches.length > 0) {
    const meant = branches.filter((branch) => !conflicts(branch, value));
    const only = meant.length === 1 ? meant[0] : undefined;
    if (only !== undefined) return narrow({ ...describedBy(schema), ...only }, value);
    return distinction(branches) ?? schema;
  }
  if (!isNode(value)) return schema;
  const properties: Record<string, unknown> = { ...nodeAt(schema, 'properties') };
  const patterns = Object.entries(nodeAt(schema, 'patternProperties')).map(
    ([source, node]) => [new RegExp(source), node] as const,
  );
  for (const [name, entry] of Object.entries(value)) {
    const node = Object.hasOwn(properties, name) ? properties[name] : patterns.find(([pattern]) => pattern.test(name))?.[1];
    if (isNode(node)) properties[name] = narrow(node, entry);
  }
  // The pattern stays for what it says of names; what it says of values is in the properties now.
  const names = Object.fromEntries(patterns.map(([pattern]) => [pattern.source, {}]));
  return { ...schema, properties, ...(patterns.length > 0 && { patternProperties: names }) };
}

/** Whether a value cannot mean this branch: another JSON type, or another constant where the branch has one. */
function conflicts(branch: Node, value: unknown): boolean {
  if ('const' in branch) return branch['const'] !== value;
  if (typeof branch['type'] === 'string' && !isOfType(branch['type'], value)) return true;
  if (!isNode(value)) return false;
  return Object.entries(nodeAt(branch, 'properties')).some(
    ([name, node]) =>
      isNode(node) && Object.hasOwn(value, name) && ('const' in node || 'properties' in node) && conflicts(node, value[name]),
  );
}

/** A schema that asks for nothing but what tells the branches apart, or undefined when nothing does. */
function distinction(branches: readonly Node[]): Node | undefined {
  const names = Object.keys(nodeAt(branches[0], 'properties'));
  for (const name of names) {
    const nodes = branches.map((branch) => nodeAt(nodeAt(branch, 'properties'), name));
    const constants = nodes.filter((node) => 'const' in node).map((node) => node['const']);
    if (constants.length === branches.length)
      return { type: 'object', required: [name], properties: { [name]: { enum: constants } } };
    const below = nodes.every((node) => 'properties' in node) ? distinction(nodes) : undefined;
    if (below !== undefined) return { type: 'object', required: [name], properties: { [name]: below } };
  }
  return undefined;
}

function isOfType(type: string, value: unknown): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isNode(value);
  return typeof value === (type === 'integer' ? 'number' : type);
}

function schemaAt(schema: Node, path: string): Node {
  let node = schema;
  for (const name of path.split('/').slice(1).map(unescaped)) {
    const property = nodeAt(nodeAt(node, 'properties'), name);
    node = Object.keys(property).length > 0 ? property : nodeAt(node, 'items');
  }
  return node;
}

function describedBy(schema: Node): Node {
  return 'description' in schema ? { description: schema['description'] } : {};
}

function nodeAt(node: Node | undefined, name: string): Node {
  const found = node !== undefined && Object.hasOwn(node, name) ? node[name] : undefined;
  return isNode(found) ? found : {};
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const escaped = (name: string) => name.replaceAll('~', '~0').replaceAll('/', '~1');
const unescaped = (name: string) => name.replaceAll('~1', '/').replaceAll('~0', '~');
