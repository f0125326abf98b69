import { CodedError } from '../errors.ts';

const FARTHEST = 3;

/**
 * The known name nearest to a mistyped one by Levenshtein distance (Levenshtein 1966), or null when none is near:
 * at most three edits and less than half of the name.
 */
export function nearestName(wanted: string, known: Iterable<string>): string | null {
  let best: string | null = null;
  let least = Math.min(FARTHEST, Math.ceil(wanted.length / 2)) + 1;
  for (const name of known) {
    const edits = distance(wanted.toLowerCase(), name.toLowerCase());
    if (edits < least) {
      least = edits;
      best = name;
    }
  }
  return best;
}

function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= other.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}

/** The answer to a name that is not configured; `details.nearest` is the name that was probably meant, or null. */
export function applicationUnknown(name: string, known: Iterable<string>): CodedError {
  const nearest = nearestName(name, known);
  const hint = nearest === null ? '' : `; did you mean "${nearest}"?`;
  return new CodedError('application_unknown', `there is no application "${name}" in the configuration${hint}`, {
    details: { nearest },
  });
}
