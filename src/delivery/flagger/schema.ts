import { Type, type Static } from 'typebox';
import { workloadFields } from '../kubernetes/schema.ts';

export const FlaggerDelivery = Type.Object({ type: Type.Literal('flagger'), ...workloadFields }, { additionalProperties: false });
export type FlaggerDelivery = Static<typeof FlaggerDelivery>;
