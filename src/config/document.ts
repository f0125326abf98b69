import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from 'yaml';
import { sentenceOf } from '../errors.ts';

/** Keys and list indices from the root of the configuration. */
export type Path = readonly (string | number)[];

/** Line and column in the file, both counted from 1. */
export interface Position {
  line: number;
  column: number;
}

export interface ConfigDocument {
  /** Plain JSON; an empty file is an empty map. */
  value: unknown;
  /** Where the key or the value of a path stands; the nearest thing around it when the path does not exist. */
  locate(path: Path, part: 'key' | 'value'): Position;
}

export type DocumentProblem = Position & { message: string };

const MAX_ALIASES = 100;
const START: Position = { line: 1, column: 1 };

/** Options that make YAML a plain data format: core schema (1.2), no merge keys, a key twice is an error. */
const STRICT = { version: '1.2', schema: 'core', uniqueKeys: true, merge: false, prettyErrors: false } as const;

/** Reads one YAML document. Either the document, or everything that is wrong with its syntax. */
export function parseYaml(text: string): { document: ConfigDocument } | { problems: DocumentProblem[] } {
  const lines = new LineCounter();
  const positionOf = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return line < 1 ? START : { line, column: col };
  };
  const parsed = parseDocument(text, { ...STRICT, lineCounter: lines });
  const faults = [...parsed.errors, ...parsed.warnings];
  if (faults.length > 0) {
    return { problems: faults.map((fault) => ({ ...positionOf(fault.pos[0]), message: `not valid YAML: ${fault.message}` })) };
  }
  let value: unknown;
  try {
    value = parsed.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    // The only thing that a document without errors can still fail with: aliases that multiply.
    return { problems: [{ ...START, message: `not valid YAML: ${sentenceOf(error)}` }] };
  }
  return {
    document: { value: value ?? {}, locate: (path, part) => positionOf(offsetOf(parsed, path, part)) },
  };
}

/** The value of an environment override: one YAML scalar or flow collection. Undefined when it is neither. */
export function parseYamlValue(text: string): { value: unknown } | undefined {
  const parsed = parseDocument(text, STRICT);
  if (parsed.errors.length > 0 || parsed.warnings.length > 0) return undefined;
  try {
    const value: unknown = parsed.toJS({ maxAliasCount: 0 });
    return { value };
  } catch {
    return undefined;
  }
}

function offsetOf(parsed: Document.Parsed, path: Path, part: 'key' | 'value'): number {
  let node: Node | null = parsed.contents;
  let offset = startOf(node) ?? 0;
  for (const [depth, segment] of path.entries()) {
    const here = isAlias(node) ? (node.resolve(parsed) ?? null) : node;
    let next: unknown;
    if (isMap(here)) {
      const pair = here.items.find((item) => isScalar(item.key) && String(item.key.value) === String(segment));
      if (pair === undefined) return offset;
      const keyOffset = startOf(pair.key) ?? offset;
      next = pair.value;
      const wantsKey = depth === path.length - 1 && part === 'key';
      offset = wantsKey ? keyOffset : (startOf(next) ?? keyOffset);
    } else if (isSeq(here) && typeof segment === 'number') {
      next = here.items[segment];
      offset = startOf(next) ?? offset;
    } else {
      return offset;
    }
    node = isMap(next) || isSeq(next) || isScalar(next) || isAlias(next) ? next : null;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  if (isMap(node) || isSeq(node) || isScalar(node) || isAlias(node)) return node.range?.[0];
  return undefined;
}

/** A path as people write it: `applications.shop.paths[0]`, `templates."a.b"`. */
export function pathText(path: Path): string {
  let text = '';
  for (const segment of path) {
    if (typeof segment === 'number') {
      text += `[${segment}]`;
    } else {
      const quoted = /^[\w-]+$/.test(segment) ? segment : JSON.stringify(segment);
      text += text === '' ? quoted : `.${quoted}`;
    }
  }
  return text;
}
