import { Type, type Static } from 'typebox';

export const DeploymentDelivery = Type.Object(
  {
    type: Type.Literal('deployment'),
    namespace: Type.String({ minLength: 1, maxLength: 63, description: 'Namespace in the cluster.' }),
    name: Type.String({ minLength: 1, maxLength: 253, description: 'Name of the object.' }),
  },
  { additionalProperties: false },
);
export type DeploymentDelivery = Static<typeof DeploymentDelivery>;
