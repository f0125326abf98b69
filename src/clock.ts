/** Time comes in from the composition root, so that pure rooms and tests decide what "now" is. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };
