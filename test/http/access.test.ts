import { describe, expect, it } from 'vitest';
import type { Scope } from '../../src/config/server.ts';
import type { Analysis } from '../../src/analysis/record.ts';
import type { Rollback } from '../../src/rollback/record.ts';
import { EXAMPLES } from '../../src/http/examples.ts';
import { callers, serve, sha256 } from './serving.ts';

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const start = { application: 'shop', revision: '4f2c1d9a7be3' };
const rollback = { ...start, reason: 'checkout fails' };
const approval = { plan: (EXAMPLES['Rollback'] as Rollback).plan?.hash };
const stop = { scope: 'application', name: 'shop', stopped: true, reason: 'we look into it' };

const CALLS: [string, 'GET' | 'POST', string, object | undefined, Scope][] = [
  ['start an analysis', 'POST', '/api/v1/analyses', start, 'analyses:write'],
  ['list analyses', 'GET', '/api/v1/analyses', undefined, 'analyses:read'],
  ['look at an analysis', 'GET', '/api/v1/analyses/an-0', undefined, 'analyses:read'],
  ['see what was measured', 'GET', '/api/v1/analyses/an-0/measurements', undefined, 'analyses:read'],
  ['follow an analysis', 'GET', '/api/v1/analyses/an-9/events', undefined, 'analyses:read'],
  ['cancel an analysis', 'POST', '/api/v1/analyses/an-0/cancel', undefined, 'analyses:write'],
  [
    'judge',
    'POST',
    '/api/v1/judgements',
    { metrics: { m: { series: { type: 'gauge', canary: [1], baseline: null } } } },
    'analyses:write',
  ],
  ['ask for a rollback', 'POST', '/api/v1/rollbacks', rollback, 'rollbacks:write'],
  ['list rollbacks', 'GET', '/api/v1/rollbacks', undefined, 'analyses:read'],
  ['look at a rollback', 'GET', '/api/v1/rollbacks/rb-1', undefined, 'analyses:read'],
  ['read the journal', 'GET', '/api/v1/rollbacks/rb-1/journal', undefined, 'analyses:read'],
  ['approve a rollback', 'POST', '/api/v1/rollbacks/rb-1/approve', approval, 'rollbacks:approve'],
  ['refuse a rollback', 'POST', '/api/v1/rollbacks/rb-1/refuse', { reason: 'a false alarm' }, 'rollbacks:approve'],
  ['set a kill switch', 'POST', '/api/v1/switches', stop, 'rollbacks:approve'],
  ['list kill switches', 'GET', '/api/v1/switches', undefined, 'analyses:read'],
  ['scrape', 'GET', '/metrics', undefined, 'analyses:read'],
];
const SCOPES: Scope[] = ['analyses:read', 'analyses:write', 'rollbacks:write', 'rollbacks:approve', 'webhooks', 'admin'];

function served() {
  const tokens = [
    ...SCOPES.map((scope) => ({ name: scope, sha256: sha256(scope), scopes: [scope] })),
    { name: 'old', sha256: sha256('old') },
    { name: 'nothing', sha256: sha256('nothing'), scopes: [] },
  ];
  const world = serve({ tokens });
  world.analyses.records.set('an-0', { ...(EXAMPLES['Analysis'] as Analysis), id: 'an-0', phase: 'Running' });
  world.rollbacks.add({ state: 'held' });
  return world;
}

describe.each(CALLS)('to %s', (_what, method, url, body, scope) => {
  it(`needs the scope ${scope}`, async () => {
    const { call } = served();
    for (const held of SCOPES) {
      const { statusCode } = await call(method, url, bearer(held), body);
      if (held === scope || held === 'admin') expect(statusCode, held).not.toBe(403);
      else expect(statusCode, held).toBe(403);
      expect(statusCode, held).not.toBe(401);
    }
    const without = await call(method, url, bearer('nothing'), body);
    expect(without.json()).toMatchObject({ status: 403, code: 'forbidden', detail: expect.stringContaining(scope) });
  });

  it('can be done with a token of a configuration that knows no scopes', async () => {
    expect((await served().call(method, url, bearer('old'), body)).statusCode).not.toBe(403);
  });
});

describe('a token', () => {
  it('is valid beside its successor while it is replaced', async () => {
    const { get } = serve({ tokens: [{ name: 'ci', sha256s: [sha256('old'), sha256('new')] }] });
    for (const token of ['old', 'new']) expect((await get('/api/v1/analyses', bearer(token))).statusCode).toBe(200);
    expect((await get('/api/v1/analyses', bearer('older'))).statusCode).toBe(401);
  });

  it('without scopes has all but admin', async () => {
    const { app } = serve({ tokens: [{ name: 'old', sha256: sha256('old') }] });
    app.get('/for-admins', { config: { scope: 'admin' } }, async () => 'done');
    expect((await app.inject({ url: '/for-admins', headers: bearer('old') })).statusCode).toBe(403);
  });

  it('of somebody without scopes still gets 404 and 405 where there is nothing to protect', async () => {
    const { call } = served();
    expect((await call('GET', '/nowhere', bearer('nothing'))).json()).toMatchObject({ code: 'route_unknown' });
    expect((await call('DELETE', '/api/v1/analyses', bearer('nothing'))).json()).toMatchObject({ code: 'method_not_allowed' });
  });

  it('opens nothing on a route that names no scope', async () => {
    const { app } = serve({ tokens: [{ name: 'root', sha256: sha256('root'), scopes: ['admin'] }] });
    app.get('/forgotten', async () => 'secret');
    const answer = await app.inject({ url: '/forgotten', headers: bearer('root') });
    expect(answer.json()).toMatchObject({ status: 403, code: 'forbidden' });
  });
});

describe('a caller that is bound to applications', () => {
  function bound(applications: string[]) {
    const world = serve({ tokens: [{ name: 'team', sha256: sha256('team'), applications }] });
    const record = EXAMPLES['Analysis'] as Analysis;
    for (let n = 1; n <= 12; n += 1) {
      const application = n % 3 === 0 ? 'shop' : n % 3 === 1 ? 'search' : 'billing';
      world.analyses.records.set(`an-${n}`, { ...record, id: `an-${n}`, application, phase: 'Running' });
      world.rollbacks.add({ application, state: 'held' });
    }
    return world;
  }
  const ids = (answer: { json: <T>() => T }) => answer.json<{ items: { id: string }[] }>().items.map(({ id }) => id);

  it.each<['GET' | 'POST', string, object | undefined]>([
    ['GET', '/api/v1/analyses/an-1', undefined],
    ['GET', '/api/v1/analyses/an-1/measurements', undefined],
    ['GET', '/api/v1/analyses/an-1/events', undefined],
    ['POST', '/api/v1/analyses/an-1/cancel', undefined],
    ['GET', '/api/v1/rollbacks/rb-1', undefined],
    ['GET', '/api/v1/rollbacks/rb-1/journal', undefined],
    ['POST', '/api/v1/rollbacks/rb-1/approve', approval],
    ['POST', '/api/v1/switches', { ...stop, name: 'search' }],
    ['POST', '/api/v1/switches', { scope: 'global', stopped: true, reason: 'no reason' }],
    ['POST', '/api/v1/rollbacks/rb-1/refuse', { reason: 'a false alarm' }],
    ['POST', '/api/v1/analyses', { application: 'search', revision: '4f2c1d9a7be3' }],
    ['POST', '/api/v1/rollbacks', { application: 'search', revision: '4f2c1d9a7be3', reason: 'no reason' }],
    ['GET', '/api/v1/analyses?application=search', undefined],
    ['GET', '/api/v1/rollbacks?application=search', undefined],
    ['GET', '/metrics', undefined],
  ])('gets 403 for %s %s of another one, and nothing has happened', async (method, url, body) => {
    const { call, analyses, rollbacks, switches } = bound(['shop']);
    const answer = await call(method, url, bearer('team'), body);
    expect(answer.json()).toMatchObject({ status: 403, code: 'forbidden' });
    expect(analyses.records.get('an-1')?.phase).toBe('Running');
    expect(analyses.startedBy).toEqual([]);
    expect(rollbacks.calls).toEqual([]);
    expect(switches.all).toEqual([]);
  });

  it('is not told whether another one exists', async () => {
    const { post } = bound(['shop']);
    const [real, made] = await Promise.all(
      ['search', 'made-up'].map((application) =>
        post('/api/v1/analyses', bearer('team'), { application, revision: '4f2c1d9a7be3' }),
      ),
    );
    expect({ ...real?.json<object>(), request: '' }).toEqual({ ...made?.json<object>(), request: '' });
  });

  it('works with its own', async () => {
    const { call } = bound(['shop']);
    expect((await call('GET', '/api/v1/analyses/an-3', bearer('team'))).statusCode).toBe(200);
    expect((await call('POST', '/api/v1/rollbacks/rb-3/approve', bearer('team'), approval)).statusCode).toBe(200);
    expect((await call('POST', '/api/v1/analyses', bearer('team'), start)).statusCode).toBe(202);
  });

  it('sees only its own in listings, page by page, nothing twice and nothing left out', async () => {
    const { get } = bound(['shop', 'billing']);
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const query: string = cursor === '' ? '' : `&cursor=${cursor}`;
      const answer = await get(`/api/v1/analyses?limit=3${query}`, bearer('team'));
      expect(answer.statusCode).toBe(200);
      seen.push(...ids(answer));
      cursor = answer.json<{ next: string | null }>().next;
    }
    expect(seen).toEqual(['an-12', 'an-11', 'an-9', 'an-8', 'an-6', 'an-5', 'an-3', 'an-2']);
    expect(ids(await get('/api/v1/analyses?application=billing', bearer('team')))).toHaveLength(4);
    expect(ids(await get('/api/v1/rollbacks', bearer('team')))).toHaveLength(8);
  });

  it('of one application sees only that in listings', async () => {
    const { get } = bound(['shop']);
    expect(ids(await get('/api/v1/analyses?limit=10', bearer('team')))).toEqual(['an-12', 'an-9', 'an-6', 'an-3']);
    expect(ids(await get('/api/v1/rollbacks', bearer('team')))).toHaveLength(4);
  });
});

describe('the documents', () => {
  it('are open, so that a browser can show them', async () => {
    const { get } = served();
    expect((await get('/docs')).statusCode).toBe(200);
    expect((await get('/openapi.json')).statusCode).toBe(200);
  });
});

describe('a user name and a password', () => {
  const alertmanager = {
    name: 'alertmanager',
    username: 'am',
    passwordSha256s: [sha256('first: with colon'), sha256('zweites Pässwort')],
    scopes: ['webhooks' as const, 'analyses:read' as const],
  };
  const basic = (pair: string) => ({ authorization: `Basic ${Buffer.from(pair).toString('base64')}` });
  const world = () => serve({ callers: callers({ basic: [alertmanager] }) });

  it('let in, the password with colons and other letters, two at a time', async () => {
    const { get, lines } = world();
    expect((await get('/api/v1/analyses', basic('am:first: with colon'))).statusCode).toBe(200);
    expect((await get('/api/v1/analyses', basic('am:zweites Pässwort'))).statusCode).toBe(200);
    expect(lines.join('')).toContain('"by":"alertmanager"');
  });

  it.each(['am:wrong', 'AM:zweites Pässwort', 'zweites Pässwort', 'am', ':', '', `am:${'x'.repeat(5_000)}`])(
    'are refused as %j',
    async (pair) => {
      const { get, page } = world();
      expect((await get('/api/v1/analyses', basic(pair))).statusCode).toBe(401);
      expect(await page()).toMatch(/davylamp_auth_failures_total\{kind="(basic|token)",reason="\w+"\} 1/);
    },
  );

  it('that are not base64 are refused', async () => {
    expect((await world().get('/api/v1/analyses', { authorization: 'Basic !!!' })).statusCode).toBe(401);
  });
});

describe('a credential that does not hold', () => {
  const tokens = [{ name: 'ci', sha256: sha256('right') }];

  it('is counted by kind and reason, and logged without itself', async () => {
    const { get, page, lines } = serve({ tokens, callers: callers() });
    await get('/api/v1/analyses');
    await get('/api/v1/analyses', bearer('hunter2-token'));
    await get('/api/v1/analyses', { authorization: 'Digest username="hunter2"' });
    const text = await page();
    for (const [kind, reason] of [
      ['none', 'missing'],
      ['token', 'unknown'],
      ['token', 'malformed'],
    ])
      expect(text).toContain(`davylamp_auth_failures_total{kind="${kind}",reason="${reason}"} 1`);
    const warning = lines.find((line) => line.includes('a credential was refused')) ?? '';
    expect(JSON.parse(warning)).toMatchObject({ level: 40, kind: 'token', reason: 'unknown', address: '127.0.0.1', failures: 1 });
    expect(lines.join('') + text).not.toContain('hunter2');
  });

  it('sent again and again is answered ever later, and does not lock out a good one from the same address', async () => {
    const { get, lines } = serve({ tokens });
    for (let n = 0; n < 10; n += 1) expect((await get('/api/v1/analyses', bearer(`wrong ${n}`))).statusCode).toBe(401);
    const before = performance.now();
    const slowed = get('/api/v1/analyses', bearer('wrong'));
    const good = await get('/api/v1/analyses', bearer('right'));
    expect(good.statusCode).toBe(200);
    const goodAfter = performance.now() - before;
    expect((await slowed).statusCode).toBe(401);
    const slowAfter = performance.now() - before;
    expect(slowAfter).toBeGreaterThan(900);
    expect(goodAfter).toBeLessThan(slowAfter / 2);
    // One, two, four, eight: not a line for each.
    expect(lines.filter((line) => line.includes('a credential was refused'))).toHaveLength(4);
  });
});

describe('the rate of a caller', () => {
  const tokens = [
    { name: 'busy', sha256: sha256('busy') },
    { name: 'quiet', sha256: sha256('quiet') },
  ];
  const rates = { reads: 1, writes: 1, judgements: 1 };

  it('is limited for each caller and kind of call, with Retry-After', async () => {
    const { get, post } = serve({ tokens, rates });
    for (let n = 0; n < 10; n += 1) expect((await get('/api/v1/analyses', bearer('busy'))).statusCode).toBe(200);
    const refused = await get('/api/v1/analyses', bearer('busy'));
    expect(refused.json()).toMatchObject({ status: 429, code: 'rate_limited' });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    expect((await get('/api/v1/analyses', bearer('quiet'))).statusCode).toBe(200);
    expect((await post('/api/v1/analyses', bearer('busy'), start)).statusCode).toBe(202);
    expect((await get('/livez')).statusCode).toBe(200);
  });

  it('is not limited on a loopback address without credentials', async () => {
    const { get } = serve({ rates });
    for (let n = 0; n < 50; n += 1) expect((await get('/api/v1/analyses')).statusCode).toBe(200);
  });
});
