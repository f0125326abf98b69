/** A process that takes alerts, for `webhook.ts` and `burst.ts`. One JSON line in, one out. */
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { startWebhookService, type ServiceSettings, type Usage } from './webhook-service.ts';

const settings = JSON.parse(process.argv[2] ?? '{}') as ServiceSettings;
const service = await startWebhookService(settings);
await service.app.listen({ host: '127.0.0.1', port: 0 });
const say = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);
let peak = 0;
const sampler = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 50);
say({ port: (service.app.server.address() as AddressInfo).port });

for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'end') break;
  const { user, system } = process.cpuUsage();
  say({
    cpuMicros: user + system,
    rssBytes: process.memoryUsage.rss(),
    peakRssBytes: peak,
    analyses: 0,
    calls: 0,
    open: 0,
    ...(await service.usage()),
  } satisfies Usage);
}
clearInterval(sampler);
await service.close();
