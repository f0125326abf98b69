import { Type, type Static } from 'typebox';
import { Duration } from '../../analysis/quantities.ts';

/** Flux is asked by its notification-controller, which needs no right in the cluster. */
export const FluxReceiver = Type.Object(
  {
    urlFile: Type.String({
      minLength: 1,
      description:
        'File that holds the whole address of the Receiver, with its status.webhookPath; the path is a secret, so it stands in no configuration.',
    }),
    secretFile: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'File that holds the token of a Receiver of type generic-hmac; without it: generic.',
      }),
    ),
    timeout: Type.Optional(Type.Unsafe<string>({ ...Duration, default: '5s', description: 'For one call.' })),
  },
  { additionalProperties: false, description: 'A Receiver of Flux is called when the revert is on the branch.' },
);
export type FluxReceiver = Static<typeof FluxReceiver>;
