import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { standIns } from '../../test/support/http-stand-ins.ts';
import { callService } from '../app/calling.ts';
import { createServer } from '../http/server.ts';
import type { Command } from './command-line.ts';
import { ledgerWith, markWith } from './ledger.ts';

const SHA = '4f2c1d9a7be30c55d1e8f6a2b94d07c3e1f5a688';

let parts: ReturnType<typeof standIns>;
let app: FastifyInstance;
let url: string;
beforeEach(async () => {
  parts = standIns();
  app = createServer(parts.deps);
  await app.listen({ host: '127.0.0.1', port: 0 });
  url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  await app.close();
});

async function run(command: Command, ...args: string[]) {
  let written = '';
  let complained = '';
  const code = await command(args, {
    environment: { DAVYLAMP_SERVER: url },
    write: (text) => (written += text),
    complain: (text) => (complained += text),
    stop: new AbortController().signal,
    onHangup: () => undefined,
  });
  return { code, written, complained };
}
const ledger = (...args: string[]) => run(ledgerWith(callService), ...args);
const mark = (standing: 'good' | 'bad', ...args: string[]) => run(markWith(callService, standing), ...args);

describe('davylamp ledger', () => {
  it('shows what is known, as a table and as JSON', async () => {
    const known = parts.ledger.entries[0];
    const { code, written } = await ledger('shop');
    expect(code).toBe(0);
    expect(written.split('\n')).toEqual([
      expect.stringMatching(/^REVISION +STANDING +RANK +SINCE +BY +WHY$/),
      `${known?.revision}  good      proved  2026-05-02T14:05:31.000Z  analysis  its analysis passed`,
      '',
    ]);
    expect(JSON.parse((await ledger('shop', '--json')).written)).toEqual([known]);
    expect((await ledger('shop', '--standing', 'bad')).written).toBe('nothing is known of any revision yet\n');
  });

  it('says on the other output that there are more', async () => {
    await mark('bad', 'shop', SHA, '--reason', 'it lost orders');
    expect(await ledger('shop', '--limit', '1', '--json')).toMatchObject({
      code: 0,
      complained: 'there are more; see --limit\n',
    });
    expect(await ledger('shop', '--limit', '0')).toMatchObject({ code: 2, complained: expect.stringContaining('--limit') });
  });

  it('ends with 1 and the words of the service for an unknown application', async () => {
    const { code, complained } = await ledger('shpo');
    expect(code).toBe(1);
    expect(complained).toBe('davylamp: there is no application "shpo" (application_unknown)\n');
  });
});

describe('davylamp mark-good and mark-bad', () => {
  it('write down a person’s word, with its reason', async () => {
    const { code, written } = await mark('bad', 'shop', SHA, '--reason', 'it lost orders');
    expect(code).toBe(0);
    expect(written).toBe(`shop ${SHA} is bad: it lost orders (anonymous)\n`);
    const good = JSON.parse(
      (await mark('good', 'shop', SHA.toUpperCase(), '--reason', 'it did not', '--json')).written,
    ) as object;
    expect(good).toMatchObject({ revision: SHA, standing: 'good', reason: 'it did not' });
  });

  it('want a reason, and change nothing without one or for an unknown commit', async () => {
    expect(await mark('bad', 'shop', SHA)).toMatchObject({ code: 2, complained: expect.stringContaining('--reason') });
    const unknown = await mark('bad', 'shop', 'deadbeef', '--reason', 'it lost orders');
    expect(unknown).toMatchObject({ code: 1, complained: expect.stringContaining('(commit_unknown)') });
    expect((await mark('bad', 'shop', 'v1.4.0', '--reason', 'it lost orders')).code).toBe(1);
    expect(parts.ledger.entries).toHaveLength(1);
  });
});
