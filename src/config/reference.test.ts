import { describe, expect, it } from 'vitest';
import { configReference, editorSchema } from './reference.ts';
import type { SchemaNode } from './schema-node.ts';
import { configNode } from './schema.ts';
import { hasWords } from './words.ts';

function everyNode(node: SchemaNode): SchemaNode[] {
  const below = [
    ...Object.values(node.properties ?? {}),
    ...Object.values(node.patternProperties ?? {}),
    ...(node.anyOf ?? []),
    ...(node.items === undefined ? [] : [node.items]),
  ];
  return [node, ...below.flatMap(everyNode)];
}

describe('the configuration reference', () => {
  const reference = configReference();

  it('has a row for every key', () => {
    const keys = everyNode(configNode).flatMap((node) => Object.keys(node.properties ?? {}));
    const top = Object.keys(configNode.properties ?? {});
    for (const key of keys) {
      if (top.includes(key)) expect(reference).toContain(`## ${key}`);
      else expect(new RegExp(`\`([\\w.[\\]]+\\.)?${key}(\\[\\]|\\.NAME)?\``).test(reference), key).toBe(true);
    }
  });

  it('says of no type that is there that it comes later', () => {
    expect(reference).toMatch(/## sources\.NAME with type: prometheus\n/);
    expect(reference).not.toMatch(/## sources\.NAME with type: [a-z]+\n\n.*Comes with a later release/);
  });

  it('gives every default of the schema', () => {
    expect(reference).toContain('| `listen` | an address and a port such as 127.0.0.1:8080 or [::1]:8080 | `"127.0.0.1:8080"` |');
    expect(reference).toContain('| `guards.maxPerDay` | a whole number, at least 0 | `3` |');
  });
});

describe('words', () => {
  it('exist for every pattern, so that no person has to read one', () => {
    const nodes = everyNode(configNode);
    const patterns = nodes.flatMap((node) => [node.pattern ?? [], Object.keys(node.patternProperties ?? {})].flat());
    const shares = '^[0-9]+(\\.[0-9]+)?%$';
    expect(patterns.filter((pattern) => pattern !== shares && !hasWords(pattern))).toEqual([]);
  });
});

describe('the schema for editors', () => {
  it('lets no key through that does not match the pattern of its record', () => {
    const schema: unknown = JSON.parse(JSON.stringify(editorSchema()));
    expect(schema).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      properties: { templates: { additionalProperties: false, patternProperties: {} } },
    });
  });
});
