import swagger from '@fastify/swagger';
import Fastify, { type FastifyInstance } from 'fastify';
import type { TSchema } from 'typebox';
import { AlertReceipt, AlertmanagerWebhook } from '../alerts/webhook.ts';
import { Analysis, AnalysisRequest } from '../analysis/record.ts';
import { Changes } from '../changes.ts';
import { Judgement, MetricJudgement } from '../judges/judge.ts';
import { GaugeSeries, HistogramSeries, HistogramSide, MetricSeries, ProportionSeries, ProportionSide } from '../judges/series.ts';
import { LedgerEntry, LedgerMark } from '../ledger/record.ts';
import { ApprovalRequest } from '../rollback/approving.ts';
import { RollbackRequest } from '../rollback/asking.ts';
import { RollbackPreview } from '../rollback/preview.ts';
import { Report } from '../rollback/report.ts';
import { Rollback } from '../rollback/record.ts';
import { Switch, SwitchRequest } from '../rollback/switches.ts';
import { DEFAULT_LIMITS, type HttpDependencies } from './dependencies.ts';
import { EXAMPLES } from './examples.ts';
import { ProblemDetails } from './problem.ts';
import { registerRoutes } from './routes.ts';
import { JudgementRequest } from './routes/judgements.ts';
import { JournalEntry } from './routes/rollbacks.ts';
import { checkWithTypeBox, noCompilers } from './validation.ts';
import { OpenRequests } from './waiting.ts';

/** Version of the API, not of the program: the document changes with it only. */
const API_VERSION = '0.1.0';

/** Schemas that the document names once and refers to everywhere. */
export const COMPONENTS: Readonly<Record<string, TSchema>> = {
  AnalysisRequest,
  Analysis,
  JudgementRequest,
  Judgement,
  MetricJudgement,
  MetricSeries,
  ProportionSeries,
  ProportionSide,
  HistogramSeries,
  HistogramSide,
  GaugeSeries,
  RollbackRequest,
  Rollback,
  RollbackPreview,
  ApprovalRequest,
  SwitchRequest,
  Switch,
  LedgerEntry,
  LedgerMark,
  Report,
  JournalEntry,
  AlertmanagerWebhook,
  AlertReceipt,
  ProblemDetails,
};

const SECURITY: Record<string, string[]>[] = [{ bearer: [] }, { basic: [] }];

const INFO = {
  openapi: '3.1.0',
  info: {
    title: 'davylamp',
    version: API_VERSION,
    description:
      'Judges canary releases on the metrics that a team has, and takes the bad ones out of Git, exactly once. Errors are application/problem+json (RFC 9457) with a stable `code`.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  servers: [{ url: 'http://127.0.0.1:8080', description: 'The default address.' }],
  tags: [
    { name: 'analyses', description: 'Runs of a template for one revision of one application.' },
    { name: 'judgements', description: 'Judging of data that come with the request.' },
    { name: 'rollbacks', description: 'Decisions about bad revisions.' },
    { name: 'switches', description: 'Kill switches of rollbacks.' },
    { name: 'ledger', description: 'What is known of each revision of an application.' },
    { name: 'webhooks', description: 'What other systems send.' },
    { name: 'admin', description: 'The configuration and the data set as a whole.' },
    { name: 'health', description: 'For probes and scrapers.' },
    { name: 'documents', description: 'This description.' },
  ],
  components: {
    securitySchemes: {
      bearer: {
        type: 'http' as const,
        scheme: 'bearer',
        description:
          'A token of `server.tokens`, or of an issuer of `server.oidc`. Where no way to know callers is configured, davylamp listens on loopback only and asks for none.',
      },
      basic: { type: 'http' as const, scheme: 'basic', description: 'A user of `server.basic`.' },
    },
  },
  security: SECURITY,
};

/**
 * The OpenAPI 3.1 document of every route, made without a service: the routes are registered on an instance that
 * nobody calls.
 */
export async function buildOpenApi(): Promise<Record<string, unknown>> {
  const app: FastifyInstance = Fastify({ schemaController: noCompilers });
  checkWithTypeBox(app);
  await app.register(swagger, {
    openapi: INFO,
    convertConstToEnum: false,
    refResolver: {
      buildLocalReference: (schema, _base, _fragment, at) => (typeof schema['$id'] === 'string' ? schema['$id'] : `schema-${at}`),
    },
    transform: ({ schema, url }) => ({ schema: schema === undefined ? schema : { ...schema, ...documented(schema) }, url }),
  });
  for (const [name, schema] of Object.entries(COMPONENTS)) {
    const example = EXAMPLES[name];
    const plain = withReferences(schema, name);
    app.addSchema({ ...(isMap(plain) ? plain : {}), $id: name, ...(example !== undefined && { examples: [example] }) });
  }
  registerRoutes(app, { ...NOTHING, log: app.log }, DEFAULT_LIMITS, new OpenRequests(0), unreachable);
  await app.ready();
  const document: Record<string, unknown> = { ...app.swagger() };
  await app.close();
  // Undefined entries and shared objects would become anchors and tags in YAML.
  return JSON.parse(JSON.stringify(document)) as Record<string, unknown>;
}

function documented(schema: { body?: unknown; response?: unknown }): { body?: unknown; response?: unknown } {
  return {
    ...(schema.body !== undefined && { body: withReferences(schema.body, '') }),
    ...(schema.response !== undefined && { response: withReferences(schema.response, '') }),
  };
}

/** A copy in which each named schema, but for `self`, is a reference. */
function withReferences(node: unknown, self: string): unknown {
  if (Array.isArray(node)) return node.map((entry) => withReferences(entry, self));
  if (!isMap(node)) return node;
  const name = NAMES.get(JSON.stringify(node));
  if (name !== undefined && name !== self) return { $ref: `${name}#` };
  const copy = Object.entries(node)
    .filter(([keyword]) => keyword !== '$id')
    .map(([keyword, value]) => [keyword, withReferences(value, self)]);
  return keysByPattern(Object.fromEntries(copy) as Record<string, unknown>);
}

/** `patternProperties` says the same as these two keywords, which more tools of OpenAPI understand. */
function keysByPattern({ patternProperties, ...rest }: Record<string, unknown>): Record<string, unknown> {
  const only = isMap(patternProperties) ? Object.entries(patternProperties)[0] : undefined;
  if (only === undefined) return rest;
  return { ...rest, ...(only[0] !== '^.*$' && { propertyNames: { pattern: only[0] } }), additionalProperties: only[1] };
}

const NAMES: ReadonlyMap<string, string> = new Map(
  Object.entries(COMPONENTS).map(([name, schema]) => [JSON.stringify(schema), name]),
);

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unreachable(): never {
  throw new Error('the routes of the document are not there to be called');
}

const NOTHING: Omit<HttpDependencies, 'log'> = {
  analyses: { start: unreachable, get: unreachable, measurements: unreachable, list: unreachable, cancel: unreachable },
  rollbacks: {
    request: unreachable,
    preview: unreachable,
    get: unreachable,
    journal: unreachable,
    list: unreachable,
    approve: unreachable,
    refuse: unreachable,
  },
  switches: { set: unreachable, list: unreachable },
  report: unreachable,
  ledger: { list: unreachable, markGood: unreachable, markBad: unreachable },
  judge: unreachable,
  changes: new Changes(),
  metrics: { httpRequest: unreachable, error: unreachable, authenticationFailed: unreachable, page: unreachable },
  tokens: [],
  maxBodyBytes: 1,
  readiness: unreachable,
  clock: { now: unreachable },
};
