import { createHmac, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { webhookOf } from '../../../test/support/forges/worlds.ts';
import { createForge } from '../registry.ts';

const NOW = Date.parse('2026-03-01T12:00:00Z');
const KEY = randomBytes(32);
const PROJECT = 'acme/platform/deploy';

async function forgeWith(secret: string) {
  return createForge(
    { type: 'gitlab', tokenFile: 'token', webhookSecretFile: 'webhook' },
    { name: 'shop', url: `https://gitlab.com/${PROJECT}.git`, branch: 'main' },
    {
      http: { request: () => Promise.reject(new Error('a webhook calls nobody')) },
      clock: { now: () => NOW },
      readSecret: () => Promise.resolve(secret),
    },
  );
}

/** As Standard Webhooks has it, which GitLab 19 follows (gitlab-org/gitlab merge request 230944). */
function signed(change: { key?: Buffer; at?: number; id?: string } = {}) {
  const { 'x-gitlab-token': _token, ...headers } = webhookOf('gitlab', 'proposal', 'davylamp/rb-1', PROJECT).headers;
  const { body } = webhookOf('gitlab', 'proposal', 'davylamp/rb-1', PROJECT);
  const id = change.id ?? 'f5e5f430';
  const time = String(Math.floor((change.at ?? NOW) / 1_000));
  const signature = createHmac('sha256', change.key ?? KEY)
    .update(`${id}.${time}.${body.toString('utf8')}`)
    .digest('base64');
  return { headers: { ...headers, 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': `v1,${signature}` }, body };
}

describe('a webhook of GitLab with a signing token', () => {
  const secret = `whsec_${KEY.toString('base64')}`;

  it('is taken when the signature over id, time and body fits', async () => {
    const forge = await forgeWith(secret);
    expect(await forge.readWebhook(signed())).toEqual({ delivery: 'f5e5f430', kind: 'proposal', branch: 'davylamp/rb-1' });
  });

  it('is taken when one of several signatures fits, as while the key is replaced', async () => {
    const forge = await forgeWith(secret);
    const { headers, body } = signed();
    const both = `v1,${Buffer.alloc(32).toString('base64')} ${headers['webhook-signature']}`;
    expect(await forge.readWebhook({ headers: { ...headers, 'webhook-signature': both }, body })).toMatchObject({
      kind: 'proposal',
    });
  });

  it('is refused with another key, time or id, or when it is old', async () => {
    const forge = await forgeWith(secret);
    const { headers, body } = signed();
    const wrong = [
      signed({ key: randomBytes(32) }),
      { headers: { ...headers, 'webhook-id': 'other' }, body },
      { headers: { ...headers, 'webhook-timestamp': String(NOW / 1_000 + 1) }, body },
      signed({ at: NOW - 301_000 }),
      signed({ at: NOW + 301_000 }),
      // The signing token itself is no secret token.
      webhookOf('gitlab', 'proposal', 'davylamp/rb-1', PROJECT),
      { headers: { ...webhookOf('gitlab', 'push', 'main', PROJECT).headers, 'x-gitlab-token': secret }, body },
    ];
    for (const request of wrong) {
      await expect(forge.readWebhook(request)).rejects.toMatchObject({ code: 'webhook_signature_wrong' });
    }
  });
});
