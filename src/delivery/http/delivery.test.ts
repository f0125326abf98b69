import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeDelivery, type Deeds, type DeliveryFault, type DeliveryHarness } from '../../../test/conformance/delivery.ts';
import {
  refusingAddress,
  startFaultServer,
  type Behaviour,
  type FaultServer,
  type ReceivedRequest,
} from '../../../test/support/fault-server.ts';
import { CodedError } from '../../errors.ts';
import { createHttpClient, type HttpClient } from '../../net/client.ts';
import type { DeliveryState } from '../port.ts';
import { createHttpDelivery } from './delivery.ts';

const TIMEOUT_MS = 2_000;
const PATHS = ['/rollouts/shop', '/rollouts/shop/abort', '/rollouts/shop/annotate', '/rollouts/shop/sync'];
const json = (body: unknown, status = 200): Behaviour => ({
  kind: 'answer',
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

const FAULTS: Readonly<Record<Exclude<DeliveryFault, 'refuse'>, Behaviour>> = {
  hang: { kind: 'hang' },
  drop: { kind: 'drop' },
  '500': { kind: 'answer', status: 500, body: 's3cr3t' },
  '503': { kind: 'answer', status: 503, body: 's3cr3t' },
  '403': { kind: 'answer', status: 403, body: 's3cr3t' },
  '404': { kind: 'answer', status: 404, body: 's3cr3t' },
  'not understood': { kind: 'answer', status: 200, body: '<html>s3cr3t</html>' },
  huge: { kind: 'huge', bytes: 10_000_000 },
};

/** The far side of the contract, as a GitOps loop would write it. */
async function harness(): Promise<DeliveryHarness> {
  const far = await startFaultServer();
  const http = createHttpClient();
  const dead = await refusingAddress();
  const deeds: Deeds = { aborted: [], annotations: {}, synced: [] };
  let refused = false;
  let seen = 0;
  const through: HttpClient = {
    request: (request, signal) => http.request(refused ? { ...request, url: `${dead}/?token=s3cr3t` } : request, signal),
    close: () => http.close(),
  };
  const delivery = createHttpDelivery(
    { type: 'http', url: `${far.url}/rollouts/shop?token=s3cr3t`, tokenFile: 'token', timeout: `${TIMEOUT_MS}ms` },
    { http: through, readSecret: () => Promise.resolve('s3cr3t') },
  );
  return {
    delivery,
    timeoutMs: TIMEOUT_MS,
    secrets: ['s3cr3t', 'rollouts'],
    run(state) {
      refused = false;
      seen = far.requests.length;
      const [base = '', abort = '', annotate = '', sync = ''] = PATHS;
      far.on(base, json(state));
      far.on(abort, ({ body }) => {
        const { revision } = JSON.parse(body) as { revision: string };
        if (deeds.aborted.includes(revision)) return json({ result: 'already' });
        if (state.canary !== revision) return json({ title: 'not the canary' }, 409);
        deeds.aborted.push(revision);
        return json({ result: 'aborted' });
      });
      far.on(annotate, ({ body }) => {
        const { revision, values } = JSON.parse(body) as { revision: string; values: Record<string, string> };
        deeds.annotations[revision] = { ...deeds.annotations[revision], ...values };
        return { kind: 'answer', status: 204 };
      });
      far.on(sync, ({ body }) => {
        deeds.synced.push((JSON.parse(body) as { commit: string }).commit);
        return { kind: 'answer', status: 202, body: 'accepted' };
      });
      return Promise.resolve();
    },
    deeds: () => Promise.resolve(deeds),
    fail(fault) {
      refused = fault === 'refuse';
      seen = far.requests.length;
      if (fault !== 'refuse') for (const path of PATHS) far.on(path, FAULTS[fault]);
      return Promise.resolve();
    },
    called: () => far.arrived(seen + 1),
    async close() {
      await http.close();
      await far.close();
    },
  };
}

describeDelivery('http', harness);

describe('the delivery of type http', () => {
  let far: FaultServer;
  let http: HttpClient;
  let token: string;
  beforeEach(async () => {
    far = await startFaultServer();
    http = createHttpClient();
    token = 't0ken';
  });
  afterEach(async () => {
    await http.close();
    await far.close();
  });

  const never = new AbortController().signal;
  const state: DeliveryState = { canary: null, stable: 'a'.repeat(40), synced: null, phase: 'healthy' };
  const open = (url = `${far.url}/r`, tokenFile?: string) =>
    createHttpDelivery(
      { type: 'http', url, ...(tokenFile === undefined ? {} : { tokenFile }) },
      { http, readSecret: (file) => Promise.resolve(`${token}-${file}`) },
    );

  it('tells what does not live and what was live before, where the far side says so', async () => {
    const trouble = { revision: 'b'.repeat(40), code: 'crash_loop', sentence: '3 of 3 pods crash' };
    const from = '2026-01-01T12:00:00Z';
    const history = [{ revision: 'a'.repeat(40), from, to: null, role: 'stable' }];
    far.on('/r', json({ ...state, trouble, history }));
    const delivery = open(`${far.url}/r`);
    expect(await delivery.observe(never)).toMatchObject({ trouble });
    expect(await delivery.history?.(never)).toEqual([
      { revision: 'a'.repeat(40), from: Date.parse(from), to: null, role: 'stable' },
    ]);
    far.on('/r', json({ ...state, history: [{ ...history[0], from: 'yesterday' }] }));
    await expect(delivery.history?.(never)).rejects.toMatchObject({ code: 'delivery_bad_answer' });
  });

  it('tells of a sync that is under way, where the far side says so', async () => {
    const since = '2026-11-23T07:00:00Z';
    far.on('/r', json({ ...state, operation: { revision: 'b'.repeat(40), since } }));
    expect((await open().observe(never)).operation).toEqual({ revision: 'b'.repeat(40), since: Date.parse(since) });
    far.on('/r', json({ ...state, operation: null }));
    expect('operation' in (await open().observe(never))).toBe(false);
    far.on('/r', json({ ...state, operation: { revision: 'main', since } }));
    await expect(open().observe(never)).rejects.toMatchObject({ code: 'delivery_bad_answer' });
  });

  it('sends what the contract says, and nothing else', async () => {
    for (const path of ['/r/abort', '/r/annotate', '/r/sync']) far.on(path, json({ result: 'aborted', more: 1 }));
    far.on('/r', json({ ...state, more: 1 }));
    const delivery = open(`${far.url}/r/`);
    expect(await delivery.observe(never)).toEqual(state);
    await delivery.abort({ revision: 'b'.repeat(40), rollback: 'r-1', reason: 'why' }, never);
    await delivery.annotate({ revision: 'b'.repeat(40), rollback: 'r-1', values: { a: 'b' } }, never);
    await delivery.sync({ commit: 'a'.repeat(40), rollback: 'r-1' }, never);
    const shown = ({ method, path, body, headers }: ReceivedRequest) => [
      method,
      path,
      headers['content-type'],
      body === '' ? null : (JSON.parse(body) as unknown),
    ];
    expect(far.requests.map(shown)).toEqual([
      ['GET', '/r', undefined, null],
      ['POST', '/r/abort', 'application/json', { revision: 'b'.repeat(40), rollback: 'r-1', reason: 'why' }],
      ['POST', '/r/annotate', 'application/json', { revision: 'b'.repeat(40), rollback: 'r-1', values: { a: 'b' } }],
      ['POST', '/r/sync', 'application/json', { commit: 'a'.repeat(40), rollback: 'r-1' }],
    ]);
    expect(far.requests.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });

  it('reads the token anew for each call, so that a rotated one is taken up', async () => {
    far.on('/r', json(state));
    const delivery = open(undefined, 'file');
    await delivery.observe(never);
    token = 'rotated';
    await delivery.observe(never);
    expect(far.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer t0ken-file', 'Bearer rotated-file']);
  });

  it.each(['two words', 'line\nbreak', 'grün'])(
    'does not send a token that no header can hold (%j), and does not show it',
    async (bad) => {
      token = bad;
      const call = open(undefined, 'file').observe(never);
      await expect(call).rejects.toMatchObject({
        code: 'delivery_token_invalid',
        message: expect.not.stringContaining(bad) as string,
      });
      expect(far.requests).toHaveLength(0);
    },
  );

  it.each([
    [400, 'delivery_refused', false],
    [401, 'delivery_refused', false],
    [302, 'delivery_refused', false],
    [409, 'delivery_refused', false],
    [408, 'delivery_failed', true],
    [429, 'delivery_failed', true],
    [502, 'delivery_failed', true],
  ])('takes %i of an observation for %s', async (status, code, retryable) => {
    far.on('/r', { kind: 'answer', status, headers: { location: 'http://127.0.0.1:1/' } });
    await expect(open().observe(never)).rejects.toMatchObject({ code, retryable, details: { status } });
  });

  it.each([
    {},
    [],
    null,
    { ...state, phase: 'fine' },
    { ...state, canary: 'main' },
    { ...state, canary: undefined },
    { ...state, stable: 5 },
  ])('does not act on the state %j', async (body) => {
    far.on('/r', json(body));
    await expect(open().observe(never)).rejects.toMatchObject({ code: 'delivery_bad_answer', retryable: false });
  });

  it('does not take an abort for done that the answer does not confirm', async () => {
    far.on('/r/abort', json({}));
    const order = { revision: 'b'.repeat(40), rollback: 'r-1', reason: 'why' };
    await expect(open().abort(order, never)).rejects.toMatchObject({ code: 'delivery_bad_answer' });
  });

  it('rejects with the reason of the caller even if that looks like a fault of the far side', async () => {
    far.on('/r', { kind: 'hang' });
    const controller = new AbortController();
    const call = open().observe(controller.signal);
    await far.arrived(1);
    const reason = new CodedError('timeout', 'the step took too long');
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
  });

  it('refuses an address with a password in it at the start', () => {
    expect(() => open('http://me:s3cr3t@loop/r')).toThrow(/^(?!.*s3cr3t).*tokenFile/);
  });
});
