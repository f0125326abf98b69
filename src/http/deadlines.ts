/** One piece of work in the list of those that are under way. */
interface Waiting {
  endsAt: number;
  giveUp: () => void;
  before: Waiting | undefined;
  after: Waiting | undefined;
}

/**
 * Gives work a time to end in, with one timer for all that is under way: one for each request would cost more than what
 * the request does.
 *
 * The list is linked by hand, and what leaves it links to nothing any more. A Set or a Map that grows keeps its old tables
 * linked to the new ones, and every dead table that the collector of garbage has moved to the old generation then keeps all
 * later requests alive until the next full collection.
 */
export class Deadlines {
  readonly #milliseconds: number;
  readonly #late: () => Error;
  #oldest: Waiting | undefined;
  #newest: Waiting | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(milliseconds: number, late: () => Error) {
    this.#milliseconds = milliseconds;
    this.#late = late;
  }

  /** Calls one of the two, once: with what the work gave, or with its error, or with that of being late; the work itself goes on. */
  within<T>(work: Promise<T>, succeeded: (value: T) => void, failed: (error: unknown) => void): void {
    const waiting: Waiting = {
      endsAt: performance.now() + this.#milliseconds,
      giveUp: () => failed(this.#late()),
      before: this.#newest,
      after: undefined,
    };
    if (this.#newest === undefined) this.#oldest = waiting;
    else this.#newest.after = waiting;
    this.#newest = waiting;
    if (this.#timer === undefined) this.#timer = this.#schedule(this.#milliseconds);
    work.then(
      (value) => {
        if (this.#leave(waiting)) succeeded(value);
      },
      (error: unknown) => {
        if (this.#leave(waiting)) failed(error);
      },
    );
  }

  /** @returns whether it was still under way */
  #leave(waiting: Waiting): boolean {
    const { before, after } = waiting;
    if (before === undefined && this.#oldest !== waiting) return false;
    if (before === undefined) this.#oldest = after;
    else before.after = after;
    if (after === undefined) this.#newest = before;
    else after.before = before;
    waiting.before = undefined;
    waiting.after = undefined;
    return true;
  }

  #schedule(milliseconds: number): NodeJS.Timeout {
    return setTimeout(() => this.#look(), milliseconds).unref();
  }

  #look(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (let waiting = this.#oldest; waiting !== undefined; waiting = this.#oldest) {
      if (waiting.endsAt > now) {
        this.#timer = this.#schedule(Math.max(1, waiting.endsAt - now));
        return;
      }
      this.#leave(waiting);
      waiting.giveUp();
    }
  }
}
