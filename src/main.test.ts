import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';

const root = new URL('..', import.meta.url).pathname;
const main = `${root}dist/src/main.js`;

function davylamp(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((done) => {
    execFile(process.execPath, [main, ...args], { cwd: root, env: {} }, (error, out, err) => {
      done({ code: error === null ? 0 : Number(error.code), out, err });
    });
  });
}

describe('the command davylamp', () => {
  it('lists its commands, and ends with 2 when none was named', async () => {
    const help = await davylamp('--help');
    expect(help).toMatchObject({ code: 0, err: '' });
    for (const name of ['serve', 'validate', 'openapi', 'config-schema', 'config-reference', 'crash-points', 'version']) {
      expect(help.out).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
    }
    expect(await davylamp()).toEqual({ ...help, code: 2 });
    expect((await davylamp('validate', '--help')).out).toContain('Usage: davylamp validate FILE [--json]');
  });

  it('offers the nearest command or option, on standard error, with 2', async () => {
    expect(await davylamp('serv')).toEqual({
      code: 2,
      out: '',
      err: "davylamp: there is no command 'serv'; did you mean serve? (usage)\n",
    });
    expect(await davylamp('--hlep')).toMatchObject({
      code: 2,
      err: "davylamp: there is no option '--hlep'; did you mean --help? (usage)\n",
    });
    expect(await davylamp('validate', 'x', '--jsonn')).toMatchObject({ code: 2, out: '' });
  });

  it('prints the version of its package', async () => {
    const manifest: unknown = JSON.parse(await readFile(`${root}package.json`, 'utf8'));
    expect(manifest).toMatchObject({ version: (await davylamp('--version')).out.trim() });
  });

  it('validates for people and for machines', async () => {
    expect(await davylamp('validate', 'config/default.yaml')).toEqual({
      code: 0,
      out: 'config/default.yaml is valid: applications 1, templates 1, sources 1, repositories 1\n',
      err: '',
    });
    const json = await davylamp('validate', 'test/fixtures/config/wrong.yaml', '--json');
    expect(json.code).toBe(2);
    expect(JSON.parse(json.out)).toEqual({
      valid: false,
      problems: [
        {
          file: 'test/fixtures/config/wrong.yaml',
          line: 2,
          column: 3,
          path: 'server.listn',
          message: "unknown key 'listn'",
          hint: 'did you mean listen?',
        },
      ],
      warnings: [],
    });
    expect(await davylamp('validate', 'no-such-file.yaml')).toMatchObject({ code: 2, out: '' });
  });

  it('serves until SIGTERM or SIGINT, then closes in order and ends with 0', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'davylamp-main-'));
    try {
      await writeFile(join(folder, 'davylamp.yaml'), 'server: { listen: 127.0.0.1:0 }\n');
      for (const signal of ['SIGTERM', 'SIGINT'] as const) {
        const service = spawn(process.execPath, [main, 'serve', '--config', join(folder, 'davylamp.yaml')], {
          env: {},
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        const ended = new Promise<number | null>((done) => service.once('exit', done));
        const messages: unknown[] = [];
        for await (const line of createInterface(service.stdout)) {
          const entry: unknown = JSON.parse(line);
          if (typeof entry !== 'object' || entry === null || !('msg' in entry)) continue;
          messages.push(entry.msg);
          if (entry.msg !== 'ready') continue;
          expect(entry).toMatchObject({ address: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) });
          service.kill(signal);
        }
        expect(await ended).toBe(0);
        expect(messages.slice(messages.indexOf('ready'))).toContain('stopping');
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('does not fail when its reader closes early', async () => {
    const shell = await new Promise<{ code: number; err: string }>((done) => {
      const line = `set -o pipefail; "${process.execPath}" "${main}" config-schema | true`;
      execFile('bash', ['-c', line], (error, _, err) => done({ code: error === null ? 0 : Number(error.code), err }));
    });
    expect(shell).toEqual({ code: 0, err: '' });
  });

  it('says why it cannot listen, without a trace of the program', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'davylamp-main-'));
    const taken = createServer().listen(0, '127.0.0.1');
    try {
      await once(taken, 'listening');
      const { port } = taken.address() as AddressInfo;
      const config = join(folder, 'davylamp.yaml');
      await writeFile(config, `server: { listen: '127.0.0.1:${port}' }\n`);
      expect(await davylamp('serve', '--config', config)).toMatchObject({
        code: 1,
        err: `davylamp: 127.0.0.1:${port} cannot be listened on: something listens there already; end it, or take another port (listen_failed)\n`,
      });
    } finally {
      taken.close();
      await rm(folder, { recursive: true });
    }
  });
});
