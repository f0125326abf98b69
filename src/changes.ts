/** Tells those who wait (SSE, `Prefer: wait`, tests) that a record has changed; the store stays the truth. */
export class Changes {
  readonly #listeners = new Map<string, Set<() => void>>();

  /** @returns a function that ends the subscription */
  subscribe(subject: string, listener: () => void): () => void {
    const known = this.#listeners.get(subject) ?? new Set();
    known.add(listener);
    this.#listeners.set(subject, known);
    return () => {
      known.delete(listener);
      if (known.size === 0) this.#listeners.delete(subject);
    };
  }

  announce(subject: string): void {
    for (const listener of this.#listeners.get(subject) ?? []) listener();
  }
}
