interface Waiting<Value> {
  value: Value;
  done: Promise<void>;
}

interface Turn<Value> {
  running: Promise<void>;
  waiting: Waiting<Value> | null;
}

/**
 * Does one thing at a time for a key. Of the values that come in while one is being done only the newest is done next:
 * where each value replaces the one before, a slow store then holds at most two of them, however fast they come.
 */
export class NewestOnly<Value> {
  readonly #act: (key: string, value: Value) => Promise<void>;
  /** Only keys for which something is being done. */
  readonly #turns = new Map<string, Turn<Value>>();

  constructor(act: (key: string, value: Value) => Promise<void>) {
    this.#act = act;
  }

  /**
   * Resolves when the value, or a newer one in its place, was done.
   * @throws what `act` throws
   */
  take(key: string, value: Value): Promise<void> {
    const turn = this.#turns.get(key);
    if (turn === undefined) return this.#run(key, value);
    if (turn.waiting !== null) {
      turn.waiting.value = value;
      return turn.waiting.done;
    }
    // A failure belongs to who asked for that one; the next one is tried all the same.
    const before = turn.running.catch(() => undefined);
    const waiting: Waiting<Value> = { value, done: before.then(() => this.#run(key, waiting.value)) };
    turn.waiting = waiting;
    return waiting.done;
  }

  #run(key: string, value: Value): Promise<void> {
    const turn: Turn<Value> = {
      running: this.#act(key, value).finally(() => {
        if (turn.waiting === null) this.#turns.delete(key);
      }),
      waiting: null,
    };
    this.#turns.set(key, turn);
    return turn.running;
  }
}
