/**
 * Lets one act at a time on a mirror: two fetches would fight for the lock of one ref, and a mirror must not be thrown
 * away under a running merge.
 */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  /**
   * Runs `act` when everything before it has ended. A caller whose signal is aborted while it waits gives its turn up.
   *
   * @throws what `act` throws, or the signal's reason
   */
  async take<Result>(act: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    const before = this.#last;
    let leave: () => void = () => undefined;
    this.#last = new Promise((resolve) => {
      leave = resolve;
    });
    const turn = before.then(async () => {
      try {
        signal.throwIfAborted();
        return await act();
      } finally {
        leave();
      }
    });
    return abortable(turn, signal);
  }

  /** Resolves when nobody has a turn or waits for one. */
  async idle(): Promise<void> {
    await this.#last;
  }
}

/** Settles as `promise` does, or rejects with the signal's reason as soon as that is aborted. */
export async function abortable<Result>(promise: Promise<Result>, signal: AbortSignal): Promise<Result> {
  let onAbort: () => void = () => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => {
      try {
        signal.throwIfAborted();
      } catch (reason) {
        reject(reason instanceof Error ? reason : new Error(String(reason)));
      }
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
