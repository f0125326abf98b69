import { createHash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { standIns } from '../../test/support/http-stand-ins.ts';
import { createServer } from './server.ts';

const open: FastifyInstance[] = [];
afterEach(async () => {
  for (const app of open.splice(0)) await app.close();
});

const digest = (token: string) => createHash('sha256').update(token).digest('hex');
const SHA = '4f2c1d9a7be30c55d1e8f6a2b94d07c3e1f5a688';
const LEDGER = '/api/v1/applications/shop/ledger';

function serve(tokens: Parameters<typeof standIns>[0] = {}) {
  const parts = standIns(tokens);
  const app = createServer(parts.deps);
  open.push(app);
  const ask = (method: 'GET' | 'POST', url: string, payload?: object, token?: string) =>
    app.inject({
      method,
      url,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      ...(payload !== undefined && { payload }),
    });
  return { ...parts, ask };
}

describe('the ledger of an application', () => {
  it('is listed page by page, and by standing', async () => {
    const { ask } = serve();
    await ask('POST', `${LEDGER}/${SHA}/mark`, { standing: 'bad', reason: 'it lost orders' });
    const first = (await ask('GET', `${LEDGER}?limit=1`)).json<{ items: { revision: string }[]; next: string }>();
    expect(first).toMatchObject({ items: [{ revision: SHA, standing: 'bad' }], next: '1' });
    const second = await ask('GET', `${LEDGER}?limit=1&cursor=${first.next}`);
    expect(second.json()).toMatchObject({ items: [{ standing: 'good', rank: 'proved' }], next: null });
    expect((await ask('GET', `${LEDGER}?standing=bad`)).json<{ items: unknown[] }>().items).toHaveLength(1);
  });

  it('answers 404 for an application that is not there, and 400 for what is no standing', async () => {
    const { ask } = serve();
    expect((await ask('GET', '/api/v1/applications/shpo/ledger')).json()).toMatchObject({
      status: 404,
      code: 'application_unknown',
    });
    expect((await ask('GET', `${LEDGER}?standing=fine`)).json()).toMatchObject({ status: 400, code: 'query_invalid' });
  });
});

describe('marking a revision', () => {
  it('writes down who says so, and why', async () => {
    const { ask, ledger } = serve();
    const answer = await ask('POST', `${LEDGER}/${SHA}/mark`, { standing: 'good', reason: 'it was the database' });
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toMatchObject({ revision: SHA, standing: 'good', by: 'anonymous', reason: 'it was the database' });
    expect(ledger.entries).toHaveLength(2);
  });

  it.each([
    [`${LEDGER}/${SHA}/mark`, { standing: 'suspect', reason: 'who knows' }, 400, 'body_invalid'],
    [`${LEDGER}/${SHA}/mark`, { standing: 'bad' }, 400, 'body_invalid'],
    [`${LEDGER}/${SHA}/mark`, { standing: 'bad', reason: '' }, 400, 'body_invalid'],
    [`${LEDGER}/v1.4.0/mark`, { standing: 'bad', reason: 'it lost orders' }, 400, 'path_invalid'],
    [`${LEDGER}/deadbeef/mark`, { standing: 'bad', reason: 'it lost orders' }, 422, 'commit_unknown'],
  ])('of %s with %j is refused with %i %s, and nothing is marked', async (url, body, status, code) => {
    const { ask, ledger } = serve();
    expect((await ask('POST', url, body)).json()).toMatchObject({ status, code });
    expect(ledger.entries).toHaveLength(1);
  });

  it('takes the right to approve, for this application', async () => {
    const { ask, ledger } = serve({
      tokens: [
        { name: 'ci', sha256: digest('reads'), scopes: ['analyses:read'] },
        { name: 'cart', sha256: digest('other'), scopes: ['rollbacks:approve'], applications: ['cart'] },
        { name: 'ada', sha256: digest('approves'), scopes: ['rollbacks:approve'] },
      ],
    });
    const mark = (token?: string) => ask('POST', `${LEDGER}/${SHA}/mark`, { standing: 'bad', reason: 'it lost orders' }, token);
    expect((await mark()).statusCode).toBe(401);
    expect((await mark('reads')).json()).toMatchObject({ code: 'forbidden' });
    expect((await mark('other')).json()).toMatchObject({ code: 'forbidden' });
    expect((await ask('GET', LEDGER, undefined, 'other')).json()).toMatchObject({ code: 'forbidden' });
    expect(ledger.entries).toHaveLength(1);
    expect((await mark('approves')).json()).toMatchObject({ by: 'ada' });
  });
});
