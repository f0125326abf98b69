import type { FastifyInstance } from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { AlertReceipt, AlertmanagerWebhook } from '../../alerts/webhook.ts';
import { CodedError } from '../../errors.ts';
import { Deadlines } from '../deadlines.ts';
import type { HttpDependencies, HttpLimits } from '../dependencies.ts';
import { json } from '../answers.ts';
import { mayTouch } from '../auth/principal.ts';
import { problems } from '../problem.ts';

/**
 * The webhook of an Alertmanager. It sends again whatever is not answered with 2xx: soon after a 5xx, only at the next
 * flush of the group after a 4xx. So a fault of ours is always a 5xx, and an alert that concerns nobody is a 2xx.
 */
export function alertmanagerRoutes(
  server: FastifyInstance,
  { alerts }: Pick<HttpDependencies, 'alerts'>,
  { webhookMs }: Pick<HttpLimits, 'webhookMs'>,
): void {
  const deadlines = new Deadlines(webhookMs, () =>
    notTaken(`store and queue did not confirm the alerts within ${webhookMs / 1_000} s`),
  );
  server.withTypeProvider<TypeBoxTypeProvider>().post(
    '/webhooks/alertmanager',
    {
      config: { scope: 'webhooks', frequent: true },
      ...(alerts !== undefined && { bodyLimit: alerts.maxBodyBytes }),
      schema: {
        operationId: 'receiveAlerts',
        tags: ['webhooks'],
        summary: 'Take alerts of an Alertmanager',
        description:
          'Answers when the alerts are durable; what they lead to follows. The same alert again changes nothing, whatever group or Alertmanager it comes from.',
        body: AlertmanagerWebhook,
        response: {
          202: json('They are stored, were stored before, or concern no application.', AlertReceipt),
          ...problems(400, 401, 403, 409, 413, 415, 503),
        },
      },
    },
    async (request, reply) => {
      if (alerts === undefined) throw notTaken('this process takes no alerts');
      const { body, who } = request;
      // What is still stored after its time is known when the Alertmanager sends it again.
      const receipt = await deadlines.within(alerts.inlet.receive(body, (application) => mayTouch(who, application)));
      return reply.code(202).send(receipt);
    },
  );
}

function notTaken(sentence: string): CodedError {
  return new CodedError('queue_unavailable', `${sentence}; send them again`, { retryable: true });
}
