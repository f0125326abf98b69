const UNITS: readonly [string, number][] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
];

/** A duration as the configuration writes it, in its two largest units. */
export function durationText(milliseconds: number): string {
  const parts: string[] = [];
  let rest = milliseconds;
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0 && parts.length < 2) parts.push(`${count}${unit}`);
  }
  return parts.length === 0 ? `${milliseconds}ms` : parts.join('');
}

export function momentText(at: number): string {
  return new Date(at).toISOString();
}

/** The first few of a list, and how many more there are. */
export function fewOf(list: readonly string[], few = 3): string {
  const more = list.length - few;
  return list.slice(0, few).join(', ') + (more > 0 ? ` and ${more} more` : '');
}
