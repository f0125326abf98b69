import { policyOf, repositoryOf, type ExecutorContext } from './context.ts';
import type { Repository } from '../git/port.ts';
import { isWithin } from './paths.ts';
import type { Rollback } from './record.ts';
import { committed } from '../commit.ts';
import { entryOf, rollbackIn, rollbackWrite } from './stored.ts';
import { noted, short } from './transitions.ts';

/** How often it is looked whether something that was taken out is back. */
export const RETURN_WATCH_MS = 30_000;
/** So long after the push it is looked for: bots come back with their next run. */
const WATCHED_MS = 60 * 60_000;
const MOST_WATCHED = 200;

type ReturnContext = Pick<ExecutorContext, 'store' | 'clock' | 'changes' | 'policies' | 'repositories' | 'onMoved'> & {
  /** A rollback that could not be looked at; the others are. */
  onFault: (rollback: string, error: unknown) => void;
};

/**
 * Looks, for an hour after each push, whether the bad content is back on the branch (design 5.5: a loop is stopped and
 * told). It reverts nothing: whoever brought it back made a commit of its own, which is judged like any other.
 */
export class ReturnWatch {
  readonly #context: ReturnContext;
  /** The head at which a rollback was looked at last: nothing comes back without a new one. */
  readonly #looked = new Map<string, string>();

  constructor(context: ReturnContext) {
    this.#context = context;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { store, clock, onFault } = this.#context;
    const since = clock.now() - WATCHED_MS;
    const { records } = await store.list('rollback', { limit: MOST_WATCHED });
    const watched = records.filter((record) => isWatched(rollbackIn(record), since));
    for (const id of this.#looked.keys()) if (!watched.some((record) => record.id === id)) this.#looked.delete(id);
    // One fetch for all that were taken out of a repository: after a storm that may be a hundred.
    const heads = new Map<Repository, Promise<{ head: string }>>();
    for (const record of watched) {
      const rollback = rollbackIn(record);
      try {
        if (await this.#isBack(rollback, heads, signal)) await this.#tell(record.id, signal);
      } catch (error) {
        signal.throwIfAborted();
        onFault(rollback.id, error);
      }
    }
  }

  async #isBack(rollback: Rollback, heads: Map<Repository, Promise<{ head: string }>>, signal: AbortSignal): Promise<boolean> {
    const repository = repositoryOf(this.#context, rollback);
    const { plan, revertCommit } = rollback;
    if (plan === null || revertCommit === null || plan.changed.length === 0) return false;
    const fetched = heads.get(repository) ?? repository.refresh(signal);
    heads.set(repository, fetched);
    const { head } = await fetched;
    if (this.#looked.get(rollback.id) === head) return false;
    // What others own of a joint plan may go its own way meanwhile.
    const own = plan.changed.filter((path) => isWithin(path, policyOf(this.#context, rollback).paths));
    const paths = own.length === 0 ? plan.changed : own;
    const [now, before] = await Promise.all([
      repository.contentOf(head, paths, signal),
      repository.contentOf(plan.head, paths, signal),
    ]);
    // What could not be read, or not be told of, is looked at again.
    if (now !== before) this.#looked.set(rollback.id, head);
    return now === before;
  }

  async #tell(id: string, signal: AbortSignal): Promise<void> {
    const { store, clock, changes, onMoved } = this.#context;
    for (;;) {
      signal.throwIfAborted();
      const record = await store.get('rollback', id);
      if (record === undefined) return;
      const rollback = rollbackIn(record);
      if (rollback.returnedAt !== null) return;
      const now = clock.now();
      const sentence = `what ${short(rollback.revertCommit ?? '')} took out is on ${rollback.branch} again; find out who brings it back, before it is rolled back again and again`;
      const next: Rollback = { ...noted(rollback, 'came_back', sentence, now), returnedAt: new Date(now).toISOString() };
      const entry = { ...entryOf(next, 'rollback.returned', now), code: 'came_back', sentence };
      if (!(await committed(store, [rollbackWrite(next, record.version, record.createdAt)], [entry]))) continue;
      changes.announce(id);
      onMoved(next);
      return;
    }
  }
}

function isWatched(rollback: Rollback, since: number): boolean {
  const pushed = rollback.history.findLast(({ step }) => step === 'pushed')?.at;
  return (
    rollback.returnedAt === null &&
    ['pushed', 'synced', 'recovered', 'not_recovered'].includes(rollback.state) &&
    pushed !== undefined &&
    Date.parse(pushed) > since
  );
}
