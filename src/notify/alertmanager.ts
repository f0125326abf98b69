import { post, type ChannelDependencies } from './call.ts';
import type { Channel, Notice } from './port.ts';
import type { AlertmanagerChannel } from './schema.ts';

/** How long an alert fires when nothing more is heard of it; a person has it by then. */
const FIRES_FOR_MS = 24 * 3_600_000;

/**
 * Alertmanager's API v2 (POST /api/v2/alerts). What needs a person fires, with the same labels for one incident; what comes
 * later in the incident and needs nobody resolves it.
 */
export function createAlertmanagerChannel(config: AlertmanagerChannel, deps: ChannelDependencies): Channel {
  const url = `${config.url.replace(/\/$/, '')}/api/v2/alerts`;
  return {
    type: 'alertmanager',
    verified: true,
    closes: true,
    async send(notice, thread, signal) {
      const fires = notice.urgency === 'page';
      // Nothing fired, so there is nothing to resolve.
      if (!fires && thread === null) return { thread: null };
      const body = JSON.stringify([alertOf(notice, fires, config.labels ?? {})]);
      await post(deps, { url, body, tokenFile: config.tokenFile, timeout: config.timeout }, signal);
      return { thread: fires ? notice.incident : thread };
    },
  };
}

function alertOf(notice: Notice, fires: boolean, labels: Readonly<Record<string, string>>): object {
  const { application, incident, sentence, title, at, links } = notice;
  const [link] = Object.values(links);
  return {
    // The code changes within an incident, so it is no label: the alert that fires and the one that resolves are the same.
    labels: { ...labels, alertname: 'DavylampNeedsAPerson', application, incident, severity: 'critical' },
    annotations: { summary: title, description: sentence, code: notice.code },
    startsAt: fires ? new Date(at).toISOString() : undefined,
    endsAt: new Date(fires ? at + FIRES_FOR_MS : at).toISOString(),
    ...(link !== undefined && { generatorURL: link }),
  };
}
