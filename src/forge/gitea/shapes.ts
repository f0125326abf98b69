import { Type, type Static, type TSchema } from 'typebox';

/** The parts of Gitea's and Forgejo's answers that are read (API v1); everything else is let through. */
const nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);
const User = nullable(Type.Object({ login: Type.String({ maxLength: 300 }) }));
const Label = Type.Object({ id: Type.Integer(), name: Type.String() });

export const Pull = Type.Object({
  number: Type.Integer({ minimum: 1 }),
  html_url: Type.String({ pattern: '^https?://', maxLength: 2_000 }),
  state: Type.Enum(['open', 'closed']),
  merged: Type.Boolean(),
  title: Type.String(),
  body: Type.String(),
  merge_commit_sha: Type.Optional(nullable(Type.String())),
  user: Type.Optional(User),
  /** `ref` becomes refs/pull/N/head when the branch is gone; `label` stays its name. */
  head: Type.Object({ label: Type.String(), repo_id: Type.Integer() }),
  base: Type.Object({ label: Type.String(), repo_id: Type.Integer() }),
  labels: Type.Optional(nullable(Type.Array(Label))),
  requested_reviewers: Type.Optional(nullable(Type.Array(Type.Object({ login: Type.String() })))),
});
export type Pull = Static<typeof Pull>;
export const Pulls = Type.Array(Pull, { maxItems: 100 });

export const Labels = Type.Array(Label, { maxItems: 100 });
export const OneLabel = Label;
export const Login = Type.Object({ login: Type.String({ maxLength: 300 }) });
export const Comments = Type.Array(Type.Object({ body: Type.Optional(nullable(Type.String())) }), { maxItems: 1_000 });
export const Timeline = Type.Array(Type.Object({ type: Type.String(), user: Type.Optional(User) }), { maxItems: 1_000 });
export const RepositoryAnswer = Type.Object({
  full_name: Type.String(),
  archived: Type.Optional(Type.Boolean()),
  has_pull_requests: Type.Optional(Type.Boolean()),
  permissions: Type.Optional(nullable(Type.Object({ push: Type.Boolean() }))),
});
export const Version = Type.Object({ version: Type.String({ maxLength: 200 }) });
