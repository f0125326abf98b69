import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { CodedError } from '../errors.ts';
import { post, type ChannelDependencies } from './call.ts';
import type { Channel, Notice } from './port.ts';
import type { SlackChannel } from './schema.ts';

const Answer = Type.Object({ ok: Type.Boolean(), ts: Type.Optional(Type.String()), error: Type.Optional(Type.String()) });
/** Errors of chat.postMessage that pass (api.slack.com, chat.postMessage). */
const PASSING: ReadonlySet<string> = new Set([
  'ratelimited',
  'internal_error',
  'fatal_error',
  'service_unavailable',
  'request_timeout',
]);
const SIGN = { page: ':rotating_light:', warn: ':warning:', info: ':information_source:' } as const;
const TEXT_LIMIT = 2_900;

/** Slack, by `chat.postMessage`: the first notice of an incident begins a thread, the others answer in it. */
export function createSlackChannel(config: SlackChannel, deps: ChannelDependencies): Channel {
  const url = `${(config.url ?? 'https://slack.com/api').replace(/\/$/, '')}/chat.postMessage`;
  return {
    type: 'slack',
    verified: false,
    async send(notice, thread, signal) {
      const text = `${SIGN[notice.urgency]} *${escaped(notice.title)}*`;
      const body = JSON.stringify({
        channel: config.channel,
        text: `${notice.title}: ${notice.sentence}`.slice(0, TEXT_LIMIT),
        blocks: [
          { type: 'section', text: { type: 'mrkdwn', text: `${text}\n${escaped(notice.sentence)}`.slice(0, TEXT_LIMIT) } },
          { type: 'context', elements: [{ type: 'mrkdwn', text: contextOf(notice).slice(0, TEXT_LIMIT) }] },
        ],
        unfurl_links: false,
        ...(thread !== null && { thread_ts: thread, reply_broadcast: notice.urgency === 'page' }),
        metadata: { event_type: 'davylamp_notice', event_payload: { id: notice.id, code: notice.code } },
      });
      const response = await post(deps, { url, body, tokenFile: config.tokenFile, timeout: config.timeout }, signal);
      const answer = answerIn(response.text);
      if (!answer.ok) {
        const code = answer.error ?? 'unknown_error';
        const retryable = PASSING.has(code);
        const sentence = `Slack refused the notice (${code.slice(0, 100)}); check the token's scope chat:write and that the app is in the channel`;
        throw new CodedError(retryable ? 'notice_failed' : 'notice_refused', sentence, { retryable });
      }
      return { thread: thread ?? answer.ts ?? null };
    },
  };
}

function answerIn(text: string): { ok: boolean; ts?: string; error?: string } {
  try {
    const value: unknown = JSON.parse(text);
    if (Value.Check(Answer, value)) return value;
  } catch {
    // Said below, as for any other answer that is not Slack's.
  }
  throw new CodedError('notice_failed', 'the answer is not one of Slack; check url', { retryable: true });
}

/** The three characters that Slack reads as markup (docs.slack.dev, formatting text). */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function contextOf({ application, code, links, facts }: Notice): string {
  const named = Object.entries(links).map(([name, url]) => `<${escaped(url).replaceAll('|', '%7C')}|${escaped(name)}>`);
  const figures = Object.entries(facts).flatMap(([name, value]) =>
    value === null ? [] : [`${escaped(name)}: ${escaped(String(value))}`],
  );
  return [`${escaped(application)} · ${escaped(code)}`, ...named, ...figures].join(' · ');
}
