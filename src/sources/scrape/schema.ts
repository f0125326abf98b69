import { Type, type Static } from 'typebox';
import { Duration } from '../../analysis/quantities.ts';

/** Reads Prometheus text or OpenMetrics pages itself; no Prometheus is needed. */
export const ScrapeSource = Type.Object(
  {
    type: Type.Literal('scrape'),
    targets: Type.Array(
      Type.Object(
        {
          url: Type.String({ pattern: '^https?://', maxLength: 2_000, description: 'Address of the page.' }),
          labels: Type.Optional(
            Type.Record(Type.String({ pattern: '^[a-zA-Z_][a-zA-Z0-9_]*$' }), Type.String(), {
              default: {},
              description: 'Added to every series of the page.',
            }),
          ),
        },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: 100, description: 'Pages that are read together.' },
    ),
    timeout: Type.Optional(Type.Unsafe<string>({ ...Duration, default: '5s', description: 'For one page, body included.' })),
    maxBytes: Type.Optional(Type.Integer({ minimum: 1_024, default: 10_485_760, description: 'Largest page that is read.' })),
  },
  { additionalProperties: false },
);
export type ScrapeSource = Static<typeof ScrapeSource>;
