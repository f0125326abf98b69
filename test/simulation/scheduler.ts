import type { Random } from './random.ts';

/** Whoever waits for answers; a dead one never gets any. */
export interface Caller {
  readonly name: string;
  alive: boolean;
  /** Told before each call of a port; may end the caller. */
  onCall(): void;
}

export interface CallOptions {
  /** What the caller is told when the call fails; left out: the call cannot fail. */
  failure?: () => Error;
  /** It leaves the process: it takes time, may arrive twice, late, or without an answer. */
  isRemote?: boolean;
  /** It changes something, so that it may arrive after its caller has given up or died. */
  isEffect?: boolean;
}

interface Event {
  at: number;
  caller: Caller | null;
  name: string;
  isEffect: boolean;
  run(): void;
  /** The effect alone, for a call whose caller died while it was on its way. */
  effect: (() => unknown) | null;
}

export interface Counts {
  steps: number;
  faults: number;
  crashes: number;
}

const LATE_MS = 900;

/**
 * Decides at every await who goes on. All calls of simulated ports and everything that people and clusters do are events;
 * one of those that are due is picked by the seed, so that every order may happen; time goes on only when nothing is due.
 */
export class Scheduler {
  readonly random: Random;
  readonly counts: Counts = { steps: 0, faults: 0, crashes: 0 };
  /** Milliseconds since the epoch. */
  now: number;
  faultsOn = true;
  /** Share of remote calls that something happens to. */
  faultRate: number;
  trace: string[] | null = null;
  #due: Event[] = [];
  #later: Event[] = [];

  constructor(random: Random, start: number, faultRate: number) {
    this.random = random;
    this.now = start;
    this.faultRate = faultRate;
  }

  get step(): number {
    return this.counts.steps;
  }

  note(text: string): void {
    this.trace?.push(`${String(this.counts.steps).padStart(5)} ${String(this.now % 100_000_000).padStart(9)} ms  ${text}`);
  }

  /** A call of a port: it is answered when the scheduler says so, and perhaps otherwise than its caller hopes. */
  async call<T>(caller: Caller, name: string, effect: () => T, options: CallOptions = {}): Promise<T> {
    const { failure, isRemote = false, isEffect = false } = options;
    if (!caller.alive) return never();
    caller.onCall();
    if (!caller.alive) {
      // It died with the request on the wire, or just before.
      if (isEffect && this.random.chance(0.5)) this.#late(name, effect);
      return never();
    }
    return new Promise<T>((resolve, reject) => {
      const answer = () => {
        try {
          resolve(effect());
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      const run = () => {
        const hit = failure !== undefined && this.faultsOn && this.random.chance(this.faultRate);
        if (!hit || failure === undefined) return answer();
        this.counts.faults += 1;
        const kind = isEffect ? this.random.below(4) : 0;
        if (kind === 0) {
          this.note(`   fault: ${name} fails`);
          return reject(failure());
        }
        if (kind === 1) {
          this.note(`   fault: ${name} is done, its answer is lost`);
          attempt(effect);
          return reject(failure());
        }
        if (kind === 2) {
          this.note(`   fault: ${name} fails for its caller and arrives late`);
          this.#late(name, effect);
          return reject(failure());
        }
        this.note(`   fault: ${name} arrives twice`);
        attempt(effect);
        return answer();
      };
      this.#add({ at: this.now + (isRemote ? this.#latency() : 0), caller, name, run, isEffect, effect });
    });
  }

  /** Something that happens by itself at a time. */
  at(time: number, name: string, run: () => void, caller: Caller | null = null): void {
    this.#add({ at: time, caller, name, run, isEffect: false, effect: null });
  }

  /** Ends a caller: what it waits for never comes, what it sent may still arrive. */
  kill(caller: Caller): void {
    caller.alive = false;
    const lost = [...this.#due, ...this.#later].filter((event) => event.caller === caller);
    this.#due = this.#due.filter((event) => event.caller !== caller);
    this.#later = this.#later.filter((event) => event.caller !== caller);
    for (const { isEffect, effect, name } of lost) {
      if (isEffect && effect !== null && this.random.chance(0.5)) this.#late(name, effect);
    }
  }

  /** Runs one event; false when there is none before `horizon`. */
  async next(horizon: number): Promise<boolean> {
    if (this.#due.length === 0 && !this.#advance(horizon)) return false;
    const at = this.random.below(this.#due.length);
    const event = this.#due[at];
    const last = this.#due.pop();
    if (event === undefined || last === undefined) return false;
    if (last !== event) this.#due[at] = last;
    this.counts.steps += 1;
    if (this.trace !== null) this.note(`${event.caller === null ? '' : `${event.caller.name}: `}${event.name}`);
    event.run();
    // Everything that follows from it runs until it waits for a port again.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.faultsOn && this.#due.length > 0 && this.random.chance(0.01)) {
      this.now += this.random.between(50, 4_000);
      this.#takeDue();
    }
    return true;
  }

  #advance(horizon: number): boolean {
    let first = Infinity;
    for (const { at } of this.#later) if (at < first) first = at;
    if (first > horizon) return false;
    this.now = Math.max(this.now, first);
    this.#takeDue();
    return true;
  }

  #takeDue(): void {
    const later: Event[] = [];
    for (const event of this.#later) {
      if (event.at <= this.now) this.#due.push(event);
      else later.push(event);
    }
    this.#later = later;
  }

  #add(event: Event): void {
    if (event.at <= this.now) this.#due.push(event);
    else this.#later.push(event);
  }

  #late(name: string, effect: () => unknown): void {
    this.at(this.now + this.random.between(0, LATE_MS), `${name} (late)`, () => attempt(effect));
  }

  #latency(): number {
    if (!this.faultsOn) return this.random.between(0, 20);
    const kind = this.random.below(20);
    if (kind < 12) return 0;
    if (kind < 19) return this.random.between(1, 60);
    return this.random.between(100, 3_000);
  }
}

/** For a request whose answer nobody hears, an error included. */
function attempt(effect: () => unknown): void {
  try {
    effect();
  } catch {
    // The answer would have been this error.
  }
}

async function never(): Promise<never> {
  return new Promise(() => undefined);
}
