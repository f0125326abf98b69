/** A folder or file as it is configured, in git's own form; the empty string is the whole repository. */
export function folderOf(root: string): string {
  return root
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
}

/** Whether a path (as git prints it) is one of `roots` or lies below one; `.` is the whole repository, `app` does not cover `apple/x`. */
export function isWithin(path: string, roots: readonly string[]): boolean {
  return roots.map(folderOf).some((folder) => folder === '' || path === folder || path.startsWith(`${folder}/`));
}
