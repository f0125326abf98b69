import { isPerson } from '../../ledger/rules.ts';
import type { ExecutorContext } from '../context.ts';
import type { Past } from '../guards/facts.ts';
import { sameLines } from '../guards/lines.ts';
import { isOpen, type Plan, type Rollback } from '../record.ts';
import { rollbackIn } from '../stored.ts';

const DAY_MS = 86_400_000;
const OF_APPLICATION = 200;
/** More in one day than any limit that is worth setting. */
const OF_A_DAY = 1_000;

/** What earlier rollbacks of the application, of its repository and of all say about this one. */
export async function pastOf(context: ExecutorContext, rollback: Rollback, plan: Plan, now: number): Promise<Past> {
  const { application, repository } = rollback;
  const [own, day] = await Promise.all([
    context.store.list('rollback', { application, limit: OF_APPLICATION }),
    context.store.list('rollback', { since: now - DAY_MS, limit: OF_A_DAY }),
  ]);
  const others = own.records.map(rollbackIn).filter(({ id }) => id !== rollback.id);
  const known = new Set(others.map(({ id }) => id));
  const everywhere = [...others, ...day.records.map(rollbackIn).filter(({ id }) => id !== rollback.id && !known.has(id))];
  const counted = everywhere.filter((other) => isOfToday(other, rollback, now));
  const taken = others.filter(
    (other) => other.revertCommit !== null && other.plan !== null && sameLines(other.plan.diff, plan.diff),
  );
  // Each new head of a repository of many applications is a revision of its own, and the guilty commit the same one.
  const same = others.filter((other) => other.plan !== null && sameCommits(other.plan.undoes, plan.undoes));
  const proposed = same.find(({ state }) => state === 'proposed');
  const refused = same.find(({ state, code }) => state === 'refused' && (code === 'refused' || code === 'proposal_closed'));
  return {
    proposed: proposed === undefined ? null : { rollback: proposed.id, url: proposed.proposal?.url ?? null },
    refused: refused === undefined ? null : { rollback: refused.id, sentence: refused.sentence },
    today: {
      application: counted.filter((other) => other.application === application).length,
      repository: counted.filter((other) => other.repository === repository).length,
      everywhere: counted.length,
    },
    sameContent: taken.map(writtenAt).toSorted((one, other) => other - one),
    unhelpful: await unhelpfulOf(context, others),
  };
}

function sameCommits(some: readonly string[], others: readonly string[]): boolean {
  return some.length > 0 && some.length === others.length && some.every((commit) => others.includes(commit));
}

/** Written within a day, or about to be and decided before this one: several that fail together count each other. */
function isOfToday(other: Rollback, rollback: Rollback, now: number): boolean {
  if (other.revertCommit !== null) return writtenAt(other) > now - DAY_MS;
  return isOpen(other) && other.mode !== 'shadow' && Date.parse(other.decidedAt) > now - DAY_MS && isEarlier(other, rollback);
}

function isEarlier(one: Rollback, other: Rollback): boolean {
  return one.decidedAt === other.decidedAt ? one.id < other.id : one.decidedAt < other.decidedAt;
}

/** When its commit came to the branch, or at least out; one that waited for a person was decided long before. */
function writtenAt({ history, decidedAt }: Rollback): number {
  const last = (wanted: string) => history.findLast(({ step }) => step === wanted)?.at;
  return Date.parse(last('pushed') ?? last('proposed') ?? decidedAt);
}

/** design 5.5: the last one that ran to its end, when it did not help; until a person says what its revision was. */
async function unhelpfulOf(context: ExecutorContext, others: readonly Rollback[]): Promise<string | null> {
  const last = others.find(({ state }) => state === 'recovered' || state === 'not_recovered');
  if (last?.code !== 'still_bad') return null;
  const known = await context.ledger.entry(last.application, last.badCommit);
  const isClosed = known !== null && known.standing !== 'suspect' && isPerson(known.by) && known.since > last.updatedAt;
  return isClosed ? null : last.id;
}
