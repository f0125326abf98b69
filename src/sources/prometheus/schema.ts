import { Type, type Static } from 'typebox';
import { Duration } from '../../analysis/quantities.ts';

const closed = { additionalProperties: false };
const file = (description: string) => Type.String({ minLength: 1, maxLength: 4_096, description });

/** Written once: the schema shows them, and the source falls back on them. */
export const PROMETHEUS_DEFAULTS = {
  timeout: '10s',
  concurrency: 8,
  lookback: '5m',
  maxBytes: 67_108_864,
} as const;

/** Prometheus, or what speaks its HTTP API: Thanos, Mimir, Cortex, VictoriaMetrics. */
export const PrometheusSource = Type.Object(
  {
    type: Type.Literal('prometheus'),
    url: Type.String({
      pattern: '^https?://',
      maxLength: 2_000,
      description: 'Base address, before /api/v1; may have a path, such as http://mimir:8080/prometheus.',
    }),
    timeout: Type.Optional(
      Type.Unsafe<string>({
        ...Duration,
        default: PROMETHEUS_DEFAULTS.timeout,
        description: 'For one query, waiting for a place, retries and the body included.',
      }),
    ),
    concurrency: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 256,
        default: PROMETHEUS_DEFAULTS.concurrency,
        description: 'Queries under way at the same time, over all analyses.',
      }),
    ),
    lookback: Type.Optional(
      Type.Unsafe<string>({
        ...Duration,
        default: PROMETHEUS_DEFAULTS.lookback,
        description: 'How far before the window samples of counters are read; more than two scrape intervals.',
      }),
    ),
    credentials: Type.Optional(
      Type.Union(
        [
          Type.Object({ tokenFile: file('File that holds a bearer token.') }, closed),
          Type.Object(
            {
              username: Type.String({
                pattern: '^[\\x21-\\x39\\x3b-\\x7e]{1,100}$',
                description: 'User of basic authentication.',
              }),
              passwordFile: file('File that holds the password.'),
            },
            closed,
          ),
        ],
        { description: 'Sent with every query; files are read at every use.' },
      ),
    ),
    headers: Type.Optional(
      Type.Record(
        Type.String({ pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$" }),
        Type.Object({ file: file('File that holds the value.') }, closed),
        { maxProperties: 20, default: {}, description: 'Further headers, each with its value in a file.' },
      ),
    ),
    tenant: Type.Optional(
      Type.String({
        pattern: '^[\\x21-\\x7e]{1,500}$',
        description: 'Sent as X-Scope-OrgID, for Mimir, Cortex and Thanos with several tenants.',
      }),
    ),
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
    maxBytes: Type.Optional(
      Type.Integer({ minimum: 1_024, default: PROMETHEUS_DEFAULTS.maxBytes, description: 'Largest answer that is read.' }),
    ),
  },
  closed,
);
export type PrometheusSource = Static<typeof PrometheusSource>;
