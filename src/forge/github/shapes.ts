import { Type, type Static } from 'typebox';

/** The parts of GitHub's answers that are read (REST API, version 2022-11-28); everything else is let through. */
const nullable = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) => Type.Union([schema, Type.Null()]);
const User = nullable(Type.Object({ login: Type.String({ maxLength: 200 }) }));

export const Pull = Type.Object({
  number: Type.Integer({ minimum: 1 }),
  node_id: Type.String({ maxLength: 200 }),
  html_url: Type.String({ pattern: '^https?://', maxLength: 2_000 }),
  state: Type.Enum(['open', 'closed']),
  title: Type.String(),
  body: nullable(Type.String()),
  merged_at: nullable(Type.String()),
  merge_commit_sha: Type.Optional(nullable(Type.String())),
  user: User,
  head: Type.Object({
    ref: Type.String(),
    /** Null where the fork is gone. */
    repo: nullable(Type.Object({ full_name: Type.String() })),
  }),
  base: Type.Object({ ref: Type.String() }),
  labels: Type.Optional(Type.Array(Type.Object({ name: Type.String() }))),
  requested_reviewers: Type.Optional(Type.Array(Type.Object({ login: Type.String() }))),
  requested_teams: Type.Optional(Type.Array(Type.Object({ slug: Type.String() }))),
  auto_merge: Type.Optional(Type.Unknown()),
});
export type Pull = Static<typeof Pull>;
export const Pulls = Type.Array(Pull, { maxItems: 100 });

export const Issue = Type.Object({ closed_by: Type.Optional(User) });
export const Comments = Type.Array(Type.Object({ body: Type.Optional(nullable(Type.String())) }), { maxItems: 100 });
export const Login = Type.Object({ login: Type.String({ maxLength: 200 }) });
export const GraphqlAnswer = Type.Object({
  errors: Type.Optional(Type.Array(Type.Object({ message: Type.String(), type: Type.Optional(Type.String()) }))),
});
export const RepositoryAnswer = Type.Object({
  full_name: Type.String(),
  archived: Type.Optional(Type.Boolean()),
  allow_auto_merge: Type.Optional(Type.Boolean()),
  permissions: Type.Optional(Type.Object({ push: Type.Boolean() })),
});
