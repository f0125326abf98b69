import { policyOf, repositoryOf, type ExecutorContext } from './context.ts';
import { draftOf, hashOf, orderOf, type Draft, type Drafted } from './drafting.ts';
import type { Policy } from './policy.ts';
import type { Rollback } from './record.ts';

/** More than are under way at the same time. */
const MOST_KEPT = 500;

interface Kept {
  /** What the draft was made for. */
  basis: string;
  policy: Policy;
  draft: Draft;
}

/**
 * The drafts of rollbacks that are under way. A plan and its push are drafted on the same head as a rule, and where others
 * push all the time, what came between two heads has nothing to do with most rollbacks: what was worked out is carried over
 * then, as every new computation takes longer than it takes the branch to move on.
 */
export class Drafts {
  readonly #context: ExecutorContext;
  readonly #kept = new Map<string, Kept>();

  constructor(context: ExecutorContext) {
    this.#context = context;
  }

  /** As `draftOf`, and the same draft. */
  async on(rollback: Rollback, head: string, signal: AbortSignal): Promise<Drafted> {
    const policy = policyOf(this.#context, rollback);
    const basis = basisOf(rollback);
    const known = this.#kept.get(rollback.id);
    this.#kept.delete(rollback.id);
    // A plan that is made anew looks anew at what was judged together.
    const isSame =
      known !== undefined &&
      known.basis === basis &&
      known.policy === policy &&
      rollback.judgedSince !== undefined &&
      known.draft.since === rollback.judgedSince;
    const carried = isSame ? await this.#carried(rollback, known.draft, head, signal) : null;
    const drafted =
      carried === null ? await draftOf(this.#context, rollback, head, signal) : { kind: 'draft' as const, draft: carried };
    if (drafted.kind === 'draft' && isPlain(drafted.draft)) this.#keep(rollback.id, { basis, policy, draft: drafted.draft });
    return drafted;
  }

  /** To be called when a push failed or was done: what is in the mirror may be gone. */
  forget(id: string): void {
    this.#kept.delete(id);
  }

  async #carried(rollback: Rollback, draft: Draft, head: string, signal: AbortSignal): Promise<Draft | null> {
    const { plan, commit, bad } = draft;
    if (plan.head === head) return draft;
    const policy = policyOf(this.#context, rollback);
    const how = { kind: plan.kind, good: plan.good, undoes: plan.undoes, notes: [] };
    const order = { ...orderOf({ rollback, policy, bad, head }, how, []), onto: head };
    const known = { commit, head: plan.head, touched: bad.paths };
    const result = await repositoryOf(this.#context, rollback).carry(order, known, signal);
    if (result?.kind !== 'commit' || hashOf(plan.kind, bad, result.effect) !== plan.hash) return null;
    return { ...draft, plan: { ...plan, head }, commit: result.commit };
  }

  #keep(id: string, kept: Kept): void {
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= MOST_KEPT && oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(id, kept);
  }
}

/** The revert of one commit and nothing else: a restore, a joint plan and settings of bots depend on more of the head. */
function isPlain({ plan }: Draft): boolean {
  return plan.kind === 'revert' && plan.joint.length === 0 && plan.automation.length === 0;
}

/** What goes into a commit from the record. */
function basisOf({ badCommit, decidedAt, evidence, verdictSentence, good, repository, branch }: Rollback): string {
  return JSON.stringify([badCommit, decidedAt, evidence, verdictSentence, good, repository, branch]);
}
