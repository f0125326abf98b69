import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CodedError } from '../errors.ts';
import { openEmbedded } from '../store/embedded/database.ts';
import { createEmbeddedStore } from '../store/embedded/store.ts';
import type { Store } from '../store/port.ts';
import { Notifier, type Route } from './notifier.ts';
import type { Channel, Notice } from './port.ts';

const START = 1_700_000_000_000;

const noticeAt = (number: number, changes: Partial<Notice> = {}): Notice => ({
  id: `rb-1-${number}`,
  incident: 'rb-1',
  application: 'shop',
  event: 'rollback.held',
  code: 'limit_per_day',
  urgency: 'warn',
  title: `notice ${number}`,
  sentence: 'because',
  at: START + number,
  facts: {},
  links: {},
  ...changes,
});

describe('the notifier', () => {
  let folder: string;
  let database: Awaited<ReturnType<typeof openEmbedded>>;
  let store: Store;
  let now: number;
  let notices: Notice[];
  let routes: Route[];
  let sent: string[];
  let fail: CodedError | null;
  /** What happens while a channel takes its time. */
  let slow: (() => Promise<void>) | null;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'davylamp-notify-'));
    now = START + 1_000;
    database = await openEmbedded({ folder, clock: { now: () => now } });
    store = createEmbeddedStore(database);
    notices = [noticeAt(1), noticeAt(2)];
    routes = [];
    sent = [];
    fail = null;
    slow = null;
  });
  afterEach(async () => {
    await store.close();
    await database.close();
    await rm(folder, { recursive: true, force: true });
  });

  const channel = (name: string): Channel => ({
    type: name,
    verified: true,
    closes: name === 'alerts',
    async send(notice, thread) {
      if (fail !== null && name === 'chat') throw fail;
      sent.push(`${name} ${notice.id} ${thread ?? '-'}`);
      await slow?.();
      return { thread: thread ?? `${name}-thread-${notice.id}` };
    },
  });

  const notifier = (self = 'one', channels = ['chat']) =>
    new Notifier({
      store,
      clock: { now: () => now },
      channels: new Map(channels.map((name) => [name, channel(name)])),
      routes: () => routes,
      noticesOf: async () => ({ notices, version: notices.length }),
      recent: async () => [{ id: 'rb-1', version: notices.length }],
      self,
      onSent: () => undefined,
      onFault: () => undefined,
    });

  it('tells each notice once, in order, in one thread', async () => {
    const one = notifier();
    await one.tell('rb-1');
    await one.tell('rb-1');
    notices.push(noticeAt(3));
    await one.tell('rb-1');
    expect(sent).toEqual(['chat rb-1-1 -', 'chat rb-1-2 chat-thread-rb-1-1', 'chat rb-1-3 chat-thread-rb-1-1']);
  });

  it('remembers what was told over a restart and between processes', async () => {
    await Promise.all([notifier('one').tell('rb-1'), notifier('two').tell('rb-1'), notifier('three').tell('rb-1')]);
    now += 120_000;
    await notifier('four').tell('rb-1');
    expect(sent.toSorted()).toEqual(['chat rb-1-1 -', 'chat rb-1-2 chat-thread-rb-1-1']);
  });

  it('tells the same again, with the same id, after a process died while it sent', async () => {
    await store.commit([
      {
        kind: 'notice',
        id: 'rb-1',
        expect: 0,
        createdAt: now,
        index: {},
        value: { channels: {}, claim: { by: 'dead', until: now + 60_000 } },
      },
    ]);
    await notifier().tell('rb-1');
    expect(sent).toEqual([]);
    now += 60_001;
    await notifier().tell('rb-1');
    expect(sent).toHaveLength(2);
  });

  it('tries a channel that is away again, later and later, without holding up the others', async () => {
    fail = new CodedError('notice_failed', 'away', { retryable: true });
    const one = notifier('one', ['chat', 'hook']);
    await one.tell('rb-1');
    expect(sent).toEqual(['hook rb-1-1 -', 'hook rb-1-2 hook-thread-rb-1-1']);
    fail = null;
    await one.tell('rb-1');
    expect(sent).toHaveLength(2);
    now += 5_000;
    await one.tell('rb-1');
    expect(sent.slice(2)).toEqual(['chat rb-1-1 -', 'chat rb-1-2 chat-thread-rb-1-1']);
  });

  it('does not stop at a notice that a channel refuses for good', async () => {
    fail = new CodedError('notice_refused', 'no');
    const one = notifier();
    await one.tell('rb-1');
    fail = null;
    notices.push(noticeAt(3));
    await one.tell('rb-1');
    expect(sent).toEqual(['chat rb-1-3 -']);
  });

  it('tells each channel what its routes say', async () => {
    routes = [
      { channel: 'pager', applications: ['shop'], least: 'page' },
      { channel: 'chat', applications: ['other'], least: 'info' },
    ];
    notices = [noticeAt(1), noticeAt(2, { urgency: 'page' })];
    await notifier('one', ['chat', 'pager']).tell('rb-1');
    expect(sent).toEqual(['pager rb-1-2 -']);
  });

  it('tells a channel that opened something how it went on, also with less urgency, and nothing from before', async () => {
    routes = [
      { channel: 'alerts', applications: [], least: 'page' },
      { channel: 'pager', applications: [], least: 'page' },
    ];
    notices = [noticeAt(1, { urgency: 'info' }), noticeAt(2, { urgency: 'page' }), noticeAt(3, { urgency: 'info' })];
    const one = notifier('one', ['alerts', 'pager']);
    await one.tell('rb-1');
    notices.push(noticeAt(4, { urgency: 'warn' }));
    await one.tell('rb-1');
    expect(sent.filter((line) => line.startsWith('pager'))).toEqual(['pager rb-1-2 -']);
    expect(sent.filter((line) => line.startsWith('alerts'))).toEqual([
      'alerts rb-1-2 -',
      'alerts rb-1-3 alerts-thread-rb-1-2',
      'alerts rb-1-4 alerts-thread-rb-1-2',
    ]);
  });

  it.each([
    [30_000, 30_000],
    [1, 5_000],
    [86_400_000, 3_600_000],
  ])('waits as long as a channel asks for (%i ms), within bounds', async (retryAfterMs, waited) => {
    fail = new CodedError('notice_failed', 'too many', { retryable: true, details: { retryAfterMs } });
    notices = [noticeAt(1)];
    await notifier().tell('rb-1');
    fail = null;
    now += waited - 1;
    await notifier().tell('rb-1');
    expect(sent).toEqual([]);
    now += 1;
    await notifier().tell('rb-1');
    expect(sent).toEqual(['chat rb-1-1 -']);
  });

  it('makes one page of forty rollbacks that the fleet breaker holds', async () => {
    const one = notifier();
    for (let rollback = 0; rollback < 40; rollback += 1) {
      notices = [noticeAt(rollback, { id: 'fleet-7-held', incident: 'fleet-7', urgency: 'page' })];
      await one.tell(`rb-${rollback}`);
    }
    expect(sent).toEqual(['chat fleet-7-held -']);
  });

  it('makes one page of rollbacks that are held at the same moment, however long a channel takes', async () => {
    notices = [noticeAt(1, { id: 'fleet-7-held', incident: 'fleet-7', urgency: 'page' })];
    slow = async () => void (await store.get('notice', 'fleet-7'));
    const one = notifier();
    await Promise.all(Array.from({ length: 40 }, (_, rollback) => one.tell(`rb-${rollback}`)));
    expect(sent).toEqual(['chat fleet-7-held -']);
  });

  it('leaves a notice to the process that sends it, however long its channels take', async () => {
    notices = [noticeAt(1)];
    const names = ['a', 'b', 'c', 'd', 'e'];
    const another = notifier('two', names);
    const takesLong = async (): Promise<void> => {
      now += 20_000;
      slow = null;
      await another.tell('rb-1');
      slow = takesLong;
    };
    slow = takesLong;
    await notifier('one', names).tell('rb-1');
    expect(sent).toEqual(names.map((name) => `${name} rb-1-1 -`));
  });

  it('tells no old stories to a channel that is new', async () => {
    now += 25 * 3_600_000;
    await notifier().tell('rb-1');
    expect(sent).toEqual([]);
  });
});
