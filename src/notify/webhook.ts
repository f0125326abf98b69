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
 * @throws CodedError `notice_template_invalid`
 */
export function createWebhookChannel(config: WebhookChannel, deps: ChannelDependencies & { now: () => number }): Channel {
  const template = config.template === undefined ? undefined : templateIn(config.template);
  return {
    type: 'webhook',
    verified: true,
    async send(notice, thread, signal) {
      const body = JSON.stringify(template === undefined ? { ...notice, at: isoOf(notice) } : filled(template, notice));
      const headers: Record<string, string> = { 'webhook-id': notice.id };
      if (config.secretFile !== undefined) {
        const at = String(Math.floor(deps.now() / 1_000));
        headers['webhook-timestamp'] = at;
        headers['webhook-signature'] =
          `v1,${signatureOf(await deps.readSecret(config.secretFile), `${notice.id}.${at}.${body}`)}`;
      }
      await post(deps, { url: config.url, body, headers, tokenFile: config.tokenFile, timeout: config.timeout }, signal);
      return { thread };
    },
  };
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
