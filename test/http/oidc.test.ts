import { createPublicKey } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createHttpClient, type HttpClient } from '../../src/net/client.ts';
import type { ResolvedServer } from '../../src/config/server.ts';
import { startIssuer, type Issuer } from './issuer.ts';
import { callers, handClock, serve } from './serving.ts';

let issuer: Issuer;
let http: HttpClient;
const clock = handClock();
beforeAll(async () => {
  http = createHttpClient();
});
afterAll(async () => {
  await http.close();
});

type Provider = ResolvedServer['oidc'][number];

function provider(change: Partial<Provider> = {}): Provider {
  return {
    name: 'ci',
    issuer: issuer.issuer,
    audience: 'davylamp',
    algorithms: ['RS256', 'ES256'],
    clockTolerance: '30s',
    keysFor: '10m',
    timeout: '2s',
    subject: 'sub',
    grants: [
      {
        match: { repository: 'acme/shop', ref: 'refs/heads/*' },
        scopes: ['analyses:read', 'analyses:write'],
        applications: ['shop'],
      },
      { match: { repository: 'acme/**' }, scopes: ['analyses:read'] },
    ],
    ...change,
  };
}

function world(change: Partial<Provider> = {}) {
  const server = serve({ clock, callers: callers({ http, oidc: [provider(change)] }) });
  const ask = (token: string) => server.get('/api/v1/analyses', { authorization: `Bearer ${token}` });
  return { ...server, ask };
}

const AT = clock.now();
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a token of an issuer', () => {
  beforeAll(async () => {
    issuer = await startIssuer();
  });
  afterAll(() => issuer.close());
  beforeEach(() => {
    issuer.far.requests.length = 0;
  });

  it('lets its caller do what the first grant says that its claims match, by a name for the journal', async () => {
    const { post, ask, analyses } = world();
    const token = await issuer.token(clock.now());
    expect((await ask(token)).statusCode).toBe(200);
    const body = { application: 'shop', revision: '4f2c1d9a7be3' };
    expect((await post('/api/v1/analyses', { authorization: `Bearer ${token}` }, body)).statusCode).toBe(202);
    expect(analyses.startedBy).toEqual([{ name: 'ci:repo:acme/shop:ref:refs/heads/main', idempotencyKey: null }]);
    const other = await post('/api/v1/analyses', { authorization: `Bearer ${token}` }, { ...body, application: 'search' });
    expect(other.json()).toMatchObject({ status: 403, code: 'forbidden' });
    const reader = await issuer.token(clock.now(), { claims: { repository: 'acme/team/other' } });
    expect((await ask(reader)).statusCode).toBe(200);
    expect((await post('/api/v1/analyses', { authorization: `Bearer ${reader}` }, body)).statusCode).toBe(403);
  });

  it('that is genuine but matches no grant is 403', async () => {
    const token = await issuer.token(clock.now(), { claims: { repository: 'evil/shop' } });
    expect((await world().ask(token)).json()).toMatchObject({ status: 403, code: 'forbidden' });
  });

  it('has its keys fetched once, without the discovery where their address is configured', async () => {
    const { ask } = world({ jwksUrl: `${issuer.issuer}/keys` });
    const tokens = await Promise.all(Array.from({ length: 20 }, () => issuer.token(clock.now())));
    const answers = await Promise.all(tokens.map(ask));
    expect(answers.map(({ statusCode }) => statusCode)).toEqual(tokens.map(() => 200));
    expect(issuer.far.requests.map(({ path }) => path)).toEqual(['/keys']);
  });

  it.each<[string, object, string]>([
    ['that has expired', { exp: AT / 1_000 - 31 }, 'expired'],
    ['that is not valid yet', { nbf: AT / 1_000 + 31 }, 'not_yet_valid'],
    ['for somebody else', { aud: 'another-service' }, 'wrong_audience'],
    ['for nobody', { aud: undefined }, 'wrong_audience'],
    ['without an end', { exp: undefined }, 'claim_missing'],
    ['of another issuer', { iss: 'https://accounts.example' }, 'unknown_issuer'],
    ['of an issuer that is named almost the same', { iss: `${'http://127.0.0.1'}:1/` }, 'unknown_issuer'],
    ['of no issuer', { iss: undefined }, 'unknown_issuer'],
  ])('%s is 401 and counted', async (_what, claims, reason) => {
    const { ask, page } = world();
    const answer = await ask(await issuer.token(AT, { claims }));
    expect(answer.json()).toMatchObject({ status: 401, code: 'unauthenticated' });
    expect(await page()).toContain(`davylamp_auth_failures_total{kind="oidc",reason="${reason}"} 1`);
  });

  it('is accepted within the tolerance of the clock', async () => {
    expect((await world().ask(await issuer.token(AT, { claims: { exp: AT / 1_000 - 29 } }))).statusCode).toBe(200);
    expect((await world().ask(await issuer.token(AT, { claims: { nbf: AT / 1_000 + 29 } }))).statusCode).toBe(200);
  });

  it('without a signature, or with one that anybody can make of the public key, is refused', async () => {
    const { ask } = world();
    const good = await issuer.token(AT);
    const [, payload = '', signature = ''] = good.split('.');
    const publicKey = issuer.keys.get('one')?.publicKey ?? {};
    const pem = createPublicKey({ key: publicKey, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
    const confused = await issuer.token(AT, { header: { alg: 'HS256' }, key: Buffer.from(pem) });
    const modulus = await issuer.token(AT, { header: { alg: 'HS256' }, key: Buffer.from(publicKey.n ?? '', 'base64url') });
    for (const token of [
      `${encode({ alg: 'none', kid: 'one' })}.${payload}.`,
      `${encode({ alg: 'None', kid: 'one' })}.${payload}.${signature}`,
      `${encode({ alg: 'RS256', kid: 'one' })}.${payload}.`,
      `${encode({ alg: 'RS256', kid: 'one' })}.${encode({ iss: issuer.issuer, aud: 'davylamp', repository: 'acme/shop' })}.${signature}`,
      confused,
      modulus,
      good.slice(0, -4),
    ])
      expect((await ask(token)).statusCode, token.slice(0, 40)).toBe(401);
    expect((await ask(good)).statusCode).toBe(200);
  });

  it('by an algorithm that is not configured is refused, though the key is the right one', async () => {
    const { ask, page } = world({ algorithms: ['ES256'] });
    expect((await ask(await issuer.token(AT))).statusCode).toBe(401);
    expect(await page()).toContain('reason="algorithm"} 1');
  });

  it('has the addresses and keys of its own header ignored', async () => {
    const evil = await startIssuer();
    try {
      const { ask } = world();
      const mine = evil.keys.get('one');
      for (const header of [
        { jku: `${evil.issuer}/keys` },
        { x5u: `${evil.issuer}/keys` },
        { jwk: mine?.publicKey },
        { jku: `${evil.issuer}/keys`, kid: 'theirs' },
      ]) {
        const token = await issuer.token(AT, { header, ...(mine !== undefined && { key: mine.privateKey }) });
        expect((await ask(token)).statusCode, JSON.stringify(header).slice(0, 60)).toBe(401);
      }
      expect(evil.far.requests).toEqual([]);
    } finally {
      await evil.close();
    }
  });

  it.each(['eyJhbGciOiJSUzI1NiJ9.e30.', 'eyJ.eyJ.eyJ', 'ey.ey.ey', `ey${'J'.repeat(8_000)}.${'x'.repeat(500)}.x`])(
    'that is none (%#) is 401 and asks nobody',
    async (token) => {
      expect((await world().ask(token)).statusCode).toBe(401);
      expect(issuer.far.requests).toEqual([]);
    },
  );

  it('may be made by an elliptic curve', async () => {
    await issuer.addKey('curve', 'ES256');
    expect((await world().ask(await issuer.token(AT, { kid: 'curve', header: { alg: 'ES256' } }))).statusCode).toBe(200);
  });
});

describe('the keys of an issuer', () => {
  const own = handClock();
  let running: Issuer[] = [];
  beforeEach(async () => {
    for (const one of running) await one.close();
    issuer = await startIssuer();
    running = [issuer];
  });
  afterAll(async () => {
    for (const one of running) await one.close();
  });
  const keyed = (change: Partial<Provider> = {}) => {
    const server = serve({ clock: own, callers: callers({ http, oidc: [provider(change)] }) });
    return { ...server, ask: (token: string) => server.get('/api/v1/analyses', { authorization: `Bearer ${token}` }) };
  };

  it('are fetched anew for a key that is not known, at most every half minute', async () => {
    const { ask, page } = keyed();
    expect((await ask(await issuer.token(own.now()))).statusCode).toBe(200);
    await issuer.addKey('two');
    const rotated = () => issuer.token(own.now(), { kid: 'two' });
    // Too early to ask again: anybody can name a key.
    expect((await ask(await rotated())).statusCode).toBe(401);
    expect(await page()).toContain('reason="unknown_key"} 1');
    expect(issuer.fetches()).toBe(1);
    own.move(31_000);
    expect((await ask(await rotated())).statusCode).toBe(200);
    expect(issuer.fetches()).toBe(2);
    for (let n = 0; n < 20; n += 1) {
      const token = await issuer.token(own.now(), { header: { kid: `made-up-${n}` } });
      expect((await ask(token)).statusCode).toBe(401);
    }
    expect(issuer.fetches()).toBe(2);
  });

  it('that were withdrawn are not accepted when the fetched ones are too old', async () => {
    const { ask } = keyed();
    const old = await issuer.token(own.now());
    expect((await ask(old)).statusCode).toBe(200);
    await issuer.addKey('two');
    issuer.keys.delete('one');
    issuer.publish();
    own.move(601_000);
    const late = await issuer.token(own.now(), { kid: 'two' });
    expect((await ask(late)).statusCode).toBe(200);
  });

  it.each<[string, () => void]>([
    ['does not answer', () => issuer.far.on('/keys', { kind: 'hang' })],
    ['cuts the connection', () => issuer.far.on('/keys', { kind: 'drop' })],
    ['answers 500', () => issuer.far.on('/keys', { kind: 'answer', status: 500, body: '{}' })],
    ['redirects', () => issuer.far.on('/keys', { kind: 'answer', status: 302, headers: { location: '/keys2' } })],
    ['answers with too much', () => issuer.far.on('/keys', { kind: 'huge', bytes: 2_000_000 })],
    ['answers with no JSON', () => issuer.far.on('/keys', { kind: 'answer', body: '<html>' })],
    ['answers with no keys', () => issuer.far.on('/keys', { kind: 'answer', body: '{"keys":7}' })],
    ['names another issuer', () => issuer.discovery({ issuer: 'https://accounts.example', jwks_uri: `${issuer.issuer}/keys` })],
    ['names no keys', () => issuer.discovery({ issuer: issuer.issuer })],
    [
      'names an address of the machine',
      () => issuer.discovery({ issuer: issuer.issuer, jwks_uri: 'http://169.254.169.254/latest' }),
    ],
  ])('cannot be had when it %s: 503, because the caller did nothing wrong', async (_what, breakIt) => {
    breakIt();
    const { ask, page, lines } = keyed({ timeout: '200ms' });
    const answer = await ask(await issuer.token(own.now()));
    expect(answer.json()).toMatchObject({ status: 503, code: 'identity_provider_unavailable' });
    expect(answer.headers['retry-after']).toBe('5');
    // Who asks is not known yet: the answer names no host, the log does.
    expect(answer.body).not.toContain('127.0.0.1');
    expect(lines.join('')).toContain(issuer.issuer);
    expect(await page()).not.toContain('davylamp_auth_failures_total{kind="oidc"');
  });

  it('are used on while the issuer is away, and a failing issuer is not asked for each request', async () => {
    const { ask } = keyed();
    expect((await ask(await issuer.token(own.now()))).statusCode).toBe(200);
    issuer.far.on('/keys', { kind: 'answer', status: 503, body: '' });
    own.move(3_600_000);
    for (let n = 0; n < 10; n += 1) expect((await ask(await issuer.token(own.now()))).statusCode).toBe(200);
    expect(issuer.fetches()).toBe(2);
    own.move(24 * 3_600_000);
    expect((await ask(await issuer.token(own.now()))).statusCode).toBe(503);
  });

  it('of symmetric kinds are never used', async () => {
    const secret = Buffer.alloc(32, 7);
    const shared = { kty: 'oct', k: secret.toString('base64url'), kid: 'shared', alg: 'HS256' };
    issuer.far.on('/keys', { kind: 'answer', body: JSON.stringify({ keys: [shared] }) });
    const token = await issuer.token(own.now(), { header: { alg: 'HS256', kid: 'shared' }, key: secret });
    expect((await keyed().ask(token)).statusCode).toBe(401);
  });
});
