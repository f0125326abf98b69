import { Type, type Static } from 'typebox';

export const FlaggerDelivery = Type.Object(
  {
    type: Type.Literal('flagger'),
    namespace: Type.String({ minLength: 1, maxLength: 63, description: 'Namespace in the cluster.' }),
    name: Type.String({ minLength: 1, maxLength: 253, description: 'Name of the object.' }),
  },
  { additionalProperties: false },
);
export type FlaggerDelivery = Static<typeof FlaggerDelivery>;
