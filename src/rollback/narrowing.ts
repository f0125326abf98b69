import {
  documentsOf,
  isSetAlone,
  pathOf,
  replaced,
  scalarAt,
  withKey,
  without,
  type Found,
  type Step,
} from '../manifests/field.ts';
import type { FileEdit } from '../git/port.ts';
import type { Policy, VersionField } from './policy.ts';

/** A file of the repository by its path, at the commit before the bad one, at the bad one, and at the head. */
export interface Texts {
  good(path: string): Promise<string | null>;
  bad(path: string): Promise<string | null>;
  head(path: string): Promise<string | null>;
}

export type Narrowed =
  | { kind: 'edits'; edits: FileEdit[]; notes: string[] }
  | {
      kind: 'fault';
      code: 'version_field_missing' | 'version_moved' | 'version_unchanged' | 'version_field_unwritable';
      sentence: string;
    };

/** What an image of Kustomize is named by (kustomize, images transformer). */
const IMAGE_KEYS = ['newName', 'newTag', 'digest'];
const SHOWN = 100;

interface Three {
  good: string;
  bad: string;
  head: string;
}

/** What became of one place: the text of the head, changed or not. */
type Change =
  | { kind: 'text'; text: string; from: string; to: string }
  | { kind: 'same' }
  | { kind: 'back' }
  | { kind: 'fault'; code: Fault['code']; why: string };
type Fault = Extract<Narrowed, { kind: 'fault' }>;

/**
 * Sets the fields that name the version back to what they were before the bad commit, and nothing else: the rest of the
 * files stays as it is at the head, byte for byte. A field that says something else by now than the bad commit left is
 * not touched: that is somebody's newer decision.
 */
export async function narrowed(policy: Pick<Policy, 'versionFields' | 'application'>, texts: Texts): Promise<Narrowed> {
  if (policy.versionFields.length === 0) {
    return fault('version_field_missing', `application ${policy.application} has plan: narrow and no versionFields; name them`);
  }
  const files = new Map<string, string>();
  const heads = new Map<string, string>();
  const notes: string[] = [];
  let seen = 0;
  for (const field of policy.versionFields) {
    const { file } = field;
    const [good, bad, head] = [await texts.good(file), await texts.bad(file), await texts.head(file)];
    if (good === null || bad === null || head === null) {
      return fault(
        'version_field_missing',
        `${file} cannot be read ${missingAt(good, bad)}; check versionFields, or revert the commit by hand`,
      );
    }
    heads.set(file, head);
    for (const change of changesOf(field, { good, bad, head: files.get(file) ?? head })) {
      if (change.kind === 'fault') return fault(change.code, `${placeOf(field)} ${change.why}`);
      if (change.kind === 'same') continue;
      seen += 1;
      if (change.kind === 'back') continue;
      files.set(file, change.text);
      notes.push(`${placeOf(field)}: ${shown(change.from)} -> ${shown(change.to)}`);
    }
  }
  if (seen === 0) {
    const named = policy.versionFields.map(placeOf).slice(0, 5).join(', ');
    return fault(
      'version_unchanged',
      `the bad commit changed none of the declared version fields (${named}); revert it by hand, or use plan: revert`,
    );
  }
  return {
    kind: 'edits',
    edits: [...files].filter(([path, text]) => heads.get(path) !== text).map(([path, content]) => ({ path, content })),
    notes,
  };
}

/** Every change follows from the text that the one before left. */
function* changesOf(field: VersionField, three: Three): Generator<Change> {
  let { head } = three;
  const steps: Step[][] =
    field.type === 'yaml'
      ? [pathOf(field.path) ?? []]
      : IMAGE_KEYS.map((key) => [{ key: 'images' }, { where: 'name', is: field.image }, { key }]);
  for (const path of steps) {
    if (path.length === 0) {
      yield {
        kind: 'fault',
        code: 'version_field_missing',
        why: 'is no path of a field: use keys with dots, [0] and [name=web]',
      };
      return;
    }
    const change = changeAt(path, { ...three, head }, field.type === 'kustomize');
    if (change.kind === 'text') head = change.text;
    yield change;
  }
}

/** @param mayBeAbsent whether a key that is not there is a value of its own: an image without a digest */
function changeAt(steps: readonly Step[], { good, bad, head }: Three, mayBeAbsent: boolean): Change {
  const documents = { good: documentsOf(good), bad: documentsOf(bad), head: documentsOf(head) };
  if (documents.good === null || documents.bad === null || documents.head === null) {
    return { kind: 'fault', code: 'version_field_missing', why: 'stands in a file that is no valid YAML' };
  }
  const before = scalarAt(good, documents.good, steps);
  const broke = scalarAt(bad, documents.bad, steps);
  const now = scalarAt(head, documents.head, steps);
  if (!mayBeAbsent && (before === null || broke === null || now === null)) {
    return { kind: 'fault', code: 'version_field_missing', why: 'is not there; check versionFields' };
  }
  if (isSame(before, broke)) return { kind: 'same' };
  if (isSame(now, before)) return { kind: 'back' };
  if (!isSame(now, broke)) {
    return {
      kind: 'fault',
      code: 'version_moved',
      why: `says ${shown(now?.raw ?? 'nothing')} by now: somebody changed it after the bad commit`,
    };
  }
  const text = set(steps, head, { documents: documents.head, now, raw: before?.raw ?? null });
  if (text === null || !isSetAlone(head, text, steps, before?.value))
    return { kind: 'fault', code: 'version_field_unwritable', why: 'is written in a way that cannot be set back alone' };
  return { kind: 'text', text, from: broke?.raw ?? 'nothing', to: before?.raw ?? 'nothing' };
}

/** Numbers are the same where they are written so: 1.10 is another version than 1.1, and 010 means 8 to some. */
function isSame(one: Found | null, other: Found | null): boolean {
  return one?.value === other?.value && (typeof one?.value !== 'number' || one.raw === other?.raw);
}

function set(
  steps: readonly Step[],
  text: string,
  at: { documents: NonNullable<ReturnType<typeof documentsOf>>; now: ReturnType<typeof scalarAt>; raw: string | null },
): string | null {
  const { documents, now, raw } = at;
  // A block scalar spans lines, and its indent belongs to where it stood.
  if (raw?.includes('\n') === true || now?.raw.includes('\n') === true) return null;
  if (now !== null && raw !== null) return replaced(text, now, raw);
  const last = steps.at(-1);
  if (last === undefined || !('key' in last)) return null;
  const map = steps.slice(0, -1);
  return raw === null ? without(text, documents, map, last.key) : withKey(text, documents, map, last.key, raw);
}

function placeOf(field: VersionField): string {
  return field.type === 'yaml' ? `${field.path} in ${field.file}` : `image ${field.image} in ${field.file}`;
}

function missingAt(good: string | null, bad: string | null): string {
  if (good === null) return 'as it was before the bad commit';
  return bad === null ? 'at the bad commit' : 'at the head of the branch';
}

function fault(code: Fault['code'], sentence: string): Fault {
  return { kind: 'fault', code, sentence };
}

function shown(raw: string): string {
  return raw.length <= SHOWN ? raw : `${raw.slice(0, SHOWN - 1)}…`;
}
