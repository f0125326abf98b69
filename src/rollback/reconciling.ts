import type { Clock } from '../clock.ts';
import type { CommitFacts, OwnRollback, Repository } from '../git/port.ts';
import type { RecordWrite, Store, StoreCondition } from '../store/port.ts';
import { rollbackId } from './identity.ts';
import { opened } from './opening.ts';
import { isWithin } from './paths.ts';
import type { Policy } from './policy.ts';
import type { Rollback } from './record.ts';
import { committed } from '../commit.ts';
import { rollbackWrite } from './stored.ts';
import { retryDelay } from './transitions.ts';

export interface ReconcilerContext {
  store: Store;
  clock: Clock;
  policies: ReadonlyMap<string, Policy>;
  repositories: ReadonlyMap<string, Repository>;
  /** Reads anew what every cluster runs. */
  lookAtClusters(signal: AbortSignal): Promise<void>;
  /** The store that this process worked with was emptied or replaced. */
  onLost(): void;
  /** Told of every rollback of ours that Git remembers, before its repository counts as reconciled. */
  onRemembered(own: OwnRollback): Promise<void>;
  onReconciled(done: { repository: string; rollbacks: number }): void;
  /** A repository that could not be read; it is tried again, and holds no other one up. */
  onFault(repository: string, error: unknown): void;
}

/** How often it is looked whether there is something to reconcile. */
export const RECONCILE_MS = 2_000;
/** Our own commits that are read back, newest first: what limits, loops and repeats are told from. */
const MOST_COMMITS = 500;
const DIFF_LIMIT = 20_000;
/** Commits between a guilty one and our revert that are looked through for the one that was judged. */
const MOST_BETWEEN = 500;
/** Commits that are older count for no guard. */
const GUARDED_MS = 31 * 86_400_000;
/** Every rollback of the repository waits for it, and tries again within seconds itself. */
const RETRY_CAP_MS = 2_000;
const READ_TIMEOUT_MS = 15 * 60_000;

interface Marker {
  epoch: string;
}

/**
 * The store is the memory, Git the witness. A data set that is new to us (first start, an emptied Redis, a restored
 * backup) is compared with what Git says of our own rollbacks before anything is rolled back automatically.
 */
export class Reconciler {
  readonly #context: ReconcilerContext;
  readonly #reconciled = new Set<string>();
  readonly #failed = new Map<string, { times: number; nextAt: number }>();
  #epoch: string | null = null;
  /** This process has worked with a data set that is gone. */
  #bereft = false;

  constructor(context: ReconcilerContext) {
    this.#context = context;
  }

  /** Whether the store and this repository agree, as far as this process knows. */
  reconciled(repository: string): boolean {
    return this.#reconciled.has(repository);
  }

  /** The data set that this process works with; empty before the first look at it. */
  get epoch(): string {
    return this.#epoch ?? '';
  }

  /** Whether automatic rollbacks wait, as it stands on /readyz and in the metrics. */
  condition(): StoreCondition {
    const open = this.#open();
    if (open.length === 0) return { ok: true, code: 'ok', sentence: 'the store agrees with Git' };
    const sentence = `automatic rollbacks wait until the store was compared with ${open.join(', ')}`;
    return { ok: false, code: 'state_lost', sentence };
  }

  /** Repositories that still have to be read. */
  #open(): string[] {
    return [...this.#context.repositories.keys()].filter((name) => !this.#reconciled.has(name));
  }

  /**
   * Reads what has to be read, if anything. Called again and again; most calls find nothing to do.
   * @throws CodedError `store_unavailable` (retryable)
   */
  async run(signal: AbortSignal): Promise<void> {
    const { store, repositories } = this.#context;
    if (this.#epoch === null || (await store.condition()).code === 'state_lost') {
      const epoch = await store.epoch();
      if (epoch !== this.#epoch) this.#reconciled.clear();
      if (this.#epoch !== null && epoch !== this.#epoch) {
        this.#bereft = true;
        this.#context.onLost();
      }
      this.#epoch = epoch;
    }
    const epoch = this.#epoch;
    const now = this.#context.clock.now();
    const open = this.#open().filter((name) => (this.#failed.get(name)?.nextAt ?? 0) <= now);
    if (open.length === 0) return;
    const markers = await store.getMany('state', open.map(idOf));
    const unread = open.filter((name, at) => {
      // What this process pushed at that moment may be younger than the reading of another process.
      if (this.#bereft || (markers[at]?.value as Marker | undefined)?.epoch !== epoch) return true;
      this.#reconciled.add(name);
      return false;
    });
    if (unread.length === 0) return;
    await this.#context.lookAtClusters(signal);
    await Promise.all(
      unread.map(async (name) => {
        const repository = repositories.get(name);
        if (repository === undefined) return;
        try {
          await this.#read(repository, epoch, AbortSignal.any([signal, AbortSignal.timeout(READ_TIMEOUT_MS)]));
          this.#failed.delete(name);
        } catch (error) {
          signal.throwIfAborted();
          const times = (this.#failed.get(name)?.times ?? 0) + 1;
          this.#failed.set(name, { times, nextAt: this.#context.clock.now() + retryDelay(times, RETRY_CAP_MS) });
          // A remote that stays away is told of ever more rarely.
          if (Number.isInteger(Math.log2(times))) this.#context.onFault(name, error);
        }
      }),
    );
  }

  async #read(repository: Repository, epoch: string, signal: AbortSignal): Promise<void> {
    const { store, clock } = this.#context;
    const since = clock.now() - GUARDED_MS;
    const known = (await repository.ownRollbacks(MOST_COMMITS, signal)).filter(({ at }) => at >= since);
    let rebuilt = 0;
    for (const own of known) {
      const policy = this.#context.policies.get(own.application);
      if (policy === undefined || policy.repository !== repository.name) continue;
      const facts = await repository.commit(own.commit, signal);
      // Our identity can be written into any commit: one that changes nothing of the application took nothing out.
      if (!facts.paths.some((path) => isWithin(path, policy.paths))) continue;
      await this.#context.onRemembered(own);
      if ((await store.get('rollback', own.rollback)) !== undefined) continue;
      const badCommit = await judgedBy(repository, policy, own, signal);
      const rollback = fromGit(
        { ...own, badCommit },
        policy,
        await this.#planOf(repository, facts, own.reverts, signal),
        clock.now(),
      );
      if (await committed(store, [rollbackWrite(rollback, 0, own.at)], [])) rebuilt += 1;
    }
    const marker = await store.get('state', idOf(repository.name));
    const value: Marker = { epoch };
    const write: RecordWrite = {
      kind: 'state',
      id: idOf(repository.name),
      expect: marker?.version ?? 0,
      createdAt: clock.now(),
      index: { open: true },
      value,
    };
    const sentence = `repository ${repository.name} was compared with the store; ${rebuilt} rollbacks are known again from Git`;
    const entry = {
      at: clock.now(),
      event: 'state.reconciled',
      application: '',
      subject: idOf(repository.name),
      code: rebuilt > 0 ? 'rebuilt' : 'nothing_missing',
      sentence,
      details: { repository: repository.name, rollbacks: rebuilt, epoch },
    };
    // Where another process was faster, its reading counts.
    await committed(store, [write], [entry]);
    this.#reconciled.add(repository.name);
    this.#context.onReconciled({ repository: repository.name, rollbacks: rebuilt });
  }

  async #planOf(
    repository: Repository,
    { sha, parents, paths, message }: CommitFacts,
    reverts: string,
    signal: AbortSignal,
  ): Promise<Rollback['plan']> {
    const diff = await repository.diff(sha, DIFF_LIMIT, signal);
    const nothing = { good: null, kept: [], joint: [], prunes: [], automation: [] };
    return { ...doneBy(message, reverts), hash: '', head: parents[0] ?? sha, changed: paths, ...nothing, diff };
  }
}

function idOf(repository: string): string {
  return `reconciled/${repository}`;
}

/** What the message of a commit of ours says that it does: see `revertMessage`. */
function doneBy(message: string, reverts: string): { kind: 'revert' | 'narrow' | 'restore'; undoes: string[] } {
  if (/^Sets back what commit /m.test(message)) return { kind: 'narrow', undoes: [reverts] };
  if (!/^Restores .* as it was at commit /m.test(message)) return { kind: 'revert', undoes: [reverts] };
  return { kind: 'restore', undoes: [...message.matchAll(/^ {2}([0-9a-f]{40,64})$/gm)].map(([, commit = '']) => commit) };
}

/**
 * The revision that was judged. The trailer names the guilty commit, and the id follows from what was judged, which may be a
 * later head: of the commits between the guilty one and ours, the one that gives the id.
 *
 * @returns the guilty commit where none does
 */
async function judgedBy(repository: Repository, policy: Policy, own: OwnRollback, signal: AbortSignal): Promise<string> {
  const isJudged = (badCommit: string): boolean => rollbackId({ ...policy, badCommit }) === own.rollback;
  if (isJudged(own.reverts) || !(await repository.isAncestor(own.reverts, own.commit, signal))) return own.reverts;
  const range = { from: own.reverts, to: own.commit, paths: ['.'], limit: MOST_BETWEEN };
  const later = await repository.commitsTouching(range, signal);
  return later.find(({ sha }) => isJudged(sha))?.sha ?? own.reverts;
}

/** What Git knows of a rollback; how it ended is not known, and it is not gone on with. */
function fromGit(own: OwnRollback & { badCommit: string }, policy: Policy, plan: Rollback['plan'], now: number): Rollback {
  const sentence = 'known from Git only: the record of it was lost, and with it what followed the push';
  const cause = {
    badCommit: own.badCommit,
    trigger: 'analysis' as const,
    analysis: null,
    requestedBy: 'git',
    confounded: false,
    sentence,
    details: {},
  };
  return {
    ...opened(own.rollback, policy, cause, own.at),
    state: 'failed',
    code: 'rebuilt',
    sentence,
    plan,
    revertCommit: own.commit,
    revertRef: `refs/heads/${policy.branch}`,
    updatedAt: new Date(now).toISOString(),
  };
}
