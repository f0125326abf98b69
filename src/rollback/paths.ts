/** Whether a path of a repository is one of `roots` or lies below one; `.` is the whole repository. */
export function isWithin(path: string, roots: readonly string[]): boolean {
  return roots.some((root) => root === '.' || path === root || path.startsWith(root.endsWith('/') ? root : `${root}/`));
}
