import { CodedError, codeOf } from '../errors.ts';
import type { Repository } from '../git/port.ts';
import type { Turn } from './turn.ts';

/** What one rollback wants to have on the branch. */
export interface LaneOrder {
  /**
   * Makes its commit on top of `onto`.
   * @returns null when there is nothing to push for it (any more); a throw ends this order alone
   */
  build(onto: string): Promise<string | null>;
  /** Stores durably that the push begins; false: somebody changed the rollback meanwhile, so it is left out. */
  begin(): Promise<boolean>;
}

/** `left`: nothing was pushed for this order; it knows why. */
export type LaneResult = { kind: 'pushed'; commit: string } | { kind: 'left' };

const PUSH_TRIES = 10;
/** Milliseconds; what was fetched just now for a plan is good enough for a first try: the push finds out. */
const RECENT_MS = 500;
/** Commits that go out in one push; the rest takes the next one. */
const MOST_IN_CHAIN = 20;
/** Lost races after which a chain gets shorter. */
const SHORTER_AFTER = 2;

interface Waiting {
  order: LaneOrder;
  resolve: (result: LaneResult) => void;
  reject: (error: unknown) => void;
}

interface Link {
  waiting: Waiting;
  commit: string;
}

/** Commits of ours, one on the other, and those that have nothing to add once these are on the branch. */
interface Chain {
  links: Link[];
  leaning: Waiting[];
}

/**
 * What is waiting to be pushed to one branch goes out together: a chain of commits, one for each rollback, and one plain
 * push, which all of them win or lose. Who comes while a push is under way goes with the next one.
 */
export class Lane {
  readonly #repository: Repository;
  readonly #turn: Pick<Turn, 'respect' | 'take' | 'leave'>;
  readonly #signal: AbortSignal;
  readonly #waiting: Waiting[] = [];
  #isRunning = false;
  /** Commits that go out in one push at the moment. */
  #most = MOST_IN_CHAIN;

  /** @param signal ends what is under way, when the service closes */
  constructor(repository: Repository, turn: Pick<Turn, 'respect' | 'take' | 'leave'>, signal: AbortSignal) {
    this.#repository = repository;
    this.#turn = turn;
    this.#signal = signal;
  }

  /** @throws CodedError what the push said, or `push_races` (retryable); and whatever `build` and `begin` throw */
  async submit(order: LaneOrder): Promise<LaneResult> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ order, resolve, reject });
      if (!this.#isRunning) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#most);
      try {
        const hasWaited = await this.#turn.respect(this.#signal);
        if (hasWaited) batch.push(...this.#waiting.splice(0, Math.max(0, this.#most - batch.length)));
        await this.#push(batch);
        await this.#turn.leave();
      } catch (error) {
        for (const { reject } of batch) reject(error);
        await this.#turn.leave();
      }
    }
    this.#isRunning = false;
  }

  /** @param batch those that go back to wait are taken out of it */
  async #push(batch: Waiting[]): Promise<void> {
    let members: readonly Waiting[] = batch;
    for (let attempt = 1; attempt <= PUSH_TRIES; attempt += 1) {
      const { head } = await this.#repository.refresh(this.#signal, attempt === 1 ? RECENT_MS : 0);
      let chain = await built(members, head);
      const begun = await beginAll(chain.links);
      // Who dropped out may not stay in the chain that is pushed.
      if (begun.length < chain.links.length) chain = await built([...begun, ...chain.leaning], head, new Set(begun));
      members = [...chain.links.map(({ waiting }) => waiting), ...chain.leaning];
      const last = chain.links.at(-1);
      if (last === undefined) return;
      try {
        const pushed = await this.#repository.push(last.commit, null, this.#signal);
        if (pushed === 'race') {
          await this.#turn.take(this.#signal);
          if (attempt >= SHORTER_AFTER) members = this.#shorter(batch, members);
          continue;
        }
      } catch (error) {
        // One that the remote's rules refuse must not stop the others.
        if (members.length === 1 || !isRefusal(error)) throw error;
        for (const member of members) await this.#alone(member);
        return;
      }
      this.#most = Math.min(MOST_IN_CHAIN, this.#most * 2);
      for (const { waiting, commit } of chain.links) waiting.resolve({ kind: 'pushed', commit });
      for (const waiting of chain.leaning) waiting.resolve({ kind: 'left' });
      return;
    }
    throw new CodedError('push_races', `the branch moved ${PUSH_TRIES} times while the revert was pushed; trying on`, {
      retryable: true,
    });
  }

  /** A long chain takes longer to build than a busy branch stands still: half of it, and the rest afterwards. */
  #shorter(batch: Waiting[], members: readonly Waiting[]): readonly Waiting[] {
    this.#most = Math.max(1, Math.floor(members.length / 2));
    const rest = members.slice(this.#most);
    for (const one of rest) batch.splice(batch.indexOf(one), 1);
    this.#waiting.unshift(...rest);
    return members.slice(0, this.#most);
  }

  async #alone(member: Waiting): Promise<void> {
    try {
      await this.#push([member]);
    } catch (error) {
      member.reject(error);
    }
  }
}

/**
 * The chain on `head`; an order that has nothing to push, or cannot be built, is settled and left out. What it found on top
 * of a commit of the chain is only true when that one is pushed, so it waits for the push.
 *
 * @param only those that may have a commit in it; all when left out
 */
async function built(members: readonly Waiting[], head: string, only?: ReadonlySet<Waiting>): Promise<Chain> {
  const links: Link[] = [];
  const leaning: Waiting[] = [];
  let onto = head;
  for (const waiting of members) {
    try {
      const commit = await waiting.order.build(onto);
      if (commit === null || only?.has(waiting) === false) {
        if (links.length > 0) leaning.push(waiting);
        else waiting.resolve({ kind: 'left' });
        continue;
      }
      links.push({ waiting, commit });
      onto = commit;
    } catch (error) {
      waiting.reject(error);
    }
  }
  return { links, leaning };
}

/** Those whose begin was stored. */
async function beginAll(chain: readonly Link[]): Promise<Waiting[]> {
  const begun: Waiting[] = [];
  for (const { waiting } of chain) {
    try {
      if (await waiting.order.begin()) begun.push(waiting);
      else waiting.resolve({ kind: 'left' });
    } catch (error) {
      waiting.reject(error);
    }
  }
  return begun;
}

function isRefusal(error: unknown): boolean {
  return ['git_push_refused', 'git_branch_protected'].includes(codeOf(error));
}
