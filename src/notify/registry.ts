import type { ChannelDependencies } from './call.ts';
import type { Channel } from './port.ts';
import type { ChannelConfig } from './schema.ts';

/** Every channel there is: a new one is one file and one line here. Imported when it is configured, not before. */
export async function createChannel(config: ChannelConfig, deps: ChannelDependencies & { now: () => number }): Promise<Channel> {
  switch (config.type) {
    case 'slack':
      return (await import('./slack.ts')).createSlackChannel(config, deps);
    case 'webhook':
      return (await import('./webhook.ts')).createWebhookChannel(config, deps);
    case 'alertmanager':
      return (await import('./alertmanager.ts')).createAlertmanagerChannel(config, deps);
    case 'grafana':
      return (await import('./grafana.ts')).createGrafanaChannel(config, deps);
    case 'cdevents':
      return (await import('./cdevents.ts')).createCdeventsChannel(config, deps);
  }
}
