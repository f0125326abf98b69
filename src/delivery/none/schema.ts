import { Type, type Static } from 'typebox';
import { FluxReceiver } from '../receiver/schema.ts';

/** Nothing is known of the cluster and nothing is done there; the request must name the revision. */
export const NoDelivery = Type.Object(
  { type: Type.Literal('none'), fluxReceiver: Type.Optional(FluxReceiver) },
  { additionalProperties: false },
);
export type NoDelivery = Static<typeof NoDelivery>;
