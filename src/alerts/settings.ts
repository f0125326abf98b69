import { Type, type Static } from 'typebox';
import { Duration } from '../analysis/quantities.ts';

export const MAX_MATCHER_LENGTH = 1_000;

/** What some alerts lead to, as a part of an application; the first entry that matches decides. */
export const AlertRule = Type.Object(
  {
    matchers: Type.Array(Type.String({ minLength: 1, maxLength: MAX_MATCHER_LENGTH }), {
      minItems: 1,
      maxItems: 50,
      description: 'Matchers as an Alertmanager writes them; all of them must match.',
    }),
    then: Type.Optional(
      Type.Enum(['analyze', 'rollback', 'ignore'], { default: 'analyze', description: 'What such an alert leads to.' }),
    ),
  },
  { additionalProperties: false },
);
export type AlertRule = Static<typeof AlertRule>;
export type Consequence = NonNullable<AlertRule['then']>;

/** How alerts are taken in. */
export const AlertSettings = Type.Object(
  {
    window: Type.Optional(
      Type.Unsafe<string>({
        ...Duration,
        default: '24h',
        description: 'An alert that began, or ended, longer ago is not acted on.',
      }),
    ),
    maxBodyBytes: Type.Optional(
      Type.Integer({
        minimum: 1_024,
        maximum: 104_857_600,
        default: 10_485_760,
        description: 'Largest body of a webhook; an alert takes about 700 bytes.',
      }),
    ),
    labels: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 200 }), {
        maxItems: 20,
        default: [],
        description:
          'Names of labels whose values may be shown with the alert: in the journal, in Git, to a chat. alertname always is; no other value leaves the store.',
      }),
    ),
  },
  { additionalProperties: false, default: {}, description: 'The webhook of an Alertmanager.' },
);
export type AlertSettings = Static<typeof AlertSettings>;
