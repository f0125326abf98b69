import { createHmac } from 'node:crypto';
import { CodedError } from '../errors.ts';
import { post, type ChannelDependencies } from './call.ts';
import type { Channel, Notice } from './port.ts';
import type { WebhookChannel } from './schema.ts';
import { filled, templateIn } from './template.ts';

/**
 * A POST of the notice, or of a template filled with it. Signed as Standard Webhooks says
 * (github.com/standard-webhooks/standard-webhooks, spec): the id stays the same when a notice is sent again, so that the
 * receiver can tell.
 *
 * @throws CodedError `notice_template_invalid`, `notice_channel_invalid`
 */
export function createWebhookChannel(config: WebhookChannel, deps: ChannelDependencies & { now: () => number }): Channel {
  const { url, urlFile, templateSecretFile } = config;
  if ((url === undefined) === (urlFile === undefined)) {
    throw new CodedError('notice_channel_invalid', 'a webhook needs its address: set either url or urlFile');
  }
  const template = config.template === undefined ? undefined : templateIn(config.template, templateSecretFile !== undefined);
  return {
    type: 'webhook',
    verified: true,
    // Only a template can say what ends something; everything else is a list of what happened.
    closes: config.template?.includes('${action}') === true,
    async send(notice, thread, signal) {
      const secret = templateSecretFile === undefined ? null : await deps.readSecret(templateSecretFile);
      const body = JSON.stringify(template === undefined ? { ...notice, at: isoOf(notice) } : filled(template, notice, secret));
      const headers: Record<string, string> = { 'webhook-id': notice.id };
      if (config.secretFile !== undefined) {
        const at = String(Math.floor(deps.now() / 1_000));
        headers['webhook-timestamp'] = at;
        headers['webhook-signature'] =
          `v1,${signatureOf(await deps.readSecret(config.secretFile), `${notice.id}.${at}.${body}`)}`;
      }
      const address = url ?? addressIn(await deps.readSecret(urlFile ?? ''));
      await post(deps, { url: address, body, headers, tokenFile: config.tokenFile, timeout: config.timeout }, signal);
      return { thread };
    },
  };
}

/** Its error does not show it: whoever has such an address may write there. */
function addressIn(text: string): string {
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return text;
  throw new CodedError('notice_channel_invalid', 'the file of urlFile holds no address that starts with https://');
}

function isoOf({ at }: Notice): string {
  return new Date(at).toISOString();
}

const LEAST_KEY_BYTES = 24;

function signatureOf(secret: string, text: string): string {
  const key = Buffer.from(secret.startsWith('whsec_') ? secret.slice('whsec_'.length) : secret, 'base64');
  if (key.length < LEAST_KEY_BYTES) {
    const sentence = `the secret of the webhook has fewer than ${LEAST_KEY_BYTES} bytes; make one with: openssl rand -base64 32`;
    throw new CodedError('notice_secret_invalid', sentence);
  }
  return createHmac('sha256', key).update(text).digest('base64');
}
