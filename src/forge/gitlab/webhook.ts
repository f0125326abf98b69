import type { ForgeDependencies } from '../api.ts';
import type { ForgeEvent } from '../port.ts';
import type { ForgeSettings } from '../settings.ts';
import { branchOfRef, eventOf, hmacOf, payloadOf, sameSecret, signatureWrong, textAt, type WebhookRequest } from '../webhook.ts';

const SIGNING_KEY = /^whsec_([A-Za-z0-9+/]+={0,2})$/;
/** How old a signed message may be, and how far ahead a clock (standardwebhooks.com, "Verifying signatures"). */
const TOLERANCE_S = 300;

/**
 * A signing token (`whsec_…`, GitLab 19): HMAC-SHA256 over id, time and body in `webhook-signature`, as Standard Webhooks has
 * it; any other secret is a secret token, which GitLab sends as it is in `X-Gitlab-Token` ("Webhooks", Delivery headers).
 */
export async function readGitlabWebhook(
  request: WebhookRequest,
  { project, webhookSecretFile }: ForgeSettings,
  { readSecret, clock }: ForgeDependencies,
): Promise<ForgeEvent> {
  if (webhookSecretFile === null) throw signatureWrong();
  const { headers, body } = request;
  const secret = await readSecret(webhookSecretFile);
  const key = SIGNING_KEY.exec(secret)?.[1];
  const fits =
    key === undefined
      ? sameSecret(headers['x-gitlab-token'] ?? '', secret)
      : isSigned(headers, body, Buffer.from(key, 'base64'), clock.now());
  if (!fits) throw signatureWrong();
  const payload = payloadOf(request);
  const about = {
    delivery: headers['webhook-id'] ?? headers['idempotency-key'] ?? headers['x-gitlab-event-uuid'],
    project: textAt(payload, 'project', 'path_with_namespace'),
    expected: project,
  };
  const event = headers['x-gitlab-event'];
  if (event === 'Merge Request Hook') {
    return eventOf({ ...about, kind: 'proposal', branch: textAt(payload, 'object_attributes', 'source_branch') });
  }
  if (event === 'Push Hook') return eventOf({ ...about, kind: 'push', branch: branchOfRef(textAt(payload, 'ref')) });
  return eventOf({ ...about, kind: 'other', branch: null });
}

function isSigned(headers: WebhookRequest['headers'], body: Buffer, key: Buffer, now: number): boolean {
  const id = headers['webhook-id'] ?? '';
  const time = headers['webhook-timestamp'] ?? '';
  if (id === '' || !/^\d{1,12}$/.test(time) || Math.abs(now / 1_000 - Number(time)) > TOLERANCE_S) return false;
  const expected = `v1,${hmacOf(key, Buffer.concat([Buffer.from(`${id}.${time}.`), body]), 'base64')}`;
  // Several signatures stand there while a key is being replaced.
  const given = (headers['webhook-signature'] ?? '').split(' ').slice(0, 10);
  return given.filter((one) => sameSecret(one, expected)).length > 0;
}
