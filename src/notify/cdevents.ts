import { post, type ChannelDependencies } from './call.ts';
import type { Channel, Notice } from './port.ts';
import type { CdeventsChannel } from './schema.ts';

const SPEC_VERSION = '0.4.1';

/** Types of CDEvents (cdevents.dev, continuous deployment and continuous operations), by what happened here. */
const TYPES: Readonly<Record<string, { type: string; version: string; subject: 'service' | 'incident' }>> = {
  'rollback.pushed': { type: 'service.rolledback', version: '0.2.0', subject: 'service' },
  'rollback.recovered': { type: 'incident.resolved', version: '0.2.0', subject: 'incident' },
};
const DETECTED = { type: 'incident.detected', version: '0.2.0', subject: 'incident' } as const;

/** CDEvents as CloudEvents in structured mode. An incident begins with the first notice and ends when it recovered. */
export function createCdeventsChannel(config: CdeventsChannel, deps: ChannelDependencies): Channel {
  const source = config.source ?? 'davylamp';
  return {
    type: 'cdevents',
    verified: false,
    closes: true,
    async send(notice, thread, signal) {
      const known = TYPES[notice.event];
      // An incident is detected once; what needs no event of its own is left out.
      if (known === undefined && (thread !== null || notice.urgency === 'info')) return { thread };
      const body = JSON.stringify(eventOf(notice, known ?? DETECTED, source));
      const headers = { 'content-type': 'application/cloudevents+json' };
      await post(deps, { url: config.url, body, headers, tokenFile: config.tokenFile, timeout: config.timeout }, signal);
      return { thread: notice.incident };
    },
  };
}

function eventOf(
  notice: Notice,
  kind: { type: string; version: string; subject: 'service' | 'incident' },
  source: string,
): object {
  const { id, application, incident, sentence, at, facts } = notice;
  const type = `dev.cdevents.${kind.type}.${kind.version}`;
  const timestamp = new Date(at).toISOString();
  const environment = { id: application, source };
  const subject =
    kind.subject === 'service'
      ? {
          id: application,
          source,
          type: 'service',
          content: {
            environment,
            artifactId: `pkg:generic/${encodeURIComponent(application)}@${String(facts['bad commit'] ?? '')}`,
          },
        }
      : {
          id: incident,
          source,
          type: 'incident',
          content: { description: sentence, environment, service: { id: application, source } },
        };
  return {
    specversion: '1.0',
    id,
    source,
    type,
    subject: subject.id,
    time: timestamp,
    datacontenttype: 'application/json',
    data: { context: { version: SPEC_VERSION, id, source, type, timestamp }, subject },
  };
}
