import { Type, type Static } from 'typebox';
import { Duration } from '../analysis/quantities.ts';

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

const globs = (description: string) =>
  Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 500 }), { maxItems: 200, default: [], description }));
const kinds = (description: string) =>
  Type.Optional(
    Type.Array(Type.String({ pattern: '^[A-Z][A-Za-z0-9]{0,62}([.][a-z0-9.-]{1,253})?$' }), {
      maxItems: 200,
      default: [],
      description: `${description} By name, or by name and group: Kafka, Cluster.postgresql.cnpg.io.`,
    }),
  );
const duration = (value: string, description: string, examples: readonly string[] = []) =>
  Type.Optional(Type.Unsafe<string>({ ...Duration, default: value, description, ...(examples.length > 0 && { examples }) }));

export const Guards = Type.Object(
  {
    maxPerDay: Type.Optional(
      Type.Integer({
        minimum: 0,
        default: 3,
        description: 'Automatic rollbacks of the application in 24 hours; above it, held.',
      }),
    ),
    maxAge: duration(
      '24h',
      'A revision that was first seen live longer ago is held: what turns bad so late is seldom its fault.',
    ),
    coolDown: duration('1h', 'The same content is not taken out again by itself within this time; 0s: at once.', ['0s', '1h']),
    approvalPaths: globs('Globs; a revert that touches one of these paths waits for an approval.'),
    dataKinds: kinds('Kinds that hold data, beside the known ones: a revert that deletes one waits for an approval.'),
    statelessKinds: kinds(
      'Kinds whose removal deletes nothing that lasts, beside the known ones; every other kind that is not known counts as holding data.',
    ),
    approvals: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 3, default: 1, description: 'So many different people have to approve a held plan.' }),
    ),
    approvalFor: duration('4h', 'An approval that was not used by then is none.'),
  },
  { additionalProperties: false, default: {}, description: 'What holds an automatic rollback.' },
);
export type Guards = Static<typeof Guards>;

/** What is known of a revision, the strongest first: the last good one is the newest of the lowest rank that is accepted. */
export const Rank = Type.Enum(['proved', 'completed', 'baked', 'seeded']);
export type Rank = Static<typeof Rank>;

/** One field that names the version, for plans that set nothing else back. */
export const VersionField = Type.Union([
  Type.Object(
    {
      type: Type.Literal('kustomize'),
      image: Type.String({ minLength: 1, maxLength: 300, description: 'Name of the image in `images:`.' }),
      file: Type.String({
        minLength: 1,
        maxLength: 500,
        description: 'The kustomization.yaml, from the root of the repository.',
      }),
    },
    { additionalProperties: false, description: 'newTag, newName and digest of an image of Kustomize.' },
  ),
  Type.Object(
    {
      type: Type.Literal('yaml'),
      path: Type.String({
        minLength: 1,
        maxLength: 500,
        description: 'Path of the field: keys with dots, [0] for places, [name=web] for the entry of a list with this value.',
      }),
      file: Type.String({ minLength: 1, maxLength: 500, description: 'A YAML file, from the root of the repository.' }),
    },
    { additionalProperties: false, description: 'One field of a YAML file, for example image.tag of Helm values.' },
  ),
]);
export type VersionField = Static<typeof VersionField>;

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
  plan: Type.Optional(
    Type.Enum(['revert', 'narrow'], {
      default: 'revert',
      description: 'revert: the guilty commit; narrow: only the fields of versionFields, set back to their value before it.',
    }),
  ),
  versionFields: Type.Optional(
    Type.Array(VersionField, { maxItems: 20, default: [], description: 'The fields that name the version, for plan: narrow.' }),
  ),
  onConflict: Type.Optional(
    Type.Enum(['hold', 'restore'], {
      default: 'restore',
      description:
        'Where the guilty commit cannot be reverted by itself, or several were judged together: restore the paths as they were at the last good revision, if one is known and every commit that this undoes was part of what was judged; or wait for a person.',
    }),
  ),
  lastGood: Type.Optional(
    Type.Enum(['proved', 'completed', 'baked', 'seeded'], {
      default: 'baked',
      description: 'The least that must be known of a revision to go back to it.',
    }),
  ),
  bakeTime: duration('1h', 'A revision that ran as the stable one and was healthy for so long counts as baked.'),
  neverRestore: globs('Globs; these paths keep their present content, whatever is taken back: sealed secrets, replica counts.'),
  jointPlans: Type.Optional(
    Type.Boolean({
      default: false,
      description:
        'Whether a guilty commit that also changes other applications may be reverted whole, where all of them say so.',
    }),
  ),
  sharedPaths: Type.Optional(
    Type.Enum(['hold', 'rollback'], {
      default: 'hold',
      description: 'What one bad cluster leads to where other applications deploy the same paths elsewhere.',
    }),
  ),
  automationPaths: globs(
    'Globs; where image policies and update settings lie that may be narrowed in the same commit, so that no bot brings the bad version back.',
  ),
  promoteRevert: Type.Optional(
    Type.Boolean({
      default: false,
      description: 'Skip the canary steps of the revert once the workload declares the known good revision again.',
    }),
  ),
};

export interface Policy {
  application: string;
  repository: string;
  /** Address of the repository, without credentials. */
  repositoryUrl: string;
  branch: string;
  paths: readonly string[];
  mode: Mode;
  maxPerDay: number;
  /** Milliseconds, as every time here. */
  maxAge: number;
  coolDown: number;
  approvalPaths: readonly string[];
  dataKinds: readonly string[];
  statelessKinds: readonly string[];
  approvals: number;
  approvalFor: number;
  onConfounded: 'propose' | 'rollback';
  onUndeployable: 'propose' | 'rollback';
  plan: 'revert' | 'narrow';
  versionFields: readonly VersionField[];
  onConflict: 'hold' | 'restore';
  lastGood: Rank;
  bakeTime: number;
  neverRestore: readonly string[];
  jointPlans: boolean;
  sharedPaths: 'hold' | 'rollback';
  automationPaths: readonly string[];
  promoteRevert: boolean;
}
