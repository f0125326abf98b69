import type { Clock } from '../../clock.ts';

/** Wrong credentials that one address may send in a minute before its refusals are slowed. */
const FREE_FAILURES = 10;
const WINDOW_MS = 60_000;
const DELAY_MS = 1_000;
const MAX_ADDRESSES = 10_000;
/** Refusals that are held back at the same time; above it they are answered at once, and nothing piles up. */
const MAX_DELAYED = 256;
/** Lines a minute for all addresses together. */
const MAX_LINES = 60;

interface Tally {
  since: number;
  count: number;
}

/**
 * Wrong credentials by address. Only refusals are slowed: credentials are looked at first, so that somebody who shares
 * an address (a proxy, a node) with a guesser is served as ever. The map is bounded; the oldest entries go first.
 */
export class Failures {
  readonly #clock: Clock;
  readonly #byAddress = new Map<string, Tally>();
  #delayed = 0;
  #lines: Tally = { since: 0, count: 0 };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Counts one failure.
   *
   * @returns how long to hold the refusal back, in milliseconds, and whether to write a line about it
   */
  note(address: string | undefined): { delayMs: number; tell: boolean; failures: number } {
    const now = this.#clock.now();
    const key = networkOf(address ?? '');
    const known = this.#byAddress.get(key);
    const tally = known !== undefined && now - known.since < WINDOW_MS ? known : { since: now, count: 0 };
    tally.count += 1;
    this.#byAddress.delete(key);
    this.#byAddress.set(key, tally);
    if (this.#byAddress.size > MAX_ADDRESSES) {
      const oldest = this.#byAddress.keys().next();
      if (oldest.done !== true) this.#byAddress.delete(oldest.value);
    }
    // The first of an address, and then ever fewer of them.
    const tell = isPowerOfTwo(tally.count) && this.#mayTell(now);
    const slow = tally.count > FREE_FAILURES && this.#delayed < MAX_DELAYED;
    return { delayMs: slow ? DELAY_MS : 0, tell, failures: tally.count };
  }

  /** Runs `then` after the delay; at once when there is none. */
  hold(delayMs: number, then: () => void): void {
    if (delayMs === 0) {
      then();
      return;
    }
    this.#delayed += 1;
    setTimeout(() => {
      this.#delayed -= 1;
      then();
    }, delayMs);
  }

  get addresses(): number {
    return this.#byAddress.size;
  }

  #mayTell(now: number): boolean {
    if (now - this.#lines.since >= WINDOW_MS) this.#lines = { since: now, count: 0 };
    this.#lines.count += 1;
    return this.#lines.count <= MAX_LINES;
  }
}

function isPowerOfTwo(count: number): boolean {
  return (count & (count - 1)) === 0;
}

/** An IPv4 address as it is; of an IPv6 address the /64, which is what one machine is given. */
export function networkOf(address: string): string {
  const bare = (address.split('%', 1)[0] ?? '').replace(/^::ffff:(?=[0-9.]+$)/i, '');
  if (!bare.includes(':')) return bare;
  const [head = '', tail] = bare.split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const gap = tail === undefined ? 0 : Math.max(8 - front.length - back.length, 0);
  const groups = [...front, ...Array.from({ length: gap }, () => '0'), ...back];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
