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
    plan: Type.Union(
      [
        Type.Object({
          kind: Type.Literal('revert'),
          head: Type.String({ description: 'Branch head that the plan was computed on.' }),
          changed: Type.Array(Type.String()),
          diff: Type.String({ description: 'Shortened.' }),
        }),
        Type.Null(),
      ],
      { description: 'What will be, or was, written.' },
    ),
    aborted: Type.Enum(['no', 'aborted', 'already', 'not_running', 'unsupported']),
    pushStarted: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
      description: 'A push was begun and its outcome is not known yet; until it is, nothing else may be decided.',
    }),
    told: Type.Boolean({ description: 'The delivery was annotated and asked to sync.' }),
    revertCommit: optionalText('Commit that took the bad content out.'),
    revertRef: optionalText('Where it was pushed.'),
    approvedBy: optionalText('Who released it.'),
    problem: Type.Union([Problem, Type.Null()], {
      description: 'Why it does not go on by itself right now, or is being retried.',
    }),
    recovery: optionalText('Id of the analysis that checks the recovery.'),
    createdAt: Type.String({ format: 'date-time' }),
    updatedAt: Type.String({ format: 'date-time' }),
    history: Type.Array(Type.Object({ at: Type.String({ format: 'date-time' }), step: Type.String(), sentence: Type.String() }), {
      maxItems: 200,
    }),
  },
  { additionalProperties: false, $id: 'Rollback' },
);
export type Rollback = Static<typeof Rollback>;

const FINAL: ReadonlySet<RollbackState> = new Set(['proposed', 'recovered', 'not_recovered', 'refused', 'failed']);

/** Whether the executor has something left to do (held waits for a person, shadow ends with its plan). */
export function isOpen(rollback: Rollback): boolean {
  return !FINAL.has(rollback.state) && rollback.state !== 'held' && rollback.code !== 'shadow';
}
