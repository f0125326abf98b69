import { setTimeout as sleep } from 'node:timers/promises';

/** One thing that happens to a Redis; says what was seen, or throws the sentence of what did not hold. */
export interface PlayEntry {
  name: string;
  perform: () => Promise<string>;
}

export const SLOWEST_REFUSAL_MS = 100;
export const SLOWEST_RETURN_MS = 3_000;
const END_DEADLINE_MS = 120_000;
const POLL_MS = 20;

export function must(holds: boolean, sentence: string): void {
  if (!holds) throw new Error(sentence);
}

/** @returns how long it took, in milliseconds */
export async function until(what: string, holds: () => Promise<boolean>, deadlineMs = END_DEADLINE_MS): Promise<number> {
  const from = performance.now();
  while (!(await holds())) {
    must(performance.now() - from < deadlineMs, `${what}: not within ${deadlineMs / 1_000} s`);
    await sleep(POLL_MS);
  }
  return performance.now() - from;
}
