/** So long, in all, a controller or a forge that does not answer is waited for before Git goes on without it. */
export const GRACE_MS = 10_000;

/** From when on it is waited: what begins a decision. */
export const FIRST_STEPS: readonly string[] = ['decided', 'approved', 'mode_changed'];
