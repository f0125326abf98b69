import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHttpClient, type HttpClient, type TlsMaterial } from './client.ts';

const file = (name: string) => readFileSync(new URL(`../../test/fixtures/tls/${name}`, import.meta.url), 'utf8');
const ca = file('authority.pem');
const pair = { cert: file('client-ci.pem'), key: file('client-ci.key.pem') };
let server: Server;
let client: HttpClient;
let url: string;

beforeEach(async () => {
  server = createServer(
    { ca, cert: file('server.pem'), key: file('server.key.pem'), requestCert: true, rejectUnauthorized: false },
    (request, response) => response.end(String((request.socket as TLSSocket).authorized)),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  url = `https://127.0.0.1:${address.port}/`;
  client = createHttpClient();
});
afterEach(async () => {
  await client.close();
  server.closeAllConnections();
  server.close();
});

async function get(tls?: TlsMaterial): Promise<string> {
  const request = { method: 'GET', url, timeoutMs: 5_000, maxBodyBytes: 1_000, ...(tls !== undefined && { tls }) } as const;
  return (await client.request(request, new AbortController().signal)).text;
}

describe('the HTTP client with certificates', () => {
  it('trusts an authority of its own, and shows the certificate that it was given', async () => {
    expect(await get({ ca })).toBe('false');
    expect(await get({ ca, ...pair })).toBe('true');
    expect(await get({ ca })).toBe('false');
  });

  it('does not trust the server otherwise', async () => {
    await expect(get()).rejects.toMatchObject({ code: 'connect_failed' });
    await expect(get({ ca: pair.cert })).rejects.toMatchObject({ code: 'connect_failed' });
  });
});
