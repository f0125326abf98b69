import { Type, type Static } from 'typebox';

/** What an application lets davylamp do. Shadow is the default: judge, plan, write the journal, touch nothing. */
export const Mode = Type.Enum(['shadow', 'propose', 'rollback'], {
  default: 'shadow',
  description: 'shadow: touch nothing; propose: push the revert to a branch of its own; rollback: abort and push to the branch',
});
export type Mode = Static<typeof Mode>;

const STRENGTH: readonly Mode[] = ['shadow', 'propose', 'rollback'];

/** The mode that allows less; what an application allows now bounds what was decided before. */
export function weaker(one: Mode, other: Mode): Mode {
  return STRENGTH.indexOf(one) <= STRENGTH.indexOf(other) ? one : other;
}

export const Guards = Type.Object(
  {
    maxPerDay: Type.Optional(
      Type.Integer({
        minimum: 0,
        default: 3,
        description: 'Automatic rollbacks of the application in 24 hours; above it, held.',
      }),
    ),
    approvalPaths: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 500 }), {
        maxItems: 200,
        default: [],
        description: 'Globs; a revert that touches one of these paths waits for an approval.',
      }),
    ),
  },
  { additionalProperties: false, default: {}, description: 'What holds an automatic rollback.' },
);
export type Guards = Static<typeof Guards>;

/** Parts of the application's configuration that decide about rollbacks. */
export const policyFields = {
  paths: Type.Array(Type.String({ minLength: 1, maxLength: 500 }), {
    minItems: 1,
    maxItems: 100,
    description: 'Folders or files of the repository that are this application; nothing outside them is ever changed.',
  }),
  mode: Type.Optional(Mode),
  guards: Type.Optional(Guards),
  onConfounded: Type.Optional(
    Type.Enum(['propose', 'rollback'], {
      default: 'propose',
      description: 'What a fail without a live baseline leads to at most.',
    }),
  ),
  onUndeployable: Type.Optional(
    Type.Enum(['propose', 'rollback'], {
      default: 'propose',
      description:
        'What it leads to at most that a release does not live: a crash loop of its own, its progress deadline exceeded.',
    }),
  ),
};

export interface Policy {
  application: string;
  repository: string;
  branch: string;
  paths: readonly string[];
  mode: Mode;
  maxPerDay: number;
  approvalPaths: readonly string[];
  onConfounded: 'propose' | 'rollback';
  onUndeployable: 'propose' | 'rollback';
}
