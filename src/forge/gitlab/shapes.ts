import { Type, type Static, type TSchema } from 'typebox';

/** The parts of GitLab's answers that are read (REST API v4); everything else is let through. */
const nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);
const User = Type.Object({ id: Type.Integer(), username: Type.String({ maxLength: 300 }) });
const WhoOrNobody = Type.Optional(nullable(User));
const Sha = Type.Optional(nullable(Type.String()));

export const MergeRequest = Type.Object({
  iid: Type.Integer({ minimum: 1 }),
  project_id: Type.Integer(),
  source_project_id: nullable(Type.Integer()),
  web_url: Type.String({ pattern: '^https?://', maxLength: 2_000 }),
  state: Type.Enum(['opened', 'locked', 'closed', 'merged']),
  title: Type.String(),
  description: Type.Optional(nullable(Type.String())),
  source_branch: Type.String(),
  target_branch: Type.String(),
  /** Head of the source branch. */
  sha: Sha,
  merge_commit_sha: Sha,
  squash_commit_sha: Sha,
  merge_user: WhoOrNobody,
  merged_by: WhoOrNobody,
  closed_by: WhoOrNobody,
  author: Type.Optional(nullable(User)),
  labels: Type.Optional(Type.Array(Type.String())),
  reviewers: Type.Optional(Type.Array(User)),
  merge_when_pipeline_succeeds: Type.Optional(Type.Boolean()),
});
export type MergeRequest = Static<typeof MergeRequest>;
export const MergeRequests = Type.Array(MergeRequest, { maxItems: 100 });

export const Users = Type.Array(User, { maxItems: 100 });
export const CurrentUser = User;
export const Notes = Type.Array(Type.Object({ body: Type.Optional(nullable(Type.String())) }), { maxItems: 100 });
export const Statuses = Type.Array(Type.Object({ status: Type.String(), name: Type.Optional(nullable(Type.String())) }), {
  maxItems: 100,
});
const Access = Type.Optional(nullable(Type.Object({ access_level: Type.Integer() })));
export const Project = Type.Object({
  path_with_namespace: Type.String(),
  archived: Type.Optional(Type.Boolean()),
  merge_requests_enabled: Type.Optional(Type.Boolean()),
  permissions: Type.Optional(Type.Object({ project_access: Access, group_access: Access })),
});
export const OwnToken = Type.Object({
  scopes: Type.Array(Type.String()),
  expires_at: Type.Optional(nullable(Type.String())),
});
