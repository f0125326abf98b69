/** Keys of one generation at most; above it, the next one begins early. */
const MAX_KEYS = 50_000;
const GENERATION_MS = 30_000;

/**
 * What was stored in the last half to whole minute, so that a repeat in that time needs no question to the store: its
 * record may not have been acted on yet. For what is older the store is asked.
 */
export class RecentlyStored {
  #young = new Set<string>();
  #old = new Set<string>();
  #since = -Infinity;

  has(key: string, now: number): boolean {
    this.#turn(now);
    return this.#young.has(key) || this.#old.has(key);
  }

  add(key: string, now: number): void {
    this.#turn(now);
    if (this.#young.size >= MAX_KEYS) this.#next(now);
    this.#young.add(key);
  }

  /** After a fault of the store it is not known what it still has. */
  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }

  #turn(now: number): void {
    // A clock that was set back ages everything, too.
    const age = now - this.#since;
    if (age >= 0 && age < GENERATION_MS) return;
    if (age >= 2 * GENERATION_MS || age < 0) this.#young.clear();
    this.#next(now);
  }

  #next(now: number): void {
    this.#old = this.#young;
    this.#young = new Set();
    this.#since = now;
  }
}
