import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { CodedError } from '../../errors.ts';
import type { HttpDependencies } from '../dependencies.ts';
import { problems } from '../problem.ts';

const tags = ['admin'];

/** What an administrator asks of the whole data set. */
export function backupRoutes(server: FastifyInstance, { backup }: Pick<HttpDependencies, 'backup'>): void {
  const app = server.withTypeProvider<TypeBoxTypeProvider>();

  app.get(
    '/api/v1/admin/backup',
    {
      config: { scope: 'admin', wide: true, stream: true },
      schema: {
        operationId: 'getBackup',
        tags,
        summary: 'Take a backup',
        description:
          'Every record and the whole journal as they are at this moment, one JSON text a line, while the service works on. Without its last line it was cut off. `davylamp restore` puts it into an empty store.',
        produces: ['application/jsonl'],
        response: {
          200: Type.Unsafe<Readable>(Type.String({ description: 'Header, records, journal entries, trailer.' })),
          ...problems(401, 403, 404, 409, 503),
        },
      },
    },
    async (_request, reply) => {
      if (backup === undefined) throw new CodedError('route_unknown', 'this service has no store to back up');
      const lines = backup();
      // What refuses a backup does so before its first line, when the answer can still say it.
      const first = await lines.next();
      const rest = async function* () {
        if (first.done !== true) yield first.value;
        yield* lines;
      };
      return reply
        .type('application/jsonl')
        .header('content-disposition', 'attachment; filename="davylamp-backup.jsonl"')
        .send(Readable.from(rest()));
    },
  );
}
