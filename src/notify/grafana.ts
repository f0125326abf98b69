import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { CodedError } from '../errors.ts';
import { post, type ChannelDependencies } from './call.ts';
import type { Channel } from './port.ts';
import type { GrafanaChannel } from './schema.ts';

const Created = Type.Object({ id: Type.Integer() });

/**
 * Grafana's annotations API (POST /api/annotations, PATCH /api/annotations/:id): one organisation-wide annotation an incident,
 * found by its tags. It is a region from the first notice to the last one, with the words and the tags of the last one.
 */
export function createGrafanaChannel(config: GrafanaChannel, deps: ChannelDependencies): Channel {
  const url = `${config.url.replace(/\/$/, '')}/api/annotations`;
  const { tokenFile, timeout } = config;
  return {
    type: 'grafana',
    verified: false,
    closes: true,
    async send(notice, thread, signal) {
      const { application, code, event, incident, title, sentence, at } = notice;
      const shown = { tags: ['davylamp', application, incident, event, code], text: `${title}\n${sentence}` };
      if (thread !== null) {
        const body = JSON.stringify({ ...shown, timeEnd: at });
        const patch = { method: 'PATCH' as const, url: `${url}/${encodeURIComponent(thread)}`, body, tokenFile, timeout };
        try {
          await post(deps, patch, signal);
          return { thread };
        } catch (error) {
          // Somebody deleted it: another one says how it went on.
          if (!(error instanceof CodedError) || error.details['status'] !== 404) throw error;
        }
      }
      const { text } = await post(deps, { url, body: JSON.stringify({ ...shown, time: at }), tokenFile, timeout }, signal);
      return { thread: idIn(text) };
    },
  };
}

/** Without an id the next notice is an annotation of its own. */
function idIn(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text);
    return Value.Check(Created, value) ? String(value.id) : null;
  } catch {
    return null;
  }
}
