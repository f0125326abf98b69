import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { standIns } from '../../test/support/http-stand-ins.ts';
import { CodedError } from '../errors.ts';
import { createServer } from './server.ts';

const open: FastifyInstance[] = [];
afterEach(async () => {
  for (const app of open.splice(0)) await app.close();
});

function serve(change: Parameters<typeof standIns>[0] = {}) {
  const parts = standIns(change);
  const app = createServer(parts.deps);
  open.push(app);
  const post = (url: string, payload?: InjectOptions['payload'], headers: Record<string, string> = {}) =>
    app.inject({ method: 'POST', url, headers, ...(payload !== undefined && { payload }) });
  return {
    ...parts,
    app,
    post,
    get: (url: string, headers: Record<string, string> = {}) => app.inject({ method: 'GET', url, headers }),
  };
}

const start = { application: 'shop', revision: '4f2c1d9a7be3' };
const proportion = (canary: object, baseline: object | null = null) => ({ type: 'proportion', canary, baseline });

describe('starting an analysis', () => {
  it('answers 202 with the place and the record, for the caller and its key', async () => {
    const { post, analyses } = serve();
    const answer = await post('/api/v1/analyses', start, { 'idempotency-key': 'release 42' });
    expect(answer.statusCode).toBe(202);
    expect(answer.headers['location']).toBe('/api/v1/analyses/an-1');
    expect(answer.json()).toMatchObject({ id: 'an-1', phase: 'Pending', application: 'shop' });
    expect(analyses.startedBy).toEqual([{ name: 'anonymous', idempotencyKey: 'release 42' }]);
  });

  it('answers the same key with the same analysis, and 422 when the body differs', async () => {
    const { post, analyses } = serve();
    const key = { 'idempotency-key': 'k' };
    await post('/api/v1/analyses', start, key);
    expect((await post('/api/v1/analyses', start, key)).json()).toMatchObject({ id: 'an-1' });
    analyses.move('an-1', { phase: 'Successful' });
    expect((await post('/api/v1/analyses', start, key)).statusCode).toBe(200);
    const other = await post('/api/v1/analyses', { application: 'shop' }, key);
    expect(other.statusCode).toBe(422);
    expect(other.json()).toMatchObject({ code: 'idempotency_mismatch' });
  });

  it.each(['', 'x'.repeat(201), 'täg'])('refuses the key %j', async (key) => {
    const answer = await serve().post('/api/v1/analyses', start, { 'idempotency-key': key });
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code: 'header_invalid', errors: [{ path: '/idempotency-key' }] });
  });

  it('answers an unknown application with 404 and the nearest name', async () => {
    const answer = await serve().post('/api/v1/analyses', { application: 'shpo' });
    expect(answer.statusCode).toBe(404);
    expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8');
    expect(answer.json()).toMatchObject({
      type: 'urn:davylamp:error:application_unknown',
      title: 'Not Found',
      status: 404,
      code: 'application_unknown',
      nearest: 'shop',
    });
  });

  it.each([
    [{}, '/application', 'is required'],
    [{ application: 'Shop!' }, '/application', 'expected: Name of a configured application.'],
    [{ application: 7 }, '/application', 'expected string'],
    [{ application: 'shop', revision: 12345678 }, '/revision', 'expected string'],
    [{ application: 'shop', revision: 'main' }, '/revision', 'expected: Commit id'],
    [{ application: 'shop', repository: 'x' }, '/repository', 'is not known here; known are application, revision, arguments'],
    [{ application: 'shop', arguments: { 'a/b': 'x' } }, '/arguments/a~1b', 'the name does not match'],
    [{ application: 'shop', arguments: { a: 1 } }, '/arguments/a', 'expected string'],
    [[], '', 'expected object'],
  ])('answers the body %j with 400 and the path %s', async (body, path, message) => {
    const answer = await serve().post('/api/v1/analyses', body);
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code: 'body_invalid', errors: [{ path, message: expect.stringContaining(message) }] });
  });
});

describe('bodies', () => {
  const json = { 'content-type': 'application/json' };

  it.each([
    ['{"application": "shop",}', '', 'the body is not JSON, from line 1, column 24 on'],
    ['{', '', 'the body is not JSON'],
    ['{"application":\n"shop",', '', 'the body is not JSON, from line 2, column 8 on'],
    ['{"application":"shop","__proto__":{"a":1}}', '/__proto__', 'forbidden key'],
    ['{"application":"shop","\\u005f_proto__":{"a":1}}', '/__proto__', 'forbidden key'],
    ['{"constructor":{"prototype":{"a":1}}}', '/constructor/prototype', 'forbidden key'],
    ['', '', 'expected object'],
  ])('are refused with 400 when they are %j, at %j', async (text, path, message) => {
    const answer = await serve().post('/api/v1/analyses', text, json);
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({
      code: 'body_invalid',
      errors: [{ path, message: expect.stringContaining(message) }],
    });
  });

  it('are refused with 413 when they are too large, and with 415 when they are not JSON', async () => {
    const { post } = serve({ maxBodyBytes: 1_024 });
    const large = await post('/api/v1/analyses', `{"application":"${'a'.repeat(2_000)}"}`, json);
    expect(large.statusCode).toBe(413);
    expect(large.json()).toMatchObject({ code: 'request_too_large' });
    const form = await post('/api/v1/analyses', 'application=shop', { 'content-type': 'application/x-www-form-urlencoded' });
    expect(form.statusCode).toBe(415);
    expect(form.json()).toMatchObject({ code: 'media_type_unsupported' });
    expect((await post('/api/v1/analyses', '{}', { 'content-type': 'text/plain' })).statusCode).toBe(415);
  });

  it.each([
    ['deep lists', `{"application":${'['.repeat(400_000)}${']'.repeat(400_000)}}`],
    ['deep maps', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`],
    ['a long list', `{"application":[${'1,'.repeat(100_001)}1]}`],
  ])('with %s are refused before anything walks them', async (_name, text) => {
    const answer = await serve().post('/api/v1/analyses', text, json);
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ errors: [{ message: expect.stringContaining('nested deeper than 32 levels') }] });
  });

  it('may be as deep as 32 levels', async () => {
    const answer = await serve().post('/api/v1/analyses', `{"application":${'['.repeat(31)}${']'.repeat(31)}}`, json);
    expect(answer.json()).toMatchObject({ errors: [{ path: '/application', message: 'expected string' }] });
  });

  it('with many faults are answered with a few of them', async () => {
    const values = Array.from({ length: 20_000 }, () => 'x');
    const answer = await serve().post('/api/v1/judgements', {
      metrics: { m: { series: { type: 'gauge', canary: values, baseline: null } } },
    });
    expect(answer.statusCode).toBe(400);
    expect(answer.json<{ errors: unknown[] }>().errors.length).toBeLessThanOrEqual(20);
    expect(answer.json()).toMatchObject({
      errors: expect.arrayContaining([{ path: '/metrics/m/series/canary/0', message: 'expected number or null' }]),
    });
  });
});

describe('looking at analyses', () => {
  it('gives one, its measurements without the cursors of sources, and 404 for others', async () => {
    const { post, get } = serve();
    await post('/api/v1/analyses', start);
    expect((await get('/api/v1/analyses/an-1')).json()).toMatchObject({ id: 'an-1' });
    expect((await get('/api/v1/analyses/an-1/measurements')).json()).toEqual({
      series: { errors: { type: 'gauge', canary: [1, null], baseline: null } },
      times: [1, 2],
    });
    const missing = await get('/api/v1/analyses/an-2');
    expect(missing.statusCode).toBe(404);
    expect(missing.json()).toMatchObject({ code: 'analysis_unknown' });
    expect((await get('/api/v1/analyses/a%20b')).json()).toMatchObject({ code: 'path_invalid', errors: [{ path: '/id' }] });
  });

  it('lists pages by a cursor, filtered', async () => {
    const { post, get, analyses } = serve();
    for (let n = 0; n < 5; n += 1) await post('/api/v1/analyses', start);
    analyses.move('an-2', { phase: 'Failed' });
    const first = (await get('/api/v1/analyses?limit=2')).json<{ items: { id: string }[]; next: string }>();
    expect(first.items.map(({ id }) => id)).toEqual(['an-5', 'an-4']);
    const second = (await get(`/api/v1/analyses?limit=2&cursor=${first.next}`)).json<typeof first>();
    expect(second.items.map(({ id }) => id)).toEqual(['an-3', 'an-2']);
    const failed = (await get('/api/v1/analyses?phase=Failed&application=shop')).json<typeof first>();
    expect(failed.items.map(({ id }) => id)).toEqual(['an-2']);
    expect(failed.next).toBeNull();
  });

  it.each([
    ['limit=0', '/limit'],
    ['limit=101', '/limit'],
    ['limit=1.5', '/limit'],
    ['limit=ten', '/limit'],
    ['limit=', '/limit'],
    ['limit=1&limit=2', '/limit'],
    ['phase=failed', '/phase'],
    ['aplication=shop', '/aplication'],
    ['cursor=%20', '/cursor'],
    ['__proto__=1', '/__proto__'],
  ])('refuses the query %s with its path', async (query, path) => {
    const answer = await serve().get(`/api/v1/analyses?${query}`);
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code: 'query_invalid', errors: [{ path }] });
  });

  it('cancels one with and without a content type, and says 409 when it has ended', async () => {
    const { post } = serve();
    await post('/api/v1/analyses', start);
    await post('/api/v1/analyses', start);
    expect((await post('/api/v1/analyses/an-1/cancel')).json()).toMatchObject({ phase: 'Cancelled' });
    const empty = await post('/api/v1/analyses/an-2/cancel', '', { 'content-type': 'application/json' });
    expect(empty.statusCode).toBe(200);
    const again = await post('/api/v1/analyses/an-1/cancel');
    expect(again.statusCode).toBe(409);
    expect(again.json()).toMatchObject({ code: 'analysis_ended' });
  });
});

describe('judging inline data', () => {
  const side = { events: [1, 2, 3], total: [10, 10, 10] };

  it('hands the judge plain numbers and gives its judgement', async () => {
    const { post, tasks } = serve();
    const histogram = { type: 'histogram', bounds: [0.1, 1], canary: { counts: [[1, 2, 3], null, [0, 0, 0]] }, baseline: null };
    const answer = await post('/api/v1/judgements', {
      falseRollbacks: '5%',
      warmup: 1,
      metrics: {
        errors: {
          parameters: { tolerate: '20%', limit: 0.05, passBelow: '0.5%', role: 'critical' },
          series: proportion(side, side),
        },
        latency: { parameters: { limit: { p99: '500ms' } }, series: histogram },
        load: { parameters: { limit: 3 }, series: { type: 'gauge', canary: [1, null, 2], baseline: [1, 1, 1] } },
      },
    });
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toMatchObject({ verdict: 'fail' });
    expect(tasks).toEqual([
      {
        falseRollbacks: 0.05,
        warmup: 1,
        planned: 3,
        ended: true,
        metrics: [
          {
            name: 'errors',
            parameters: { tolerate: 0.2, limit: 0.05, quantileLimits: [], passBelow: 0.005, role: 'critical' },
            series: proportion(side, side),
          },
          {
            name: 'latency',
            parameters: {
              tolerate: 0.1,
              limit: null,
              quantileLimits: [{ quantile: 0.99, value: 0.5 }],
              passBelow: 0.001,
              role: 'normal',
            },
            series: histogram,
          },
          {
            name: 'load',
            parameters: { tolerate: 0.1, limit: 3, quantileLimits: [], passBelow: 0.001, role: 'normal' },
            series: { type: 'gauge', canary: [1, null, 2], baseline: [1, 1, 1] },
          },
        ],
      },
    ]);
  });

  it.each<[string, unknown, string, string]>([
    ['sides of different lengths', proportion(side, { events: [1], total: [9, 9, 9] }), '/baseline/events', 'expected 3 entries'],
    ['rows of different lengths', proportion({ events: [1], total: [10, 10] }), '/canary/total', 'expected 1 entries'],
    ['more events than cases', proportion({ events: [0, 11], total: [10, 10] }), '/canary/events/1', 'at most the total'],
    [
      'bounds that fall',
      { type: 'histogram', bounds: [1, 0.5], canary: { counts: [[1, 1, 1]] }, baseline: null },
      '/bounds/1',
      'more than',
    ],
    [
      'too few counts',
      { type: 'histogram', bounds: [1], canary: { counts: [[1, 1], [1]] }, baseline: null },
      '/canary/counts/1',
      'expected 2 counts',
    ],
    ['no tick at all', { type: 'gauge', canary: [], baseline: null }, '/metrics', 'at least one tick'],
    ['a negative count', proportion({ events: [-1], total: [1] }), '/canary/events/0', '>= 0'],
    ['an unknown type', { type: 'counter' }, '/type', 'expected one of proportion, histogram, gauge'],
    ['no type', {}, '/type', 'is required'],
    [
      'a key of another type',
      { ...proportion(side), bounds: [1] },
      '/bounds',
      'is not known here; known are type, canary, baseline',
    ],
    ['text for a number', { type: 'gauge', canary: ['1'], baseline: null }, '/canary/0', 'expected number'],
  ])('refuses %s with the path', async (_name, series, path, message) => {
    const answer = await serve().post('/api/v1/judgements', { metrics: { m: { series } } });
    expect(answer.statusCode).toBe(400);
    const expected = { path: path === '/metrics' ? path : `/metrics/m/series${path}`, message: expect.stringContaining(message) };
    expect(answer.json()).toMatchObject({ code: 'body_invalid', errors: [expected] });
  });

  it.each<[Record<string, unknown>, string]>([
    [{ falseRollbacks: 0 }, '/falseRollbacks'],
    [{ falseRollbacks: '100%' }, '/falseRollbacks'],
    [{ falseRollbacks: 'one' }, '/falseRollbacks'],
    [{ planned: 2 }, '/planned'],
    [{ warmup: 4 }, '/warmup'],
    [{ metrics: {} }, '/metrics'],
    [{ metrics: { 'no name': { series: proportion(side) } } }, '/metrics/no name'],
    [{ metrics: { m: { series: proportion(side), parameters: { limit: { p99: '1s' } } } } }, '/metrics/m/parameters/limit'],
    [{ metrics: { m: { series: proportion(side), parameters: { tolerate: 'much' } } } }, '/metrics/m/parameters/tolerate'],
  ])('refuses %j', async (change, path) => {
    const answer = await serve().post('/api/v1/judgements', { metrics: { m: { series: proportion(side) } }, ...change });
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ errors: expect.arrayContaining([expect.objectContaining({ path })]) });
  });

  it('answers an unknown judge with 404', async () => {
    const answer = await serve().post('/api/v1/judgements', { judge: 'solomon', metrics: { m: { series: proportion(side) } } });
    expect(answer.statusCode).toBe(404);
    expect(answer.json()).toMatchObject({ code: 'judge_unknown' });
  });
});

describe('rollbacks', () => {
  it('are asked for by a person, by name', async () => {
    const { post, rollbacks } = serve();
    const body = { application: 'shop', revision: '4f2c1d9a7be3', reason: 'checkout fails' };
    const answer = await post('/api/v1/rollbacks', body);
    expect(answer.statusCode).toBe(202);
    expect(answer.headers['location']).toBe('/api/v1/rollbacks/rb-1');
    expect(rollbacks.calls).toEqual([{ request: body, by: { name: 'anonymous' } }]);
    const unknown = await post('/api/v1/rollbacks', { ...body, revision: 'dead1234' });
    expect(unknown.statusCode).toBe(422);
    expect((await post('/api/v1/rollbacks', { application: 'shop', revision: '4f2c1d9a7be3' })).json()).toMatchObject({
      errors: [{ path: '/reason', message: 'is required' }],
    });
  });

  it('are only planned when it is a dry run', async () => {
    const { post, rollbacks } = serve();
    const body = { application: 'shop', revision: '4f2c1d9a7be3', reason: 'checkout fails', dryRun: true };
    const answer = await post('/api/v1/rollbacks', body);
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['location']).toBeUndefined();
    expect(answer.json()).toMatchObject({ code: 'planned', plan: { kind: 'revert' }, guards: [] });
    expect(rollbacks.calls).toEqual([{ preview: body }]);
  });

  it('are shown, listed by state, and with their journal', async () => {
    const { get, rollbacks } = serve();
    rollbacks.add({ state: 'held' });
    rollbacks.add({ state: 'recovered' });
    expect((await get('/api/v1/rollbacks/rb-2')).json()).toMatchObject({ id: 'rb-2', state: 'recovered' });
    expect((await get('/api/v1/rollbacks?state=held')).json()).toMatchObject({ items: [{ id: 'rb-1' }], next: null });
    expect((await get('/api/v1/rollbacks/rb-1/journal')).json()).toMatchObject({
      items: [{ number: 1, event: 'rollback.decided' }],
    });
    expect((await get('/api/v1/rollbacks/rb-9/journal')).json()).toMatchObject({ code: 'rollback_unknown', status: 404 });
  });

  it('are released or refused while they are held, else 409', async () => {
    const { post, rollbacks } = serve();
    rollbacks.add({ state: 'held' });
    rollbacks.add({ state: 'recovered' });
    const hash = rollbacks.records.get('rb-1')?.plan?.hash;
    for (const body of [undefined, {}, { plan: 'f'.repeat(64) }]) {
      const answer = await post('/api/v1/rollbacks/rb-1/approve', body);
      expect(answer.json()).toMatchObject({ status: 409, code: 'plan_changed' });
    }
    expect((await post('/api/v1/rollbacks/rb-1/approve', { plan: 'all' })).json()).toMatchObject({ code: 'body_invalid' });
    expect((await post('/api/v1/rollbacks/rb-1/approve', { plan: hash })).json()).toMatchObject({
      state: 'planned',
      approvals: [{ by: 'anonymous', plan: hash }],
    });
    expect((await post('/api/v1/rollbacks/rb-1/refuse', { reason: 'a false alarm' })).json()).toMatchObject({ state: 'refused' });
    expect(rollbacks.calls).toEqual([{ name: 'anonymous', reason: 'a false alarm' }]);
    expect((await post('/api/v1/rollbacks/rb-2/approve', { plan: hash })).json()).toMatchObject({
      status: 409,
      code: 'rollback_not_held',
    });
    expect((await post('/api/v1/rollbacks/rb-2/refuse', { reason: 'a false alarm' })).json()).toMatchObject({
      status: 409,
      code: 'rollback_final',
    });
    expect((await post('/api/v1/rollbacks/rb-1/refuse')).json()).toMatchObject({ status: 400, code: 'body_invalid' });
  });
});

describe('kill switches', () => {
  it('are set with a reason and listed', async () => {
    const { post, get } = serve();
    const stop = { scope: 'application', name: 'shop', stopped: true, reason: 'we look into it' };
    expect((await post('/api/v1/switches', stop)).json()).toMatchObject({ ...stop, by: 'anonymous' });
    expect((await get('/api/v1/switches')).json()).toMatchObject({ items: [{ name: 'shop', stopped: true }] });
    expect((await post('/api/v1/switches', { scope: 'galaxy', stopped: true, reason: 'all of it' })).json()).toMatchObject({
      status: 400,
      errors: [{ path: '/scope' }],
    });
    expect((await post('/api/v1/switches', { scope: 'global', stopped: true })).json()).toMatchObject({
      errors: [{ path: '/reason', message: 'is required' }],
    });
  });
});

describe('errors', () => {
  it('of a back end that is away are 503 with Retry-After', async () => {
    const { get, analyses } = serve();
    analyses.fault = new CodedError('store_unavailable', 'the store does not answer', { retryable: true });
    const known = await get('/api/v1/analyses');
    expect(known.statusCode).toBe(503);
    expect(known.headers['retry-after']).toBe('5');
    analyses.fault = new CodedError('connect_failed', 'the remote does not answer', { retryable: true });
    expect((await get('/api/v1/analyses')).json()).toMatchObject({ status: 503, code: 'connect_failed' });
  });

  it('that nobody foresaw are 500 without a word of their message, which is in the log under the id of the request', async () => {
    const { get, analyses, lines, metrics } = serve();
    analyses.fault = new TypeError('secret of the house');
    const answer = await get('/api/v1/analyses', { 'x-request-id': 'req-7' });
    expect(answer.statusCode).toBe(500);
    expect(answer.json()).toMatchObject({ code: 'internal', request: 'req-7' });
    expect(answer.body).not.toContain('secret of the house');
    const line = lines.find((text) => text.includes('request failed'));
    expect(line).toContain('secret of the house');
    expect(line).toContain('"request":"req-7"');
    expect((await metrics.page()).text).toContain('davylamp_errors_total{code="internal"} 1');
  });

  it('for unknown addresses are 404, for wrong methods 405 with Allow', async () => {
    const { app, get } = serve();
    expect((await get('/api/v2/analyses')).json()).toMatchObject({ status: 404, code: 'route_unknown' });
    expect((await get('/api/v1/analyses/an-1/')).json()).toMatchObject({ status: 404, code: 'route_unknown' });
    const wrong = await app.inject({
      method: 'PUT',
      url: '/api/v1/analyses',
      payload: 'x',
      headers: { 'content-type': 'text/csv' },
    });
    expect(wrong.statusCode).toBe(405);
    expect(wrong.headers['allow']).toBe('GET, HEAD, POST');
    expect(wrong.json()).toMatchObject({ code: 'method_not_allowed' });
    expect((await get('/api/v1/analyses/an-1/cancel')).headers['allow']).toBe('POST');
    expect((await app.inject({ method: 'DELETE', url: '/api/v1/rollbacks/rb-1' })).headers['allow']).toBe('GET, HEAD');
  });

  it('for addresses that cannot be read are problems, too', async () => {
    const { get } = serve();
    expect((await get('/api/v1/analyses/%ff')).json()).toMatchObject({ status: 400, code: 'path_invalid' });
    expect((await get(`/api/v1/analyses/${'a'.repeat(150)}`)).json()).toMatchObject({ status: 400, code: 'path_invalid' });
    expect((await get(`/api/v1/analyses/${'a'.repeat(5_000)}`)).json()).toMatchObject({
      code: expect.stringMatching(/path_invalid|route_unknown/),
    });
  });
});

describe('tokens', () => {
  const token = 'correct-horse-battery-staple';
  const tokens = [
    { name: 'ci', sha256: createHash('sha256').update(token).digest('hex') },
    { name: 'ops', sha256: createHash('sha256').update('other').digest('hex') },
  ];

  it('are asked for everywhere but at the health checks and at the documents, which hold no data', async () => {
    const { get, post, app } = serve({ tokens });
    for (const url of ['/livez', '/readyz', '/healthz', '/openapi.json', '/docs']) expect((await get(url)).statusCode).toBe(200);
    for (const url of ['/api/v1/analyses', '/api/v1/rollbacks', '/metrics', '/nowhere']) {
      const answer = await get(url);
      expect(answer.statusCode, url).toBe(401);
      expect(answer.headers['www-authenticate']).toContain('Bearer');
      expect(answer.json()).toMatchObject({ code: 'unauthenticated' });
    }
    expect((await post('/api/v1/analyses', '{bad')).statusCode).toBe(401);
    expect((await app.inject({ method: 'DELETE', url: '/api/v1/analyses' })).statusCode).toBe(401);
  });

  it('name who did it', async () => {
    const { post, analyses, lines } = serve({ tokens });
    const answer = await post('/api/v1/analyses', start, { authorization: `bearer ${token}` });
    expect(answer.statusCode).toBe(202);
    expect(analyses.startedBy).toEqual([{ name: 'ci', idempotencyKey: null }]);
    expect(lines.join('')).toContain('"by":"ci"');
    expect(lines.join('')).not.toContain(token);
  });

  it.each(['Bearer wrong', `Basic ${token}`, token, 'Bearer ', `Bearer ${token} x`, `Bearer ${'x'.repeat(10_000)}`])(
    'are not taken as %s',
    async (authorization) => {
      expect((await serve({ tokens }).get('/api/v1/analyses', { authorization })).statusCode).toBe(401);
    },
  );
});

describe('without tokens, on loopback', () => {
  it.each([
    [{ host: 'evil.example' }, 403],
    [{ host: 'evil.example:8080' }, 403],
    [{ host: '127.0.0.1.evil.example' }, 403],
    [{ host: '127.0.0.1:8080', origin: 'http://evil.example' }, 403],
    [{ host: '127.0.0.1:8080', origin: 'null' }, 403],
    [{ host: '127.0.0.1:8080', origin: 'http://127.0.0.1:8080' }, 200],
    [{ host: '127.0.0.1:8080' }, 200],
    [{ host: '[::1]:8080' }, 200],
    [{ host: 'localhost' }, 200],
  ])('a request with %j gets %i, so that web pages cannot act', async (headers, status) => {
    const answer = await serve().get('/api/v1/analyses', headers);
    expect(answer.statusCode).toBe(status);
  });
});

describe('health', () => {
  it('is alive as long as it answers', async () => {
    const answer = await serve({ readiness: () => Promise.reject(new Error('x')) }).get('/livez');
    expect([answer.statusCode, answer.body]).toEqual([200, 'ok\n']);
  });

  it.each(['/readyz', '/healthz'])('%s says which check fails, and more when asked', async (url) => {
    let ok = true;
    const { get } = serve({
      readiness: () =>
        Promise.resolve([
          { name: 'store', ok: true, sentence: 'it answers' },
          { name: 'queue', ok, sentence: ok ? 'it answers' : 'no answer\nfor 3 s' },
        ]),
    });
    expect((await get(url)).body).toBe('ok\n');
    expect((await get(`${url}?verbose`)).body).toBe('[+]store: it answers\n[+]queue: it answers\nok\n');
    ok = false;
    const answer = await get(`${url}?verbose`);
    expect(answer.statusCode).toBe(503);
    expect(answer.body).toBe('[+]store: it answers\n[-]queue: no answer for 3 s\nnot ready: queue\n');
    expect((await get(url)).body).toBe('not ready: queue\n');
  });

  it('is not ready when the checks throw', async () => {
    const answer = await serve({ readiness: () => Promise.reject(new Error('gone')) }).get('/readyz?verbose');
    expect([answer.statusCode, answer.body]).toEqual([503, '[-]checks: gone\nnot ready: checks\n']);
  });
});

describe('what it tells about itself', () => {
  it('logs one line a request with the pattern of the route, and neither query nor body', async () => {
    const { post, get, lines } = serve();
    await post('/api/v1/analyses?secret=canary-1', { application: 'canary-2' });
    await get('/api/v1/analyses/canary-3');
    await get('/canary-4');
    const logged = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(logged).toHaveLength(3);
    expect(logged[1]).toMatchObject({
      method: 'GET',
      route: '/api/v1/analyses/:id',
      status: 404,
      msg: 'request answered',
      ms: expect.any(Number),
    });
    expect(logged[2]).toMatchObject({ route: 'other', status: 404 });
    expect(lines.join('')).not.toContain('canary-');
  });

  it('serves its metrics, with bounded routes', async () => {
    const { get } = serve();
    await get('/api/v1/analyses/canary-3');
    await get('/canary-4');
    const page = await get('/metrics');
    expect(page.headers['content-type']).toContain('text/plain; version=0.0.4');
    expect(page.body).toContain(
      'davylamp_http_request_duration_seconds_count{method="GET",route="/api/v1/analyses/:id",status="404"} 1',
    );
    expect(page.body).toContain('davylamp_http_request_duration_seconds_count{method="GET",route="other",status="404"} 1');
    expect(page.body).not.toContain('canary');
  });

  it('keeps the id of a request that has a sane one, and makes one otherwise', async () => {
    const { get } = serve();
    expect((await get('/livez', { 'x-request-id': 'abc-1' })).headers['x-request-id']).toBe('abc-1');
    expect((await get('/livez', { 'x-request-id': 'a b\tc' })).headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('sets headers that keep browsers from guessing, framing and storing', async () => {
    const { get } = serve();
    for (const url of ['/api/v1/analyses', '/nowhere', '/api/v1/analyses/%ff']) {
      expect((await get(url)).headers, url).toMatchObject({
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
        'cache-control': 'no-store',
      });
    }
  });

  it('serves the OpenAPI document, and a page of it that needs no script', async () => {
    const { get } = serve();
    const document = await get('/openapi.json');
    expect(document.headers['content-type']).toContain('application/json');
    expect(document.json()).toMatchObject({ openapi: '3.1.0' });
    const page = await get('/docs');
    expect(page.headers['content-type']).toContain('text/html');
    expect(page.body).toContain('<code>/api/v1/analyses/{id}/cancel</code> Cancel an analysis');
    expect(page.body).not.toContain('<script');
    const style = /<style>([^]*?)<\/style>/.exec(page.body)?.[1] ?? '';
    const digest = createHash('sha256').update(style).digest('base64');
    expect(page.headers['content-security-policy']).toBe(
      `default-src 'none'; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    );
  });
});
