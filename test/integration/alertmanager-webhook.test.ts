import { createHash } from 'node:crypto';
import { Value } from 'typebox/value';
import { afterEach, describe, expect, it } from 'vitest';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { mutated } from '../../bench/webhook-mutations.ts';
import { AlertmanagerWebhook } from '../../src/alerts/webhook.ts';
import { CodedError } from '../../src/errors.ts';
import { DEFAULT_LIMITS, type HttpDependencies } from '../../src/http/dependencies.ts';
import { createServer } from '../../src/http/server.ts';
import { DELIVERIES, delivery } from '../support/alert-fixtures.ts';
import { alert, alertWorld, CHECKOUT, SHOP } from '../support/alert-world.ts';
import { standIns } from '../support/http-stand-ins.ts';

const ROUTE = '/webhooks/alertmanager';
const MIB = 1_048_576;
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

/** The fixtures were captured then. */
const CAPTURED = Date.parse('2026-11-23T07:30:00Z');

async function service(
  change: Partial<HttpDependencies> = {},
  settings: Parameters<typeof alertWorld>[0] = {},
  limits = DEFAULT_LIMITS,
) {
  const world = await alertWorld(settings);
  closing.push(() => world.close());
  const parts = standIns({ alerts: { inlet: world.inlet.inlet, maxBodyBytes: 10 * MIB }, ...change });
  const app: FastifyInstance = createServer(parts.deps, limits);
  closing.push(() => app.close());
  const post = (payload: InjectOptions['payload'], headers: Record<string, string> = {}) =>
    app.inject({
      method: 'POST',
      url: ROUTE,
      headers: { 'content-type': 'application/json', ...headers },
      ...(payload !== undefined && { payload }),
    });
  return { ...world, ...parts, app, post };
}

describe('the webhook of an Alertmanager', () => {
  it.each([...DELIVERIES])('takes the captured delivery %s', async (_name, { body, request, captured_with }) => {
    const { post, settle, actions, time } = await service({}, { applications: [CHECKOUT] });
    time.now = CAPTURED;
    const headers = { 'content-type': request.headers['content-type'] ?? '', 'user-agent': captured_with };
    const answer = await post(JSON.stringify(body), headers);
    expect(answer.statusCode).toBe(202);
    const receipt = answer.json<{ accepted: number; duplicate: number; ignored: number }>();
    expect(receipt).toEqual({ accepted: body.alerts.length, duplicate: 0, ignored: 0 });
    await settle();
    const firing = body.alerts.filter(({ status }) => status === 'firing');
    expect(actions.analyses.size).toBe(firing.length);
    expect((await post(JSON.stringify(body), headers)).json()).toEqual({
      accepted: 0,
      duplicate: body.alerts.length,
      ignored: 0,
    });
  });

  it('takes what two Alertmanagers with other routing trees send for the same', async () => {
    const { post, settle, actions, time } = await service({}, { applications: [CHECKOUT] });
    time.now = CAPTURED;
    await post(JSON.stringify(delivery('ha-duplicate-from-alertmanager-0').body));
    const second = await post(JSON.stringify(delivery('ha-duplicate-from-alertmanager-1').body));
    expect(second.json()).toEqual({ accepted: 0, duplicate: 3, ignored: 0 });
    await settle();
    expect(actions.confirmCalls).toHaveLength(3);
  });

  it('takes keys of later versions, and does without those that it does not need', async () => {
    const { post } = await service();
    const body = {
      alerts: [{ ...alert(), silenceURL: 'x' }],
      notification_reason: 'first',
      routeLabels: { a: 'b' },
      more: [{ deep: [null] }],
    };
    expect((await post(body)).json()).toMatchObject({ accepted: 1 });
    const { labels, startsAt } = alert({ startsAt: '2026-05-04T11:58:00+02:00' });
    expect((await post({ alerts: [{ labels, startsAt }] })).statusCode).toBe(202);
    expect((await post({ alerts: [] })).json()).toEqual({ accepted: 0, duplicate: 0, ignored: 0 });
  });

  it.each([
    ['{"alerts": [', '', 'the body is not JSON, from line 1, column 13 on'],
    ['', '', 'expected object'],
    ['[]', '', 'expected object'],
    ['null', '', 'expected object'],
    ['{}', '/alerts', 'is required'],
    ['{"alerts": null}', '/alerts', 'expected array'],
    ['{"alerts": [7]}', '/alerts/0', 'expected object'],
    ['{"alerts": [{"labels": {}}]}', '/alerts/0/startsAt', 'is required'],
    ['{"alerts": [{"startsAt": "2026-05-04T11:59:00Z"}]}', '/alerts/0/labels', 'is required'],
    ['{"alerts": [{"labels": {"a": 5}, "startsAt": "2026-05-04T11:59:00Z"}]}', '/alerts/0/labels/a', 'expected string'],
    ['{"alerts": [{"labels": {"a\\nb": 5}, "startsAt": "2026-05-04T11:59:00Z"}]}', '/alerts/0/labels/a\nb', 'expected string'],
    [
      '{"alerts": [{"labels": {}, "startsAt": "yesterday"}]}',
      '/alerts/0/startsAt',
      'expected: Time of RFC 3339: when the alert began to fire',
    ],
    ['{"alerts": [{"labels": {}, "startsAt": "2026-13-04T11:59:00Z"}]}', '/alerts/0/startsAt', 'expected: '],
    ['{"alerts": [{"labels": {}, "startsAt": "2026-05-04T11:59:00Z", "status": "odd"}]}', '/alerts/0/status', 'firing, resolved'],
    ['{"alerts": [], "truncatedAlerts": -1}', '/truncatedAlerts', '0'],
    ['{"alerts": [], "truncatedAlerts": 1e999}', '/truncatedAlerts', 'expected integer'],
    ['{"alerts": [], "groupLabels": {"a": []}}', '/groupLabels/a', 'expected string'],
    ['{"alerts": [], "__proto__": {"a": 1}}', '/__proto__', 'forbidden key'],
    ['{"alerts": [{"labels": {"__proto__": "a"}}]}', '/alerts/0/labels/__proto__', 'forbidden key'],
    ['{"alerts": [{"a/b": {"constructor": {"prototype": 1}}}]}', '/alerts/0/a~1b/constructor/prototype', 'forbidden key'],
  ])('refuses %s at %j', async (body, path, message) => {
    const answer = await (await service()).post(body);
    expect(answer.statusCode).toBe(400);
    const problem = answer.json<{ code: string; errors: { path: string; message: string }[] }>();
    expect(problem.code).toBe('body_invalid');
    expect(problem.errors[0]?.path).toBe(path);
    expect(problem.errors[0]?.message).toContain(message);
  });

  it('has a limit of its own for bodies, and one for alerts', async () => {
    const { post } = await service({ maxBodyBytes: 1_024 });
    const large = Array.from({ length: 10_000 }, (_, at) =>
      alert({ fingerprint: `f${at}`, annotations: { text: 'x'.repeat(600) } }),
    );
    expect((await post({ alerts: large })).json()).toMatchObject({ accepted: 10_000 });
    expect((await post({ alerts: [...large, alert()] })).json()).toMatchObject({ errors: [{ path: '/alerts' }] });
    expect((await post(JSON.stringify({ alerts: [], text: 'x'.repeat(10 * MIB) }))).statusCode).toBe(413);
  });

  it('answers 503 at once while the store or the queue is down, never 429 or another 4xx', async () => {
    for (const code of ['store_unavailable', 'queue_unavailable', 'state_lost', 'store_full', 'queue_closing']) {
      const down = () => Promise.reject(new CodedError(code, 'it is down', { retryable: true }));
      const { post } = await service({}, { store: (real) => ({ ...real, commit: down }) });
      const answer = await post({ alerts: [alert()] });
      expect([answer.statusCode, answer.json<{ code: string }>().code]).toEqual([503, code]);
    }
  });

  it('answers 503 when the store says nothing for too long; the alert is not lost', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const { post, settle, actions } = await service(
      {},
      { store: (real) => ({ ...real, commit: async (...input) => (await held, real.commit(...input)) }) },
      { ...DEFAULT_LIMITS, webhookMs: 50 },
    );
    const answer = await post({ alerts: [alert()] });
    expect([answer.statusCode, answer.json<{ code: string }>().code]).toEqual([503, 'queue_unavailable']);
    release();
    expect((await post({ alerts: [alert()] })).statusCode).toBe(202);
    await settle();
    expect(actions.confirmCalls).toHaveLength(1);
  });

  it('asks for a credential with the scope webhooks, and keeps a bound one to its applications', async () => {
    const token = (name: string, more: object) => ({ name, sha256: createHash('sha256').update(name).digest('hex'), ...more });
    const tokens = [
      token('alerts', { scopes: ['webhooks' as const] }),
      token('reader', { scopes: ['analyses:read' as const] }),
      token('other', { scopes: ['webhooks' as const], applications: ['cart'] }),
    ];
    const { post } = await service({ tokens }, { applications: [SHOP] });
    const as = (name: string) => post({ alerts: [alert()] }, { authorization: `Bearer ${name}` });
    expect((await post({ alerts: [alert()] })).statusCode).toBe(401);
    expect((await as('nobody')).statusCode).toBe(401);
    expect((await as('reader')).statusCode).toBe(403);
    expect((await as('other')).json()).toEqual({ accepted: 0, duplicate: 0, ignored: 1 });
    expect((await as('alerts')).json()).toEqual({ accepted: 1, duplicate: 0, ignored: 0 });
  });

  it('does not exist with another method or media type', async () => {
    const { app, post } = await service();
    expect((await app.inject({ method: 'GET', url: ROUTE })).statusCode).toBe(405);
    expect((await post('alerts=1', { 'content-type': 'application/x-www-form-urlencoded' })).statusCode).toBe(415);
  });

  it(
    'survives 3,000 broken and odd bodies: no 5xx, a path in each refusal, nothing taken that does not fit',
    { timeout: 60_000 },
    async () => {
      const { post, time } = await service({}, { applications: [CHECKOUT] });
      time.now = CAPTURED;
      const bodies = [...DELIVERIES.values()].map(({ body }) => body);
      const counts = { taken: 0, refused: 0 };
      for (let seed = 0; seed < 3_000; seed++) {
        const body = mutated(bodies, seed);
        const { statusCode, payload } = await post(body);
        expect([202, 400], `seed ${seed}: ${statusCode} ${payload.slice(0, 300)}`).toContain(statusCode);
        if (statusCode === 202) {
          counts.taken += 1;
          expect(Value.Check(AlertmanagerWebhook, JSON.parse(body.toString())), `seed ${seed}`).toBe(true);
        } else {
          counts.refused += 1;
          expect(JSON.parse(payload), `seed ${seed}`).toMatchObject({
            errors: expect.arrayContaining([{ path: expect.any(String), message: expect.any(String) }]),
          });
        }
      }
      expect(counts.taken).toBeGreaterThan(100);
      expect(counts.refused).toBeGreaterThan(1_000);
    },
  );

  it('has a schema that says what is needed and no more', () => {
    expect(AlertmanagerWebhook.required).toEqual(['alerts']);
    expect(AlertmanagerWebhook.properties.alerts.items.required).toEqual(['labels', 'startsAt']);
  });
});
