import { Type, type Static } from 'typebox';

export const PrometheusSource = Type.Object(
  {
    type: Type.Literal('prometheus'),
    url: Type.String({ pattern: '^https?://', maxLength: 2_000, description: 'Base address.' }),
  },
  { additionalProperties: false },
);
export type PrometheusSource = Static<typeof PrometheusSource>;
