import type { FastifyInstance } from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { ApplicationName, Revision } from '../../analysis/record.ts';
import { LedgerEntry, LedgerMark, Standing } from '../../ledger/record.ts';
import { DEFAULT_PAGE, json, pageOf, pageQuery } from '../answers.ts';
import { admit } from '../auth/principal.ts';
import type { HttpDependencies } from '../dependencies.ts';
import { problems } from '../problem.ts';

const tags = ['ledger'];

/** What is known of the revisions of an application, and a person's word about one. */
export function ledgerRoutes(server: FastifyInstance, { ledger }: Pick<HttpDependencies, 'ledger'>): void {
  const app = server.withTypeProvider<TypeBoxTypeProvider>();

  app.get(
    '/api/v1/applications/:application/ledger',
    {
      config: { scope: 'analyses:read', rate: 'reads' },
      schema: {
        operationId: 'listLedger',
        tags,
        summary: 'List what is known of the revisions of an application',
        description: 'The one that was heard of last comes first.',
        params: Type.Object({ application: ApplicationName }),
        querystring: Type.Object({ standing: Type.Optional(Standing), ...pageQuery }, { additionalProperties: false }),
        response: { 200: json('A page.', pageOf(LedgerEntry)), ...problems(400, 401, 403, 404, 429, 503) },
      },
    },
    async (request) => {
      const { application } = request.params;
      const { standing, cursor, limit = DEFAULT_PAGE } = request.query;
      admit(request.who, application);
      return ledger.list(application, {
        limit,
        ...(cursor !== undefined && { before: cursor }),
        ...(standing !== undefined && { standing }),
      });
    },
  );

  app.post(
    '/api/v1/applications/:application/ledger/:revision/mark',
    {
      config: { scope: 'rollbacks:approve', rate: 'writes' },
      schema: {
        operationId: 'markRevision',
        tags,
        summary: 'Say that a revision is good or bad',
        description:
          'A person’s word goes before what davylamp found out: a good one may be gone back to, and a rollback of it is held; a bad one is never gone back to. It stands until a person says otherwise. Nothing is rolled back by it.',
        params: Type.Object({ application: ApplicationName, revision: Revision }),
        body: LedgerMark,
        response: {
          200: json('As it is known now.', LedgerEntry),
          ...problems(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
        },
      },
    },
    async (request) => {
      const { application, revision } = request.params;
      const { standing, reason } = request.body;
      admit(request.who, application);
      const word = { by: request.who.name, reason };
      return standing === 'good' ? ledger.markGood(application, revision, word) : ledger.markBad(application, revision, word);
    },
  );
}
