import { Type, type Static } from 'typebox';
import { applicationUnknown } from '../analysis/nearest.ts';
import { ApplicationName, Revision, type Analysis } from '../analysis/record.ts';
import type { Changes } from '../changes.ts';
import type { Clock } from '../clock.ts';
import { CodedError } from '../errors.ts';
import type { CommitFacts, Repository } from '../git/port.ts';
import type { JobQueue } from '../queue/port.ts';
import type { ChainedEntry, Store, StoredRecord } from '../store/port.ts';
import { rollbackId } from './identity.ts';
import { ALERT, causeOf, opened, reopened, type Cause } from './opening.ts';
import { isWithin } from './paths.ts';
import type { Policy } from './policy.ts';
import type { Rollback } from './record.ts';
import { committed, entryOf, rollbackIn, rollbackWrite } from './stored.ts';
import { moved } from './transitions.ts';

/** A person asks for a rollback; the same guards hold as for an automatic one, but for the verdict. */
export const RollbackRequest = Type.Object(
  {
    application: ApplicationName,
    revision: Revision,
    reason: Type.String({ minLength: 3, maxLength: 1_000, description: 'Stands in the journal and in the revert commit.' }),
  },
  { additionalProperties: false, $id: 'RollbackRequest' },
);
export type RollbackRequest = Static<typeof RollbackRequest>;

export interface RollbacksContext {
  store: Store;
  queue: JobQueue;
  clock: Clock;
  changes: Changes;
  policies: ReadonlyMap<string, Policy>;
  repositories: ReadonlyMap<string, Repository>;
  onMoved(rollback: Rollback): void;
}

const JOURNAL_LIMIT = 500;
const REQUEST_TIMEOUT_MS = 20_000;
/** What no approval can change: Git itself cannot do it, or half of a commit would be reverted. */
const NOT_APPROVABLE: ReadonlySet<string> = new Set(['conflict', 'reaches_outside']);

/** The use cases around rollbacks: decide, ask, look, approve, refuse. What is done then is in `executor.ts`. */
export class Rollbacks {
  readonly #context: RollbacksContext;

  constructor(context: RollbacksContext) {
    this.#context = context;
  }

  /**
   * What a final analysis leads to: a rollback where a release failed, nothing otherwise. Missing evidence never gets
   * here as a fail. May be called again for the same analysis; there is one rollback for one bad revision.
   * @returns the id of the rollback, or null
   */
  async decide(analysis: Analysis): Promise<string | null> {
    const cause = causeOf(analysis);
    const policy = this.#context.policies.get(analysis.application);
    // Without its configuration the application is no longer ours to roll back.
    if (cause === null || policy === undefined) return null;
    const { rollback } = await this.#once(policy, cause);
    return rollback.id;
  }

  /** The id that `decide` will give, known before it is called; null where it will do nothing. */
  idFor(analysis: Analysis): string | null {
    const policy = this.#context.policies.get(analysis.application);
    return causeOf(analysis) === null || policy === undefined ? null : rollbackId({ ...policy, badCommit: analysis.revision });
  }

  /**
   * @throws CodedError `application_unknown`, `commit_unknown`, `commit_not_on_branch`, `commit_outside_application`,
   *   and the codes of git when the remote cannot be asked
   */
  async request(request: RollbackRequest, by: { name: string }): Promise<{ rollback: Rollback; created: boolean }> {
    const policy = this.#policy(request.application);
    const repository = this.#context.repositories.get(policy.repository);
    if (repository === undefined)
      throw new CodedError('configuration_changed', `the configuration has no repository "${policy.repository}"`);
    const commit = await this.#lookedUp(repository, request.revision);
    if (!commit.onBranch) {
      throw new CodedError(
        'commit_not_on_branch',
        `commit ${commit.sha} is not part of branch ${policy.branch}; name the commit that brought the bad version there`,
      );
    }
    if (!commit.paths.some((path) => isWithin(path, policy.paths))) {
      throw new CodedError(
        'commit_outside_application',
        `commit ${commit.sha} changes nothing of ${policy.application} (${policy.paths.join(', ')}); name the commit that did`,
      );
    }
    return this.#once(policy, {
      badCommit: commit.sha,
      trigger: 'manual',
      analysis: await this.#analysisOf(policy.application, commit.sha),
      requestedBy: by.name,
      confounded: false,
      sentence: request.reason,
      details: { reason: request.reason },
    });
  }

  /**
   * What an alert leads to whose owner trusts it (`then: rollback`): the guards hold as for a verdict, and what the
   * cluster runs is read before anything is done.
   */
  async alerted(order: { application: string; revision: string; alert: string; sentence: string }): Promise<Rollback> {
    const { rollback } = await this.#once(this.#policy(order.application), {
      badCommit: order.revision,
      trigger: 'alert',
      analysis: null,
      requestedBy: ALERT,
      // The configuration says to trust this alert: that is the opting in.
      confounded: false,
      sentence: order.sentence,
      details: { alert: order.alert },
    });
    return rollback;
  }

  /** @throws CodedError `rollback_unknown` */
  async get(id: string): Promise<Rollback> {
    return rollbackIn(await this.#record(id));
  }

  /** @throws CodedError `rollback_unknown` */
  async journal(id: string): Promise<ChainedEntry[]> {
    await this.#record(id);
    return this.#context.store.journal({ subject: id, limit: JOURNAL_LIMIT });
  }

  async list(query: {
    application?: string;
    state?: string;
    before?: string;
    limit: number;
  }): Promise<{ items: Rollback[]; next: string | null }> {
    const page = await this.#context.store.list('rollback', query);
    return { items: page.records.map(rollbackIn), next: page.next };
  }

  /**
   * Releases a held rollback; it is planned anew on the present head.
   * @throws CodedError `rollback_unknown`, `rollback_not_held`, `approval_useless`
   */
  async approve(id: string, by: { name: string }): Promise<Rollback> {
    return this.#changed(id, 'rollback.approved', (rollback) => {
      if (rollback.state !== 'held') {
        throw new CodedError(
          'rollback_not_held',
          `the rollback is ${rollback.state} (${rollback.code}), there is nothing to approve`,
        );
      }
      if (NOT_APPROVABLE.has(rollback.code)) {
        const sentence = `an approval cannot help here: ${rollback.sentence}; refuse this rollback when it is done`;
        throw new CodedError('approval_useless', sentence);
      }
      return moved(
        { ...rollback, approvedBy: by.name },
        { state: 'planned', code: 'approved', sentence: `approved by ${by.name}` },
        this.#context.clock.now(),
      );
    });
  }

  /**
   * A person's no is a no.
   * @throws CodedError `rollback_unknown`, `rollback_final` (pushed or ended already), `push_unconfirmed`
   */
  async refuse(id: string, by: { name: string; reason: string }): Promise<Rollback> {
    return this.#changed(id, 'rollback.refused', (rollback) => {
      if (rollback.pushStarted !== null) {
        const sentence =
          'its push was begun and the branch was not read since, so it may be on the remote; look again in a moment';
        throw new CodedError('push_unconfirmed', sentence);
      }
      if (rollback.revertCommit !== null || !['planned', 'held', 'executing'].includes(rollback.state)) {
        throw new CodedError('rollback_final', `the rollback is ${rollback.state} already; to undo it, revert its commit in Git`);
      }
      return moved(
        rollback,
        { state: 'refused', code: 'refused', sentence: `refused by ${by.name}: ${by.reason}` },
        this.#context.clock.now(),
      );
    });
  }

  /** Queues every rollback that has something left to do; used at start and now and then. */
  async drive(): Promise<number> {
    const { records } = await this.#context.store.list('rollback', { open: true, limit: 500 });
    for (const record of records) await this.wake(record.id);
    return records.length;
  }

  async wake(id: string): Promise<void> {
    await this.#context.queue.enqueue({ kind: 'rollback', key: id });
  }

  async #lookedUp(repository: Repository, revision: string): Promise<CommitFacts> {
    const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
    try {
      await repository.refresh(signal);
      return await repository.commit(revision, signal);
    } catch (error) {
      if (error instanceof CodedError || !signal.aborted) throw error;
      const sentence = `repository ${repository.name} did not answer within ${REQUEST_TIMEOUT_MS / 1_000} s; try again when it does`;
      throw new CodedError('git_timeout', sentence, { retryable: true, cause: error });
    }
  }

  async #once(policy: Policy, cause: Cause): Promise<{ rollback: Rollback; created: boolean }> {
    const id = rollbackId({ ...policy, badCommit: cause.badCommit });
    for (;;) {
      const known = await this.#context.store.get('rollback', id);
      const now = this.#context.clock.now();
      const rollback = known === undefined ? opened(id, policy, cause, now) : reopened(rollbackIn(known), policy, cause, now);
      if (rollback === null) {
        await this.wake(id);
        return { rollback: await this.get(id), created: false };
      }
      const { analysis, requestedBy, details, sentence } = cause;
      const decided = { ...rollback, code: cause.trigger, sentence };
      const entry = entryOf(decided, 'rollback.decided', now, { ...details, analysis, requestedBy });
      const write = rollbackWrite(rollback, known?.version ?? 0, known?.createdAt ?? now);
      if (!(await committed(this.#context.store, write, [entry]))) continue;
      this.#context.onMoved(rollback);
      await this.wake(id);
      return { rollback, created: true };
    }
  }

  async #changed(id: string, event: string, change: (rollback: Rollback) => Rollback): Promise<Rollback> {
    for (;;) {
      const record = await this.#record(id);
      const before = rollbackIn(record);
      const next = change(before);
      const entry = entryOf(next, event, this.#context.clock.now(), { before: before.state });
      if (!(await committed(this.#context.store, rollbackWrite(next, record.version, record.createdAt), [entry]))) continue;
      this.#context.changes.announce(id);
      this.#context.onMoved(next);
      await this.wake(id);
      return next;
    }
  }

  /** The newest failed analysis of the revision, so that a manual rollback can be checked for recovery, too. */
  async #analysisOf(application: string, revision: string): Promise<string | null> {
    const { records } = await this.#context.store.list('analysis', { application, limit: 100 });
    return (
      records.find(({ value }) => (value as Analysis).revision === revision && (value as Analysis).kind === 'release')?.id ?? null
    );
  }

  #policy(application: string): Policy {
    const policy = this.#context.policies.get(application);
    if (policy !== undefined) return policy;
    throw applicationUnknown(application, this.#context.policies.keys());
  }

  async #record(id: string): Promise<StoredRecord> {
    const record = await this.#context.store.get('rollback', id);
    if (record === undefined)
      throw new CodedError('rollback_unknown', `there is no rollback "${id}"; GET /api/v1/rollbacks lists them`);
    return record;
  }
}
