import { discriminatorOf, recordOf, type SchemaNode } from './schema-node.ts';
import { configNode } from './schema.ts';
import { expectedWords, isShare } from './words.ts';

interface Row {
  key: string;
  node: SchemaNode;
  /** Of a key inside of another one: only where that one stands. */
  required: boolean;
}

/** A table of the reference: the keys of one map. */
interface Section {
  title: string;
  description: string | undefined;
  rows: Row[];
}

const INTRODUCTION = `# Configuration

Generated from the schema of the configuration by \`npm run generate\`; do not edit.

A configuration is one YAML file. \`davylamp validate FILE\` checks it, \`config/schema.json\` is its JSON Schema for editors.
Unknown keys are errors. Relative paths start at the folder of the file.

Every key can be overridden by an environment variable: \`DAVYLAMP__\` and the keys of the path in capitals, with two
underscores between them, for example \`DAVYLAMP__SERVER__LISTEN=127.0.0.1:9000\` or
\`DAVYLAMP__APPLICATIONS__SHOP__MODE=propose\`. The value is YAML: a scalar, \`[a, list]\` or \`{a: map}\`. A \`-\` or \`.\` in a name is
written as \`_\`. Entries that the file does not have cannot be added one by one; set the whole map instead.
Secrets never stand in the configuration: keys that end in \`File\` name files that hold them.
`;

/** Every key of the configuration as Markdown: docs/reference/configuration.md. */
export function configReference(): string {
  const sections = Object.entries(configNode.properties ?? {}).flatMap(([key, node]) => sectionsOf(key, node, ''));
  return [INTRODUCTION, ...sections.map(sectionText)].join('\n');
}

function sectionsOf(title: string, node: SchemaNode, note: string): Section[] {
  const record = recordOf(node);
  if (record !== undefined) return sectionsOf(`${title}.NAME`, record.value, note === '' ? (node.description ?? '') : note);
  const discriminator = discriminatorOf(node);
  if (discriminator !== undefined) {
    const about = note === '' ? (node.description ?? '') : note;
    return [...discriminator.branches].flatMap(([name, branch]) =>
      sectionsOf(`${title} with ${discriminator.key}: ${name}`, branch, about),
    );
  }
  const rows: Row[] = [];
  const below: Section[] = [];
  // Of a union that no key tells apart, every key is shown; which of them go together, the schema and `validate` say.
  const branches = node.anyOf?.map((branch) => ({ ...branch, required: [] })) ?? [node];
  for (const branch of branches) collect(branch, '', title, rows, below);
  return [{ title, description: note === '' ? node.description : note, rows }, ...below];
}

/** Rows of a map; maps inside of it become keys with dots, whatever has branches becomes a section of its own. */
function collect(node: SchemaNode, prefix: string, title: string, rows: Row[], below: Section[]): void {
  for (const [name, child] of Object.entries(node.properties ?? {})) {
    const key = prefix + name;
    const required = node.required?.includes(name) ?? false;
    const record = recordOf(child);
    if (discriminatorOf(child) !== undefined || (record !== undefined && discriminatorOf(record.value) !== undefined)) {
      rows.push({ key, node: child, required });
      below.push(...sectionsOf(`${title}.${key}`, child, ''));
    } else if (record !== undefined) {
      rows.push({ key: `${key}.NAME`, node: { ...record.value, description: child.description ?? '' }, required });
      collect(record.value, `${key}.NAME.`, title, rows, below);
    } else if (child.type === 'object') {
      rows.push({ key, node: child, required });
      collect(child, `${key}.`, title, rows, below);
    } else if (child.type === 'array' && child.items?.type === 'object') {
      rows.push({ key: `${key}[]`, node: child, required });
      collect(child.items, `${key}[].`, title, rows, below);
    } else if (child.type === 'array' && child.items?.anyOf?.every(({ type }) => type === 'object') === true) {
      rows.push({ key: `${key}[]`, node: child, required });
      for (const branch of child.items.anyOf) collect({ ...branch, required: [] }, `${key}[].`, title, rows, below);
    } else if (child.anyOf !== undefined && !isShare(child)) {
      rows.push({ key, node: child, required });
      for (const branch of child.anyOf) collect({ ...branch, required: [] }, `${key}.`, title, rows, below);
    } else {
      rows.push({ key, node: child, required });
    }
  }
}

function sectionText({ title, description, rows }: Section): string {
  const lines = rows.map(({ key, node, required }) => {
    const inside = key.slice(0, Math.max(key.lastIndexOf('.'), 0)).replace('[]', '');
    const fallback = required
      ? inside === ''
        ? 'required'
        : `required in \`${inside}\``
      : node.default === undefined
        ? ''
        : `\`${JSON.stringify(node.default)}\``;
    const value = expectedWords(node);
    const cells = [`\`${key}\``, value, fallback, node.description === value ? '' : (node.description ?? '')];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  const about = description === undefined || description === '' ? '' : `${description}\n\n`;
  return `## ${title}\n\n${about}| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |\n${lines.join('\n')}\n`;
}

/**
 * JSON Schema (2020-12) of the configuration for editors. Records are closed here, as `check` has them: plain JSON
 * Schema lets keys through that do not match their pattern.
 */
export function editorSchema(): object {
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', ...closeRecords(configNode) };
}

function closeRecords(node: SchemaNode): SchemaNode {
  const all = (nodes: Readonly<Record<string, SchemaNode>>) =>
    Object.fromEntries(Object.entries(nodes).map(([key, child]) => [key, closeRecords(child)]));
  const { properties, patternProperties, anyOf, items } = node;
  return {
    ...node,
    ...(properties !== undefined && { properties: all(properties) }),
    ...(patternProperties !== undefined && { patternProperties: all(patternProperties), additionalProperties: false }),
    ...(anyOf !== undefined && { anyOf: anyOf.map(closeRecords) }),
    ...(items !== undefined && { items: closeRecords(items) }),
  };
}
