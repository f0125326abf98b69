import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { githubDialect } from '../../../test/support/forges/github.ts';
import type { Dialect } from '../../../test/support/forges/hub.ts';
import { forgeWorld } from '../../../test/support/forges/worlds.ts';

const never = new AbortController().signal;
const HOUR_MS = 3_600_000;
// GitHub hands out PKCS#1.
const keys = generateKeyPairSync('rsa', {
  modulusLength: 2_048,
  privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
});

describe('a GitHub App', () => {
  let now: number;
  let proofs: string[];
  let valid: string[];
  let world: Awaited<ReturnType<typeof forgeWorld>>;
  const app: Dialect = ({ method, path, headers, body }) => {
    const proof = /^Bearer (ey.*)$/.exec(headers.authorization ?? '')?.[1];
    if (path === '/api/v3/app') return { status: 200, body: { slug: 'davylamp' } };
    if (method !== 'POST' || path !== '/api/v3/app/installations/77/access_tokens') return null;
    if (proof === undefined) return { status: 401, body: { message: 'A JSON web token could not be decoded' } };
    proofs.push(`${proof} ${JSON.stringify(body)}`);
    const token = `ghs_installation_${proofs.length}`;
    valid.push(token);
    return {
      status: 201,
      body: { token, expires_at: new Date(now + HOUR_MS).toISOString(), permissions: { contents: 'write' } },
    };
  };
  const start = (key = keys.privateKey) =>
    forgeWorld('github', {
      change: { app: { id: 'Iv23abc', installation: '77', privateKeyFile: 'key' } },
      dialect: githubDialect({ app, tokens: () => valid }),
      deps: { clock: { now: () => now }, readSecret: () => Promise.resolve(key) },
    });
  beforeEach(async () => {
    now = Date.now();
    proofs = [];
    valid = [];
    world = await start();
  });
  afterEach(() => world.close());

  it('proves itself with a JWT of RS256 and gets a token of the repository alone', async () => {
    expect(await world.forge.proposalOf('davylamp/rb-1', never)).toBeNull();
    const [proof = '', body] = (proofs[0] ?? '').split(' ');
    expect(JSON.parse(body ?? '')).toEqual({ repositories: ['deploy'] });
    const { payload, protectedHeader } = await jwtVerify(proof, createPublicKey(keys.publicKey), { algorithms: ['RS256'] });
    expect(protectedHeader.alg).toBe('RS256');
    expect(payload.iss).toBe('Iv23abc');
    // At most ten minutes, and backdated for clocks that differ.
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBeLessThanOrEqual(600);
    expect(payload.iat).toBeLessThanOrEqual(Math.floor(now / 1_000) - 60);
  });

  it('keeps the token until five minutes before its end', async () => {
    const look = () => world.forge.proposalOf('davylamp/rb-1', never);
    await Promise.all([look(), look(), look()]);
    now += HOUR_MS - 301_000;
    await look();
    expect(proofs).toHaveLength(1);
    now += 2_000;
    await look();
    expect(proofs).toHaveLength(2);
  });

  it('gets another one when the token was taken back before its end', async () => {
    await world.forge.proposalOf('davylamp/rb-1', never);
    valid.length = 0;
    expect(await world.forge.proposalOf('davylamp/rb-1', never)).toBeNull();
    expect(proofs).toHaveLength(2);
  });

  it('knows what it closed itself by its own name', async () => {
    world.hub.push('davylamp/rb-1');
    const number = await world.open('us', { branch: 'davylamp/rb-1', title: 'x', body: '' });
    world.hub.end(number, 'closed', 'davylamp[bot]');
    expect(await world.forge.proposalOf('davylamp/rb-1', never)).toMatchObject({ state: 'closed', endedBy: null });
  });

  it('also serves git', async () => {
    expect(await world.forge.gitCredential?.(never)).toEqual({ username: 'x-access-token', token: 'ghs_installation_1' });
  });

  it('says what is wrong with its key without showing it', async () => {
    await world.close();
    world = await start('-----BEGIN RSA PRIVATE KEY-----\ns3cr3tK3y\n-----END RSA PRIVATE KEY-----');
    const failing = world.forge.proposalOf('davylamp/rb-1', never);
    await expect(failing).rejects.toMatchObject({ code: 'forge_token_invalid', message: expect.not.stringContaining('s3cr3t') });
    const { privateKey } = generateKeyPairSync('ed25519', {
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    });
    await world.close();
    world = await start(privateKey);
    await expect(world.forge.proposalOf('x', never)).rejects.toMatchObject({ code: 'forge_token_invalid' });
  });
});
