import { Type, type Static } from 'typebox';
import { workloadFields } from '../kubernetes/schema.ts';

export const ArgoRolloutsDelivery = Type.Object(
  { type: Type.Literal('argo-rollouts'), ...workloadFields },
  { additionalProperties: false },
);
export type ArgoRolloutsDelivery = Static<typeof ArgoRolloutsDelivery>;
