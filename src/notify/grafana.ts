import { post, type ChannelDependencies } from './call.ts';
import type { Channel } from './port.ts';
import type { GrafanaChannel } from './schema.ts';

/** Grafana's annotations API (POST /api/annotations): an organisation-wide annotation, found by its tags. */
export function createGrafanaChannel(config: GrafanaChannel, deps: ChannelDependencies): Channel {
  const url = `${config.url.replace(/\/$/, '')}/api/annotations`;
  return {
    type: 'grafana',
    verified: false,
    async send(notice, thread, signal) {
      const { application, code, event, title, sentence, at } = notice;
      const body = JSON.stringify({ time: at, tags: ['davylamp', application, event, code], text: `${title}\n${sentence}` });
      await post(deps, { url, body, tokenFile: config.tokenFile, timeout: config.timeout }, signal);
      return { thread };
    },
  };
}
