import { CodedError } from '../errors.ts';
import { matchesGlob } from '../rollback/glob.ts';
import { isWithin } from '../rollback/paths.ts';
import { entriesAt } from './content.ts';
import { bytesOf, changesOf, deltas, effectOf, type Delta, type LocalGit } from './deltas.ts';
import { importCommit, type Change } from './import.ts';
import { filePath } from './names.ts';
import type { RevertResult, WriteOrder } from './port.ts';
import type { Stamp } from './run.ts';

/** What a commit of ours shall do to the head, before it is narrowed, completed and checked. */
export interface Draft {
  head: string;
  wanted: readonly Delta[];
  conflicts: readonly string[];
  /** Paths that have to lie within the order's, changed by this commit or not. */
  involved: readonly string[];
  /** Whether a commit is made for the order's edits alone. */
  editsOnly: boolean;
}

const REGULAR = '100644';
const TREE = '040000';
const isFile = (mode: string): boolean => mode === REGULAR || mode === '100755';

/**
 * Makes the commit of a draft: what `keep` names stays as it is at the head, the edits come on top, and the result is
 * checked against the order's paths as it came out, not as it was meant.
 *
 * @param sign makes a signed commit of an unsigned one; null where commits are not signed
 * @throws CodedError `git_edit_refused` when an edited path is no regular file at the head, `git_argument_refused`
 */
export async function commitDraft(
  git: LocalGit,
  draft: Draft,
  order: WriteOrder,
  stamp: Stamp,
  sign: (unsigned: string) => Promise<string> | null,
): Promise<RevertResult> {
  const { head } = draft;
  const edits = order.edits ?? [];
  const isKept = (path: string): boolean => (order.keep ?? []).some((glob) => matchesGlob(path, glob));
  const outside = (paths: readonly string[]): string[] => [...new Set(paths)].filter((path) => !isWithin(path, order.paths));

  if (draft.wanted.length === 0 && draft.conflicts.length === 0 && !draft.editsOnly) return nothing(head, []);
  const beyond = outside([...draft.involved, ...draft.wanted.map(({ path }) => path), ...draft.conflicts]);
  if (beyond.length > 0) return { kind: 'outside_paths', head, paths: beyond };
  const open = draft.conflicts.filter((path) => !isKept(path));
  if (open.length > 0) return { kind: 'conflict', head, paths: open };
  const wanted = draft.wanted.filter(({ path }) => !isKept(path));
  const kept = draft.wanted.filter(({ path }) => isKept(path)).map(({ path }) => path);
  if (wanted.length === 0 && !draft.editsOnly) return nothing(head, kept);

  const changes = new Map<string, Change>(wanted.map(({ bytes, after }) => [bytes, after]));
  for (const [bytes, change] of await editsAt(git, head, changes, edits)) changes.set(bytes, change);
  const made = await importCommit(git, head, changes, order.message, stamp);
  const done = await deltas(git, head, made);
  if (done.length === 0) return nothing(head, kept);
  const strayed = done.filter(({ bytes }) => !changes.has(bytes)).map(({ path }) => path);
  if (strayed.length > 0) return { kind: 'outside_paths', head, paths: strayed };
  return {
    kind: 'commit',
    commit: (await sign(made)) ?? made,
    head,
    changed: done.map(({ path }) => path),
    changes: changesOf(done),
    effect: effectOf(done),
    kept,
  };
}

function nothing(head: string, kept: string[]): RevertResult {
  return { kind: 'nothing_to_revert', head, ...(kept.length > 0 ? { kept } : {}) };
}

/** What the edits become, on top of what else is changed. */
async function editsAt(
  git: LocalGit,
  head: string,
  changes: ReadonlyMap<string, Change>,
  edits: NonNullable<WriteOrder['edits']>,
): Promise<Map<string, Change>> {
  const made = new Map<string, Change>();
  if (edits.length === 0) return made;
  const paths = edits.map(({ path }) => filePath(path));
  const present = await entriesAt(git, head, [...new Set(paths.flatMap((path) => [path, ...foldersOf(path)]))]);
  const entryAt = (path: string): Change => {
    const bytes = bytesOf(path);
    const change = made.get(bytes) ?? changes.get(bytes);
    return change === undefined ? (present.get(bytes) ?? null) : change;
  };
  for (const { path, content } of edits) {
    const entry = entryAt(path);
    const blocking = content === null ? undefined : foldersOf(path).find((folder) => (entryAt(folder)?.mode ?? TREE) !== TREE);
    if (blocking !== undefined || (entry !== null && !isFile(entry.mode))) {
      throw new CodedError(
        'git_edit_refused',
        `${blocking ?? path} is ${blocking === undefined ? 'no regular file' : 'no folder'}: a link, a folder or a submodule is not edited.`,
        { details: { path } },
      );
    }
    made.set(bytesOf(path), content === null ? null : { mode: entry?.mode ?? REGULAR, content });
  }
  return made;
}

/** The folders that a path lies in, the outermost first. */
function foldersOf(path: string): string[] {
  const parts = path.split('/');
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'));
}
