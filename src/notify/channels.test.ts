import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as Schema from 'typebox/schema';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHttpClient, type HttpClient } from '../net/client.ts';
import type { Channel, Notice } from './port.ts';
import { createChannel } from './registry.ts';
import type { ChannelConfig } from './schema.ts';

const SECRET = `whsec_${Buffer.from('0123456789abcdef0123456789abcdef').toString('base64')}`;
const NOW = 1_700_000_000_000;
const signal = new AbortController().signal;

const notice = (changes: Partial<Notice> = {}): Notice => ({
  id: 'rb-1-7',
  incident: 'rb-1',
  application: 'shop',
  event: 'rollback.held',
  code: 'limit_per_day',
  urgency: 'page',
  title: 'shop: the rollback of 4f2c1d9a7b is held & needs a <person>',
  sentence: 'Say "yes" or "no" to @everyone',
  at: NOW,
  facts: { 'bad commit': '4f2c1d9a7b', branch: 'main', mode: null },
  links: { rollback: 'https://davylamp.example/rollbacks/rb-1' },
  ...changes,
});

interface Call {
  method: string;
  url: string;
  headers: IncomingHttpHeaders;
  body: string;
}

interface CdEvent {
  context: { id: string; source: string; type: string };
  subject: { id: string };
}
/** From cdevents/spec 0.4.0, schemas/: what they say of the three events that are sent. */
const schemas = JSON.parse(
  await readFile(new URL('../../test/fixtures/cdevents/schemas-0.4.json', import.meta.url), 'utf8'),
) as Record<string, object>;

describe('channels', () => {
  let server: Server;
  let http: HttpClient;
  let base: string;
  const calls: Call[] = [];
  const files: Record<string, string> = { secret: SECRET };
  let answer: { status: number; body: string; headers?: Record<string, string> };

  beforeEach(async () => {
    calls.length = 0;
    answer = { status: 200, body: '{"ok":true,"ts":"17.5"}' };
    server = createServer((request, reply) => {
      const pieces: Buffer[] = [];
      request.on('data', (piece: Buffer) => pieces.push(piece));
      request.on('end', () => {
        calls.push({
          method: request.method ?? '',
          url: request.url ?? '',
          headers: request.headers,
          body: Buffer.concat(pieces).toString(),
        });
        reply.writeHead(answer.status, answer.headers).end(answer.body);
      });
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    http = createHttpClient();
  });
  afterEach(async () => {
    await http.close();
    await new Promise((done) => server.close(done));
  });

  const channel = (config: ChannelConfig): Promise<Channel> =>
    createChannel(config, { http, readSecret: async (file) => files[file] ?? 'a-token', now: () => NOW });
  const bodyOf = (at: number): unknown => JSON.parse(calls[at]?.body ?? 'null');

  it('begins a thread in Slack and answers in it, without its markup in foreign text', async () => {
    const slack = await channel({ type: 'slack', tokenFile: 'token', channel: 'C1', url: base });
    expect(await slack.send(notice(), null, signal)).toEqual({ thread: '17.5' });
    expect(await slack.send(notice({ urgency: 'info' }), '17.5', signal)).toEqual({ thread: '17.5' });
    expect(calls[0]).toMatchObject({ url: '/chat.postMessage', headers: { authorization: 'Bearer a-token' } });
    expect(calls[0]?.body).toContain('held &amp; needs a &lt;person&gt;');
    expect(bodyOf(0)).not.toHaveProperty('thread_ts');
    expect(bodyOf(1)).toMatchObject({ channel: 'C1', thread_ts: '17.5', reply_broadcast: false });
  });

  it.each([
    ['notice_refused', false, { status: 200, body: '{"ok":false,"error":"not_in_channel"}' }],
    ['notice_failed', true, { status: 200, body: '{"ok":false,"error":"ratelimited"}' }],
    ['notice_failed', true, { status: 200, body: '<html>' }],
    ['notice_failed', true, { status: 503, body: '' }],
    ['notice_failed', true, { status: 429, body: '' }],
    ['notice_refused', false, { status: 401, body: '' }],
    ['notice_refused', false, { status: 302, body: '' }],
  ])('says %s (retryable: %s) of an answer', async (code, retryable, given) => {
    answer = given;
    const slack = await channel({ type: 'slack', tokenFile: 'token', channel: 'C1', url: base });
    await expect(slack.send(notice(), null, signal)).rejects.toMatchObject({ code, retryable });
  });

  it('signs what a webhook gets, under an id that stays', async () => {
    const webhook = await channel({ type: 'webhook', url: `${base}/in`, secretFile: 'secret' });
    await webhook.send(notice(), null, signal);
    await webhook.send(notice(), null, signal);
    const [call, again] = calls;
    expect(again?.headers['webhook-id']).toBe(call?.headers['webhook-id']);
    const key = Buffer.from(SECRET.slice('whsec_'.length), 'base64');
    const signed = createHmac('sha256', key)
      .update(`rb-1-7.${NOW / 1_000}.${call?.body ?? ''}`)
      .digest('base64');
    expect(call?.headers['webhook-signature']).toBe(`v1,${signed}`);
    expect(bodyOf(0)).toMatchObject({ event: 'rollback.held', at: '2023-11-14T22:13:20.000Z', facts: { branch: 'main' } });
  });

  it('fills a template in without letting a text break out of it', async () => {
    const template = { text: '${title}: ${sentence}', tags: ['${code}', '${facts.branch}', '${facts.none}'], n: 1 };
    const webhook = await channel({ type: 'webhook', url: base, template: JSON.stringify(template), tokenFile: 'token' });
    await webhook.send(notice(), null, signal);
    expect(bodyOf(0)).toEqual({
      text: `${notice().title}: ${notice().sentence}`,
      tags: ['limit_per_day', 'main', ''],
      n: 1,
    });
    for (const wrong of ['{"a": "${nobody}"}', '{a: 1}']) {
      await expect(channel({ type: 'webhook', url: base, template: wrong })).rejects.toMatchObject({
        code: 'notice_template_invalid',
      });
    }
  });

  it('fires an alert for what needs a person, and resolves the same alert afterwards', async () => {
    const alerts = await channel({ type: 'alertmanager', url: base, labels: { team: 'shop' } });
    expect(await alerts.send(notice({ urgency: 'info' }), null, signal)).toEqual({ thread: null });
    expect(calls).toHaveLength(0);
    const { thread } = await alerts.send(notice(), null, signal);
    await alerts.send(
      notice({ urgency: 'info', event: 'rollback.recovered', code: 'recovered', at: NOW + 60_000 }),
      thread,
      signal,
    );
    const [[fired], [resolved]] = [bodyOf(0), bodyOf(1)] as { labels: object; endsAt: string }[][] as [
      { labels: object; endsAt: string }[],
      { labels: object; endsAt: string }[],
    ];
    expect(calls[0]?.url).toBe('/api/v2/alerts');
    expect(fired?.labels).toEqual({
      alertname: 'DavylampNeedsAPerson',
      application: 'shop',
      incident: 'rb-1',
      severity: 'critical',
      team: 'shop',
    });
    expect(resolved?.labels).toEqual(fired?.labels);
    expect(Date.parse(resolved?.endsAt ?? '')).toBe(NOW + 60_000);
    expect(Date.parse(fired?.endsAt ?? '')).toBeGreaterThan(NOW);
  });

  it('marks an incident in Grafana as one region, from its first notice to its last', async () => {
    answer = { status: 200, body: '{"message":"Annotation added","id":12}' };
    const grafana = await channel({ type: 'grafana', url: `${base}/`, tokenFile: 'token' });
    const { thread } = await grafana.send(notice(), null, signal);
    expect(calls[0]).toMatchObject({ method: 'POST', url: '/api/annotations' });
    expect(bodyOf(0)).toMatchObject({ time: NOW, tags: ['davylamp', 'shop', 'rb-1', 'rollback.held', 'limit_per_day'] });
    expect(bodyOf(0)).not.toHaveProperty('timeEnd');
    answer = { status: 200, body: '{"message":"Annotation patched"}' };
    const recovered = notice({ event: 'rollback.recovered', code: 'recovered', urgency: 'info', at: NOW + 60_000 });
    expect(await grafana.send(recovered, thread, signal)).toEqual({ thread: '12' });
    expect(calls[1]).toMatchObject({ method: 'PATCH', url: '/api/annotations/12' });
    expect(bodyOf(1)).toMatchObject({
      timeEnd: NOW + 60_000,
      tags: ['davylamp', 'shop', 'rb-1', 'rollback.recovered', 'recovered'],
    });
  });

  it('begins another region where somebody deleted the first one', async () => {
    const grafana = await channel({ type: 'grafana', url: base, tokenFile: 'token' });
    answer = { status: 404, body: '{}' };
    await expect(grafana.send(notice(), '12', signal)).rejects.toMatchObject({ code: 'notice_refused' });
    expect(calls.map(({ method }) => method)).toEqual(['PATCH', 'POST']);
    answer = { status: 403, body: '{}' };
    await expect(grafana.send(notice(), '12', signal)).rejects.toMatchObject({ code: 'notice_refused' });
    expect(calls).toHaveLength(3);
  });

  it('says how long a channel asks to wait', async () => {
    answer = { status: 429, body: '', headers: { 'retry-after': '30' } };
    const slack = await channel({ type: 'slack', tokenFile: 'token', channel: 'C1', url: base });
    await expect(slack.send(notice(), null, signal)).rejects.toMatchObject({
      code: 'notice_failed',
      details: { retryAfterMs: 30_000 },
    });
  });

  it('posts to an address from a file, shows it nowhere, and takes one address only', async () => {
    files['address'] = `${base}/webhooks/5ecret`;
    const webhook = await channel({ type: 'webhook', urlFile: 'address' });
    await webhook.send(notice(), null, signal);
    expect(calls[0]?.url).toBe('/webhooks/5ecret');
    answer = { status: 404, body: '' };
    await expect(webhook.send(notice(), null, signal)).rejects.not.toThrow(/5ecret/);
    files['address'] = 'discord.example/5ecret';
    await expect(webhook.send(notice(), null, signal)).rejects.toMatchObject({
      code: 'notice_channel_invalid',
      message: expect.not.stringContaining('5ecret'),
    });
    for (const wrong of [{}, { url: base, urlFile: 'address' }]) {
      await expect(channel({ type: 'webhook', ...wrong })).rejects.toMatchObject({ code: 'notice_channel_invalid' });
    }
  });

  it('leaves a property out that the notice has nothing for, and fills a secret in only where there is one', async () => {
    const template = JSON.stringify({ url: '${link}', text: 'at ${link}', key: '${secret}', list: ['${links.pull request}'] });
    files['key'] = 'k3y';
    const webhook = await channel({ type: 'webhook', url: base, template, templateSecretFile: 'key' });
    await webhook.send(notice({ links: {} }), null, signal);
    expect(bodyOf(0)).toEqual({ text: 'at ', key: 'k3y', list: [''] });
    await webhook.send(notice({ links: { 'pull request': 'https://forge.example/7' } }), null, signal);
    expect(bodyOf(1)).toMatchObject({ url: 'https://forge.example/7', list: ['https://forge.example/7'] });
    await expect(channel({ type: 'webhook', url: base, template })).rejects.toMatchObject({ code: 'notice_template_invalid' });
  });

  it('sends CDEvents: detected once, rolled back, resolved', async () => {
    const events = await channel({ type: 'cdevents', url: base });
    const { thread } = await events.send(notice(), null, signal);
    await events.send(notice({ event: 'rollback.held' }), thread, signal);
    await events.send(notice({ event: 'rollback.pushed' }), thread, signal);
    await events.send(notice({ event: 'rollback.recovered', urgency: 'info' }), thread, signal);
    expect(calls.map((_, at) => (bodyOf(at) as { type: string }).type)).toEqual([
      'dev.cdevents.incident.detected.0.2.0',
      'dev.cdevents.service.rolledback.0.2.0',
      'dev.cdevents.incident.resolved.0.2.0',
    ]);
    expect(calls[0]?.headers['content-type']).toBe('application/cloudevents+json');
    expect(bodyOf(1)).toMatchObject({ specversion: '1.0', data: { subject: { id: 'shop', type: 'service' } } });
    for (const at of [0, 1, 2]) {
      const { type, data, id, source, subject } = bodyOf(at) as Record<string, unknown> & { type: string; data: CdEvent };
      const schema = schemas[type.replace('dev.cdevents.', '').replace('.0.2.0', '')];
      expect(schema === undefined ? ['no schema'] : Schema.Errors(schema, data)[1]).toEqual([]);
      // The CloudEvents binding: what both have is the same.
      expect({ id, source, type, subject }).toEqual({
        id: data.context.id,
        source: data.context.source,
        type: data.context.type,
        subject: data.subject.id,
      });
    }
  });
});
