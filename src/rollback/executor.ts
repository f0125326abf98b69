import { CodedError, codeOf, sentenceOf } from '../errors.ts';
import type { Job } from '../queue/port.ts';
import type { StoredRecord } from '../store/port.ts';
import type { ExecutorContext, Step } from './context.ts';
import { check, tell, watch } from './following.ts';
import { plan } from './planning.ts';
import { isOpen, type Rollback } from './record.ts';
import { rollbackIn, rollbackWrite } from './stored.ts';
import { moved, troubled } from './transitions.ts';
import { abort, write } from './writing.ts';

const RETRY_FIRST_MS = 250;
const RETRY_CAP_MS = 5_000;
/** A remote that says no (a hook, a protected branch) is asked more rarely than one that is merely away. */
const REFUSED_CAP_MS = 30_000;
/** Problems that no retry mends: the rollback ends as refused, with the reason. */
const FINAL_PROBLEMS: ReadonlySet<string> = new Set(['commit_unknown', 'commit_is_root']);

/**
 * Walks a rollback through its steps. Every step reads the state of the world, acts idempotently, and is stored before
 * the next begins; any of them may run twice. Git is the arbiter: a plain push succeeds for one writer only, and what
 * is done already is seen in the content of the branch.
 */
export class Executor {
  readonly #context: ExecutorContext;

  constructor(context: ExecutorContext) {
    this.#context = context;
  }

  /** One run of the job of the rollback `job.key`. */
  async run(job: Job, signal: AbortSignal): Promise<void | { again: number }> {
    for (;;) {
      const record = await this.#context.store.get('rollback', job.key);
      if (record === undefined) return;
      const rollback = rollbackIn(record);
      if (!isOpen(rollback)) return;
      const step = await this.#stepOrTrouble(rollback, signal);
      if (step.next !== rollback && !(await this.#stored(record, rollback, step.next))) {
        if (step.next.revertCommit !== null && rollback.revertCommit === null) await this.#storeWritten(job.key, step.next);
        continue;
      }
      if (step.again !== undefined) return { again: step.again };
    }
  }

  async #stepOrTrouble(rollback: Rollback, signal: AbortSignal): Promise<Step> {
    try {
      return await this.#step(rollback, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      const now = this.#context.clock.now();
      const code = codeOf(error);
      if (FINAL_PROBLEMS.has(code))
        return { next: moved(rollback, { state: 'refused', code, sentence: sentenceOf(error) }, now) };
      const attempts = rollback.problem?.code === code ? rollback.problem.attempts : 0;
      const cap = error instanceof CodedError && error.retryable ? RETRY_CAP_MS : REFUSED_CAP_MS;
      const nextAt = now + Math.min(cap, RETRY_FIRST_MS * 2 ** Math.min(attempts, 10));
      return { next: troubled(rollback, { code, sentence: sentenceOf(error), nextAt }, now), again: nextAt };
    }
  }

  async #step(rollback: Rollback, signal: AbortSignal): Promise<Step> {
    switch (rollback.state) {
      case 'planned':
        return plan(this.#context, rollback, signal);
      case 'executing':
        return rollback.mode === 'rollback' && rollback.aborted === 'no'
          ? abort(this.#context, rollback, signal)
          : write(this.#context, rollback, signal);
      case 'pushed':
        return rollback.told ? watch(this.#context, rollback, signal) : tell(this.#context, rollback, signal);
      case 'synced':
        return check(this.#context, rollback);
      default:
        throw new CodedError('rollback_final', `a rollback in state ${rollback.state} has no next step`);
    }
  }

  /** Journal first, then the record; false when somebody else changed it meanwhile. */
  async #stored(record: StoredRecord, before: Rollback, next: Rollback): Promise<boolean> {
    const { store } = this.#context;
    const changed = next.state !== before.state || next.code !== before.code;
    if (changed) {
      await store.append({
        at: this.#context.clock.now(),
        event: `rollback.${next.state}`,
        application: next.application,
        subject: next.id,
        code: next.code,
        sentence: next.sentence,
        details: { badCommit: next.badCommit, revertCommit: next.revertCommit, mode: next.mode, aborted: next.aborted },
      });
    }
    if (before.state === 'planned') this.#context.reach('plan-journaled');
    if (next.state === 'pushed' && changed) this.#context.reach('push-journaled');
    try {
      await store.commit([rollbackWrite(next, record.version, record.createdAt)]);
    } catch (error) {
      if (error instanceof CodedError && error.code === 'conflict') return false;
      throw error;
    }
    if (before.state === 'planned') this.#context.reach('plan-stored');
    if (next.aborted !== before.aborted) this.#context.reach('abort-stored');
    if (next.state === 'pushed' && changed) this.#context.reach('push-stored');
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
      const { state, code, sentence, revertCommit, revertRef } = written;
      const note = `${sentence} (pushed before "${latest.sentence}" was stored)`;
      const next = moved({ ...latest, revertCommit, revertRef }, { state, code, sentence: note }, this.#context.clock.now());
      if (await this.#stored(record, latest, next)) return;
    }
  }
}
