import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { standIns } from '../../test/support/http-stand-ins.ts';
import { callService } from '../app/calling.ts';
import { createServer } from '../http/server.ts';
import type { Command } from './command-line.ts';
import { reportWith } from './report.ts';
import { rollbackCommands } from './rollback.ts';

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
const call = (name: keyof typeof rollbackCommands, ...args: string[]) => run(rollbackCommands[name](callService), ...args);

describe('davylamp rollback', () => {
  it('asks for a rollback and says where it stands', async () => {
    const { code, written } = await call('rollback', 'shop', '--commit', '4f2c1d9a7be3', '--reason', 'checkout fails');
    expect(code).toBe(0);
    expect(written).toMatch(/^rb-\S+: planned \(\w+\)\n/);
    expect(parts.rollbacks.calls).toMatchObject([
      { request: { application: 'shop', revision: '4f2c1d9a7be3', reason: 'checkout fails' } },
    ]);
  });

  it('shows with --dry-run what would be done, diff included, and asks for nothing', async () => {
    const { code, written } = await call('rollback', 'shop', '--dry-run');
    expect(code).toBe(0);
    expect(written).toContain('shop, commit 4f2c1d9a7b, mode rollback: planned');
    expect(written).toContain('-  image: shop:2\n+  image: shop:1');
    expect(parts.rollbacks.calls).toEqual([{ preview: expect.objectContaining({ application: 'shop', dryRun: true }) }]);
    expect(JSON.parse((await call('rollback', 'shop', '--dry-run', '--json')).written)).toMatchObject({ code: 'planned' });
  });

  it('ends with 1 and the words of the service where it says no', async () => {
    const { code, complained } = await call('approve', 'rb-none', '--plan', 'a'.repeat(64));
    expect([code, complained]).toEqual([1, expect.stringContaining('rollback_unknown')]);
  });
});

describe('davylamp rollbacks', () => {
  it('lists them as a table, and one JSON a line', async () => {
    expect((await call('rollbacks')).written).toBe('there is no rollback\n');
    const held = parts.rollbacks.add({ state: 'held' });
    const { written } = await call('rollbacks', 'shop');
    expect(written.split('\n')[0]).toMatch(/^ID +APPLICATION +BAD +STATE +CODE +DECIDED +WHY$/);
    expect(written).toContain(held.id);
    expect(JSON.parse((await call('rollbacks', '--state', 'held', '--json')).written)).toMatchObject({ id: held.id });
  });
});

describe('davylamp approve and refuse', () => {
  it('release and end a held rollback', async () => {
    const held = parts.rollbacks.add({ state: 'held' });
    expect((await call('approve', held.id, '--plan', held.plan?.hash ?? '')).written).toContain(`${held.id}: planned`);
    expect((await call('refuse', held.id, '--reason', 'a false alarm')).written).toContain(`${held.id}: refused`);
    expect(parts.rollbacks.calls.at(-1)).toMatchObject({ reason: 'a false alarm' });
  });
});

describe('davylamp report', () => {
  const report = (...args: string[]) => run(reportWith(callService), ...args);

  it('shows what davylamp would have done beside what people did', async () => {
    const { code, written } = await report('shop', '--since', '30d');
    expect(code).toBe(0);
    expect(written).toContain('both 1, only davylamp 0, only people 0');
    expect(written).toMatch(/4f2c1d9a7b +would_roll_back +shadow +\S+ +reverted +c01d5a7f9e +22 min +Deploy shop 2/);
    expect(JSON.parse((await report('shop', '--json')).written)).toMatchObject({ agreed: 1 });
    expect((await report('shop', '--since', '99999999999999999999d')).code).toBe(0);
  });

  it('says what is wrong with its arguments, or with the application', async () => {
    expect(await report('shop', '--since', 'yesterday')).toMatchObject({ code: 2, complained: expect.stringContaining('usage') });
    expect(await report('shopp')).toMatchObject({ code: 1, complained: expect.stringContaining('application_unknown') });
  });
});
