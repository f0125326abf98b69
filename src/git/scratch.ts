import { mkdirSync, type Dirent } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isMissing } from './files.ts';

/** A folder that holds more than this is closed, and another one begun. */
const FILES = 500;
const BYTES = 32 * 1024 * 1024;
/** So many commits are made between two looks at the size. */
const LOOK_EVERY = 16;
/** The newest folders stay: what was made a moment ago, also by another instance, can still be pushed. */
const KEPT = 4;
const NAME = /^\d{8}$/;

/**
 * Where git puts the objects of commits that were computed and are not pushed: folders beside the mirror, which read the
 * mirror's objects as alternates (git(1), GIT_OBJECT_DIRECTORY), as the quarantine of git-receive-pack(1) does. The mirror
 * itself holds only what came from the remote, so that a computed revert is thrown away by removing a folder and nothing
 * has to be searched for what is no longer reachable.
 */
export class Scratch {
  readonly #root: string;
  readonly #objects: string;
  #folders: string[] = [];
  #made = 0;

  /**
   * @param root folder of the scratch folders
   * @param objects the mirror's own objects
   */
  constructor(root: string, objects: string) {
    this.#root = root;
    this.#objects = objects;
  }

  /** Begins a new folder; only the newest ones stay. */
  async begin(): Promise<void> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    const present = (await readdir(this.#root)).filter((name) => NAME.test(name)).toSorted();
    let number = Number(present.at(-1) ?? 0);
    let name = '';
    do {
      number += 1;
      name = String(number).padStart(8, '0');
    } while (!(await isNew(join(this.#root, name))));
    present.push(name);
    for (const old of present.splice(0, present.length - KEPT)) await rm(join(this.#root, old), { recursive: true, force: true });
    this.#folders = present.toReversed().map((folder) => join(this.#root, folder));
    this.#made = 0;
  }

  /** Throws everything away: a half-written object would be found damaged for ever, as git does not write it again. */
  async clear(): Promise<void> {
    await rm(this.#root, { recursive: true, force: true });
  }

  /** Variables that make git write to the newest folder and read from all of them and from the mirror. */
  environment(): Record<string, string> {
    const [own = this.#objects, ...others] = this.#folders;
    if (own === this.#objects) return {};
    // git takes a repository without a folder of objects for none; another instance may have thrown everything away.
    mkdirSync(own, { recursive: true, mode: 0o700 });
    return { GIT_OBJECT_DIRECTORY: own, GIT_ALTERNATE_OBJECT_DIRECTORIES: [this.#objects, ...others].map(quoted).join(':') };
  }

  /** To be called before each commit. */
  async prepare(): Promise<void> {
    const [own] = this.#folders;
    if (own === undefined) return;
    this.#made += 1;
    if (this.#made % LOOK_EVERY === 0 && (await isLarge(own))) await this.begin();
  }
}

/** A path with a colon in it would be two (git(1), GIT_ALTERNATE_OBJECT_DIRECTORIES). */
function quoted(path: string): string {
  return `"${path.replaceAll(/["\\]/g, '\\$&')}"`;
}

async function isNew(folder: string): Promise<boolean> {
  try {
    await mkdir(folder, { mode: 0o700 });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

async function entriesBelow(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { recursive: true, withFileTypes: true });
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function isLarge(folder: string): Promise<boolean> {
  let bytes = 0;
  let files = 0;
  for (const entry of await entriesBelow(folder)) {
    if (!entry.isFile()) continue;
    files += 1;
    if (files > FILES) return true;
    try {
      bytes += (await stat(join(entry.parentPath, entry.name))).size;
    } catch (error) {
      // A temporary file of git that is gone again.
      if (!isMissing(error)) throw error;
    }
    if (bytes > BYTES) return true;
  }
  return false;
}
