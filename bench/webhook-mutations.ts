/** Numbers in [0, 1) that follow from a seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

const HUGE = 70_000;
const DEEP = 2_000;
const TEXTS = [
  '',
  ' ',
  '\u0000',
  '\n',
  '\u{1f600}',
  '\ud800',
  '__proto__',
  'constructor',
  '{{.}}',
  '${x}',
  '0001-01-01T00:00:00Z',
  'firing',
];
const KEYS = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '',
  'a\nb',
  'alerts',
  'labels',
  'status',
  '\ud83d',
];
const NUMBERS = ['0', '-0', '-1', '1e308', '1e400', '-1e400', '9007199254740993', '0.1', '1E+2', '00', '+1', '.5', 'NaN', '0x10'];
const TIMES = [
  '2026-02-30T00:00:00Z',
  '9999-12-31T23:59:59.999999999Z',
  '0000-01-01T00:00:00+23:59',
  '2026-05-04T11:59:00',
  '2026-05-04',
  '-2026-05-04T11:59:00Z',
  '2026-05-04T24:00:00Z',
];

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
/** Text that goes into the JSON as it is. */
const RAW = '\u0001raw:';

/**
 * One body that is broken, or odd, in one to four places: structure, types, huge texts, depth, names that objects
 * inherit, numbers beyond range, bytes that are not UTF-8. The same seed gives the same body.
 */
export function mutated(bodies: readonly unknown[], seed: number): Buffer {
  const random = seeded(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const body = structuredClone(pick(bodies)) as Json;
  const root: { value: Json } = { value: body };
  const count = 1 + Math.floor(random() * 4);
  for (let at = 0; at < count; at++) change(root, random, pick);
  const text = written(root.value);
  return random() < 0.25 ? brokenBytes(text, random, pick) : Buffer.from(text);
}

function change(root: { value: Json }, random: () => number, pick: <T>(list: readonly T[]) => T): void {
  const places: { holder: Json[] | Record<string, Json>; key: string | number }[] = [];
  const walk = (node: Json) => {
    if (places.length > 2_000 || typeof node !== 'object' || node === null) return;
    const entries = Array.isArray(node) ? [...node.entries()] : Object.entries(node);
    for (const [key, entry] of entries) {
      places.push({ holder: node, key });
      walk(entry);
    }
  };
  walk(root.value);
  if (places.length === 0 || random() < 0.01) {
    root.value = odd(random, pick);
    return;
  }
  const { holder, key } = pick(places);
  const set = (value: Json) => {
    if (Array.isArray(holder)) holder[Number(key)] = value;
    else Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });
  };
  const old = Array.isArray(holder) ? holder[Number(key)] : holder[String(key)];
  switch (Math.floor(random() * 8)) {
    case 0:
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete holder[String(key)];
      break;
    case 1:
      set(odd(random, pick));
      break;
    case 2:
      if (!Array.isArray(holder)) {
        Object.defineProperty(holder, pick(KEYS), {
          value: odd(random, pick),
          enumerable: true,
          configurable: true,
          writable: true,
        });
      } else holder.push(odd(random, pick));
      break;
    case 3:
      set(pick(TEXTS));
      break;
    case 4:
      set(pick(TIMES));
      break;
    case 5:
      set(`${RAW}${pick(NUMBERS)}`);
      break;
    case 6:
      if (Array.isArray(old) && old.length > 0)
        set(Array.from({ length: Math.floor(random() * 60) }, () => structuredClone(old[0] ?? null)));
      else set([structuredClone(old ?? null)]);
      break;
    default:
      set({ a: structuredClone(old ?? null) });
  }
}

function odd(random: () => number, pick: <T>(list: readonly T[]) => T): Json {
  switch (Math.floor(random() * 10)) {
    case 0:
      return null;
    case 1:
      return random() < 0.5;
    case 2:
      return `${RAW}${pick(NUMBERS)}`;
    case 3:
      return pick(TEXTS);
    case 4:
      return 'x'.repeat(Math.floor(random() * HUGE));
    case 5:
      return `${RAW}${'['.repeat(DEEP)}${']'.repeat(DEEP)}`;
    case 6:
      return `${RAW}${'{"a":'.repeat(DEEP)}1${'}'.repeat(DEEP)}`;
    case 7:
      return Array.from({ length: Math.floor(random() * 200) }, () => 0);
    case 8:
      return Object.fromEntries(Array.from({ length: Math.floor(random() * 200) }, (_, at) => [`k${at}`, at]));
    default:
      return random() * 1e6;
  }
}

function written(value: Json): string {
  if (typeof value === 'string' && value.startsWith(RAW)) return value.slice(RAW.length);
  if (Array.isArray(value)) return `[${value.map(written).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    return `{${Object.entries(value)
      .map(([key, entry]) => `${JSON.stringify(key)}:${written(entry)}`)
      .join(',')}}`;
  }
  return JSON.stringify(value);
}

function brokenBytes(text: string, random: () => number, pick: <T>(list: readonly T[]) => T): Buffer {
  const bytes = Buffer.from(text);
  const at = Math.floor(random() * bytes.length);
  switch (Math.floor(random() * 4)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      bytes[at] = pick([0, 0x22, 0x5c, 0x7b, 0x7d, 0xc0, 0xff, 0xed, 0x80]);
      return bytes;
    case 2:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([0xf0, 0x9f]), bytes.subarray(at)]);
    default:
      return Buffer.concat([bytes, bytes.subarray(at)]);
  }
}
