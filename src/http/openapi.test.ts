import { Value } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { EXAMPLES } from './examples.ts';
import { COMPONENTS, buildOpenApi } from './openapi.ts';

const METHODS = ['get', 'post', 'put', 'patch', 'delete', 'head', 'options', 'trace'];

interface Operation {
  operationId?: string;
  summary?: string;
  tags?: string[];
  security?: unknown[];
  parameters?: { name: string; in: string; required?: boolean; description?: string }[];
  responses: Record<string, { description?: string; content?: Record<string, unknown> }>;
}

async function documentParts() {
  const document = await buildOpenApi();
  const paths = document['paths'] as Record<string, Record<string, Operation>>;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  return { document, operations };
}

function* referencesIn(node: unknown): Generator<string> {
  if (typeof node !== 'object' || node === null) return;
  for (const [key, value] of Object.entries(node)) {
    if (key === '$ref' && typeof value === 'string') yield value;
    else yield* referencesIn(value);
  }
}

describe('the OpenAPI document', () => {
  it('is 3.1 with license, servers and a security scheme', async () => {
    const { document } = await documentParts();
    expect(document).toMatchObject({
      openapi: '3.1.0',
      info: { title: 'davylamp', license: { identifier: 'Apache-2.0' } },
      servers: [{ url: 'http://127.0.0.1:8080' }],
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
      security: [{ bearer: [] }, { basic: [] }],
    });
  });

  it('has every operation of the service, each once, by a unique id', async () => {
    const { operations } = await documentParts();
    expect(operations.map(({ path, method, operation }) => `${operation.operationId} ${method} ${path}`)).toEqual([
      'startAnalysis post /api/v1/analyses',
      'listAnalyses get /api/v1/analyses',
      'getAnalysis get /api/v1/analyses/{id}',
      'cancelAnalysis post /api/v1/analyses/{id}/cancel',
      'getMeasurements get /api/v1/analyses/{id}/measurements',
      'followAnalysis get /api/v1/analyses/{id}/events',
      'judge post /api/v1/judgements',
      'requestRollback post /api/v1/rollbacks',
      'listRollbacks get /api/v1/rollbacks',
      'getRollback get /api/v1/rollbacks/{id}',
      'getRollbackJournal get /api/v1/rollbacks/{id}/journal',
      'approveRollback post /api/v1/rollbacks/{id}/approve',
      'refuseRollback post /api/v1/rollbacks/{id}/refuse',
      'setSwitch post /api/v1/switches',
      'listSwitches get /api/v1/switches',
      'listLedger get /api/v1/applications/{application}/ledger',
      'markRevision post /api/v1/applications/{application}/ledger/{revision}/mark',
      'getReport get /api/v1/applications/{application}/report',
      'receiveAlerts post /webhooks/alertmanager',
      'receiveForgeEvent post /webhooks/forge/{repository}',
      'getBackup get /api/v1/admin/backup',
      'reloadConfiguration post /api/v1/admin/reload',
      'isAlive get /livez',
      'isReady get /readyz',
      'isHealthy get /healthz',
      'getMetrics get /metrics',
      'getOpenApi get /openapi.json',
      'getDocs get /docs',
    ]);
  });

  it('says of every operation what it is, what it answers and how it fails', async () => {
    const { operations, document } = await documentParts();
    const tags = (document['tags'] as { name: string }[]).map(({ name }) => name);
    for (const { path, method, operation } of operations) {
      const name = `${method} ${path}`;
      expect(METHODS, name).toContain(method);
      expect(operation.summary, name).toBeTruthy();
      expect(
        operation.tags?.every((tag) => tags.includes(tag)),
        name,
      ).toBe(true);
      const statuses = Object.keys(operation.responses);
      expect(
        statuses.some((status) => status.startsWith('2')),
        name,
      ).toBe(true);
      const open = operation.security?.length === 0;
      expect(statuses.some((status) => status.startsWith('4')) || open, name).toBe(true);
      for (const [status, response] of Object.entries(operation.responses)) {
        expect(response.description, `${name} ${status}`).toBeTruthy();
        expect(response.description, `${name} ${status}`).not.toBe('Default Response');
        const isProblem = Number(status) >= 400 && !open;
        if (isProblem) expect(Object.keys(response.content ?? {}), `${name} ${status}`).toEqual(['application/problem+json']);
      }
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter);
      const described = (operation.parameters ?? [])
        .filter((parameter) => parameter.in === 'path')
        .map((parameter) => parameter.name);
      expect(described, name).toEqual(inPath);
      for (const parameter of operation.parameters ?? []) expect(parameter.description, `${name} ${parameter.name}`).toBeTruthy();
    }
  });

  it('names each schema once and refers to it; every reference leads somewhere', async () => {
    const { document } = await documentParts();
    const schemas = (document['components'] as { schemas: Record<string, unknown> }).schemas;
    expect(Object.keys(schemas).sort()).toEqual(Object.keys(COMPONENTS).sort());
    const references = new Set(referencesIn(document));
    expect([...references].sort()).toEqual(
      Object.keys(COMPONENTS)
        .map((name) => `#/components/schemas/${name}`)
        .sort(),
    );
  });

  it('has examples that fit their schemas', async () => {
    const { document } = await documentParts();
    const schemas = (document['components'] as { schemas: Record<string, { examples?: unknown[] }> }).schemas;
    for (const [name, example] of Object.entries(EXAMPLES)) {
      const schema = COMPONENTS[name];
      expect(schema === undefined ? 'no schema' : [...Value.Errors(schema, example)], name).toEqual([]);
      expect(schemas[name]?.examples, name).toEqual([example]);
    }
  });

  it('is the same each time, so that the file in the repository can be compared', async () => {
    expect(JSON.stringify(await buildOpenApi())).toBe(JSON.stringify(await buildOpenApi()));
  });
});
