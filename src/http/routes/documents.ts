import type { FastifyInstance } from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { DOCS_POLICY, docsPage } from '../docs-page.ts';

const tags = ['documents'];
const security: { bearer: string[] }[] = [];

/** The OpenAPI document and a page for people; both are made when they are asked for the first time. */
export function documentsRoutes(server: FastifyInstance, document: () => Promise<Record<string, unknown>>): void {
  const app = server.withTypeProvider<TypeBoxTypeProvider>();
  const json = once(async () => JSON.stringify(await document()));
  const page = once(async () => docsPage(await document()));

  app.get(
    '/openapi.json',
    {
      config: { open: true },
      schema: {
        operationId: 'getOpenApi',
        tags,
        security,
        summary: 'This document',
        response: {
          200: {
            description: 'OpenAPI 3.1.',
            content: { 'application/json': { schema: Type.Unsafe<string>(Type.Object({}, { additionalProperties: true })) } },
          },
        },
      },
    },
    async (_request, reply) => reply.type('application/json; charset=utf-8').send(await json()),
  );

  app.get(
    '/docs',
    {
      config: { open: true },
      schema: {
        operationId: 'getDocs',
        tags,
        security,
        summary: 'This document as a page',
        produces: ['text/html'],
        response: { 200: Type.String({ description: 'A page without scripts.' }) },
      },
    },
    async (_request, reply) =>
      reply
        .type('text/html; charset=utf-8')
        .header('content-security-policy', DOCS_POLICY)
        .send(await page()),
  );
}

/** Remembers the first success; a failure is tried again. */
function once(make: () => Promise<string>): () => Promise<string> {
  let made: Promise<string> | undefined;
  return async () => {
    made ??= make();
    try {
      return await made;
    } catch (error) {
      made = undefined;
      throw error;
    }
  };
}
