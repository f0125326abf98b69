import { Type, type Static } from 'typebox';
import { workloadFields } from '../kubernetes/schema.ts';

export const DeploymentDelivery = Type.Object(
  { type: Type.Literal('deployment'), ...workloadFields },
  { additionalProperties: false },
);
export type DeploymentDelivery = Static<typeof DeploymentDelivery>;
