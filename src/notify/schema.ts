import { Type, type Static } from 'typebox';
import { Duration } from '../analysis/quantities.ts';

const closed = { additionalProperties: false };
const Url = (description: string) => Type.String({ pattern: '^https?://', maxLength: 2_000, description });
const file = (description: string) => Type.String({ minLength: 1, description });
const timeout = Type.Optional(Type.Unsafe<string>({ ...Duration, default: '10s', description: 'For one call.' }));

export const SlackChannel = Type.Object(
  {
    type: Type.Literal('slack'),
    tokenFile: file('File with the token of the app (chat:write).'),
    channel: Type.String({ minLength: 1, maxLength: 100, description: 'Id of the channel; a name works for public ones.' }),
    url: Type.Optional({ ...Url('Base address of the API, for a proxy.'), default: 'https://slack.com/api' }),
    timeout,
  },
  { ...closed, description: 'Slack: one thread an incident.' },
);
export type SlackChannel = Static<typeof SlackChannel>;

export const WebhookChannel = Type.Object(
  {
    type: Type.Literal('webhook'),
    url: Type.Optional(Url('Where every notice is posted to.')),
    urlFile: Type.Optional(file('File with the address in place of url, where whoever has it may write (Discord, Teams).')),
    secretFile: Type.Optional(file('File with the secret of the signature (Standard Webhooks: whsec_ and base64).')),
    tokenFile: Type.Optional(file('File with a bearer token.')),
    template: Type.Optional(
      Type.String({
        minLength: 2,
        maxLength: 20_000,
        description:
          'JSON to send instead of the notice itself; in its texts ${title}, ${sentence}, ${event}, ${code}, ${urgency}, ${severity} (critical, warning, info), ${action} (trigger for what pages, else resolve), ${application}, ${incident}, ${id}, ${at}, ${link} and ${facts.NAME} are filled in.',
      }),
    ),
    templateSecretFile: Type.Optional(file('File with what ${secret} stands for in the template (a routing key).')),
    timeout,
  },
  { ...closed, description: 'A program of yours, or any service that takes JSON.' },
);
export type WebhookChannel = Static<typeof WebhookChannel>;

export const AlertmanagerChannel = Type.Object(
  {
    type: Type.Literal('alertmanager'),
    url: Url('Base address of an Alertmanager.'),
    tokenFile: Type.Optional(file('File with a bearer token.')),
    labels: Type.Optional(
      Type.Record(Type.String({ pattern: '^[a-zA-Z_][a-zA-Z0-9_]*$' }), Type.String({ maxLength: 500 }), {
        ...closed,
        default: {},
        description: 'Labels that every alert gets beside alertname, application, code and severity.',
      }),
    ),
    timeout,
  },
  { ...closed, description: 'Alerts for what needs a person, resolved when it no longer does.' },
);
export type AlertmanagerChannel = Static<typeof AlertmanagerChannel>;

export const GrafanaChannel = Type.Object(
  {
    type: Type.Literal('grafana'),
    url: Url('Base address of a Grafana.'),
    tokenFile: file('File with the token of a service account (annotations:create, annotations:write).'),
    timeout,
  },
  { ...closed, description: 'One annotation an incident, found by its tags.' },
);
export type GrafanaChannel = Static<typeof GrafanaChannel>;

export const CdeventsChannel = Type.Object(
  {
    type: Type.Literal('cdevents'),
    url: Url('Where the CloudEvents are posted to.'),
    tokenFile: Type.Optional(file('File with a bearer token.')),
    source: Type.Optional(
      Type.String({ pattern: '^[!-~]{1,200}$', default: 'davylamp', description: 'Source of the events, a URI reference.' }),
    ),
    timeout,
  },
  { ...closed, description: 'CDEvents as CloudEvents over HTTP, structured mode.' },
);
export type CdeventsChannel = Static<typeof CdeventsChannel>;

export const ChannelConfig = Type.Union([SlackChannel, WebhookChannel, AlertmanagerChannel, GrafanaChannel, CdeventsChannel]);
export type ChannelConfig = Static<typeof ChannelConfig>;

const Name = Type.String({ pattern: '^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$' });

/** Who is told of what. Every channel gets everything unless a route says otherwise. */
export const Notify = Type.Object(
  {
    channels: Type.Optional(
      Type.Record(Name, ChannelConfig, { ...closed, default: {}, description: 'Where people and programs are told, by name.' }),
    ),
    routes: Type.Optional(
      Type.Array(
        Type.Object(
          {
            channel: Type.String({ ...Name, description: 'Name of a channel.' }),
            applications: Type.Optional(
              Type.Array(Type.String({ maxLength: 200 }), {
                maxItems: 1_000,
                default: [],
                description: 'Only these; all when empty.',
              }),
            ),
            least: Type.Optional(
              Type.Enum(['info', 'warn', 'page'], { default: 'info', description: 'The least urgency that is told.' }),
            ),
          },
          closed,
        ),
        { maxItems: 200, default: [], description: 'What goes where; without routes everything goes to every channel.' },
      ),
    ),
  },
  { ...closed, default: {}, description: 'Who is told, and how.' },
);
export type Notify = Static<typeof Notify>;
