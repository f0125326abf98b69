import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CodedError } from '../../src/errors.ts';
import type { Forge } from '../../src/forge/port.ts';
import { createForge } from '../../src/forge/registry.ts';
import { WEBHOOK_SECRET, webhookOf } from '../support/forges/worlds.ts';
import { handClock, serve, sha256 } from './serving.ts';

interface Hint {
  repository: string;
  branch: string;
  kind: string;
}

async function world(change: { readSecret?: (file: string) => Promise<string> } = {}) {
  const repository = { name: 'shop', url: 'https://github.com/acme/deploy.git', branch: 'main', tokenFile: 'token' };
  const deps = {
    http: { request: () => Promise.reject(new Error('a webhook calls nobody')) },
    clock: handClock(),
    readSecret: () => Promise.resolve(WEBHOOK_SECRET),
    ...change,
  };
  const forges = new Map<string, Forge>([
    ['shop', await createForge({ type: 'github', webhookSecretFile: 'secret' }, repository, deps)],
    ['polled', await createForge({ type: 'github' }, repository, deps)],
    ['plain', await createForge('none', repository, deps)],
  ]);
  const hints: Hint[] = [];
  const server = serve({
    // Callers need tokens everywhere else.
    tokens: [{ name: 'ci', sha256: sha256('x'), scopes: ['analyses:read'] }],
    forges: { of: (name) => forges.get(name), onHint: (hint) => void hints.push(hint) },
  });
  return { server, hints };
}

describe('the webhook of a forge', () => {
  it('is taken without another credential when its signature fits, and is a hint', async () => {
    const { server, hints } = await world();
    for (const [kind, branch] of [
      ['proposal', 'davylamp/rb-1'],
      ['push', 'main'],
    ] as const) {
      const { headers, body } = webhookOf('github', kind, branch, 'acme/deploy');
      const answer = await server.post('/webhooks/forge/shop', headers, body);
      expect([answer.statusCode, answer.json()]).toEqual([202, { kind }]);
    }
    expect(hints).toEqual([
      { repository: 'shop', branch: 'davylamp/rb-1', kind: 'proposal' },
      { repository: 'shop', branch: 'main', kind: 'push' },
    ]);
  });

  it('is taken as a form, too, which is the default of GitHub', async () => {
    const { server, hints } = await world();
    const { headers, body } = webhookOf('github', 'push', 'main', 'acme/deploy');
    const form = `payload=${encodeURIComponent(body.toString('utf8'))}`;
    const signature = `sha256=${createHmac('sha256', WEBHOOK_SECRET).update(form).digest('hex')}`;
    const sent = { ...headers, 'content-type': 'application/x-www-form-urlencoded', 'x-hub-signature-256': signature };
    expect((await server.post('/webhooks/forge/shop', sent, form)).statusCode).toBe(202);
    expect(hints).toHaveLength(1);
  });

  it('leads to nothing for another repository, another event, or a tag', async () => {
    const { server, hints } = await world();
    const signed = (headers: Record<string, string>, payload: unknown) => {
      const body = JSON.stringify(payload);
      const signature = `sha256=${createHmac('sha256', WEBHOOK_SECRET).update(body).digest('hex')}`;
      return server.post(
        '/webhooks/forge/shop',
        { 'content-type': 'application/json', 'x-hub-signature-256': signature, ...headers },
        body,
      );
    };
    const { headers, body } = webhookOf('github', 'push', 'main', 'acme/elsewhere');
    expect((await server.post('/webhooks/forge/shop', headers, body)).json()).toEqual({ kind: 'other' });
    const full = { repository: { full_name: 'acme/deploy' } };
    expect((await signed({ 'x-github-event': 'ping' }, { zen: 'x', ...full })).json()).toEqual({ kind: 'other' });
    expect((await signed({ 'x-github-event': 'push' }, { ref: 'refs/tags/v1', ...full })).json()).toEqual({ kind: 'other' });
    expect(
      (await signed({ 'x-github-event': 'pull_request' }, { pull_request: { head: { ref: { x: 1 } } }, ...full })).json(),
    ).toEqual({ kind: 'other' });
    expect(hints).toEqual([]);
  });

  it.each(['nowhere', 'polled', 'plain', '__proto__'])('is unknown at a repository that takes none: %s', async (name) => {
    const { server } = await world();
    const { headers, body } = webhookOf('github', 'push', 'main', 'acme/deploy');
    const answer = await server.post(`/webhooks/forge/${name}`, headers, body);
    expect([answer.statusCode, answer.json<{ code: string }>().code]).toEqual([404, 'repository_unknown']);
  });

  it('is refused and counted when the signature is missing or wrong', async () => {
    const { server, hints } = await world();
    const { headers, body } = webhookOf('github', 'push', 'main', 'acme/deploy');
    const { 'x-hub-signature-256': signature = '', ...unsigned } = headers;
    const tries = [
      server.post('/webhooks/forge/shop', unsigned, body),
      server.post('/webhooks/forge/shop', { ...unsigned, 'x-hub-signature-256': `${signature.slice(0, -1)}!` }, body),
      server.post('/webhooks/forge/shop', headers, Buffer.concat([body, Buffer.from(' ')])),
      server.post('/webhooks/forge/shop', { ...unsigned, authorization: 'Bearer x' }, body),
      server.post('/webhooks/forge/shop', unsigned),
    ];
    for (const answer of await Promise.all(tries)) {
      expect([answer.statusCode, answer.json<{ code: string }>().code]).toEqual([401, 'webhook_signature_wrong']);
    }
    expect(hints).toEqual([]);
    expect(await server.page()).toMatch(/kind="forge"[^\n]* 5$/m);
  });

  it('is refused when it is too large, not JSON, or nothing that a forge sends', async () => {
    const { server } = await world();
    const { headers } = webhookOf('github', 'push', 'main', 'acme/deploy');
    expect((await server.post('/webhooks/forge/shop', headers, Buffer.alloc(3_200_000, 32))).statusCode).toBe(413);
    expect((await server.post('/webhooks/forge/shop', { ...headers, 'content-type': 'text/xml' }, '<x/>')).statusCode).toBe(415);
    for (const text of ['{', '[]', '"x"', '']) {
      const signature = `sha256=${createHmac('sha256', WEBHOOK_SECRET).update(text).digest('hex')}`;
      const answer = await server.post('/webhooks/forge/shop', { ...headers, 'x-hub-signature-256': signature }, text);
      expect([answer.statusCode, answer.json<{ code: string }>().code]).toEqual([400, 'webhook_invalid']);
    }
  });

  it('may come again when its secret cannot be read now', async () => {
    const fault = new CodedError('secret_unreadable', 'cannot read the file /run/secrets/hook', { retryable: true });
    const { server } = await world({ readSecret: () => Promise.reject(fault) });
    const { headers, body } = webhookOf('github', 'push', 'main', 'acme/deploy');
    expect((await server.post('/webhooks/forge/shop', headers, body)).statusCode).toBe(503);
  });

  it('takes no form at any other address', async () => {
    const { server } = await world();
    const form = { 'content-type': 'application/x-www-form-urlencoded', authorization: 'Bearer x' };
    expect((await server.post('/api/v1/analyses', form, 'a=b')).statusCode).not.toBe(202);
    const here = serve();
    expect((await here.post('/api/v1/analyses', form, 'a=b')).statusCode).toBe(415);
  });
});
