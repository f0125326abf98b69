interface Waiting {
  endsAt: number;
  giveUp: () => void;
}

/**
 * Gives work a time to end in, with one timer for all that is under way: one for each request would cost more than what
 * the request does.
 */
export class Deadlines {
  readonly #milliseconds: number;
  readonly #late: () => Error;
  /** The oldest first. */
  readonly #waiting = new Set<Waiting>();
  #timer: NodeJS.Timeout | undefined;

  constructor(milliseconds: number, late: () => Error) {
    this.#milliseconds = milliseconds;
    this.#late = late;
  }

  /** The work, or the error of being late; the work itself goes on. */
  within<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { endsAt: performance.now() + this.#milliseconds, giveUp: () => reject(this.#late()) };
      this.#waiting.add(waiting);
      if (this.#timer === undefined) this.#timer = this.#schedule(this.#milliseconds);
      work.then(
        (value) => {
          this.#waiting.delete(waiting);
          resolve(value);
        },
        (error: unknown) => {
          this.#waiting.delete(waiting);
          // oxlint-disable-next-line prefer-promise-reject-errors -- it is passed on as it came
          reject(error);
        },
      );
    });
  }

  #schedule(milliseconds: number): NodeJS.Timeout {
    return setTimeout(() => this.#look(), milliseconds).unref();
  }

  #look(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const waiting of this.#waiting) {
      if (waiting.endsAt > now) {
        this.#timer = this.#schedule(Math.max(1, waiting.endsAt - now));
        return;
      }
      this.#waiting.delete(waiting);
      waiting.giveUp();
    }
  }
}
