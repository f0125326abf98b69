/** What a release does wrong: from `afterMs` after its first customer on, `share` (0..1) of its answers are 500. */
export interface Fault {
  afterMs: number;
  share: number;
}

/** The "image registry" of the demo: every version that can be deployed, with its fault if it has one. */
export type Registry = Readonly<Record<string, { fault: Fault | null }>>;

export const FIRST_VERSION = '1.0.0';
export const GOOD_VERSION = '1.1.0';
/** The bad release; with `healthy` a good one, too. */
export const SECOND_VERSION = '1.2.0';

/** The warm-up of the template is 3 s; a fault that begins later is one that only the judged part can see. */
const ONSET_MS = { from: 4_000, to: 8_000 };
const SHARE = { from: 0.15, to: 0.45 };

/** Small seeded generator (mulberry32, public domain): numbers in [0, 1). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** When and how badly the bad release fails; the same seed always gives the same fault. */
export function faultOf(seed: number): Fault {
  const random = seededRandom(seed);
  return {
    afterMs: Math.round(ONSET_MS.from + random() * (ONSET_MS.to - ONSET_MS.from)),
    share: Math.round((SHARE.from + random() * (SHARE.to - SHARE.from)) * 1_000) / 1_000,
  };
}

export function registryFor({ healthy, seed }: { healthy: boolean; seed: number }): Registry {
  return {
    [FIRST_VERSION]: { fault: null },
    [GOOD_VERSION]: { fault: null },
    [SECOND_VERSION]: { fault: healthy ? null : faultOf(seed) },
  };
}
