import { Type, type Static } from 'typebox';
import { Rank } from '../rollback/policy.ts';

const optionalText = (description: string) => Type.Union([Type.String(), Type.Null()], { description });
const Moment = Type.String({ format: 'date-time' });

export const Standing = Type.Enum(['good', 'unknown', 'suspect', 'bad'], {
  description: 'A person may mark it otherwise; suspect: a rollback of it did not help.',
});

/** A person's word about a revision. */
export const LedgerMark = Type.Object(
  {
    standing: Type.Enum(['good', 'bad']),
    reason: Type.String({ minLength: 3, maxLength: 1_000, description: 'Stands in the ledger and in the journal.' }),
  },
  { additionalProperties: false, $id: 'LedgerMark' },
);
export type LedgerMark = Static<typeof LedgerMark>;

/** What is known of one revision of an application: a record of kind `revision`, and a resource of the API. */
export const LedgerEntry = Type.Object(
  {
    application: Type.String(),
    revision: Type.String({ description: 'Full id of the commit.' }),
    standing: Standing,
    rank: Type.Union([Rank, Type.Null()], {
      description:
        'How it is known to be good. proved: an analysis passed; completed: it was promoted to the end; baked: healthy for bakeTime; seeded: it ran when davylamp began to look',
    }),
    since: Type.String({ format: 'date-time', description: 'Of the standing.' }),
    by: Type.String({ description: 'Who says so: analysis, delivery, operator, rollback, or a person.' }),
    reason: Type.String({ description: 'Why, in one sentence.' }),
    reference: optionalText('Analysis or rollback that it follows from.'),
    content: optionalText('One id of what the paths of the application hold at this revision.'),
    firstLiveAt: Type.Union([Moment, Type.Null()], { description: 'When it was first seen live, as far as that is known.' }),
    updatedAt: Moment,
  },
  { additionalProperties: false, $id: 'LedgerEntry' },
);
export type LedgerEntry = Static<typeof LedgerEntry>;
