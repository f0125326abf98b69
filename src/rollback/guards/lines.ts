/**
 * Whether two diffs put in and take out the same lines of the same files, wherever these stand in them by now. What
 * surrounds them, and the ids of the blobs, may have changed meanwhile.
 */
export function sameLines(one: string, other: string): boolean {
  const [lines, others] = [changedLines(one), changedLines(other)];
  return lines.length > 0 && lines.length === others.length && lines.every((line, at) => line === others[at]);
}

/** Lines with a sign in front, those that name the file included; of a change of mode alone, its own lines. */
function changedLines(diff: string): string[] {
  return diff.split('\n').filter((line) => /^([+-]|(old|new|deleted file|new file) mode |rename |Binary files )/.test(line));
}
