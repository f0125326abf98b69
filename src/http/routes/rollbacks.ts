import type { FastifyInstance } from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { ApplicationName } from '../../analysis/record.ts';
import { Rollback, RollbackState } from '../../rollback/record.ts';
import { RollbackRequest } from '../../rollback/rollbacks.ts';
import type { HttpDependencies } from '../dependencies.ts';
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
      schema: {
        operationId: 'requestRollback',
        tags,
        summary: 'Ask for a rollback',
        description:
          'By a person, without a verdict; the guards and the mode of the application hold as ever. There is one rollback for one revision of one application: asking again gives the same one.',
        body: RollbackRequest,
        response: {
          202: json('It is decided and queued, or was before.', Rollback, LOCATION),
          ...problems(400, 401, 404, 409, 413, 415, 422, 503),
        },
      },
    },
    async (request, reply) => {
      const { rollback } = await rollbacks.request(request.body, { name: request.who });
      return reply.code(202).header('location', `/api/v1/rollbacks/${rollback.id}`).send(rollback);
    },
  );

  app.get(
    '/api/v1/rollbacks',
    {
      schema: {
        operationId: 'listRollbacks',
        tags,
        summary: 'List rollbacks',
        description: 'Newest first.',
        querystring: Type.Object(
          { application: Type.Optional(ApplicationName), state: Type.Optional(RollbackState), ...pageQuery },
          { additionalProperties: false },
        ),
        response: { 200: json('A page.', pageOf(Rollback)), ...problems(400, 401, 503) },
      },
    },
    async (request) => {
      const { application, state, cursor, limit = DEFAULT_PAGE } = request.query;
      return rollbacks.list({
        limit,
        ...(application !== undefined && { application }),
        ...(state !== undefined && { state }),
        ...(cursor !== undefined && { before: cursor }),
      });
    },
  );

  app.get(
    '/api/v1/rollbacks/:id',
    {
      schema: {
        operationId: 'getRollback',
        tags,
        summary: 'Look at a rollback',
        params,
        response: { 200: json('As it is now.', Rollback), ...problems(400, 401, 404, 503) },
      },
    },
    async (request) => rollbacks.get(request.params.id),
  );

  app.get(
    '/api/v1/rollbacks/:id/journal',
    {
      schema: {
        operationId: 'getRollbackJournal',
        tags,
        summary: 'Every decision about a rollback',
        description: 'Oldest first.',
        params,
        response: {
          200: json('All entries.', Type.Object({ items: Type.Array(JournalEntry) })),
          ...problems(400, 401, 404, 503),
        },
      },
    },
    async (request) => ({ items: await rollbacks.journal(request.params.id) }),
  );

  app.post(
    '/api/v1/rollbacks/:id/approve',
    {
      schema: {
        operationId: 'approveRollback',
        tags,
        summary: 'Release a held rollback',
        params,
        response: { 200: json('It is released and will be planned anew.', Rollback), ...problems(400, 401, 404, 409, 503) },
      },
    },
    async (request) => rollbacks.approve(request.params.id, { name: request.who }),
  );

  app.post(
    '/api/v1/rollbacks/:id/refuse',
    {
      schema: {
        operationId: 'refuseRollback',
        tags,
        summary: 'Refuse a rollback',
        description: 'Final. 409 when it is on the remote already, or has ended.',
        params,
        body: Refusal,
        response: { 200: json('It is refused.', Rollback), ...problems(400, 401, 404, 409, 413, 415, 503) },
      },
    },
    async (request) => rollbacks.refuse(request.params.id, { name: request.who, reason: request.body.reason }),
  );
}
