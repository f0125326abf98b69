import { Type, type Static } from 'typebox';
import { applicationUnknown } from '../analysis/nearest.ts';
import { sameCommit } from '../analysis/revision.ts';
import type { Clock } from '../clock.ts';
import type { Repository } from '../git/port.ts';
import type { Store } from '../store/port.ts';
import type { Policy } from './policy.ts';
import type { Rollback } from './record.ts';
import { rollbackIn } from './stored.ts';

const optional = (description: string) => Type.Union([Type.String(), Type.Null()], { description });
const Moment = Type.String({ format: 'date-time' });

/** One bad revision, as davylamp and as people dealt with it. */
export const ReportLine = Type.Object(
  {
    badCommit: Type.String(),
    subject: Type.String({ description: 'First line of the bad commit, shortened.' }),
    davylamp: Type.Enum(['rolled_back', 'proposed', 'would_roll_back', 'held', 'refused', 'failed', 'nothing'], {
      description: 'What davylamp did, or would have done in shadow; nothing: only people acted.',
    }),
    code: optional('Reason of it.'),
    at: Type.Union([Moment, Type.Null()], { description: 'When davylamp decided.' }),
    rollback: optional('Id of the rollback.'),
    people: Type.Enum(['reverted', 'fixed_forward', 'nothing'], {
      description: 'What other people did about the same commit: reverted it, or changed the same content since.',
    }),
    commit: optional('The commit by which they did it, where it says so itself.'),
    peopleAt: Type.Union([Moment, Type.Null()]),
    secondsEarlier: Type.Union([Type.Number(), Type.Null()], {
      description: 'How much earlier davylamp decided than people reverted; negative: later.',
    }),
  },
  { additionalProperties: false },
);
export type ReportLine = Static<typeof ReportLine>;

export const Report = Type.Object(
  {
    application: Type.String(),
    since: Moment,
    until: Moment,
    agreed: Type.Integer({ description: 'Both davylamp and people took it out.' }),
    onlyDavylamp: Type.Integer({
      description: 'davylamp took it out, or would have, and nobody else did: look whether it was right.',
    }),
    onlyPeople: Type.Integer({
      description: 'People reverted it and davylamp had nothing against it: what the template does not see.',
    }),
    lines: Type.Array(ReportLine, { maxItems: 1_000, description: 'Newest first.' }),
    cut: Type.Boolean({ description: 'Whether there is more than stands here.' }),
  },
  { additionalProperties: false, $id: 'Report' },
);
export type Report = Static<typeof Report>;

export interface ReportContext {
  store: Store;
  clock: Clock;
  policies: ReadonlyMap<string, Policy>;
  repositories: ReadonlyMap<string, Repository>;
}

const MOST_ROLLBACKS = 500;
const MOST_COMMITS = 1_000;
const SUBJECT_LIMIT = 120;
const ACTED: ReadonlySet<ReportLine['davylamp']> = new Set(['rolled_back', 'proposed', 'would_roll_back']);

/**
 * What davylamp did about an application, or would have done in shadow, beside what people did in Git: what one reads
 * before letting it act.
 *
 * @throws CodedError `application_unknown`, and the codes of git
 */
export async function reportOf(context: ReportContext, application: string, since: number, signal: AbortSignal): Promise<Report> {
  const { store, clock, policies, repositories } = context;
  const policy = policies.get(application);
  const repository = repositories.get(policy?.repository ?? '');
  if (policy === undefined || repository === undefined) throw applicationUnknown(application, policies.keys());
  const { head } = await repository.refresh(signal);
  const page = await store.list('rollback', { application, since, limit: MOST_ROLLBACKS });
  const rollbacks = page.records.map(rollbackIn).filter(({ decidedAt }) => Date.parse(decidedAt) >= since);
  const lines: ReportLine[] = [];
  for (const rollback of rollbacks) lines.push(await lineOf(repository, head, rollback, signal));
  const range = { from: null, to: head, paths: policy.paths, limit: MOST_COMMITS };
  const commits = (await repository.commitsTouching(range, signal)).filter(({ at }) => at >= since);
  const ours = new Set(rollbacks.flatMap(({ revertCommit }) => (revertCommit === null ? [] : [revertCommit])));
  for (const commit of commits) {
    const reverted = /^This reverts commit ([0-9a-f]{7,64})/m.exec(commit.message)?.[1];
    if (reverted === undefined || ours.has(commit.sha)) continue;
    if (lines.some(({ badCommit }) => sameCommit(badCommit, reverted))) continue;
    lines.push({
      badCommit: reverted,
      subject: commit.subject.slice(0, SUBJECT_LIMIT),
      davylamp: 'nothing',
      code: null,
      at: null,
      rollback: null,
      people: 'reverted',
      commit: commit.sha,
      peopleAt: new Date(commit.at).toISOString(),
      secondsEarlier: null,
    });
  }
  const newest = (line: ReportLine) => line.at ?? line.peopleAt ?? '';
  lines.sort((one, other) => newest(other).localeCompare(newest(one)));
  const acted = lines.filter((line) => ACTED.has(line.davylamp));
  return {
    application,
    since: new Date(since).toISOString(),
    until: new Date(clock.now()).toISOString(),
    agreed: acted.filter(({ people }) => people !== 'nothing').length,
    onlyDavylamp: acted.filter(({ people }) => people === 'nothing').length,
    onlyPeople: lines.filter(({ davylamp, people }) => !ACTED.has(davylamp) && people === 'reverted').length,
    lines: lines.slice(0, MOST_COMMITS),
    cut: page.next !== null || lines.length > MOST_COMMITS,
  };
}

async function lineOf(repository: Repository, head: string, rollback: Rollback, signal: AbortSignal): Promise<ReportLine> {
  const { badCommit, id, code, decidedAt, plan } = rollback;
  const facts = await repository.commit(badCommit, signal);
  const [revert] = (await repository.reverters(badCommit, signal)).filter(({ by }) => by === 'other').reverse();
  const line = {
    badCommit,
    subject: facts.subject.slice(0, SUBJECT_LIMIT),
    davylamp: doneBy(rollback),
    code,
    at: decidedAt,
    rollback: id,
  };
  if (revert !== undefined) {
    const secondsEarlier = (revert.at - Date.parse(decidedAt)) / 1_000;
    return { ...line, people: 'reverted', commit: revert.commit, peopleAt: new Date(revert.at).toISOString(), secondsEarlier };
  }
  const isOurs = rollback.revertCommit !== null;
  const changed = plan?.changed ?? [];
  const same =
    isOurs ||
    changed.length === 0 ||
    (await repository.contentOf(head, changed, signal)) === (await repository.contentOf(facts.sha, changed, signal));
  return { ...line, people: same ? 'nothing' : 'fixed_forward', commit: null, peopleAt: null, secondsEarlier: null };
}

function doneBy({ state, code, revertCommit }: Rollback): ReportLine['davylamp'] {
  if (code === 'shadow') return 'would_roll_back';
  if (state === 'proposed') return 'proposed';
  if (revertCommit !== null && state !== 'refused') return 'rolled_back';
  if (state === 'held' || state === 'planned' || state === 'executing') return 'held';
  return state === 'refused' ? 'refused' : 'failed';
}
