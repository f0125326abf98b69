import { Type, type Static } from 'typebox';
import { Duration } from '../analysis/quantities.ts';

const closed = { additionalProperties: false };
const file = (description: string) => Type.String({ minLength: 1, maxLength: 4_096, description });
const word = <const W extends string>(words: W[], description: string) =>
  Type.Unsafe<W>({ type: 'string', enum: words, description });

/** Written once: the schema shows them, and the adapters fall back on them. */
export const FORGE_DEFAULTS = { timeout: '10s', label: 'davylamp' } as const;

export const ForgeObject = Type.Object(
  {
    type: Type.Enum(['github', 'gitlab', 'gitea'], { description: 'gitea is Forgejo, too.' }),
    url: Type.Optional(
      Type.String({
        pattern: '^https?://',
        maxLength: 2_000,
        description:
          'Base address of the API, where it does not follow from that of the repository: https://ghe.example/api/v3, https://gitlab.example/api/v4, https://gitea.example/api/v1.',
      }),
    ),
    project: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+$',
        maxLength: 500,
        description: 'owner/name at the forge, where it does not follow from the address of the repository.',
      }),
    ),
    tokenFile: Type.Optional(file('File that holds a token for the API; the token of the repository when left out.')),
    app: Type.Optional(
      Type.Object(
        {
          id: Type.String({ pattern: '^[A-Za-z0-9.]{1,100}$', description: 'Id or client id of the GitHub App.' }),
          installation: Type.String({ pattern: '^[0-9]{1,20}$', description: 'Id of its installation, in quotes.' }),
          privateKeyFile: file('Private key of the App, in PEM.'),
        },
        { ...closed, description: 'A GitHub App in place of a token; its tokens also serve git.' },
      ),
    ),
    webhookSecretFile: Type.Optional(
      file('Secret of the webhook that the forge calls at /webhooks/forge/<repository>; without it the forge is asked instead.'),
    ),
    labels: Type.Optional(
      Type.Array(Type.String({ pattern: '^[^,\\u0000-\\u001f\\u007f]{1,50}$' }), {
        maxItems: 10,
        default: [FORGE_DEFAULTS.label],
        description: 'Labels of the pull request; made where they are missing.',
      }),
    ),
    autoMerge: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Let the forge merge the pull request by itself as soon as its checks and reviews allow it.',
      }),
    ),
    reviewers: Type.Optional(
      Type.Union(
        [
          word(['codeowners', 'none'], 'codeowners: the owners of what changes; none: nobody.'),
          Type.Array(Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._/-]{0,200}$' }), {
            maxItems: 15,
            description: 'User names, or org/team.',
          }),
        ],
        { default: 'codeowners', description: 'Who is asked to look at the pull request: codeowners, none, or a list of names.' },
      ),
    ),
    timeout: Type.Optional(Type.Unsafe<string>({ ...Duration, default: FORGE_DEFAULTS.timeout, description: 'For one call.' })),
  },
  closed,
);
export type ForgeObject = Static<typeof ForgeObject>;

/** `forge` of a repository: a word where everything follows from its address, or the whole. */
export const ForgeConfig = Type.Union(
  [word(['none', 'github', 'gitlab', 'gitea'], 'The type alone; everything else follows from the repository.'), ForgeObject],
  { default: 'none', description: 'Where pull requests are opened: none, github, gitlab, gitea, or the settings in full.' },
);
export type ForgeConfig = Static<typeof ForgeConfig>;
