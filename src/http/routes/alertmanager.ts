import type { FastifyInstance, FastifyReply } from 'fastify';
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
    // Neither a promise nor the body is kept for a request while it waits: at a thousand a second, what survives one look of
    // the collector of garbage costs more than the request itself.
    (request, reply) => {
      if (alerts === undefined) throw notTaken('this process takes no alerts');
      const { body, who } = request;
      // What is still stored after its time is known when the Alertmanager sends it again.
      const receiving = alerts.inlet.receive(body, (application) => mayTouch(who, application));
      dropBody(request);
      deadlines.within(
        receiving,
        (receipt) => void reply.code(202).send(receipt),
        (error) => sendError(reply, error),
      );
    },
  );
}

function sendError(reply: FastifyReply, error: unknown): void {
  void reply.send(error);
}

function dropBody(request: { body: unknown }): void {
  request.body = undefined;
}

function notTaken(sentence: string): CodedError {
  return new CodedError('queue_unavailable', `${sentence}; send them again`, { retryable: true });
}
