import { Type, type Static } from 'typebox';
import { repositoryOf, type ExecutorContext } from './context.ts';
import { draftOf, type Drafted } from './drafting.ts';
import type { Held } from './guards/held.ts';
import { Mode } from './policy.ts';
import { Plan, RollbackState, type Rollback } from './record.ts';
import { wouldHold } from './situation.ts';

/** What a rollback would do, as far as that can be said without doing it; nothing is stored. */
export const RollbackPreview = Type.Object(
  {
    application: Type.String(),
    badCommit: Type.String(),
    mode: Mode,
    state: Type.Union([RollbackState, Type.Null()], { description: 'Where it would end at once, without a plan; else null.' }),
    code: Type.String({ description: '`planned`, or why there is no plan or only a proposal.' }),
    sentence: Type.String(),
    good: Type.Union([Type.String(), Type.Null()], { description: 'Revision whose content would come back.' }),
    plan: Type.Union([Plan, Type.Null()]),
    guards: Type.Array(
      Type.Object(
        {
          code: Type.String(),
          sentence: Type.String(),
          approvable: Type.Boolean({ description: 'Whether an approval releases it.' }),
        },
        { additionalProperties: false },
      ),
      { description: 'Every guard that would hold it right now; none: it would be carried out.' },
    ),
  },
  { additionalProperties: false, $id: 'RollbackPreview' },
);
export type RollbackPreview = Static<typeof RollbackPreview>;

/** What would be written on the present head; reads, and writes nothing but objects into the mirror. */
export async function sketchOf(context: ExecutorContext, rollback: Rollback, signal: AbortSignal): Promise<Drafted> {
  const { head } = await repositoryOf(context, rollback).refresh(signal);
  return draftOf(context, rollback, head, signal);
}

/**
 * The plan of a rollback with the guards that would hold it.
 * @throws CodedError of git and of the delivery
 */
export async function previewOf(context: ExecutorContext, rollback: Rollback, signal: AbortSignal): Promise<RollbackPreview> {
  const { application, badCommit, mode } = rollback;
  const drafted = await sketchOf(context, rollback, signal);
  if (drafted.kind === 'done') {
    return { application, badCommit, mode, good: rollback.good, plan: null, guards: [], ...drafted.to };
  }
  const { plan } = drafted.draft;
  const planned: Rollback = { ...rollback, plan, good: plan.good ?? rollback.good };
  const guards = await wouldHold(context, planned, drafted.draft, signal);
  const { code, sentence } =
    drafted.kind === 'propose' ? drafted : { code: 'planned', sentence: 'this is what would be written; nothing was stored' };
  const isWeaker = drafted.kind === 'propose' && mode === 'rollback';
  return {
    application,
    badCommit,
    mode: isWeaker ? 'propose' : mode,
    state: null,
    code,
    sentence,
    good: planned.good,
    plan,
    guards: guards.map(shown),
  };
}

function shown({ code, sentence, approvable }: Held): RollbackPreview['guards'][number] {
  return { code, sentence, approvable };
}
