import { afterEach, describe, expect, it } from 'vitest';
import { alert, alertWorld, NOON, resolved, SHOP, WINDOW_MS } from '../../test/support/alert-world.ts';
import { CodedError } from '../errors.ts';
import type { Store } from '../store/port.ts';

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const world of opened.splice(0)) await world.close();
});

async function worldOf(settings: Parameters<typeof alertWorld>[0] = {}) {
  const world = await alertWorld(settings);
  opened.push(world);
  return world;
}

const ignoring = { name: 'quiet', alerts: [{ matchers: ['service="shop"'], then: 'ignore' as const }] };
const trusting = { name: 'trusting', alerts: [{ matchers: ['service="shop"'], then: 'rollback' as const }] };

describe('taking alerts in', () => {
  it('stores what is new before it answers, and tells it from what is known', async () => {
    const { inlet, open, webhooks } = await worldOf();
    const other = alert({ fingerprint: 'ff', labels: { pod: 'b' } });
    expect(await inlet.receive({ alerts: [alert(), other] })).toEqual({ accepted: 2, duplicate: 0, ignored: 0 });
    expect(await open()).toHaveLength(1);
    expect(await inlet.receive({ alerts: [other, alert()] })).toEqual({ accepted: 0, duplicate: 2, ignored: 0 });
    expect(await open()).toHaveLength(1);
    expect(webhooks.map(({ result }) => result)).toEqual(['accepted', 'repeated']);
  });

  it('knows an alert after a restart, and from another process', async () => {
    const { inlet, inletOf, settle } = await worldOf();
    await inlet.receive({ alerts: [alert()] });
    await settle();
    expect(await inletOf().receive({ alerts: [alert()] })).toEqual({ accepted: 0, duplicate: 1, ignored: 0 });
  });

  it('knows an alert whatever group, Alertmanager or order it comes in', async () => {
    const { inlet, open } = await worldOf();
    await inlet.receive({ alerts: [alert(), alert({ fingerprint: 'ff' })], groupKey: '{}:{a="b"}', externalURL: 'http://one' });
    const again = { alerts: [alert({ fingerprint: 'ff' }), alert()], groupKey: '{}/{}:{}', externalURL: 'http://two' };
    expect(await inlet.receive(again)).toMatchObject({ accepted: 0, duplicate: 2 });
    expect(await open()).toHaveLength(1);
  });

  it('takes the same beginning written in another way for the same', async () => {
    const { inlet } = await worldOf();
    await inlet.receive({ alerts: [alert({ startsAt: '2026-05-04T11:59:00Z' })] });
    const same = alert({ startsAt: '2026-05-04T13:59:00.000000000+02:00' });
    expect(await inlet.receive({ alerts: [same] })).toMatchObject({ duplicate: 1 });
  });

  it('computes the fingerprint where it is missing', async () => {
    const { inlet, alerts, settle } = await worldOf();
    const { fingerprint: _without, ...bare } = alert();
    await inlet.receive({ alerts: [bare, { ...bare, labels: { ...bare.labels, pod: 'b' } }] });
    await settle();
    expect(await alerts()).toHaveLength(2);
  });

  it('counts an alert once, however many applications it concerns', async () => {
    const { inlet, settle, actions } = await worldOf({ applications: [SHOP, { ...SHOP, name: 'cart' }] });
    expect(await inlet.receive({ alerts: [alert()] })).toEqual({ accepted: 1, duplicate: 0, ignored: 0 });
    await settle();
    expect([...actions.analyses.values()].map(({ application }) => application).toSorted()).toEqual(['cart', 'shop']);
  });

  it('lets a sender speak of its own applications only', async () => {
    const { inlet, settle, actions } = await worldOf({ applications: [SHOP, { ...SHOP, name: 'cart' }] });
    const isAllowed = (application: string) => application === 'cart';
    expect(await inlet.inlet.receive({ alerts: [alert()] }, isAllowed)).toMatchObject({ accepted: 1 });
    await settle();
    expect([...actions.analyses.values()].map(({ application }) => application)).toEqual(['cart']);
    expect(await inlet.inlet.receive({ alerts: [alert()] }, () => false)).toMatchObject({ ignored: 1 });
  });

  it('asks the store nothing for alerts that concern nobody', async () => {
    const down = () => Promise.reject(new CodedError('store_unavailable', 'it is down', { retryable: true }));
    const { inlet, outcomes } = await worldOf({ store: (real) => ({ ...real, commit: down, getMany: down }) });
    expect(await inlet.receive({ alerts: [alert({ labels: { service: 'other' } })] })).toEqual({
      accepted: 0,
      duplicate: 0,
      ignored: 1,
    });
    expect(outcomes).toEqual(['none unmatched']);
  });

  it('fails while the store is down, for what is known as well, and takes the alert when it is back', async () => {
    let isDown = false;
    const guarded = (real: Store): Store => {
      const check = () => {
        if (isDown) throw new CodedError('store_unavailable', 'it is down', { retryable: true });
      };
      return {
        ...real,
        getMany: async (...input) => (check(), real.getMany(...input)),
        commit: async (...input) => (check(), real.commit(...input)),
      };
    };
    const { inlet, time, actions, settle } = await worldOf({ store: guarded });
    await inlet.receive({ alerts: [alert()] });
    isDown = true;
    time.now += 5_000;
    await expect(inlet.receive({ alerts: [alert()] })).rejects.toMatchObject({ code: 'store_unavailable' });
    await expect(inlet.receive({ alerts: [alert({ fingerprint: 'ff' })] })).rejects.toMatchObject({ retryable: true });
    isDown = false;
    expect(await inlet.receive({ alerts: [alert({ fingerprint: 'ff' })] })).toMatchObject({ accepted: 1 });
    await settle();
    expect(actions.analyses.size).toBe(2);
  });

  it('answers repeats while it asks a silent store whether it is there, and not when that failed', async () => {
    let asked = 0;
    const down = () => ((asked += 1), Promise.reject(new CodedError('store_unavailable', 'it is down', { retryable: true })));
    const { inlet, time } = await worldOf({ store: (real) => ({ ...real, getMany: down }) });
    await inlet.receive({ alerts: [alert({ startsAt: '2026-05-04T11:59:50Z' })] });
    const repeat = () => inlet.receive({ alerts: [alert({ startsAt: '2026-05-04T11:59:50Z' })] });
    time.now += 500;
    expect(await repeat()).toMatchObject({ duplicate: 1 });
    expect(asked).toBe(0);
    time.now += 1_000;
    expect(await repeat()).toMatchObject({ duplicate: 1 });
    expect(asked).toBe(1);
    time.now += 60_000;
    await expect(repeat()).rejects.toMatchObject({ code: 'store_unavailable' });
  });

  it('does not answer before the job is queued, and queues it again for the repeat', async () => {
    const keys: string[] = [];
    let isFull = true;
    const { inlet, settle, actions } = await worldOf({
      queue: (real) => ({
        ...real,
        enqueue: async (job) => {
          if (isFull) throw new CodedError('queue_unavailable', 'it is down', { retryable: true });
          keys.push(job.key);
          await real.enqueue(job);
        },
      }),
    });
    await expect(inlet.receive({ alerts: [alert()] })).rejects.toMatchObject({ code: 'queue_unavailable' });
    isFull = false;
    expect(await inlet.receive({ alerts: [alert()] })).toMatchObject({ accepted: 1 });
    expect(keys).toHaveLength(1);
    await settle();
    expect(actions.analyses.size).toBe(1);
  });

  it('lets webhooks that arrive together share a write, and tells the first of each alert only that it is new', async () => {
    let commits = 0;
    const { inlet } = await worldOf({
      store: (real) => ({ ...real, commit: (...input) => ((commits += 1), real.commit(...input)) }),
    });
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, at) => inlet.receive({ alerts: [alert({ fingerprint: `f${at % 25}` })] })),
    );
    expect(answers.reduce((sum, { accepted }) => sum + accepted, 0)).toBe(25);
    expect(answers.reduce((sum, { duplicate }) => sum + duplicate, 0)).toBe(25);
    expect(commits).toBeLessThan(5);
  });

  it('lets one of two processes that are told the same at the same time store it', async () => {
    const { inletOf, open, settle, actions } = await worldOf();
    const alerts = Array.from({ length: 20 }, (_, at) => alert({ fingerprint: `f${at}` }));
    await Promise.all([inletOf().receive({ alerts }), inletOf().receive({ alerts: alerts.toReversed() })]);
    expect(await open()).toHaveLength(1);
    await settle();
    expect(actions.confirmCalls).toHaveLength(20);
  });

  it('ignores what is too old or in the future, and what the configuration ignores', async () => {
    const { inlet, settle, journal, actions } = await worldOf({ applications: [SHOP] });
    const old = alert({ startsAt: new Date(NOON - WINDOW_MS - 1_000).toISOString(), fingerprint: 'old' });
    const future = alert({ startsAt: '2026-05-04T13:00:01Z', fingerprint: 'future' });
    expect(await inlet.receive({ alerts: [old, future] })).toEqual({ accepted: 0, duplicate: 0, ignored: 2 });
    await settle();
    expect((await journal()).map(({ event, code }) => [event, code])).toEqual([
      ['alert.ignored', 'too_old'],
      ['alert.ignored', 'in_future'],
    ]);
    expect(actions.analyses.size).toBe(0);
  });

  it('tells when the sender left alerts out, and marks what it knows as incomplete', async () => {
    const { inlet, webhooks, settle, journal } = await worldOf();
    await inlet.receive({ alerts: [alert()], truncatedAlerts: 2 });
    await settle();
    expect(webhooks).toEqual([{ result: 'accepted', truncated: 2 }]);
    expect((await journal())[0]?.details).toMatchObject({ incomplete: true });
  });

  it('keeps 10,000 alerts of one webhook', async () => {
    const { inlet, open } = await worldOf();
    const alerts = Array.from({ length: 10_000 }, (_, at) => alert({ fingerprint: `f${at}` }));
    expect(await inlet.receive({ alerts })).toEqual({ accepted: 10_000, duplicate: 0, ignored: 0 });
    expect((await open()).length).toBe(10);
    expect(await inlet.receive({ alerts })).toEqual({ accepted: 0, duplicate: 10_000, ignored: 0 });
  });
});

describe('acting on alerts', () => {
  it('analyses the revision that was live when the alert began, not the one that is live now', async () => {
    const { inlet, settle, actions, journal, outcomes } = await worldOf();
    actions.releases.push(
      { since: NOON - 600_000, revision: 'b'.repeat(40) },
      { since: NOON - 30_000, revision: 'c'.repeat(40) },
    );
    await inlet.receive({ alerts: [alert()] });
    await settle();
    const startsAt = Date.parse('2026-05-04T11:59:00Z');
    expect([...actions.analyses.values()]).toEqual([
      {
        id: expect.stringMatching(/^alert-[0-9a-f]{32}$/),
        application: 'shop',
        revision: 'b'.repeat(40),
        liveSince: NOON - 600_000,
        alert: { name: 'Errors', fingerprint: '00112233445566aa', startsAt },
      },
    ]);
    expect(await journal()).toEqual([
      {
        event: 'alert.analysis',
        code: 'alert_matched',
        sentence: `alert Errors (00112233445566aa) fires; revision ${'b'.repeat(40)} was live when it began and is analysed`,
        details: {
          alert: 'Errors',
          fingerprint: '00112233445566aa',
          startsAt: '2026-05-04T11:59:00.000Z',
          labels: { severity: 'critical' },
          revision: 'b'.repeat(40),
          analysis: [...actions.analyses.keys()][0],
        },
      },
    ]);
    expect(outcomes).toEqual(['shop analysis']);
  });

  it('closes the webhook and drops what it held', async () => {
    const { inlet, settle, open, store } = await worldOf();
    await inlet.receive({ alerts: [alert()] });
    const [before] = await open();
    await settle();
    expect(await open()).toEqual([]);
    expect((await store.get('webhook', before?.id ?? ''))?.value).toMatchObject({ count: 1, notices: [] });
  });

  it('does nothing where the revision of that time is not known, and says so', async () => {
    const { inlet, settle, actions, journal } = await worldOf();
    actions.releases.splice(0);
    await inlet.receive({ alerts: [alert()] });
    await settle();
    expect((await journal()).map(({ event, code }) => [event, code])).toEqual([['alert.revision_unknown', 'revision_unknown']]);
    expect(actions.confirmCalls).toEqual([]);
  });

  it('asks for the rollback where the configuration trusts the alert', async () => {
    const { inlet, settle, actions, journal } = await worldOf({ applications: [trusting] });
    await inlet.receive({ alerts: [alert()] });
    await settle();
    expect(actions.rollbacks).toEqual([
      {
        application: 'trusting',
        revision: 'a'.repeat(40),
        alert: 'Errors',
        sentence: 'alert Errors began to fire at 2026-05-04T11:59:00.000Z; the configuration trusts it',
      },
    ]);
    expect((await journal()).map(({ event, code }) => [event, code])).toEqual([['alert.rollback', 'alert_trusted']]);
  });

  it('writes down what the configuration ignores, once', async () => {
    const { inlet, inletOf, settle, journal, actions } = await worldOf({ applications: [ignoring] });
    expect(await inlet.receive({ alerts: [alert()] })).toEqual({ accepted: 0, duplicate: 0, ignored: 1 });
    await settle();
    expect(await inletOf().receive({ alerts: [alert()] })).toEqual({ accepted: 0, duplicate: 0, ignored: 1 });
    await settle();
    expect((await journal()).map(({ event, code }) => [event, code])).toEqual([['alert.ignored', 'configured']]);
    expect(actions.confirmCalls).toEqual([]);
  });

  it('closes an alert that ended; that changes nothing of its analysis', async () => {
    const { inlet, settle, journal, alerts, actions } = await worldOf();
    await inlet.receive({ alerts: [alert()] });
    await settle();
    expect(await inlet.receive({ alerts: [resolved()], status: 'resolved' })).toMatchObject({ accepted: 1 });
    await settle();
    expect((await journal()).map(({ event, code }) => [event, code])).toEqual([
      ['alert.analysis', 'alert_matched'],
      ['alert.resolved', 'resolved'],
    ]);
    expect(await alerts()).toMatchObject([
      {
        index: { application: 'shop', state: 'resolved', open: false },
        value: { resolved: { endsAt: '2026-05-04T11:59:45.000Z' } },
      },
    ]);
    expect(actions.confirmCalls).toHaveLength(1);
  });

  it('takes an end that arrives before its beginning for the end', async () => {
    const { inlet, settle, journal, actions } = await worldOf();
    await inlet.receive({ alerts: [resolved()] });
    await settle();
    expect(await inlet.receive({ alerts: [alert()] })).toMatchObject({ accepted: 1 });
    await settle();
    expect((await journal()).map(({ event, code }) => [event, code])).toEqual([
      ['alert.resolved', 'resolved_unseen'],
      ['alert.ignored', 'resolved_already'],
    ]);
    expect(actions.confirmCalls).toEqual([]);
  });

  it('acts on the same alert anew when it begins anew', async () => {
    const { inlet, settle, actions } = await worldOf();
    await inlet.receive({ alerts: [alert(), resolved(), alert({ startsAt: '2026-05-04T11:59:50Z' })] });
    await settle();
    expect(actions.analyses.size).toBe(2);
  });

  it('acts once when two processes hold the same alert in different webhooks', async () => {
    const { inletOf, handlingOf, open, actions } = await worldOf();
    await inletOf().receive({ alerts: [alert(), alert({ fingerprint: 'one' })] });
    await inletOf().receive({ alerts: [alert(), alert({ fingerprint: 'two' })] });
    const records = await open();
    expect(records).toHaveLength(2);
    await Promise.all(
      records.map(({ id }) =>
        handlingOf().handle({ kind: 'webhook', key: id, notBefore: 0, attempt: 1 }, AbortSignal.timeout(10_000)),
      ),
    );
    expect(actions.confirmCalls).toHaveLength(3);
    expect(await open()).toEqual([]);
  });

  it('goes on after a crash between the decision and its consequence, with the revision of the decision', async () => {
    const { inlet, settle, handlingOf, actions, journal, open } = await worldOf({ applications: [trusting, SHOP] });
    await inlet.receive({ alerts: [alert(), alert({ fingerprint: 'ff' })] });
    const killed = new Error('killed');
    const dying = handlingOf({
      liveAt: (application, at) => actions.liveAt(application, at),
      confirm: () => Promise.reject(killed),
      rollback: () => Promise.reject(killed),
    });
    await expect(settle(dying)).rejects.toThrow('killed');
    actions.releases.push({ since: NOON - 600_000, revision: 'b'.repeat(40) });
    await settle();
    expect([...actions.analyses.values()].map(({ revision }) => revision)).toEqual(['a'.repeat(40), 'a'.repeat(40)]);
    expect(actions.rollbacks.map(({ revision }) => revision)).toEqual(['a'.repeat(40), 'a'.repeat(40)]);
    await settle();
    expect(actions.confirmCalls).toHaveLength(2);
    expect(actions.rollbacks).toHaveLength(2);
    expect(await journal()).toHaveLength(4);
    expect(await open()).toEqual([]);
  });

  it('does what it can when one alert cannot be acted on, and tries that one again', async () => {
    const { inlet, settle, handlingOf, actions, open } = await worldOf({ applications: [SHOP, { ...SHOP, name: 'cart' }] });
    await inlet.receive({ alerts: [alert()] });
    const passing = new CodedError('delivery_unreachable', 'the cluster does not answer', { retryable: true });
    const half = handlingOf({
      liveAt: (application, at) => (application === 'cart' ? Promise.reject(passing) : actions.liveAt(application, at)),
      confirm: (order) => actions.confirm(order),
      rollback: (order) => actions.rollback(order),
    });
    await expect(settle(half)).rejects.toMatchObject({ code: 'delivery_unreachable' });
    expect([...actions.analyses.values()].map(({ application }) => application)).toEqual(['shop']);
    expect(await open()).toHaveLength(1);
    await settle();
    expect([...actions.analyses.values()].map(({ application }) => application)).toEqual(['shop', 'cart']);
    expect(actions.confirmCalls).toHaveLength(2);
    expect(await open()).toEqual([]);
  });

  it('gives up where trying again cannot help, and when the alert became too old meanwhile', async () => {
    const { inlet, settle, actions, journal, open, time } = await worldOf();
    actions.faults.confirm = new CodedError('application_unknown', 'it is gone');
    await inlet.receive({ alerts: [alert()] });
    await settle();
    expect((await journal()).map(({ event, code }) => [event, code])).toEqual([
      ['alert.analysis', 'alert_matched'],
      ['alert.failed', 'application_unknown'],
    ]);
    expect(await open()).toEqual([]);
    actions.faults.confirm = new Error('a fault of ours');
    await inlet.receive({ alerts: [alert({ fingerprint: 'ff' })] });
    await expect(settle()).rejects.toThrow('a fault of ours');
    time.now += WINDOW_MS;
    await settle();
    expect((await journal()).at(-1)).toMatchObject({ event: 'alert.failed', code: 'too_old' });
    expect(await open()).toEqual([]);
  });

  it('does not act for an application that the configuration no longer has', async () => {
    const { inlet, settle, actions, journal, configured } = await worldOf();
    await inlet.receive({ alerts: [alert()] });
    configured.clear();
    await settle();
    expect((await journal()).map(({ event, code }) => [event, code])).toEqual([['alert.ignored', 'application_unknown']]);
    expect(actions.confirmCalls).toEqual([]);
  });

  it('shows the name of the alert and the allowed labels, in one line and cut; no other value', async () => {
    const { inlet, settle, store } = await worldOf();
    const name = `Bad\n\u2028\u202eName${'x'.repeat(500)}`;
    await inlet.receive({ alerts: [alert({ labels: { alertname: name, secret: 'hunter2' } })] });
    await settle();
    const [entry] = await store.journal({ limit: 10 });
    expect(entry?.details['alert']).toMatch(/^Bad Namex{180,200}$/);
    expect(JSON.stringify(entry)).not.toMatch(/hunter2|acme/);
    expect(entry?.details['labels']).toEqual({ severity: 'critical' });
  });

  it('drives what a lost job left behind to its end', async () => {
    let drop = true;
    const { inlet, handling, queue, actions } = await worldOf({
      queue: (real) => ({ ...real, enqueue: async (job) => (drop ? undefined : real.enqueue(job)) }),
    });
    await inlet.receive({ alerts: [alert()] });
    drop = false;
    expect(await handling.drive()).toBe(1);
    await new Promise<void>((resolve) => {
      queue.work('webhook', { concurrency: 1 }, async (job, signal) => {
        await handling.handle(job, signal);
        resolve();
      });
    });
    expect(actions.confirmCalls).toHaveLength(1);
    expect(await handling.drive()).toBe(0);
  });
});
