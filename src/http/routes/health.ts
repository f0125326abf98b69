import type { FastifyInstance } from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { sentenceOf } from '../../errors.ts';
import type { HttpDependencies, HttpLimits, ReadinessCheck } from '../dependencies.ts';
import { problems } from '../problem.ts';

const tags = ['health'];
const text = (description: string) => Type.String({ description });
/** Probes may say more than we know (`?exclude=…`); only `verbose` means something. */
const querystring = Type.Object({ verbose: Type.Optional(Type.String({ maxLength: 10, description: 'One line a check.' })) });
const security: { bearer: string[] }[] = [];

/** What probes and scrapers ask, in the manner of the Kubernetes API server. */
export function healthRoutes(
  server: FastifyInstance,
  { readiness, metrics }: Pick<HttpDependencies, 'readiness' | 'metrics'>,
  limits: HttpLimits,
): void {
  const app = server.withTypeProvider<TypeBoxTypeProvider>();
  const config = { open: true, frequent: true };

  app.get(
    '/livez',
    {
      config,
      schema: {
        operationId: 'isAlive',
        tags,
        summary: 'Is the process alive?',
        description: 'Always 200 while the process answers at all.',
        produces: ['text/plain'],
        security,
        querystring,
        response: { 200: text('alive'), ...problems(400) },
      },
    },
    async (_request, reply) => reply.type('text/plain; charset=utf-8').send('ok\n'),
  );

  for (const [url, operationId] of [
    ['/readyz', 'isReady'],
    ['/healthz', 'isHealthy'],
  ] as const) {
    app.get(
      url,
      {
        config,
        schema: {
          operationId,
          tags,
          summary: url === '/readyz' ? 'Can it work?' : 'Same as /readyz',
          description: 'Whether store and queue can be used; metric sources and Git remotes do not count.',
          produces: ['text/plain'],
          security,
          querystring,
          response: { 200: text('ready'), 503: text('not ready'), ...problems(400) },
        },
      },
      async (request, reply) => {
        const checks = await withDeadline(readiness, limits.readinessMs);
        const ready = checks.every(isPassed);
        const lines = request.query.verbose === undefined ? [] : checks.map(lineOf);
        const failed = checks.filter((check) => !isPassed(check)).map(({ name }) => name);
        lines.push(ready ? 'ok' : `not ready: ${failed.join(', ')}`);
        return reply
          .code(ready ? 200 : 503)
          .type('text/plain; charset=utf-8')
          .send(`${lines.join('\n')}\n`);
      },
    );
  }

  app.get(
    '/metrics',
    {
      config: { scope: 'analyses:read', wide: true, frequent: true },
      schema: {
        operationId: 'getMetrics',
        tags,
        summary: 'Metrics of davylamp itself',
        description: 'Prometheus text format.',
        produces: ['text/plain'],
        response: { 200: text('the page'), ...problems(401, 403) },
      },
    },
    async (_request, reply) => {
      const page = await metrics.page();
      return reply.type(page.contentType).send(page.text);
    },
  );
}

function isPassed({ ok, advisory }: ReadinessCheck): boolean {
  return ok || advisory === true;
}

function lineOf({ name, ok, advisory, sentence }: ReadinessCheck): string {
  return `${ok ? '[+]' : advisory === true ? '[!]' : '[-]'}${name}: ${sentence.replaceAll(/\s+/g, ' ')}`;
}

/** A check that hangs or throws is an answer, too: not ready. */
async function withDeadline(readiness: () => Promise<ReadinessCheck[]>, milliseconds: number): Promise<ReadinessCheck[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<ReadinessCheck[]>((resolve) => {
    const sentence = `no answer within ${milliseconds / 1_000} s`;
    timer = setTimeout(() => resolve([{ name: 'checks', ok: false, sentence }]), milliseconds);
  });
  try {
    return await Promise.race([readiness(), late]);
  } catch (error) {
    return [{ name: 'checks', ok: false, sentence: sentenceOf(error) }];
  } finally {
    clearTimeout(timer);
  }
}
