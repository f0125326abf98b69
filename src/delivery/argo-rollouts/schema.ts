import { Type, type Static } from 'typebox';

export const ArgoRolloutsDelivery = Type.Object(
  {
    type: Type.Literal('argo-rollouts'),
    namespace: Type.String({ minLength: 1, maxLength: 63, description: 'Namespace in the cluster.' }),
    name: Type.String({ minLength: 1, maxLength: 253, description: 'Name of the object.' }),
  },
  { additionalProperties: false },
);
export type ArgoRolloutsDelivery = Static<typeof ArgoRolloutsDelivery>;
