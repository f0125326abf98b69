import Fastify, { type RouteOptions } from 'fastify';
import { describe, expect, it } from 'vitest';
import { SCOPES } from '../../src/config/server.ts';
import { DEFAULT_LIMITS } from '../../src/http/dependencies.ts';
// The routes' own keys of fastify's types are declared there.
import type {} from '../../src/http/authentication.ts';
import { registerRoutes } from '../../src/http/routes.ts';
import { checkWithTypeBox, noCompilers } from '../../src/http/validation.ts';
import { OpenRequests } from '../../src/http/waiting.ts';
import { standIns } from '../support/http-stand-ins.ts';

/** Addresses that hold no data of anybody. */
const OPEN = ['/livez', '/readyz', '/healthz', '/openapi.json', '/docs'];
/** Addresses whose callers sign what they send; see the tests of webhooks. */
const SIGNED = ['/webhooks/forge/:repository'];

async function everyRoute(): Promise<RouteOptions[]> {
  const app = Fastify({ schemaController: noCompilers });
  checkWithTypeBox(app);
  const routes: RouteOptions[] = [];
  app.addHook('onRoute', (route) => void routes.push(route));
  registerRoutes(app, standIns().deps, DEFAULT_LIMITS, new OpenRequests(1), () => Promise.resolve({}));
  await app.ready();
  await app.close();
  return routes;
}

const visible = ({ schema }: RouteOptions) => (schema as { hide?: boolean } | undefined)?.hide !== true;

function* namesIn(node: unknown, path: string): Generator<{ path: string; name: string; schema: Record<string, unknown> }> {
  if (typeof node !== 'object' || node === null) return;
  for (const [key, value] of Object.entries(node)) {
    const below = `${path}/${key}`;
    if (key === 'properties' || key === 'patternProperties') {
      for (const [name, schema] of Object.entries(value as Record<string, Record<string, unknown>>)) {
        yield { path: `${below}/${name}`, name, schema };
        yield* namesIn(schema, `${below}/${name}`);
      }
    } else if (key !== 'examples' && key !== 'default') yield* namesIn(value, below);
  }
}

describe('every route of the service', () => {
  it('is open on purpose, or names the scope that it needs', async () => {
    const routes = await everyRoute();
    expect(routes.length).toBeGreaterThan(20);
    for (const { url, method, config, ...route } of routes) {
      const name = `${[method].flat().join(',').slice(0, 30)} ${url}`;
      const { open, scope } = config ?? {};
      if (open === true) expect([...OPEN, ...SIGNED], name).toContain(url);
      else if (visible({ ...route, url, method })) expect(SCOPES, name).toContain(scope);
      else expect(scope, name).toBe('any');
    }
  });

  it('that acts is not a GET, so that no link and no image of a web page acts', async () => {
    for (const { url, method, config } of await everyRoute()) {
      const writes = /write|approve|webhooks/.test(String(config?.scope));
      if (writes) expect([method].flat(), url).toEqual(['POST']);
    }
  });

  it('that is called by machines which do not come back soon has no rate', async () => {
    for (const { url, config } of await everyRoute()) {
      if (config?.scope === 'webhooks' || url === '/metrics') expect(config?.rate, url).toBeUndefined();
      else if (config?.open !== true && config?.scope !== 'any' && config?.scope !== 'admin')
        expect(config?.rate, url).toBeDefined();
    }
  });

  it('takes no address of anything: what is called stands in the configuration only', async () => {
    const suspicious =
      /ur[il]|href|link|endpoint|address|host|callback|webhook|redirect|target|proxy|path|file|token|secret|password|repository|credential/i;
    // An Alertmanager sends these; they are never called. The inlet keeps them out of everything but the journal.
    // The name of a repository of the configuration, whose secret the signature is made with.
    const known = /\/webhooks\/alertmanager .*\/(externalURL|generatorURL)$|\/webhooks\/forge\/:repository .*\/repository$/;
    let seen = 0;
    for (const { url, method, schema } of await everyRoute()) {
      const { body, querystring, params, headers } = (schema ?? {}) as Record<string, unknown>;
      for (const [part, node] of Object.entries({ body, querystring, params, headers })) {
        for (const { path, name, schema: field } of namesIn(node, '')) {
          const place = `${url} ${[method].flat()[0]} ${part}${path}`;
          seen += 1;
          expect(typeof field['format'] === 'string' ? field['format'] : '', place).not.toMatch(/uri|url|iri|hostname|ipv/);
          if (!known.test(place)) expect(name, place).not.toMatch(suspicious);
        }
      }
    }
    expect(seen).toBeGreaterThan(20);
  });
});
