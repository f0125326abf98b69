import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
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
  url: string;
  headers: IncomingHttpHeaders;
  body: string;
}

describe('channels', () => {
  let server: Server;
  let http: HttpClient;
  let base: string;
  const calls: Call[] = [];
  let answer: { status: number; body: string };

  beforeEach(async () => {
    calls.length = 0;
    answer = { status: 200, body: '{"ok":true,"ts":"17.5"}' };
    server = createServer((request, reply) => {
      const pieces: Buffer[] = [];
      request.on('data', (piece: Buffer) => pieces.push(piece));
      request.on('end', () => {
        calls.push({ url: request.url ?? '', headers: request.headers, body: Buffer.concat(pieces).toString() });
        reply.writeHead(answer.status).end(answer.body);
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
    createChannel(config, { http, readSecret: async (file) => (file === 'secret' ? SECRET : 'a-token'), now: () => NOW });
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

  it('annotates dashboards of Grafana', async () => {
    const grafana = await channel({ type: 'grafana', url: base, tokenFile: 'token' });
    await grafana.send(notice(), null, signal);
    expect(calls[0]?.url).toBe('/api/annotations');
    expect(bodyOf(0)).toMatchObject({ time: NOW, tags: ['davylamp', 'shop', 'rollback.held', 'limit_per_day'] });
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
  });
});
