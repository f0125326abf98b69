import { applicationUnknown } from '../analysis/nearest.ts';
import type { Analysis } from '../analysis/record.ts';
import type { Changes } from '../changes.ts';
import type { Clock } from '../clock.ts';
import { CodedError } from '../errors.ts';
import type { Delivery } from '../delivery/port.ts';
import type { Repository } from '../git/port.ts';
import type { JobQueue } from '../queue/port.ts';
import type { ChainedEntry, Store, StoredRecord } from '../store/port.ts';
import { approved, refused, type ApprovalRequest } from './approving.ts';
import { approvalPolicyOf } from './guards/approval.ts';
import { causeOfRequest, refuseImpossible, withinTime, type RollbackRequest } from './asking.ts';
import type { LedgerView } from './context.ts';
import type { Drafted } from './drafting.ts';
import { stoppedBy } from './guards/stopping.ts';
import type { FleetPolicy } from './fleet.ts';
import { rollbackId } from './identity.ts';
import { ALERT, causeOf, opened, reopened, type Cause } from './opening.ts';
import type { Policy } from './policy.ts';
import type { RollbackPreview } from './preview.ts';
import type { Rollback } from './record.ts';
import { committed } from '../commit.ts';
import { entryOf, rollbackIn, rollbackWrite } from './stored.ts';
import type { Switches } from './switches.ts';

export interface RollbacksContext {
  store: Store;
  queue: JobQueue;
  clock: Clock;
  changes: Changes;
  policies: ReadonlyMap<string, Policy>;
  repositories: ReadonlyMap<string, Repository>;
  deliveries: ReadonlyMap<string, Delivery>;
  ledger: Pick<LedgerView, 'lastGood' | 'entry'>;
  switches: Pick<Switches, 'stopping'>;
  fleet: FleetPolicy;
  /** What would be written right now; stores nothing. */
  sketchOf(rollback: Rollback, signal: AbortSignal): Promise<Drafted>;
  /** The same, with the guards that would hold it. */
  previewOf(rollback: Rollback, signal: AbortSignal): Promise<RollbackPreview>;
  onMoved(rollback: Rollback): void;
}

const JOURNAL_LIMIT = 500;

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
   * A person asks for a rollback. Where one of this revision is known already, it is that one.
   *
   * @throws CodedError `application_unknown`, `commit_unknown`, `commit_not_on_branch`, `commit_outside_application`,
   *   `commit_is_root`, `already_reverted`, and the codes of git when the remote cannot be asked; nothing is stored then
   */
  async request(request: RollbackRequest, by: { name: string }): Promise<{ rollback: Rollback; created: boolean }> {
    const policy = this.#policy(request.application);
    return withinTime(policy.repository, async (signal) => {
      const cause = await causeOfRequest(this.#context, request, { policy, by: by.name }, signal);
      const draft = this.#draftOf(policy, cause);
      const known = await this.#context.store.get('rollback', draft.id);
      const isNew = known === undefined || reopened(rollbackIn(known), policy, cause, this.#context.clock.now()) !== null;
      if (isNew) refuseImpossible(await this.#context.sketchOf(draft, signal));
      return this.#once(policy, cause);
    });
  }

  /**
   * What the same request would lead to; stores nothing.
   * @throws CodedError as `request`
   */
  async preview(request: RollbackRequest, by: { name: string }): Promise<RollbackPreview> {
    const policy = this.#policy(request.application);
    return withinTime(policy.repository, async (signal) => {
      const cause = await causeOfRequest(this.#context, request, { policy, by: by.name }, signal);
      const preview = await this.#context.previewOf(this.#draftOf(policy, cause), signal);
      if (preview.state !== null) {
        const { state, code, sentence } = preview;
        refuseImpossible({ kind: 'done', to: { state, code, sentence }, facts: {} });
      }
      return preview;
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
   * Releases a held rollback for the plan that was seen; with enough approvals it is planned anew on the present head.
   *
   * @throws CodedError `rollback_unknown`, `rollback_not_held`, `approval_useless`, `plan_required`, `plan_changed`,
   *   `approval_needs_another`, `rollbacks_stopped`
   */
  async approve(id: string, request: ApprovalRequest, by: { name: string }): Promise<Rollback> {
    const { application } = await this.get(id);
    const policy = this.#policy(application);
    const stop = stoppedBy(this.#context.fleet, policy, await this.#context.switches.stopping(policy));
    const change = (rollback: Rollback, now: number) => {
      const asked = approvalPolicyOf(this.#context.policies, policy, rollback.plan);
      return approved(rollback, request, { policy: asked, by: by.name, now });
    };
    if (stop !== null) {
      // What is wrong with the request itself is said first.
      change(await this.get(id), this.#context.clock.now());
      throw new CodedError('rollbacks_stopped', stop.sentence);
    }
    return this.#changed(id, 'rollback.approved', change, { by: by.name, plan: request.plan ?? null });
  }

  /**
   * A person's no is a no.
   * @throws CodedError `rollback_unknown`, `rollback_final` (pushed or ended already), `push_unconfirmed`
   */
  async refuse(id: string, by: { name: string; reason: string }): Promise<Rollback> {
    const change = (rollback: Rollback, now: number) => refused(rollback, { by: by.name, reason: by.reason, now });
    return this.#changed(id, 'rollback.refused', change, { by: by.name });
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

  /** The record as it would be; not stored. */
  #draftOf(policy: Policy, cause: Cause): Rollback {
    return opened(rollbackId({ ...policy, badCommit: cause.badCommit }), policy, cause, this.#context.clock.now());
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
      if (!(await committed(this.#context.store, [write], [entry]))) continue;
      this.#context.onMoved(rollback);
      await this.wake(id);
      return { rollback, created: true };
    }
  }

  async #changed(
    id: string,
    event: string,
    change: (rollback: Rollback, now: number) => Rollback,
    details: Record<string, unknown>,
  ): Promise<Rollback> {
    for (;;) {
      const record = await this.#record(id);
      const before = rollbackIn(record);
      const now = this.#context.clock.now();
      const next = change(before, now);
      const entry = entryOf(next, event, now, { before: before.state, ...details });
      if (!(await committed(this.#context.store, [rollbackWrite(next, record.version, record.createdAt)], [entry]))) continue;
      this.#context.changes.announce(id);
      // One approval of two changes nothing yet that anybody would be told of again.
      if (next.state === before.state) return next;
      this.#context.onMoved(next);
      await this.wake(id);
      return next;
    }
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
