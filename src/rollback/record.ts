import { Type, type Static } from 'typebox';
import { Mode } from './policy.ts';

const optionalText = (description: string) => Type.Union([Type.String(), Type.Null()], { description });

export const RollbackState = Type.Enum(
  ['planned', 'held', 'executing', 'pushed', 'proposed', 'synced', 'recovered', 'not_recovered', 'refused', 'failed'],
  {
    description:
      'planned: decided, nothing done (where shadow ends); held: a guard or a missing approval; executing; pushed or proposed: the revert is on the remote; synced: it runs; recovered or not_recovered: what the metrics said; refused: by a person or by a rule that is final; failed: given up',
  },
);
export type RollbackState = Static<typeof RollbackState>;

export const Problem = Type.Object(
  {
    code: Type.String(),
    sentence: Type.String({ description: 'What is wrong and what to do.' }),
    since: Type.String({ format: 'date-time' }),
    attempts: Type.Integer({ minimum: 0 }),
    nextAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
  },
  { additionalProperties: false },
);

/** What will be written, as data, computed before anything happens. */
export const Plan = Type.Object(
  {
    kind: Type.Enum(['revert', 'narrow', 'restore'], {
      description:
        'revert: the guilty commit, as git revert; narrow: only the declared fields set back; restore: the paths of the application as they were at the last good revision',
    }),
    hash: Type.String({
      description: 'SHA-256 over kind, bad commit and every change by content; the same on another head while the same is done.',
    }),
    head: Type.String({ description: 'Branch head that the plan was computed on.' }),
    good: optionalText('Revision whose content comes back, for narrow and restore.'),
    undoes: Type.Array(Type.String(), { maxItems: 100, description: 'Commits that are taken back, newest first.' }),
    changed: Type.Array(Type.String(), { description: 'Paths that change.' }),
    kept: Type.Array(Type.String(), { description: 'Paths that keep their present content (neverRestore).' }),
    joint: Type.Array(Type.String(), { description: 'Other applications whose paths it changes, all of which allow it.' }),
    prunes: Type.Array(Type.String(), { maxItems: 100, description: 'Objects that hold data and would be deleted.' }),
    automation: Type.Array(Type.String(), {
      maxItems: 20,
      description: 'What is done in the same commit so that a bot does not bring the bad version back.',
    }),
    diff: Type.String({ description: 'Shortened.' }),
  },
  { additionalProperties: false },
);
export type Plan = Static<typeof Plan>;

export const Approval = Type.Object(
  {
    by: Type.String(),
    at: Type.String({ format: 'date-time' }),
    plan: Type.String({ description: 'Hash of the plan that was seen.' }),
    expiresAt: Type.String({ format: 'date-time' }),
    about: Type.Optional(Type.String({ description: 'The plan that was seen, in a few words.' })),
  },
  { additionalProperties: false },
);
export type Approval = Static<typeof Approval>;

export const Proposal = Type.Object(
  {
    url: Type.String(),
    number: Type.Integer(),
    state: Type.Enum(['open', 'merged', 'closed']),
  },
  { additionalProperties: false },
);
export type Proposal = Static<typeof Proposal>;

/** One decision about one bad revision of one application: the record, and the resource of the API. */
export const Rollback = Type.Object(
  {
    id: Type.String({ description: 'Derived from repository, branch, application and bad revision: exactly one each.' }),
    application: Type.String(),
    repository: Type.String(),
    branch: Type.String(),
    badCommit: Type.String(),
    mode: Mode,
    trigger: Type.Enum(['analysis', 'manual', 'alert']),
    analysis: optionalText('Id of the analysis that failed.'),
    requestedBy: Type.String(),
    state: RollbackState,
    code: Type.String({ description: 'Machine-readable reason of the state.' }),
    sentence: Type.String({ description: 'The reason for a person.' }),
    evidence: optionalText('Hash of the journal entry of this decision; stands in the revert commit.'),
    verdictSentence: Type.String({ description: 'Why, in one sentence.' }),
    decidedAt: Type.String({
      format: 'date-time',
      description: 'Date of the revert commit, so that a rerun yields the same commit.',
    }),
    good: optionalText('Last good revision of the application, where one is known.'),
    judgedSince: Type.Optional(
      optionalText(
        'Revision that ran, or was judged by itself, before the bad one: what came after it was judged. Null where none is known, or a person names the commit.',
      ),
    ),
    plan: Type.Union([Plan, Type.Null()], { description: 'What will be, or was, written.' }),
    aborted: Type.Enum(['no', 'aborted', 'already', 'not_running', 'unsupported']),
    pushStarted: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
      description: 'A push was begun and its outcome is not known yet; until it is, nothing else may be decided.',
    }),
    told: Type.Boolean({ description: 'The delivery was annotated and asked to sync.' }),
    revertCommit: optionalText('Commit that took the bad content out.'),
    revertRef: optionalText('Where it was pushed.'),
    approvals: Type.Array(Approval, {
      maxItems: 10,
      description: 'Who released the plan with this hash; used up by the push that it leads to.',
    }),
    proposal: Type.Union([Proposal, Type.Null()], { description: 'The pull request, where one was opened.' }),
    problem: Type.Union([Problem, Type.Null()], {
      description: 'Why it does not go on by itself right now, or is being retried.',
    }),
    returnedAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
      description: 'When the bad content was seen on the branch again after it had been taken out.',
    }),
    proposes: Type.Optional(
      Type.Integer({
        minimum: 2,
        description: 'Number of the branch that it is proposed on, where an earlier proposal of it has ended or was overruled.',
      }),
    ),
    recovery: optionalText('Id of the analysis that checks the recovery.'),
    incident: Type.Optional(
      Type.String({ description: 'What holds several rollbacks at once; all of one incident are told as one.' }),
    ),
    createdAt: Type.String({ format: 'date-time' }),
    updatedAt: Type.String({ format: 'date-time' }),
    history: Type.Array(Type.Object({ at: Type.String({ format: 'date-time' }), step: Type.String(), sentence: Type.String() }), {
      maxItems: 200,
    }),
  },
  { additionalProperties: false, $id: 'Rollback' },
);
export type Rollback = Static<typeof Rollback>;

const FINAL: ReadonlySet<RollbackState> = new Set(['recovered', 'not_recovered', 'refused', 'failed']);

/** Held because a rule of the remote (a hook) refused the push. */
export const PUSH_REFUSED = 'git_push_refused';

/**
 * Whether the executor has something left to do. What is held waits for a person, but for what the remote refused, which
 * is tried on; shadow ends with its plan.
 */
export function isOpen({ state, code }: Rollback): boolean {
  if (state === 'held') return code === PUSH_REFUSED;
  return !FINAL.has(state) && code !== 'shadow';
}
