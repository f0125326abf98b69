import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Value } from 'typebox/value';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { parse } from 'yaml';
import { createHttpClient, type HttpClient } from '../net/client.ts';
import type { Notice } from './port.ts';
import { createChannel } from './registry.ts';
import { Notify, type WebhookChannel } from './schema.ts';

const NOW = Date.parse('2026-03-01T12:00:00Z');
const notice = (changes: Partial<Notice> = {}): Notice => ({
  id: 'rb-1-7',
  incident: 'rb-1',
  application: 'shop',
  event: 'rollback.held',
  code: 'limit_per_day',
  urgency: 'page',
  title: 'shop: the rollback of 4f2c1d9a7b is held and needs a person',
  sentence: 'two rollbacks were pushed "today"',
  at: NOW,
  facts: { 'bad commit': '4f2c1d9a7b', branch: 'main' },
  links: { rollback: 'https://lamp.example/rollbacks/rb-1' },
  ...changes,
});

let server: Server;
let http: HttpClient;
let bodies: unknown[];
beforeEach(async () => {
  bodies = [];
  server = createServer((request, reply) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      bodies.push(JSON.parse(Buffer.concat(pieces).toString()));
      reply.writeHead(202).end();
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  http = createHttpClient();
});
afterEach(async () => {
  await http.close();
  await new Promise((done) => server.close(done));
});

/** The example as it stands in its file, but for the address, which is that of a server of the test. */
async function channelOf(name: string) {
  const text = await readFile(new URL(`../../examples/notices/${name}.yaml`, import.meta.url), 'utf8');
  const { notify } = parse(text) as { notify: unknown };
  expect([...Value.Errors(Notify, notify)]).toEqual([]);
  const config = (notify as { channels: Record<string, WebhookChannel> }).channels[name];
  if (config === undefined) throw new Error(`the example has no channel ${name}`);
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const { url, ...others } = config;
  return createChannel(url === undefined ? config : { ...others, url: address }, {
    http,
    now: () => NOW,
    readSecret: async (file) => (file === config.urlFile ? address : 'r0uting'),
  });
}
const send = async (name: string, ...notices: Notice[]) => {
  const channel = await channelOf(name);
  for (const one of notices) await channel.send(one, null, new AbortController().signal);
};

it('Discord gets an embed that calls nobody, with an address only where there is one', async () => {
  await send('discord', notice(), notice({ links: {} }));
  const embed = {
    title: 'shop: the rollback of 4f2c1d9a7b is held and needs a person',
    description: 'two rollbacks were pushed "today"',
    timestamp: '2026-03-01T12:00:00.000Z',
    footer: { text: 'shop · limit_per_day' },
  };
  expect(bodies).toEqual([
    { username: 'davylamp', allowed_mentions: { parse: [] }, embeds: [{ ...embed, url: 'https://lamp.example/rollbacks/rb-1' }] },
    { username: 'davylamp', allowed_mentions: { parse: [] }, embeds: [embed] },
  ]);
});

it('Microsoft Teams gets an adaptive card', async () => {
  await send('teams', notice());
  expect(bodies[0]).toMatchObject({
    type: 'message',
    attachments: [
      {
        contentType: 'application/vnd.microsoft.card.adaptive',
        content: {
          type: 'AdaptiveCard',
          body: [
            { type: 'TextBlock', text: notice().title },
            { type: 'TextBlock', text: notice().sentence },
            { facts: [{ value: 'limit_per_day' }, { value: '4f2c1d9a7b' }, { value: 'main' }] },
            { text: 'shop https://lamp.example/rollbacks/rb-1' },
          ],
        },
      },
    ],
  });
});

it('PagerDuty gets a trigger, and a resolve of the same incident', async () => {
  const recovered = notice({ id: 'rb-1-9', event: 'rollback.recovered', code: 'recovered', urgency: 'info' });
  expect((await channelOf('pagerduty')).closes).toBe(true);
  await send('pagerduty', notice(), recovered);
  expect(bodies[0]).toEqual({
    routing_key: 'r0uting',
    event_action: 'trigger',
    dedup_key: 'davylamp/rb-1',
    client: 'davylamp',
    client_url: 'https://lamp.example/rollbacks/rb-1',
    payload: {
      summary: notice().title,
      source: 'davylamp/shop',
      severity: 'critical',
      timestamp: '2026-03-01T12:00:00.000Z',
      component: 'shop',
      class: 'limit_per_day',
      custom_details: { why: notice().sentence, 'bad commit': '4f2c1d9a7b', branch: 'main' },
    },
  });
  expect(bodies[1]).toMatchObject({ event_action: 'resolve', dedup_key: 'davylamp/rb-1', payload: { severity: 'info' } });
});
