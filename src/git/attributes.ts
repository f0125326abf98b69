import { listFiles, readBlobs } from './content.ts';
import { textOf, type LocalGit } from './deltas.ts';

const NAME = '.gitattributes';
/** git itself reads no larger file of attributes than 100 MiB; no honest one comes near this. */
const FILE_LIMIT = 1024 * 1024;
const FILES_LIMIT = 1_000;

/**
 * The attributes of all files of a commit as one file, for git to read as its `core.attributesFile`: a work tree has them
 * by folder (gitattributes(5)), a bare repository does not look for them, and `merge=union` or `-merge` decide what a revert
 * yields. The empty text when there are none.
 */
export async function attributesOf(git: LocalGit, commit: string): Promise<string> {
  const files = (await listFiles(git, commit))
    .filter(({ bytes, mode }) => mode.startsWith('100') && (bytes === NAME || bytes.endsWith(`/${NAME}`)))
    .slice(0, FILES_LIMIT);
  // Deeper folders come later, and the last line that matches counts.
  const found = files.toSorted((one, other) => one.bytes.split('/').length - other.bytes.split('/').length);
  const ids = found.map(({ id }) => id);
  const texts = ids.length === 0 ? new Map<string, string>() : await readBlobs(git, ids, FILE_LIMIT);
  return found.flatMap(({ bytes, id }) => rebased(textOf(texts.get(id) ?? ''), textOf(bytes.slice(0, -NAME.length)))).join('\n');
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
