import { createHash } from 'node:crypto';
import type { PathChange } from './port.ts';
import type { GitAnswer, GitCall } from './run.ts';

/** Runs a local git command in the mirror. */
export type LocalGit = (call: Omit<GitCall, 'secrets' | 'timeoutMs' | 'signal'>) => Promise<GitAnswer>;

/** What stands at a path of a tree: mode in octal digits, id of the object. */
export interface Entry {
  mode: string;
  id: string;
}

/** One path whose entry differs between two trees. */
export interface Delta {
  /** The bytes of the path, one character each: Git does not demand UTF-8. */
  bytes: string;
  /** The path as it is shown and matched. */
  path: string;
  before: Entry | null;
  after: Entry | null;
}

const RAW = ['-r', '-z', '--raw', '--no-abbrev', '--no-renames', '--no-ext-diff'];
/** A line of about 150 bytes for each path: enough for some 400,000 changed paths. */
const RAW_LIMIT = 64 * 1024 * 1024;
const RAW_FIELDS = /^:(\d+) (\d+) ([0-9a-f]+) ([0-9a-f]+) /;

/** The same bytes as git would have them in a path, one character each. */
export function bytesOf(path: string): string {
  return Buffer.from(path, 'utf8').toString('latin1');
}

export function textOf(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/**
 * What differs between two commits or trees, path by path, in the order of git's trees; renames are a deletion and an
 * addition (git-diff-tree(1), RAW OUTPUT FORMAT).
 *
 * @param paths only within these folders or files; everything when it is empty
 */
export async function deltas(git: LocalGit, from: string, to: string, paths: readonly string[] = []): Promise<Delta[]> {
  const { stdout } = await git({
    subcommand: 'diff-tree',
    args: [...RAW, '--end-of-options', from, to, '--', ...paths],
    encoding: 'latin1',
    maxBytes: RAW_LIMIT,
  });
  const found: Delta[] = [];
  const fields = stdout.split('\0');
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const match = RAW_FIELDS.exec(fields[index] ?? '');
    if (match === null) throw new Error('git diff-tree printed a line that is no raw difference');
    const [, modeBefore = '', modeAfter = '', idBefore = '', idAfter = ''] = match;
    const bytes = fields[index + 1] ?? '';
    const before = /^0+$/.test(modeBefore) ? null : { mode: modeBefore, id: idBefore };
    const after = /^0+$/.test(modeAfter) ? null : { mode: modeAfter, id: idAfter };
    found.push({ bytes, path: textOf(bytes), before, after });
  }
  return found;
}

export function changesOf(found: readonly Delta[]): PathChange[] {
  return found.map(({ path, before, after }) => ({
    path,
    change: before === null ? 'added' : after === null ? 'deleted' : 'modified',
  }));
}

/** Hash over every path with what it held before and after. */
export function effectOf(found: readonly Delta[]): string {
  const lines = found.map(({ bytes, before, after }) => JSON.stringify([bytes, entryText(before), entryText(after)])).toSorted();
  return createHash('sha256').update(lines.join('\n')).digest('hex');
}

function entryText(entry: Entry | null): string | null {
  return entry === null ? null : `${entry.mode} ${entry.id}`;
}
