import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { programPath } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { serviceWorld, GIT_TOKEN, type ServiceWorld } from '../support/service-world.ts';

const MAIN = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));
const TEST_TIMEOUT_MS = 60_000;
const FETCH_TIMEOUT_MS = 400_000;
const run = promisify(execFile);

interface Found {
  check: string;
  status: 'ok' | 'warn' | 'fail';
  code: string;
  sentence: string;
}
interface Report {
  healthy: boolean;
  counts: { ok: number; warn: number; fail: number };
  findings: Found[];
}

function doctor(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((done) => {
    execFile(process.execPath, [MAIN, 'doctor', ...args], { env: { PATH: process.env['PATH'] ?? '' } }, (error, out, err) => {
      done({ code: error === null ? 0 : Number(error.code), out, err });
    });
  });
}

async function report(config: string): Promise<{ code: number; report: Report; of: (check: string) => Found[] }> {
  const { code, out } = await doctor(config, '--json');
  const found = JSON.parse(out) as Report;
  return { code, report: found, of: (check) => found.findings.filter((finding) => finding.check === check) };
}

let world: ServiceWorld;
beforeAll(async () => {
  world = await serviceWorld();
  await chmod(join(world.folder, 'token'), 0o600);
});
afterAll(() => world.close());

/** The configuration of the world with some text replaced. */
async function changed(...replacements: [string, string][]): Promise<string> {
  let text = await readFile(world.config, 'utf8');
  for (const [from, to] of replacements) text = text.replaceAll(from, to);
  const file = join(world.folder, 'changed.yaml');
  await writeFile(file, text);
  return file;
}

describe('davylamp doctor', () => {
  it(
    'finds everything that is needed, changes nothing, and ends with 0',
    async () => {
      const before = await readdir(world.folder, { recursive: true });
      const { code, out, err } = await doctor(world.config);
      expect({ code, err }).toEqual({ code: 0, err: '' });
      const lines = out.trimEnd().split('\n');
      expect(lines.at(-1)).toMatch(/^0 failed, 0 to look at, \d+ ok$/);
      for (const line of [
        /^ok {4}configuration +valid: applications 1/,
        /^ok {4}file repositories\.deploy\.tokenFile +.*token can be read, and by nobody else \(0600\)$/,
        /^ok {4}listen +127\.0\.0\.1:0 can be listened on; without credentials, for this machine only$/,
        /^ok {4}git +git \d+\.\d+/,
        /^ok {4}data folder +.*\d GiB free$/,
        /^ok {4}storage +embedded/,
        /^ok {4}repository deploy +branch main is at [0-9a-f]{12}$/,
        /^ok {4}repository deploy +the remote lets this credential push .*branch protection and hooks show at a real push only/,
        /^ok {4}source pages +127\.0\.0\.1:\d+ shows a metrics page with \d+ series$/,
        /^ok {4}delivery shop +answers: progressing, canary [0-9a-f]{12}$/,
        /^ok {4}clock 127\.0\.0\.1:\d+ +the clocks agree$/,
      ]) {
        expect(lines.filter((text) => line.test(text)).length).toBeGreaterThan(0);
      }
      expect(out).not.toContain(GIT_TOKEN);
      expect(await readdir(world.folder, { recursive: true })).toEqual(before);
    },
    TEST_TIMEOUT_MS,
  );

  it(
    'names each thing that does not work by its code, and ends with 1',
    async () => {
      const file = await changed(
        [`${world.pages.url}/canary`, 'http://127.0.0.1:1/canary'],
        [`url: ${world.rollout.url}`, 'url: http://127.0.0.1:1'],
        ['path: ./data', 'path: ./token'],
        ['tokenFile: ./token', 'tokenFile: ./wrong'],
      );
      await writeFile(join(world.folder, 'wrong'), 'wrong-token-e1', { mode: 0o644 });
      const { code, report: found, of } = await report(file);
      expect(code).toBe(1);
      expect(found).toMatchObject({ healthy: false, counts: { fail: 4 } });
      expect(of('repository deploy')).toMatchObject([{ status: 'fail', code: 'git_auth_failed' }]);
      expect(of('source pages')).toMatchObject([
        { status: 'fail', code: 'connect_failed' },
        { status: 'ok', code: 'readable' },
      ]);
      expect(of('delivery shop')).toMatchObject([{ status: 'fail', code: 'delivery_unreachable' }]);
      expect(of('data folder')).toMatchObject([{ status: 'fail', code: 'folder_not_writable' }]);
      expect(of('file repositories.deploy.tokenFile')).toMatchObject([{ status: 'warn', code: 'secret_readable' }]);
      expect(JSON.stringify(found)).not.toContain('wrong-token-e1');
    },
    TEST_TIMEOUT_MS,
  );

  it(
    'says that a remote can be read and not be written to',
    async () => {
      await world.colleague.git('--git-dir', world.git.repository, 'config', 'http.receivepack', 'false');
      const { code, of } = await report(world.config);
      await world.colleague.git('--git-dir', world.git.repository, 'config', 'http.receivepack', 'true');
      expect(code).toBe(1);
      expect(of('repository deploy')).toMatchObject([
        { status: 'ok', code: 'readable' },
        { status: 'fail', code: 'git_auth_failed' },
      ]);
    },
    TEST_TIMEOUT_MS,
  );

  it(
    'sees a clock that is off, and an address that is taken',
    async () => {
      const late = createServer((_, response) => {
        response.sendDate = false;
        response.writeHead(200, { 'content-type': 'text/plain', date: new Date(Date.now() - 90_000).toUTCString() });
        response.end('up 1\n');
      });
      await new Promise<void>((done) => late.listen(0, '127.0.0.1', done));
      const address = late.address();
      if (address === null || typeof address === 'string') throw new Error('no port');
      const host = `127.0.0.1:${address.port}`;
      try {
        const file = await changed([`${world.pages.url}/canary`, `http://${host}/canary`], ['127.0.0.1:0', host]);
        const { code, of } = await report(file);
        expect(code).toBe(0);
        expect(of(`clock ${host}`)).toMatchObject([
          { status: 'warn', code: 'clock_skew', sentence: expect.stringMatching(/ (89|90|91)\.\d s ahead/) },
        ]);
        expect(of('listen')).toMatchObject([{ status: 'warn', code: 'in_use' }]);
      } finally {
        await new Promise((done) => late.close(done));
      }
    },
    TEST_TIMEOUT_MS,
  );

  it(
    'asks a Redis for its policy and its clock, and writes nothing into it',
    async () => {
      const good = await startRedis();
      const forgetful = await startRedis({ appendonly: 'no' });
      try {
        const on = (url: string) => changed(['{ kind: embedded, path: ./data }', `{ kind: redis, url: ${url} }`]);
        const { code, of } = await report(await on(good.url));
        expect(code).toBe(0);
        expect(of('storage')).toMatchObject([
          { status: 'ok', code: 'ok' },
          { status: 'ok', code: 'clock' },
        ]);
        expect((await run(await programPath('redis-cli'), ['-u', good.url, 'dbsize'])).stdout.trim()).toBe('0');
        const refused = await report(await on(forgetful.url));
        expect(refused.code).toBe(1);
        expect(refused.of('storage')).toMatchObject([{ status: 'fail', sentence: expect.stringMatching(/append/i) }]);
      } finally {
        await Promise.all([good.stop(), forgetful.stop()]);
      }
    },
    FETCH_TIMEOUT_MS,
  );

  it('refuses a wrong configuration as `validate` does, and a secret that is not there', async () => {
    const file = await changed(['mode: rollback', 'mode: rolback']);
    expect(await doctor(file)).toMatchObject({ code: 2, out: '', err: expect.stringMatching(/applications\.shop\.mode/) });
    const missing = await changed(['tokenFile: ./token', 'tokenFile: ./nowhere']);
    const { of } = await report(missing);
    expect(of('file repositories.deploy.tokenFile')).toMatchObject([{ status: 'fail', code: 'secret_unreadable' }]);
    expect(await doctor()).toMatchObject({ code: 2, err: expect.stringContaining('DAVYLAMP_CONFIG') });
    const folder = await mkdtemp(join(tmpdir(), 'davylamp-doctor-test-'));
    await rm(folder, { recursive: true });
    expect(await doctor(join(folder, 'none.yaml'))).toMatchObject({ code: 2, err: expect.stringContaining('config_unreadable') });
  });
});
