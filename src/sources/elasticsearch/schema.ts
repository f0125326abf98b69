import { Type, type Static } from 'typebox';
import { Duration } from '../../analysis/quantities.ts';

const closed = { additionalProperties: false };
const file = (description: string) => Type.String({ minLength: 1, maxLength: 4_096, description });

/** Written once: the schema shows them, and the source falls back on them. */
export const ELASTICSEARCH_DEFAULTS = { delay: '10s', timeout: '10s', maxBytes: 10_485_760, concurrency: 4 } as const;

/** Searches documents in Elasticsearch 8 or 9. */
export const ElasticsearchSource = Type.Object(
  {
    type: Type.Literal('elasticsearch'),
    url: Type.String({ pattern: '^https?://', maxLength: 2_000, description: 'Base address of the cluster or of its proxy.' }),
    apiKeyFile: Type.Optional(file('File that holds an API key, as Elasticsearch shows it in `encoded`.')),
    tokenFile: Type.Optional(file('File that holds a bearer token.')),
    username: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 500,
        pattern: '^[^:\\u0000-\\u001f\\u007f]+$',
        description: 'User of basic authentication, together with passwordFile.',
      }),
    ),
    passwordFile: Type.Optional(file('File that holds the password of the user.')),
    tls: Type.Optional(
      Type.Object(
        {
          caFile: Type.Optional(file('Authorities to trust instead of those of the system, in PEM.')),
          certFile: Type.Optional(file('Certificate that davylamp shows, with its chain, in PEM; needs keyFile.')),
          keyFile: Type.Optional(file('Key of the certificate, in PEM.')),
        },
        closed,
      ),
    ),
    headers: Type.Optional(
      Type.Record(
        Type.String({ pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$" }),
        Type.Object({ file: file('File that holds the value.') }, closed),
        { maxProperties: 20, default: {}, description: 'Further headers, each with its value in a file.' },
      ),
    ),
    labels: Type.Optional(
      Type.Record(Type.String({ pattern: '^[a-zA-Z_][a-zA-Z0-9_]*$' }), Type.String({ minLength: 1, maxLength: 500 }), {
        default: {},
        maxProperties: 100,
        description: 'Fields that hold the labels of the sides, where the names differ: { track: kubernetes.labels.track }.',
      }),
    ),
    delay: Type.Optional(
      Type.Unsafe<string>({
        ...Duration,
        default: ELASTICSEARCH_DEFAULTS.delay,
        description: 'How late a document may be found by a search; every window is shifted by it.',
      }),
    ),
    timeout: Type.Optional(
      Type.Unsafe<string>({
        ...Duration,
        default: ELASTICSEARCH_DEFAULTS.timeout,
        description: 'For the questions of one look, repeats included.',
      }),
    ),
    maxBytes: Type.Optional(
      Type.Integer({ minimum: 1_024, default: ELASTICSEARCH_DEFAULTS.maxBytes, description: 'Largest answer that is read.' }),
    ),
    concurrency: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 256,
        default: ELASTICSEARCH_DEFAULTS.concurrency,
        description: 'Calls under way at the same time, over all analyses.',
      }),
    ),
  },
  closed,
);
export type ElasticsearchSource = Static<typeof ElasticsearchSource>;
