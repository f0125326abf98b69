import { createHash } from 'node:crypto';
import { CodedError } from '../errors.ts';
import { folderOf } from '../rollback/paths.ts';
import { bytesOf, textOf, type Entry, type LocalGit } from './deltas.ts';

/** Larger files are no manifests. */
const FILE_LIMIT = 1024 * 1024;
const LISTING_LIMIT = 64 * 1024 * 1024;
const REGULAR_FILES = new Set(['100644', '100755']);
const GITLINK = '160000';
const ENTRY = /^(\d+) \w+ ([0-9a-f]+)(?: +(\d+|-))?$/;

/**
 * Folders or files as git's own commands want them, none of them within another one; empty for the whole repository.
 *
 * @throws CodedError `git_argument_refused` for paths that lead out of the repository
 */
export function roots(paths: readonly string[]): string[] {
  const folders = [...new Set(paths.map(folderOf))].toSorted();
  for (const folder of folders) {
    if (folder.split('/').includes('..') || folder.includes('\0')) {
      throw new CodedError('git_argument_refused', 'A path is refused: it leads out of the repository or holds a NUL character.');
    }
  }
  if (folders.includes('')) return [];
  return folders.filter((folder) => !folders.some((other) => folder.startsWith(`${other}/`)));
}

interface Listed extends Entry {
  bytes: string;
  /** Null for what is no file. */
  size: number | null;
}

async function list(git: LocalGit, commit: string, options: readonly string[], paths: readonly string[]): Promise<Listed[]> {
  const { stdout } = await git({
    subcommand: 'ls-tree',
    args: ['-z', '--full-tree', ...options, '--end-of-options', commit, ...paths],
    encoding: 'latin1',
    maxBytes: LISTING_LIMIT,
  });
  return stdout
    .split('\0')
    .filter((line) => line !== '')
    .map((line) => {
      const tab = line.indexOf('\t');
      const [, mode = '', id = '', size] = ENTRY.exec(line.slice(0, tab)) ?? [];
      return { mode, id, size: size === undefined || size === '-' ? null : Number(size), bytes: line.slice(tab + 1) };
    });
}

/** All files of a commit; submodules are among them. */
export async function listFiles(git: LocalGit, commit: string): Promise<Listed[]> {
  return list(git, commit, ['-r'], []);
}

/** Texts of some blobs, their bytes as one character each; those that are larger than `limit` are left out. */
export async function readBlobs(git: LocalGit, ids: readonly string[], limit: number): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const id of new Set(ids)) {
    const { stdout: size } = await git({ subcommand: 'cat-file', args: ['-s', id] });
    if (Number(size) > limit) continue;
    const { stdout } = await git({ subcommand: 'cat-file', args: ['blob', id], encoding: 'latin1', maxBytes: limit + 1 });
    found.set(id, stdout);
  }
  return found;
}

/** What stands at some paths of a commit, by the bytes of the path; folders included. */
export async function entriesAt(git: LocalGit, commit: string, paths: readonly string[]): Promise<Map<string, Entry>> {
  const wanted = new Set(paths.map(bytesOf));
  const found = await list(git, commit, ['-t'], paths);
  return new Map(found.filter(({ bytes }) => wanted.has(bytes)).map(({ bytes, mode, id }) => [bytes, { mode, id }]));
}

/** See `Repository.contentOf`. */
export async function contentOf(git: LocalGit, commit: string, paths: readonly string[]): Promise<string> {
  const within = roots(paths);
  const found = paths.length === 0 ? [] : await list(git, commit, [], within);
  const lines = found.map(({ mode, id, bytes }) => `${mode} ${id} ${JSON.stringify(bytes)}`).toSorted();
  return createHash('sha256').update(lines.join('\n')).digest('hex');
}

/** See `Repository.filesAt`. */
export async function filesAt(git: LocalGit, commit: string, paths: readonly string[], limit: number): Promise<string[]> {
  if (paths.length === 0) return [];
  const found = await list(git, commit, ['-r'], roots(paths));
  return found
    .filter(({ mode }) => mode !== GITLINK)
    .slice(0, Math.max(0, limit))
    .map(({ bytes }) => textOf(bytes));
}

/** See `Repository.readFile`. */
export async function readFile(git: LocalGit, commit: string, path: string): Promise<string | null> {
  if (path === '' || path.includes('\0') || path !== folderOf(path) || path.split('/').includes('..')) return null;
  const bytes = bytesOf(path);
  const file = (await list(git, commit, ['-l'], [path])).find((entry) => entry.bytes === bytes);
  if (file === undefined || !REGULAR_FILES.has(file.mode) || (file.size ?? Infinity) > FILE_LIMIT) return null;
  const args = ['blob', file.id];
  const { stdout } = await git({ subcommand: 'cat-file', args, encoding: 'latin1', maxBytes: FILE_LIMIT + 1 });
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(stdout, 'latin1'));
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}
