import { Type, type Static } from 'typebox';
import { AlertRule, AlertSettings } from '../alerts/settings.ts';
import { ApplicationName } from '../analysis/record.ts';
import { Duration } from '../analysis/quantities.ts';
import { Template } from '../analysis/template.ts';
import { ArgoRolloutsDelivery } from '../delivery/argo-rollouts/schema.ts';
import { DeploymentDelivery } from '../delivery/deployment/schema.ts';
import { FlaggerDelivery } from '../delivery/flagger/schema.ts';
import { HttpDelivery } from '../delivery/http/schema.ts';
import { ClusterConfig } from '../delivery/kubernetes/schema.ts';
import { NoDelivery } from '../delivery/none/schema.ts';
import { RollbackSettings } from '../rollback/fleet.ts';
import { ForgeConfig } from '../forge/schema.ts';
import { SigningConfig, SshConfig } from '../git/schema.ts';
import { Notify } from '../notify/schema.ts';
import { policyFields } from '../rollback/policy.ts';
import { ElasticsearchSource } from '../sources/elasticsearch/schema.ts';
import { PrometheusSource } from '../sources/prometheus/schema.ts';
import { ScrapeSource } from '../sources/scrape/schema.ts';
import { RedisStorage } from '../store/redis/schema.ts';
import { schemaNode } from './schema-node.ts';
import { Server } from './server.ts';

/**
 * The whole configuration. This one constant is the check, the type, the JSON Schema for editors and the
 * configuration reference. Unknown keys are errors everywhere.
 */
const closed = { additionalProperties: false };
const named = { ...closed, default: {} };
const Name = Type.String({ pattern: '^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$' });
const duration = (value: string, description: string) =>
  Type.Optional(Type.Unsafe<string>({ ...Duration, default: value, description }));
/** Ages are compared and never waited for. */
const age = (value: string, description: string) =>
  Type.Optional(Type.Unsafe<string>({ ...Duration, longest: '36500d', default: value, description }));

export const EmbeddedStorage = Type.Object(
  {
    kind: Type.Literal('embedded'),
    path: Type.Optional(
      Type.String({ minLength: 1, default: './data', description: 'Folder, relative to the configuration file.' }),
    ),
  },
  closed,
);
export const Storage = Type.Union([EmbeddedStorage, RedisStorage], {
  default: { kind: 'embedded' },
  description: 'Where analyses, rollbacks and the journal are kept.',
});

export const Source = Type.Union([ScrapeSource, PrometheusSource, ElasticsearchSource]);
export type Source = Static<typeof Source>;

export const RepositoryConfig = Type.Object(
  {
    url: Type.String({
      minLength: 1,
      maxLength: 2_000,
      description: 'https:// or ssh:// address, without credentials in it; http:// only on loopback.',
    }),
    branch: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, default: 'main', description: 'The branch that the cluster follows.' }),
    ),
    username: Type.Optional(
      Type.String({ minLength: 1, default: 'davylamp', description: 'User name that goes with the token.' }),
    ),
    tokenFile: Type.Optional(Type.String({ minLength: 1, description: 'File that holds the token; read anew at every use.' })),
    forge: Type.Optional(ForgeConfig),
    ssh: Type.Optional(SshConfig),
    signing: Type.Optional(SigningConfig),
    rollbacks: Type.Optional(
      Type.Enum(['on', 'off'], { default: 'on', description: 'off: nothing is rolled back or proposed in this repository.' }),
    ),
    maxPerDay: Type.Optional(
      Type.Integer({
        minimum: 0,
        default: 10,
        description: 'Rollbacks of all applications of this repository in 24 hours; above it, held.',
      }),
    ),
    refreshEvery: duration('30s', 'How often the mirror is fetched in the background.'),
    author: Type.Optional(
      Type.Object(
        {
          name: Type.String({ minLength: 1, maxLength: 200, description: 'Name in author and committer.' }),
          email: Type.String({ minLength: 3, maxLength: 200, description: 'Its address.' }),
        },
        { ...closed, default: { name: 'davylamp', email: 'davylamp@localhost' }, description: 'Who the reverts are by.' },
      ),
    ),
  },
  closed,
);
export type RepositoryConfig = Static<typeof RepositoryConfig>;

export const DeliveryConfig = Type.Union([HttpDelivery, NoDelivery, ArgoRolloutsDelivery, FlaggerDelivery, DeploymentDelivery], {
  description: 'What runs the workload.',
});
export type DeliveryConfig = Static<typeof DeliveryConfig>;

export const Application = Type.Object(
  {
    repository: Type.String({ ...Name, description: 'Name of a repository.' }),
    ...policyFields,
    delivery: DeliveryConfig,
    template: Type.String({ ...Name, description: 'Name of a template.' }),
    arguments: Type.Optional(
      Type.Record(Type.String({ pattern: '^[a-zA-Z_][a-zA-Z0-9_]{0,62}$' }), Type.String({ maxLength: 500 }), {
        ...named,
        description: 'What ${name} stands for in the template; ${application} and ${revision} are there by themselves.',
      }),
    ),
    requestArguments: Type.Optional(
      Type.Array(Type.String({ pattern: '^[a-zA-Z_][a-zA-Z0-9_]{0,62}$' }), {
        maxItems: 50,
        default: [],
        description: 'Names of arguments that a request may set for its own analysis, instead of the value above; no other.',
      }),
    ),
    alerts: Type.Optional(
      Type.Array(AlertRule, { maxItems: 100, default: [], description: 'What alerts of an Alertmanager lead to.' }),
    ),
  },
  closed,
);
export type Application = Static<typeof Application>;

export const Config = Type.Object(
  {
    server: Type.Optional(Server),
    storage: Type.Optional(Storage),
    log: Type.Optional(
      Type.Object(
        {
          level: Type.Optional(
            Type.Enum(['debug', 'info', 'warn', 'error'], { default: 'info', description: 'The least that is logged.' }),
          ),
        },
        { ...closed, default: {}, description: 'The log: JSON lines on standard output.' },
      ),
    ),
    journal: Type.Optional(
      Type.Object(
        {
          sink: Type.Optional(
            Type.Enum(['none', 'stdout', 'file'], {
              default: 'none',
              description: 'Where every entry of the journal is copied to, as one line of JSON.',
            }),
          ),
          path: Type.Optional(
            Type.String({
              minLength: 1,
              default: './journal.jsonl',
              description: 'File of the sink file, relative to the configuration file.',
            }),
          ),
        },
        { ...closed, default: {}, description: 'A copy of the journal outside of the storage.' },
      ),
    ),
    alerts: Type.Optional(AlertSettings),
    rollbacks: Type.Optional(RollbackSettings),
    workers: Type.Optional(
      Type.Object(
        {
          ticks: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 1_000,
              default: 16,
              description: 'Analyses that are looked at at the same time.',
            }),
          ),
          rollbacks: Type.Optional(
            Type.Integer({ minimum: 1, maximum: 100, default: 16, description: 'Rollbacks that are executed at the same time.' }),
          ),
          webhooks: Type.Optional(
            Type.Integer({ minimum: 1, maximum: 100, default: 4, description: 'Webhooks that are acted on at the same time.' }),
          ),
        },
        { ...closed, default: {}, description: 'How much is done at the same time.' },
      ),
    ),
    notify: Type.Optional(Notify),
    retention: Type.Optional(
      Type.Object(
        {
          analyses: age('30d', 'Analyses with their measurements, since they were asked for.'),
          rollbacks: age('365d', 'Rollbacks that ended.'),
          alerts: age('14d', 'What alerts led to; an alert that comes again later counts as new.'),
          keys: age('2d', 'Idempotency keys and the signatures of webhooks.'),
          sightings: age('90d', 'Which revision was live when, after it is live no more.'),
        },
        { ...closed, default: {}, description: 'How long what is closed is kept. The journal is never shortened.' },
      ),
    ),
    sources: Type.Optional(
      Type.Record(Name, Source, { ...named, description: 'Metric stores, by a name that metrics of templates refer to.' }),
    ),
    repositories: Type.Optional(
      Type.Record(Name, RepositoryConfig, { ...named, description: 'Git repositories, by a name that applications refer to.' }),
    ),
    clusters: Type.Optional(
      Type.Record(Name, ClusterConfig, { ...named, description: 'Kubernetes clusters, by a name that deliveries refer to.' }),
    ),
    applications: Type.Optional(
      Type.Record(ApplicationName, Application, { ...named, description: 'What is deployed and rolled back as one.' }),
    ),
    templates: Type.Optional(
      Type.Record(Name, Template, { ...named, description: 'What is judged and how, by a name that applications refer to.' }),
    ),
  },
  { ...closed, $id: 'urn:davylamp:schema:config', title: 'davylamp configuration' },
);
export type Config = Static<typeof Config>;

/** The same schema for those who walk it. */
export const configNode = schemaNode(Config);
