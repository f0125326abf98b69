import { listFiles, readBlobs } from './content.ts';
import { deltas, textOf, type LocalGit } from './deltas.ts';

const NAME = '.gitattributes';
/** git itself reads no larger file of attributes than 100 MiB; no honest one comes near this. */
const FILE_LIMIT = 1024 * 1024;
const FILES_LIMIT = 1_000;

/**
 * The attributes of all files of a commit as one file, for git to read as its `core.attributesFile`: a work tree has them
 * by folder (gitattributes(5)), a bare repository does not look for them, and `merge=union` or `-merge` decide what a revert
 * yields. What was found is kept, as a look at every file of a large repository takes longer than the merge.
 */
export class Attributes {
  #commit: string | null = null;
  /** Ids of the files, by the bytes of their paths. */
  #files: ReadonlyMap<string, string> = new Map();
  #text = '';

  /**
   * Those of a commit; the empty text when there are none. One call at a time.
   *
   * @param lasts whether the commit is one of the mirror itself, so that it can be compared with later on
   */
  async of(git: LocalGit, commit: string, lasts: boolean): Promise<string> {
    if (this.#commit === commit) return this.#text;
    const files = this.#commit === null ? await all(git, commit) : await follow(git, this.#files, this.#commit, commit);
    const text = files === this.#files ? this.#text : await textOfAll(git, files);
    if (lasts) [this.#commit, this.#files, this.#text] = [commit, files, text];
    return text;
  }
}

async function all(git: LocalGit, commit: string): Promise<ReadonlyMap<string, string>> {
  return new Map((await listFiles(git, commit)).filter(isAttributes).map(({ bytes, id }) => [bytes, id]));
}

/** The files at a commit, from those at another one; the same map when they are the same. */
async function follow(
  git: LocalGit,
  known: ReadonlyMap<string, string>,
  from: string,
  to: string,
): Promise<ReadonlyMap<string, string>> {
  const changed = (await deltas(git, from, to)).filter(({ bytes }) => isNamed(bytes));
  if (changed.length === 0) return known;
  const files = new Map(known);
  for (const { bytes, after } of changed) {
    if (after !== null && isAttributes({ bytes, ...after })) files.set(bytes, after.id);
    else files.delete(bytes);
  }
  return files;
}

function isNamed(bytes: string): boolean {
  return bytes === NAME || bytes.endsWith(`/${NAME}`);
}

function isAttributes({ bytes, mode }: { bytes: string; mode: string }): boolean {
  return isNamed(bytes) && mode.startsWith('100');
}

async function textOfAll(git: LocalGit, files: ReadonlyMap<string, string>): Promise<string> {
  // Deeper folders come later, and the last line that matches counts.
  const found = [...files].toSorted(([one], [other]) => one.split('/').length - other.split('/').length).slice(0, FILES_LIMIT);
  const texts = await readBlobs(
    git,
    found.map(([, id]) => id),
    FILE_LIMIT,
  );
  return found.flatMap(([bytes, id]) => rebased(textOf(texts.get(id) ?? ''), textOf(bytes.slice(0, -NAME.length)))).join('\n');
}

/** The lines of one file as they would read in the root. @param folder with a slash at its end, empty for the root */
function rebased(text: string, folder: string): string[] {
  const lines = text.split('\n').map((line) => line.replace(/\r$/, '').trimStart());
  if (folder === '') return lines;
  const prefix = folder.replaceAll(/[\\*?[]/g, '\\$&');
  return lines.flatMap((line) => {
    const [, quoted, bare, attributes = ''] = /^(?:"((?:[^"\\]|\\.)*)"|([^\s"]\S*))(\s.*)?$/.exec(line) ?? [];
    const pattern = quoted === undefined ? bare : unquoted(quoted);
    // Macros count in the root only, and there are no negative patterns.
    if (pattern === undefined || /^(#|!|\[attr\])/.test(line)) return [];
    const path = pattern.includes('/') ? pattern.replace(/^\//, '') : `**/${pattern}`;
    return [`"${(prefix + path).replaceAll(/["\\]/g, '\\$&')}"${attributes}`];
  });
}

function unquoted(text: string): string {
  return text.replaceAll(/\\(.)/g, '$1');
}
