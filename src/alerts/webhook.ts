import { Type, type Static } from 'typebox';

/** What an Alertmanager may send at once; its own default is to send a whole group. */
export const MAX_ALERTS = 10_000;
const MAX_LABEL_CHARACTERS = 65_536;
/** RFC 3339, as Go writes it. The second 60 is not taken, Go does not write it either. */
const TIME =
  '^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])T([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)$';

// Not a record with a pattern for its keys: a key with a line feed would fit none, and its value would not be looked at.
const texts = (description: string) =>
  Type.Unsafe<Record<string, string>>({
    type: 'object',
    additionalProperties: Type.String({ maxLength: MAX_LABEL_CHARACTERS }),
    description,
  });
const time = (description: string) => Type.String({ pattern: TIME, description: `Time of RFC 3339: ${description}` });

export const AlertmanagerAlert = Type.Object({
  status: Type.Optional(Type.Enum(['firing', 'resolved'], { description: 'Without it, endsAt tells.' })),
  labels: texts('Any names; alertname is the one that is shown.'),
  annotations: Type.Optional(texts('Not used.')),
  startsAt: time('when the alert began to fire'),
  endsAt: Type.Optional(time('when it ended; 0001-01-01T00:00:00Z while it fires')),
  generatorURL: Type.Optional(Type.String({ description: 'Not used.' })),
  fingerprint: Type.Optional(
    Type.String({ pattern: '^[!-~]{1,128}$', description: 'Hash of the labels; computed from them where it is missing.' }),
  ),
});
export type AlertmanagerAlert = Static<typeof AlertmanagerAlert>;

/**
 * Version 4 of what an Alertmanager posts to a webhook. Unknown keys are taken, because each of its releases adds some
 * (`notification_reason` in 0.32, `routeLabels` in 0.34), and so is a body without those that are not needed.
 *
 * Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
 */
export const AlertmanagerWebhook = Type.Object(
  {
    version: Type.Optional(Type.String({ maxLength: 20 })),
    groupKey: Type.Optional(Type.String({ description: 'Not used: it depends on the routing tree.' })),
    truncatedAlerts: Type.Optional(Type.Integer({ minimum: 0, description: 'Alerts that max_alerts cut off.' })),
    status: Type.Optional(Type.Enum(['firing', 'resolved'], { description: 'Of the group; not used.' })),
    receiver: Type.Optional(Type.String()),
    groupLabels: Type.Optional(texts('Not used.')),
    commonLabels: Type.Optional(texts('Not used.')),
    commonAnnotations: Type.Optional(texts('Not used.')),
    externalURL: Type.Optional(Type.String({ description: 'Not used, and never called.' })),
    alerts: Type.Array(AlertmanagerAlert, { maxItems: MAX_ALERTS }),
  },
  { $id: 'AlertmanagerWebhook', description: 'A notification of an Alertmanager, version 4.' },
);
export type AlertmanagerWebhook = Static<typeof AlertmanagerWebhook>;

export const AlertReceipt = Type.Object(
  {
    accepted: Type.Integer({ minimum: 0, description: 'Alerts that are stored now and will be acted on.' }),
    duplicate: Type.Integer({ minimum: 0, description: 'Alerts that were stored before.' }),
    ignored: Type.Integer({
      minimum: 0,
      description: 'Alerts that match no application, that the configuration ignores, or that are too old.',
    }),
  },
  { $id: 'AlertReceipt', description: 'What became of the alerts; the sum is their number.' },
);
export type AlertReceipt = Static<typeof AlertReceipt>;
