import type { FastifyInstance } from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { Switch, SwitchRequest } from '../../rollback/switches.ts';
import { json } from '../answers.ts';
import { admit, forbidden, mayTouch, type Principal } from '../auth/principal.ts';
import type { HttpDependencies } from '../dependencies.ts';
import { problems } from '../problem.ts';

const tags = ['switches'];
const MOST_SWITCHES = 1_000;

/** Kill switches: stop everything, one repository or one application while the service runs. */
export function switchesRoutes(server: FastifyInstance, { switches }: Pick<HttpDependencies, 'switches'>): void {
  const app = server.withTypeProvider<TypeBoxTypeProvider>();

  app.post(
    '/api/v1/switches',
    {
      config: { scope: 'rollbacks:approve', rate: 'writes' },
      schema: {
        operationId: 'setSwitch',
        tags,
        summary: 'Stop rollbacks, or let them go on',
        description:
          'Counts for every process from the next decision on, and stops the abort of a rollout, too. What is held by it stays held when it is released, until it is approved. A caller that is bound to applications can stop those only.',
        body: SwitchRequest,
        response: {
          200: json('It is set, and in the journal.', Switch),
          ...problems(400, 401, 403, 404, 413, 415, 422, 429, 503),
        },
      },
    },
    async (request) => {
      demandReach(request.who, request.body);
      return switches.set(request.body, { name: request.who.name });
    },
  );

  app.get(
    '/api/v1/switches',
    {
      config: { scope: 'analyses:read', rate: 'reads' },
      schema: {
        operationId: 'listSwitches',
        tags,
        summary: 'List kill switches',
        description: 'Those that stop something first. What the configuration stops is not among them.',
        response: {
          200: json('All that were ever set.', Type.Object({ items: Type.Array(Switch, { maxItems: MOST_SWITCHES }) })),
          ...problems(401, 403, 429, 503),
        },
      },
    },
    async ({ who }) => ({
      items: (await switches.list()).filter(({ scope, name }) => scope !== 'application' || mayTouch(who, name ?? '')),
    }),
  );
}

/** @throws CodedError `forbidden` */
function demandReach(who: Principal, { scope, name }: SwitchRequest): void {
  if (scope === 'application') admit(who, name ?? '');
  else if (who.applications !== null)
    throw forbidden('this caller is bound to applications, so it can stop those only; ask somebody who is not');
}
