import { createHmac } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startFaultServer, type FaultServer } from '../../../test/support/fault-server.ts';
import { createHttpClient, type HttpClient } from '../../net/client.ts';
import { createNoDelivery } from '../none/delivery.ts';
import { callReceiver } from './receiver.ts';
import type { FluxReceiver } from './schema.ts';

const COMMIT = 'a'.repeat(40);
const PATH = `/hook/${'5e'.repeat(32)}`;
const TOKEN = 'the-token-of-the-receiver';
const never = new AbortController().signal;

describe('a Receiver of Flux', () => {
  let far: FaultServer;
  let http: HttpClient;
  let files: Record<string, string>;
  beforeEach(async () => {
    far = await startFaultServer();
    http = createHttpClient();
    files = { url: far.url + PATH, token: TOKEN };
    // As notification-controller does: any body for generic, a signature over the raw body for generic-hmac.
    far.on('*', ({ path, headers, body }) => {
      if (path !== PATH) return { kind: 'answer', status: 404 };
      const expected = `sha256=${createHmac('sha256', TOKEN).update(body).digest('hex')}`;
      const given = headers['x-signature'];
      return { kind: 'answer', status: given === undefined || given === expected ? 200 : 400 };
    });
  });
  afterEach(async () => {
    await http.close();
    await far.close();
  });

  const readSecret = (file: string) => Promise.resolve(files[file] ?? '');
  const call = (config: Partial<FluxReceiver> = {}) =>
    callReceiver({ urlFile: 'url', timeout: '2s', ...config }, COMMIT, { http, readSecret }, never);

  it('is called at its secret address, and with a signature where it has a token', async () => {
    await call();
    await call({ secretFile: 'token' });
    const [plain, signed] = far.requests;
    expect(plain).toMatchObject({ method: 'POST', path: PATH, body: JSON.stringify({ commit: COMMIT }) });
    expect(plain?.headers['x-signature']).toBeUndefined();
    expect(signed?.headers['x-signature']).toMatch(/^sha256=[0-9a-f]{64}$/);
  });

  it('asks for a sync where nothing else is known of the cluster', async () => {
    const delivery = createNoDelivery({ type: 'none', fluxReceiver: { urlFile: 'url' } }, { http, readSecret });
    expect(delivery.can).toEqual({ observe: false, abort: false, annotate: false, sync: true });
    await delivery.sync({ commit: COMMIT, rollback: 'rb-1' }, never);
    expect(far.requests).toHaveLength(1);
  });

  it.each<[string, boolean, Record<string, string>]>([
    ['delivery_refused', false, { token: 'another' }],
    ['delivery_refused', false, { url: 'OTHER' }],
    ['delivery_invalid', false, { url: 'flux.example/hook' }],
    ['delivery_invalid', false, { url: 'https://me:secret@flux.example/hook' }],
  ])('says %s of files that do not fit, without showing them', async (code, retryable, changed) => {
    files = { ...files, ...changed, ...(changed['url'] === 'OTHER' && { url: `${far.url}/hook/5ecret` }) };
    const failing = call({ secretFile: 'token' });
    await expect(failing).rejects.toMatchObject({ code, retryable });
    await expect(failing).rejects.not.toThrow(/5e5e|5ecret|me:secret|the-token/);
  });

  it.each<[string, boolean, Parameters<FaultServer['on']>[1]]>([
    ['delivery_failed', true, { kind: 'answer', status: 503 }],
    ['delivery_failed', true, { kind: 'answer', status: 500 }],
    ['delivery_refused', false, { kind: 'answer', status: 302, headers: { location: '/' } }],
    ['delivery_unreachable', true, { kind: 'drop' }],
  ])('says %s (retryable: %s) when it does not take the call', async (code, retryable, behaviour) => {
    far.on('*', behaviour);
    const failing = call();
    await expect(failing).rejects.toMatchObject({ code, retryable });
    await expect(failing).rejects.not.toThrow(/5e5e/);
  });
});
