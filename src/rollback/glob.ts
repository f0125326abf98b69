/**
 * Whether a path of a repository matches a glob: `**` spans folders, `*` and `?` stay within one, everything else is
 * literal. Matches by dynamic programming, so that no glob makes it slow.
 */
export function matchesGlob(path: string, glob: string): boolean {
  return segmentsMatch(path.split('/'), glob.split('/'));
}

function segmentsMatch(path: readonly string[], glob: readonly string[]): boolean {
  // reachable[i]: the glob read so far can stand for the first i segments of the path
  let reachable = [true, ...path.map(() => false)];
  for (const part of glob) {
    const next = path.map(() => false);
    next.unshift(false);
    if (part === '**') {
      let seen = false;
      for (let i = 0; i <= path.length; i += 1) {
        seen ||= reachable[i] === true;
        next[i] = seen;
      }
    } else {
      for (let i = 1; i <= path.length; i += 1) next[i] = reachable[i - 1] === true && nameMatches(path[i - 1] ?? '', part);
    }
    reachable = next;
  }
  return reachable[path.length] === true;
}

function nameMatches(name: string, pattern: string): boolean {
  let reachable = [true, ...Array.from(name, () => false)];
  for (const sign of pattern) {
    const next: boolean[] = [sign === '*' && reachable[0] === true];
    for (let i = 1; i <= name.length; i += 1) {
      next[i] =
        sign === '*'
          ? reachable[i] === true || next[i - 1] === true
          : reachable[i - 1] === true && (sign === '?' || sign === name[i - 1]);
    }
    reachable = next;
  }
  return reachable[name.length] === true;
}
