import type { FastifyInstance } from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { problemsOf, problemText } from '../../config/problem.ts';
import { CodedError, codeOf } from '../../errors.ts';
import { json } from '../answers.ts';
import type { HttpDependencies } from '../dependencies.ts';
import { problems } from '../problem.ts';

const tags = ['admin'];
const Reloaded = Type.Object({
  result: Type.Enum(['taken', 'unchanged'], {
    description: 'taken: what stands in the file runs now; unchanged: it did before.',
  }),
});
/** Told as they are; whatever else speaks against a configuration is one code here, with its own in the sentence. */
const KEPT: ReadonlySet<string> = new Set([
  'config_invalid',
  'config_unreadable',
  'adapter_not_available',
  'reload_needs_restart',
]);

/** What only those who run davylamp may do. */
export function adminRoutes(server: FastifyInstance, { reload }: Pick<HttpDependencies, 'reload'>): void {
  const app = server.withTypeProvider<TypeBoxTypeProvider>();
  app.post(
    '/api/v1/admin/reload',
    {
      config: { scope: 'admin', wide: true },
      schema: {
        operationId: 'reloadConfiguration',
        tags,
        summary: 'Read the configuration anew',
        description:
          'As SIGHUP does, with an answer: the file is checked completely, then taken up as a whole. When it is refused the old configuration runs on, and `errors` has what is wrong.',
        response: { 200: json('It runs.', Reloaded), ...problems(401, 403, 409, 422, 503) },
      },
    },
    async () => {
      if (reload === undefined)
        throw new CodedError('config_unreadable', 'this process was not started from a file, so there is none to read anew');
      try {
        return { result: await reload() };
      } catch (error) {
        if (!(error instanceof CodedError)) throw error;
        const errors = problemsOf(error).map((problem) => ({ path: problem.path, message: problemText(problem) }));
        if (KEPT.has(error.code)) throw new CodedError(error.code, error.message, { details: { errors, ...error.details } });
        throw new CodedError('reload_failed', `the old configuration runs on: ${error.message} (${codeOf(error)})`);
      }
    },
  );
}
