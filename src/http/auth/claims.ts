/** Patterns and claims are bounded, so that matching is. */
const MAX_VALUE = 1_000;
const MAX_ENTRIES = 100;

/**
 * Whether every pattern is met by the claim of its name; of a list, by one entry. In a pattern `*` stands for anything
 * but a slash and `**` for anything, so that `acme/*` does not let `acme/team/other` in.
 */
export function claimsMatch(claims: Readonly<Record<string, unknown>>, match: Readonly<Record<string, string>>): boolean {
  return Object.entries(match).every(([name, pattern]) => {
    const claim = Object.hasOwn(claims, name) ? claims[name] : undefined;
    const values: readonly unknown[] = Array.isArray(claim) ? claim.slice(0, MAX_ENTRIES) : [claim];
    return values.some((value) => isScalar(value) && valueMatches(String(value), pattern));
  });
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/** By dynamic programming, so that no pattern makes it slow. */
function valueMatches(value: string, pattern: string): boolean {
  if (value.length > MAX_VALUE) return false;
  // reachable[i]: the pattern read so far can stand for the first i characters
  let reachable = [true, ...Array.from({ length: value.length }, () => false)];
  for (const sign of pattern.split(/(\*\*|\*)/).flatMap((part) => (part.startsWith('*') ? [part] : part.split('')))) {
    const next = [sign.startsWith('*') && reachable[0] === true];
    for (let at = 1; at <= value.length; at += 1) {
      const character = value[at - 1];
      if (sign === '**') next[at] = reachable[at] === true || next[at - 1] === true;
      else if (sign === '*') next[at] = reachable[at] === true || (next[at - 1] === true && character !== '/');
      else next[at] = reachable[at - 1] === true && character === sign;
    }
    reachable = next;
  }
  return reachable[value.length] === true;
}
