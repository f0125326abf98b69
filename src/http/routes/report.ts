import type { FastifyInstance } from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { Duration, parseDuration } from '../../analysis/quantities.ts';
import { ApplicationName } from '../../analysis/record.ts';
import { Report } from '../../rollback/report.ts';
import type { HttpDependencies } from '../dependencies.ts';
import { admit } from '../auth/principal.ts';
import { json } from '../answers.ts';
import { problems } from '../problem.ts';

const DEFAULT_SINCE = '30d';
const READ_TIMEOUT_MS = 30_000;

/** What davylamp did or would have done, beside what people did. */
export function reportRoutes(server: FastifyInstance, { report, clock }: Pick<HttpDependencies, 'report' | 'clock'>): void {
  const app = server.withTypeProvider<TypeBoxTypeProvider>();

  app.get(
    '/api/v1/applications/:application/report',
    {
      config: { scope: 'analyses:read', rate: 'reads' },
      schema: {
        operationId: 'getReport',
        tags: ['rollbacks'],
        summary: 'What davylamp did beside what people did',
        description: 'Read it before an application leaves shadow.',
        params: Type.Object({ application: ApplicationName }),
        querystring: Type.Object(
          { since: Type.Optional(Type.Unsafe<string>({ ...Duration, default: DEFAULT_SINCE, description: 'How far back.' })) },
          { additionalProperties: false },
        ),
        response: { 200: json('The report.', Report), ...problems(400, 401, 403, 404, 429, 503) },
      },
    },
    async (request) => {
      const { application } = request.params;
      admit(request.who, application);
      // Longer than there has been anything is from the beginning.
      const since = Math.max(0, clock.now() - parseDuration(request.query.since ?? DEFAULT_SINCE));
      return report(application, since, AbortSignal.timeout(READ_TIMEOUT_MS));
    },
  );
}
