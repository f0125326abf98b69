import type { FastifyInstance } from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { CodedError, codeOf } from '../../errors.ts';
import type { Forge } from '../../forge/port.ts';
import { json } from '../answers.ts';
import type { HttpDependencies } from '../dependencies.ts';
import { problems } from '../problem.ts';

/** A push of many commits is the largest event that is read; a forge that sends more is looked at a little later anyway. */
const MAX_BODY_BYTES = 3_145_728;

const Receipt = Type.Object({
  kind: Type.Enum(['proposal', 'push', 'other'], { description: 'What the event was about; other leads to nothing.' }),
});

/**
 * Webhooks of forges. Their signature is their credential: no other one is asked for. They are hints only, so a lost, late,
 * repeated or replayed one does no harm: what they tell of is read from the forge and from Git before anything moves.
 */
export function forgeRoutes(server: FastifyInstance, { forges, metrics }: Pick<HttpDependencies, 'forges' | 'metrics'>): void {
  const forgeOf = (repository: string): Pick<Forge, 'readWebhook'> => {
    const forge = forges?.of(repository);
    if (forge?.can.webhook === true) return forge;
    throw new CodedError('repository_unknown', 'no repository of this name takes webhooks; set forge.webhookSecretFile');
  };
  server.withTypeProvider<TypeBoxTypeProvider>().post(
    '/webhooks/forge/:repository',
    {
      config: { open: true, raw: true, frequent: true },
      bodyLimit: MAX_BODY_BYTES,
      // Before the body is read.
      onRequest: (request, _reply, done) => {
        forgeOf((request.params as { repository: string }).repository);
        done();
      },
      schema: {
        operationId: 'receiveForgeEvent',
        tags: ['webhooks'],
        summary: 'Take an event of GitHub, GitLab, Gitea or Forgejo',
        description:
          'Signed with the secret of forge.webhookSecretFile, as the forge does it; no other credential is needed. It only makes davylamp look earlier than it would.',
        params: Type.Object({
          repository: Type.String({ maxLength: 63, description: 'Name of the repository in the configuration.' }),
        }),
        response: {
          202: json('The signature fits. What follows from it, follows.', Receipt),
          ...problems(400, 401, 404, 413, 415, 503),
        },
      },
    },
    async (request, reply) => {
      const { repository } = request.params;
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
      const headers = Object.fromEntries(
        Object.entries(request.headers).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
      );
      try {
        const { kind, branch } = await forgeOf(repository).readWebhook({ headers, body });
        if (kind !== 'other' && branch !== null) forges?.onHint({ repository, branch, kind });
        return await reply.code(202).send({ kind });
      } catch (error) {
        if (codeOf(error) === 'webhook_signature_wrong') metrics.authenticationFailed('forge', 'signature');
        throw error;
      }
    },
  );
}
