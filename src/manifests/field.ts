import {
  isCollection,
  isMap,
  isPair,
  isScalar,
  isSeq,
  parseAllDocuments,
  type Document,
  type Node,
  type Pair,
  type YAMLMap,
} from 'yaml';

/** One step of a path: a key, a place in a list, or the entry of a list that has this value. */
export type Step = { key: string } | { index: number } | { where: string; is: string };

/** Where a value stands in a text, and how it is written there. */
export interface Found {
  /** The value as it is written, quotes included. */
  raw: string;
  /** What it means. */
  value: unknown;
  /** Place of `raw` in the text. */
  start: number;
  end: number;
}

const STEP = /([^.[\]]+)|\[(\d+)\]|\[([^=\]]+)=([^\]]*)\]/gy;

/** @returns null for a text that is no path: `image.tag`, `spec.containers[name=web].image`, `[0].value` */
export function pathOf(text: string): Step[] | null {
  const steps: Step[] = [];
  let at = 0;
  while (at < text.length) {
    if (text[at] === '.' && at > 0) at += 1;
    STEP.lastIndex = at;
    const match = STEP.exec(text);
    if (match === null) return null;
    const [whole, key, index, where, is] = match;
    if (key !== undefined) steps.push({ key });
    else if (index !== undefined) steps.push({ index: Number(index) });
    else steps.push({ where: where ?? '', is: is ?? '' });
    at += whole.length;
  }
  return steps.length === 0 ? null : steps;
}

/** The documents of a text; null when it is not valid YAML. */
export function documentsOf(text: string): Document.Parsed[] | null {
  const documents = parseAllDocuments(text, { keepSourceTokens: true });
  return Array.isArray(documents) && documents.every(({ errors }) => errors.length === 0) ? documents : null;
}

/** The node at a path in the first document that has it. */
export function nodeAt(documents: readonly Document.Parsed[], steps: readonly Step[]): Node | null {
  for (const { contents } of documents) {
    let node: unknown = contents;
    for (const step of steps) node = child(node, step);
    if (isNode(node)) return node;
  }
  return null;
}

/** The scalar at a path; null when there is none. */
export function scalarAt(text: string, documents: readonly Document.Parsed[], steps: readonly Step[]): Found | null {
  const node = nodeAt(documents, steps);
  if (!isScalar(node) || !node.range) return null;
  const [start, end] = node.range;
  return { raw: text.slice(start, end), value: node.value, start, end };
}

/** The text with another value in the place of one; everything else stays as it is, comments and line ends included. */
export function replaced(text: string, { start, end }: Found, raw: string): string {
  return text.slice(0, start) + raw + text.slice(end);
}

/**
 * The text without a key of a map that is written on lines of its own.
 * @returns null where it is written otherwise (`{a: 1, b: 2}`)
 */
export function without(text: string, documents: readonly Document.Parsed[], steps: readonly Step[], key: string): string | null {
  const map = nodeAt(documents, steps);
  if (!isMap(map)) return null;
  const pair = map.items.length === 1 ? null : pairOf(map, key);
  const line = pair === null ? null : lineOf(text, map, pair);
  return line === null ? null : text.slice(0, line.start) + text.slice(line.end);
}

/**
 * The text with a key more, after the last one of a map that is written on lines of its own.
 * @returns null where it is written otherwise
 */
export function withKey(
  text: string,
  documents: readonly Document.Parsed[],
  steps: readonly Step[],
  key: string,
  raw: string,
): string | null {
  const map = nodeAt(documents, steps);
  if (!isMap(map)) return null;
  const last = map.items.at(-1);
  const line = last === undefined ? null : lineOf(text, map, last);
  if (line === null) return null;
  const ending = text.includes('\r\n') ? '\r\n' : '\n';
  const before = text.slice(0, line.end);
  const gap = before.endsWith('\n') ? '' : ending;
  return `${before}${gap}${' '.repeat(line.indent)}${key}: ${raw}${ending}${text.slice(line.end)}`;
}

/**
 * The text with a key more, before the first one of a map that is written on lines of its own; whatever the values are.
 *
 * @param lines how the value is written; more than one line is indented as the key is, and two more
 * @returns null where it is written otherwise
 */
export function withFirstKey(text: string, map: Node | null, key: string, lines: readonly string[]): string | null {
  if (!isMap(map) || map.flow === true) return null;
  const first: unknown = map.items[0]?.key;
  if (!isScalar(first) || !first.range) return null;
  const start = text.lastIndexOf('\n', first.range[0] - 1) + 1;
  const lead = text.slice(start, first.range[0]);
  if (!/^ *$/.test(lead)) return null;
  const ending = text.includes('\r\n') ? '\r\n' : '\n';
  const [only] = lines;
  const value = lines.length === 1 ? ` ${only ?? ''}` : lines.map((line) => `${ending}${lead}  ${line}`).join('');
  return `${text.slice(0, start)}${lead}${key}:${value}${ending}${text.slice(start)}`;
}

/** The text with an entry more at the end of a list of scalars; null where it cannot be put there. */
export function withEntry(text: string, list: Node | null, raw: string): string | null {
  if (!isSeq(list) || !list.range) return null;
  const last: unknown = list.items.at(-1);
  if (list.flow === true) {
    const close = text.lastIndexOf(']', list.range[1]);
    return close === -1 ? null : `${text.slice(0, close)}${last === undefined ? '' : ', '}${raw}${text.slice(close)}`;
  }
  if (!isScalar(last) || !last.range) return null;
  const start = text.lastIndexOf('\n', last.range[0] - 1) + 1;
  const lead = text.slice(start, last.range[0]);
  const newline = text.indexOf('\n', last.range[1]);
  if (!/^ *- *$/.test(lead) || newline === -1) return null;
  const ending = text[newline - 1] === '\r' ? '\r\n' : '\n';
  return `${text.slice(0, newline + 1)}${lead}${raw}${ending}${text.slice(newline + 1)}`;
}

/**
 * Whether an edit of a text did what was meant: it is valid YAML, the scalar at the path has this value (undefined: it is
 * gone), and nothing else means anything else, what an alias repeats and what stands in other documents included.
 */
export function isSetAlone(before: string, after: string, steps: readonly Step[], value: unknown): boolean {
  const [then, now] = [documentsOf(before), documentsOf(after)];
  if (then === null || now === null || scalarAt(after, now, steps)?.value !== value) return false;
  try {
    return restOf(then, steps) === restOf(now, steps);
  } catch (error) {
    // More aliases than any manifest has.
    if (error instanceof ReferenceError) return false;
    throw error;
  }
}

/** What the documents mean, but for what stands at the path in the first one that has the map around it. */
function restOf(documents: readonly Document.Parsed[], steps: readonly Step[]): string {
  // Written out and read again, what an alias repeats is a value of its own.
  const values = documents.map((document) => JSON.parse(JSON.stringify(document.toJS()) ?? 'null') as unknown);
  const last = steps.at(-1);
  for (const value of values) {
    let inner = value;
    for (const step of steps.slice(0, -1)) inner = valueAt(inner, step);
    if (typeof inner !== 'object' || inner === null) continue;
    if (last !== undefined && 'key' in last && !Array.isArray(inner)) delete (inner as Record<string, unknown>)[last.key];
    else if (last !== undefined && 'index' in last && Array.isArray(inner)) inner[last.index] = null;
    break;
  }
  return JSON.stringify(values);
}

function valueAt(value: unknown, step: Step): unknown {
  if ('key' in step) return (value as Record<string, unknown> | null | undefined)?.[step.key];
  if (!Array.isArray(value)) return undefined;
  const items: unknown[] = value;
  if ('index' in step) return items[step.index];
  return items.find((item) => String((item as Record<string, unknown> | null)?.[step.where]) === step.is);
}

/** The lines of one pair of a block map, to the end of its last line; null when it shares a line with something else. */
function lineOf(text: string, map: YAMLMap, pair: Pair): { start: number; end: number; indent: number } | null {
  const key: unknown = pair.key;
  const value: unknown = pair.value;
  if (map.flow === true || !isScalar(key) || !key.range || !isScalar(value) || !value.range) return null;
  const keyStart = key.range[0];
  const lineStart = text.lastIndexOf('\n', keyStart - 1) + 1;
  const lead = text.slice(lineStart, keyStart);
  const newline = text.indexOf('\n', value.range[1]);
  const end = newline === -1 ? text.length : newline + 1;
  if (text.slice(keyStart, value.range[1]).includes('\n')) return null;
  // The first key of an entry of a list shares its line with the dash.
  if (/^ *$/.test(lead)) return { start: lineStart, end, indent: lead.length };
  return /^[ -]*$/.test(lead) && map.items.indexOf(pair) === map.items.length - 1
    ? { start: keyStart, end, indent: lead.length }
    : null;
}

function pairOf(map: YAMLMap, key: string): Pair | null {
  return map.items.find((pair) => isPair(pair) && isScalar(pair.key) && pair.key.value === key) ?? null;
}

function child(node: unknown, step: Step): unknown {
  if ('key' in step) return isMap(node) ? node.get(step.key, true) : undefined;
  if (!isSeq(node)) return undefined;
  if ('index' in step) return node.items[step.index];
  return node.items.find((item) => isMap(item) && String(item.get(step.where)) === step.is);
}

function isNode(value: unknown): value is Node {
  return isScalar(value) || isCollection(value);
}
