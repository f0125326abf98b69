import type { FastifyInstance } from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { ApplicationName } from '../../analysis/record.ts';
import { Rollback, RollbackState } from '../../rollback/record.ts';
import { ApprovalRequest } from '../../rollback/approving.ts';
import { RollbackRequest } from '../../rollback/asking.ts';
import { RollbackPreview } from '../../rollback/preview.ts';
import type { HttpDependencies } from '../dependencies.ts';
import { admit, admitted } from '../auth/principal.ts';
import { ownPage } from '../auth/own-page.ts';
import { DEFAULT_PAGE, LOCATION, idParams, json, pageOf, pageQuery } from '../answers.ts';
import { problems } from '../problem.ts';

const tags = ['rollbacks'];
const params = idParams('Id of the rollback.');

export const JournalEntry = Type.Object(
  {
    number: Type.Integer({ description: 'Place in the journal, from 1.' }),
    at: Type.Number({ description: 'Milliseconds since the epoch.' }),
    event: Type.String({ description: 'What was decided, for example rollback.held.' }),
    application: Type.String(),
    subject: Type.String({ description: 'Id of the analysis or rollback that it belongs to.' }),
    code: Type.String({ description: 'Machine-readable reason.' }),
    sentence: Type.String({ description: 'The reason for a person.' }),
    details: Type.Record(Type.String(), Type.Unknown()),
    previous: Type.String({ description: 'Hash of the entry before.' }),
    hash: Type.String({ description: 'SHA-256 over this entry, its number and `previous`.' }),
  },
  { description: 'One decision or inaction, chained to the one before.' },
);

const Refusal = Type.Object(
  { reason: Type.String({ minLength: 3, maxLength: 1_000, description: 'Stands in the journal.' }) },
  { additionalProperties: false, examples: [{ reason: 'the alert was a false one' }] },
);

/** Rollbacks: look at them, ask for one, release or refuse one that is held. */
export function rollbacksRoutes(server: FastifyInstance, { rollbacks }: Pick<HttpDependencies, 'rollbacks'>): void {
  const app = server.withTypeProvider<TypeBoxTypeProvider>();

  app.post(
    '/api/v1/rollbacks',
    {
      config: { scope: 'rollbacks:write', rate: 'writes' },
      schema: {
        operationId: 'requestRollback',
        tags,
        summary: 'Ask for a rollback',
        description:
          'By a person, without a verdict; the mode of the application and the guards hold as ever, but for those that doubt the verdict. There is one rollback for one revision of one application: asking again gives the same one. What could not be done at all is refused, and leaves nothing behind.',
        body: RollbackRequest,
        response: {
          200: json('With `dryRun`: what would be written, and what would hold it.', RollbackPreview),
          202: json('It is decided and queued, or was before.', Rollback, LOCATION),
          ...problems(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
        },
      },
    },
    async (request, reply) => {
      const { application, dryRun } = request.body;
      admit(request.who, application);
      // Without the store it is refused at once, not after Git was asked for the commit.
      await rollbacks.list({ application, limit: 1 });
      const by = { name: request.who.name };
      if (dryRun === true) return reply.code(200).send(await rollbacks.preview(request.body, by));
      const { rollback } = await rollbacks.request(request.body, by);
      return reply.code(202).header('location', `/api/v1/rollbacks/${rollback.id}`).send(rollback);
    },
  );

  app.get(
    '/api/v1/rollbacks',
    {
      config: { scope: 'analyses:read', rate: 'reads' },
      schema: {
        operationId: 'listRollbacks',
        tags,
        summary: 'List rollbacks',
        description:
          'Newest first. A caller that is bound to applications sees only those; a page may then have fewer entries than asked for, and still a next one.',
        querystring: Type.Object(
          { application: Type.Optional(ApplicationName), state: Type.Optional(RollbackState), ...pageQuery },
          { additionalProperties: false },
        ),
        response: { 200: json('A page.', pageOf(Rollback)), ...problems(400, 401, 403, 429, 503) },
      },
    },
    async (request) => {
      const { application, state, cursor, limit = DEFAULT_PAGE } = request.query;
      return ownPage(request.who, { application, cursor, limit }, (page) =>
        rollbacks.list({ ...page, ...(state !== undefined && { state }) }),
      );
    },
  );

  app.get(
    '/api/v1/rollbacks/:id',
    {
      config: { scope: 'analyses:read', rate: 'reads' },
      schema: {
        operationId: 'getRollback',
        tags,
        summary: 'Look at a rollback',
        params,
        response: { 200: json('As it is now.', Rollback), ...problems(400, 401, 403, 404, 429, 503) },
      },
    },
    async (request) => admitted(request.who, await rollbacks.get(request.params.id)),
  );

  app.get(
    '/api/v1/rollbacks/:id/journal',
    {
      config: { scope: 'analyses:read', rate: 'reads' },
      schema: {
        operationId: 'getRollbackJournal',
        tags,
        summary: 'Every decision about a rollback',
        description: 'Oldest first.',
        params,
        response: {
          200: json('All entries.', Type.Object({ items: Type.Array(JournalEntry) })),
          ...problems(400, 401, 403, 404, 429, 503),
        },
      },
    },
    async (request) => {
      const { id } = request.params;
      admitted(request.who, await rollbacks.get(id));
      return { items: await rollbacks.journal(id) };
    },
  );

  app.post(
    '/api/v1/rollbacks/:id/approve',
    {
      config: { scope: 'rollbacks:approve', rate: 'writes' },
      schema: {
        operationId: 'approveRollback',
        tags,
        summary: 'Release a held rollback',
        description:
          'For the plan that was seen: its hash goes with the approval, which is used up by the push that it leads to and expires before (`guards.approvalFor`). Where `guards.approvals` asks for more people, it stays held until so many different ones have approved the same plan.',
        params,
        // What has no plan is approved without a body.
        body: Type.Union([ApprovalRequest, Type.Null()]),
        response: {
          200: json('It is released and will be planned anew, or waits for more people.', Rollback),
          ...problems(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
        },
      },
    },
    async (request) => {
      const { id } = request.params;
      admitted(request.who, await rollbacks.get(id));
      return rollbacks.approve(id, request.body ?? {}, { name: request.who.name });
    },
  );

  app.post(
    '/api/v1/rollbacks/:id/refuse',
    {
      config: { scope: 'rollbacks:approve', rate: 'writes' },
      schema: {
        operationId: 'refuseRollback',
        tags,
        summary: 'Refuse a rollback',
        description: 'Final. 409 when it is on the remote already, or has ended.',
        params,
        body: Refusal,
        response: { 200: json('It is refused.', Rollback), ...problems(400, 401, 403, 404, 409, 413, 415, 429, 503) },
      },
    },
    async (request) => {
      const { id } = request.params;
      admitted(request.who, await rollbacks.get(id));
      return rollbacks.refuse(id, { name: request.who.name, reason: request.body.reason });
    },
  );
}
