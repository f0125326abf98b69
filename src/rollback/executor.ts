import { CodedError, codeOf, sentenceOf } from '../errors.ts';
import type { Repository } from '../git/port.ts';
import type { Job } from '../queue/port.ts';
import type { StoredRecord } from '../store/port.ts';
import { policyOf, repositoryOf, type ExecutorContext, type Step } from './context.ts';
import { check, tell, watch } from './following.ts';
import { Drafts } from './drafts.ts';
import { Lane } from './lane.ts';
import { plan } from './planning.ts';
import { followProposal, propose } from './proposing.ts';
import { Turn } from './turn.ts';
import { weaker } from './policy.ts';
import { isOpen, type Rollback } from './record.ts';
import { committed } from '../commit.ts';
import { entryOf, rollbackIn, rollbackWrite } from './stored.ts';
import {
  CONTROLLER_RETRY_CAP_MS,
  REFUSED_CAP_MS,
  RETRY_CAP_MS,
  moved,
  noted,
  retryDelay,
  stuckSince,
  troubled,
} from './transitions.ts';
import { abort, write } from './writing.ts';

/** Problems that no retry mends: the rollback ends as refused, with the reason. */
const FINAL_PROBLEMS: ReadonlySet<string> = new Set(['commit_unknown', 'commit_is_root', 'commit_not_on_branch']);

/**
 * Walks a rollback through its steps. Every step reads the state of the world, acts idempotently, and is stored before
 * the next begins; any of them may run twice. Git is the arbiter: a plain push succeeds for one writer only, and what
 * is done already is seen in the content of the branch.
 */
export class Executor {
  readonly #context: ExecutorContext;
  readonly #lanes = new Map<Repository, Lane>();
  readonly #drafts: Drafts;
  readonly #closing = new AbortController();

  constructor(context: ExecutorContext) {
    this.#context = context;
    this.#drafts = new Drafts(context);
  }

  /** One run of the job of the rollback `job.key`. */
  async run(job: Job, signal: AbortSignal): Promise<void | { again: number }> {
    for (;;) {
      const found = await this.#context.store.get('rollback', job.key);
      if (found === undefined) return;
      const rollback = rollbackIn(found);
      if (!isOpen(rollback)) return;
      let record = found;
      const begin = async () => {
        const marked = await this.#marked(record);
        record = marked ?? record;
        return marked !== null;
      };
      let step: Step;
      try {
        step = await this.#stepOrTrouble(rollback, begin, signal);
      } catch (error) {
        // Stopped in the middle of a push, which may arrive all the same.
        await this.#keepBegun(record);
        throw error;
      }
      if (step.next !== rollback && !(await this.#stored(record, rollback, step.next))) {
        if (step.next.revertCommit !== null && rollback.revertCommit === null) await this.#storeWritten(job.key, step.next);
        await this.#keepBegun(record);
        continue;
      }
      if (step.again !== undefined) return { again: step.again };
    }
  }

  /** Ends the pushes that are under way; what they were for goes on after the next start. */
  close(): void {
    this.#closing.abort(new CodedError('closing', 'the service is closing', { retryable: true }));
  }

  /** What is pushed to one branch goes through one lane; another configuration of the repository gets another one. */
  #laneOf(repository: Repository): Lane {
    const known = this.#lanes.get(repository);
    if (known !== undefined) return known;
    // A repository that the configuration no longer has takes no more orders.
    for (const old of this.#lanes.keys()) {
      if (this.#context.repositories.get(old.name) !== old) this.#lanes.delete(old);
    }
    const lane = new Lane(repository, new Turn(this.#context, repository.name, repository.branch), this.#closing.signal);
    this.#lanes.set(repository, lane);
    return lane;
  }

  /** The record with the mark that a push begins, or null when somebody changed it meanwhile. */
  async #marked(record: StoredRecord): Promise<StoredRecord | null> {
    const rollback = rollbackIn(record);
    if (rollback.pushStarted !== null) {
      // Marked before: another run may have come in between, and a person refused it there. A record that is gone is looked
      // after where the loss of the store is.
      const latest = await this.#context.store.get('rollback', record.id);
      return latest === undefined || latest.version === record.version ? record : null;
    }
    const value = { ...rollback, pushStarted: new Date(this.#context.clock.now()).toISOString() };
    if (!(await committed(this.#context.store, [rollbackWrite(value, record.version, record.createdAt)], []))) return null;
    this.#context.reach('push-marked');
    return { ...record, version: record.version + 1, value };
  }

  async #stepOrTrouble(rollback: Rollback, begin: () => Promise<boolean>, signal: AbortSignal): Promise<Step> {
    try {
      return await this.#step(rollback, begin, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      const now = this.#context.clock.now();
      const code = codeOf(error);
      if (FINAL_PROBLEMS.has(code))
        return { next: moved(rollback, { state: 'refused', code, sentence: sentenceOf(error) }, now) };
      if (code === 'configuration_changed' && rollback.revertCommit !== null) {
        return {
          next: moved(
            rollback,
            { state: 'failed', code, sentence: `${sentenceOf(error)}; the revert is pushed, what followed was not watched` },
            now,
          ),
        };
      }
      const attempts = rollback.problem?.attempts ?? 0;
      const cap = capFor(error);
      const nextAt = askedFor(error, now) ?? now + retryDelay(attempts, cap);
      return {
        next: troubled(rollback, { code, sentence: sentenceOf(error), nextAt }, now),
        again: nextAt,
      };
    }
  }

  async #step(rollback: Rollback, begin: () => Promise<boolean>, signal: AbortSignal): Promise<Step> {
    const policy = policyOf(this.#context, rollback);
    const mode = weaker(rollback.mode, policy.mode);
    if (mode !== rollback.mode && rollback.revertCommit === null) {
      const sentence = `the application allows mode ${mode} now; planned anew`;
      return {
        next: moved(
          { ...rollback, mode, plan: null },
          { state: 'planned', code: 'mode_changed', sentence },
          this.#context.clock.now(),
        ),
      };
    }
    switch (rollback.state) {
      case 'planned':
        return plan(this.#context, rollback, this.#drafts, signal);
      case 'held':
      case 'executing':
        if (rollback.mode === 'rollback' && rollback.aborted === 'no') return abort(this.#context, rollback, signal);
        return write(
          this.#context,
          rollback,
          { lane: this.#laneOf(repositoryOf(this.#context, rollback)), begin, drafts: this.#drafts },
          signal,
        );
      case 'proposed':
        return rollback.proposal === null
          ? propose(this.#context, rollback, signal)
          : followProposal(this.#context, rollback, signal);
      case 'pushed':
        return rollback.told ? watch(this.#context, rollback, signal) : tell(this.#context, rollback, signal);
      case 'synced':
        return check(this.#context, rollback);
      default:
        throw new CodedError('rollback_final', `a rollback in state ${rollback.state} has no next step`);
    }
  }

  /** Record and journal at once; false when somebody else changed the record meanwhile. */
  async #stored(record: StoredRecord, before: Rollback, next: Rollback): Promise<boolean> {
    const { clock, store, reach } = this.#context;
    const changed = next.state !== before.state || next.code !== before.code;
    const entries = changed ? [entryOf(next, `rollback.${next.state}`, clock.now())] : [];
    const now = clock.now();
    const { problem } = next;
    const isStuck = problem !== null && stuckSince(next, now);
    const value = isStuck ? noted(next, 'stuck', problem.sentence, now) : next;
    if (isStuck) entries.push({ ...entryOf(value, 'rollback.stuck', now), code: problem.code, sentence: problem.sentence });
    if (!(await committed(store, [rollbackWrite(value, record.version, record.createdAt)], entries))) return false;
    if (before.state === 'planned') reach('plan-stored');
    if (next.aborted !== before.aborted) reach('abort-stored');
    if ((next.state === 'pushed' || next.state === 'proposed') && changed) reach('push-stored');
    if (next.proposal !== null && before.proposal === null) reach('proposal-stored');
    this.#context.changes.announce(next.id);
    if (changed) this.#context.onMoved(next);
    return true;
  }

  /** What is on the remote is a fact: a refusal that came while it was pushed was too late, and the record says so. */
  async #storeWritten(id: string, written: Rollback): Promise<void> {
    for (;;) {
      const record = await this.#context.store.get('rollback', id);
      if (record === undefined) return;
      const latest = rollbackIn(record);
      // Another run has seen the same commit on the branch, and may have gone on from there.
      if (latest.revertCommit === written.revertCommit && latest.code !== 'rebuilt') return;
      const { state, code, sentence, revertCommit, revertRef } = written;
      const note = `${sentence} (pushed before "${latest.sentence}" was stored)`;
      const next = moved({ ...latest, revertCommit, revertRef }, { state, code, sentence: note }, this.#context.clock.now());
      if (await this.#stored(record, latest, next)) return;
    }
  }

  /**
   * The store was emptied while a push was under way, and the comparison with Git may have come before the push: what is
   * held in hand becomes a record of the new data set, marked as begun, so that the branch is read again.
   *
   * @param record as it was when the push began
   */
  async #keepBegun(record: StoredRecord): Promise<void> {
    const { clock, store } = this.#context;
    const begun = rollbackIn(record);
    if (begun.pushStarted === null || (await store.get('rollback', record.id)) !== undefined) return;
    const now = clock.now();
    const sentence = 'the store was lost while this was pushed; what was known of it was written down again';
    const { analysis } = begun;
    // Its arguments went with the store, as a rule.
    const isGone = analysis !== null && (await store.get('analysis', analysis)) === undefined;
    const kept = noted({ ...begun, analysis: isGone ? null : analysis }, 'rebuilt', sentence, now);
    const entry = entryOf({ ...kept, code: 'rebuilt', sentence }, 'rollback.rebuilt', now, { analysis });
    // Where somebody else wrote one meanwhile, that one counts.
    await committed(store, [rollbackWrite(kept, 0, record.createdAt)], [entry]);
  }
}

/** When somebody who waits for something has asked to be run again. */
function askedFor(error: unknown, now: number): number | null {
  const nextAt = error instanceof CodedError ? error.details['nextAt'] : undefined;
  return typeof nextAt === 'number' ? Math.max(now, nextAt) : null;
}

function capFor(error: unknown): number {
  if (/^(delivery|cluster)_/.test(codeOf(error))) return CONTROLLER_RETRY_CAP_MS;
  return error instanceof CodedError && error.retryable ? RETRY_CAP_MS : REFUSED_CAP_MS;
}
