import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { filePath } from '../../src/git/names.ts';
import type { RollbackPreview } from '../../src/rollback/preview.ts';
import type { Rollback } from '../../src/rollback/record.ts';
import { HOSTILE, MARK } from '../git/hostile-strings.ts';
import { client } from '../support/running-service.ts';
import { serve, type ServiceProcess } from '../support/service-process.ts';
import { GIT_TOKEN, serviceWorld, type ServiceWorld } from '../support/service-world.ts';

const COMMITS = 30;
const PUSHED = 2;
const SECRETS = [GIT_TOKEN, encodeURIComponent(GIT_TOKEN), Buffer.from(`davylamp:${GIT_TOKEN}`).toString('base64')];
/** What a hook on the remote might say: our own token, a call to everybody, invisible and control characters. */
const HOOK = `no ${GIT_TOKEN} <!channel> @everyone \u202e\u200b\u001b[31m $(touch ${MARK}) \`touch ${MARK}\` frozen`;

/** Writes down every program that the process starts. */
const SPY = `
import { ChildProcess } from 'node:child_process';
import { appendFileSync } from 'node:fs';
const { spawn } = ChildProcess.prototype;
ChildProcess.prototype.spawn = function (options) {
  appendFileSync(process.env.DAVYLAMP_TEST_SPY, JSON.stringify([options.file, ...options.args.slice(1)]) + '\\n');
  return spawn.call(this, options);
};
`;

function isPath(text: string): boolean {
  try {
    return filePath(text) === text;
  } catch {
    return false;
  }
}

function isRef(text: string): boolean {
  try {
    execFileSync('git', ['check-ref-format', `refs/heads/${text}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Paths of which none is a folder of another. */
function paths(): string[] {
  const all = HOSTILE.filter(isPath);
  return all.filter((path) => !all.some((other) => path !== other && path.startsWith(`${other}/`)));
}

describe(`5.8 ${HOSTILE.length} hostile strings in requests, refs, paths, messages and names`, () => {
  let world: ServiceWorld;
  let service: ServiceProcess;
  let api: ReturnType<typeof client>;
  let traces: string;
  let spied: string;
  let channel: ReturnType<typeof createServer>;
  const commits: string[] = [];
  const heard: string[] = [];

  async function call(method: string, path: string, body?: unknown): Promise<{ status: number; text: string }> {
    const { status, body: answer } = await api.call<unknown>(method, path, body);
    const text = JSON.stringify(answer);
    heard.push(text);
    return { status, text };
  }

  beforeAll(async () => {
    world = await serviceWorld({ more: '    guards: { maxPerDay: 1000 }' });
    const bin = join(world.folder, 'bin');
    traces = join(world.folder, 'traces');
    spied = join(world.folder, 'spied');
    await mkdir(bin);
    await mkdir(traces);
    await writeFile(spied, '');
    await writeFile(join(world.folder, 'spy.mjs'), SPY);
    const real = execFileSync('which', ['git'], { encoding: 'utf8' }).trim();
    // git writes down each process that it starts (api-trace2), and itself, with all arguments.
    await writeFile(join(bin, 'git'), `#!/bin/sh\nGIT_TRACE2_EVENT='${traces}' exec '${real}' "$@"\n`, { mode: 0o755 });
    channel = createServer((request, response) => {
      request.setEncoding('utf8').on('data', (text: string) => heard.push(text));
      request.on('end', () => response.writeHead(200).end('{}'));
    });
    channel.listen(0, '127.0.0.1');
    await once(channel, 'listening');
    const address = channel.address();
    if (address === null || typeof address === 'string') throw new Error('the channel has no port');
    const config = await readFile(world.config, 'utf8');
    const hook = `notify: { channels: { hook: { type: webhook, url: "http://127.0.0.1:${address.port}/" } } }\n`;
    await writeFile(world.config, config + hook);
    await commitAll();
    service = await serve(world.config, {
      PATH: `${bin}:${process.env['PATH'] ?? ''}`,
      NODE_OPTIONS: `--import ${join(world.folder, 'spy.mjs')}`,
      DAVYLAMP_TEST_SPY: spied,
    });
    api = client(service.address);
    world.rollout.state.canary = null;
  }, 120_000);
  afterAll(async () => {
    await service.stop();
    channel.close();
    channel.closeAllConnections();
    await world.close();
  });

  /** Every string stands in a message and an author, and in a path or a ref where git takes it for one. */
  async function commitAll(): Promise<void> {
    const { colleague } = world;
    const share = <T>(all: readonly T[], at: number) => all.filter((_, index) => index % COMMITS === at);
    const inside = paths();
    for (let at = 0; at < COMMITS; at += 1) {
      const message = `${share(HOSTILE, at).join('\n\n').replaceAll('\0', '')}\n`;
      const blob = execFileSync('git', ['-C', colleague.folder, 'hash-object', '-w', '--stdin'], {
        input: message,
        encoding: 'utf8',
      });
      const lines = share(inside, at).map((path) => `100644 ${blob.trim()}\tapps/shop/hostile/${path}\0`);
      execFileSync('git', ['-C', colleague.folder, 'update-index', '-z', '--index-info'], { input: lines.join('') });
      const name = share(HOSTILE, at)[0]?.replaceAll(/[\0\n\r<>]/g, ' ') ?? 'nobody';
      const env = {
        ...process.env,
        GIT_AUTHOR_NAME: `x ${name}`,
        GIT_AUTHOR_EMAIL: 'eve@example.com',
        GIT_COMMITTER_NAME: `x ${name}`,
        GIT_COMMITTER_EMAIL: 'eve@example.com',
      };
      execFileSync(
        'git',
        ['-C', colleague.folder, 'commit', '--quiet', '--allow-empty-message', '--cleanup=verbatim', '-F', '-'],
        { input: message, env },
      );
      commits.push(await colleague.git('rev-parse', 'HEAD'));
    }
    await colleague.push();
    const refs = HOSTILE.filter(isRef).map((text) => `refs/heads/${text}`);
    // A branch may not be the folder of another one.
    const apart = refs.filter((ref) => !refs.some((other) => other.startsWith(`${ref}/`)));
    const orders = apart.map((ref) => `create ${ref}\0${commits[0] ?? ''}\0`).join('');
    execFileSync('git', ['--git-dir', world.git.repository, 'update-ref', '-z', '--stdin'], { input: orders });
    expect(apart.length).toBeGreaterThan(20);
  }

  it('as requests are refused, and never an error of ours', { timeout: 180_000 }, async () => {
    for (const text of HOSTILE) {
      const at = encodeURIComponent(text);
      const answers = [
        await call('POST', '/api/v1/rollbacks', { application: 'shop', revision: text, reason: text }),
        await call('POST', '/api/v1/rollbacks', { application: text, revision: world.bad, reason: text, dryRun: true }),
        await call('POST', '/api/v1/analyses', { application: 'shop', revision: text, arguments: { service: text } }),
        await call('POST', '/api/v1/switches', { scope: 'application', name: text, stopped: true, reason: text }),
        await call('POST', `/api/v1/applications/shop/ledger/${at}/mark`, { standing: 'good', reason: text }),
        await call('GET', `/api/v1/rollbacks/${at}`),
        await call('GET', `/api/v1/rollbacks/${at}/journal`),
      ];
      for (const { status, text: said } of answers) {
        expect(status, `${JSON.stringify(text)}: ${said}`).toBeGreaterThanOrEqual(400);
        expect(status, `${JSON.stringify(text)}: ${said}`).toBeLessThan(500);
      }
    }
  });

  it('in commits are planned as they stand there, and nothing else', { timeout: 180_000 }, async () => {
    const inside = new Set(paths().map((path) => `apps/shop/hostile/${path}`));
    const seen = new Set<string>();
    for (const revision of commits) {
      const { status, text } = await call('POST', '/api/v1/rollbacks', {
        application: 'shop',
        revision,
        reason: 'looks bad',
        dryRun: true,
      });
      expect(status, text).toBe(200);
      const { plan, badCommit } = JSON.parse(text) as RollbackPreview;
      expect(badCommit).toBe(revision);
      for (const path of plan?.changed ?? []) seen.add(path);
    }
    expect(seen).toEqual(inside);
  });

  it('in commits are taken out, past a hook that says hostile words', { timeout: 120_000 }, async () => {
    for (const [index, revision] of commits.slice(-PUSHED).entries()) {
      if (index === 0) await world.git.refusePushes(HOOK);
      const { text } = await call('POST', '/api/v1/rollbacks', {
        application: 'shop',
        revision,
        reason: HOSTILE.slice(0, 3).join(' ').replaceAll('\0', ''),
      });
      const path = `/api/v1/rollbacks/${(JSON.parse(text) as Rollback).id}`;
      if (index === 0) {
        const held = await api.until<Rollback>(path, ({ state }) => state === 'held');
        expect(held).toMatchObject({ code: 'git_push_refused', problem: { code: 'git_push_refused' } });
        expect(held.sentence).toContain('frozen');
        expect(held.sentence).not.toMatch(/[\p{Cc}\p{Cf}]/u);
        const metrics = await (await fetch(`${service.address}/metrics`)).text();
        expect(metrics).toMatch(/davylamp_rollback_held_total\{[^}]*code="git_push_refused"[^}]*\} 1/);
        await expect
          .poll(() => heard.some((notice) => notice.includes('"rollback.held"') && notice.includes('frozen')), {
            timeout: 20_000,
          })
          .toBe(true);
        await world.git.refusePushes(null);
        await call('POST', `${path}/approve`, { plan: held.plan?.hash });
      }
      const done = await api.until<Rollback>(path, ({ revertCommit }) => revertCommit !== null, 40_000);
      const tree = await world.colleague.git(
        '--git-dir',
        world.git.repository,
        'ls-tree',
        '-r',
        '-z',
        '--name-only',
        done.revertCommit ?? '',
      );
      const left = new Set(tree.split('\0'));
      expect(done.plan?.changed.filter((file) => left.has(file))).toEqual([]);
    }
  });

  it(
    'started no process but git, made no file outside of the data folder, and showed no secret anywhere',
    { timeout: 120_000 },
    async () => {
      const started = (await readFile(spied, 'utf8'))
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as string[]);
      expect(started.length).toBeGreaterThan(COMMITS);
      expect([...new Set(started.map(([file]) => file))]).toEqual(['git']);
      const programs = new Set<string>();
      let traced = '';
      for (const file of await readdir(traces)) {
        const trace = await readFile(join(traces, file), 'utf8');
        traced += trace;
        for (const line of trace.split('\n').filter(Boolean)) {
          const { event, argv } = JSON.parse(line) as { event?: string; argv?: string[] };
          if (event === 'child_start' || event === 'exec') programs.add(String(argv?.[0]).split('/').at(-1) ?? '');
        }
      }
      expect(
        [...programs].filter(
          (program) =>
            !/^(git|git-remote-http|fetch-pack|index-pack|maintenance|pack-objects|rev-list|send-pack|unpack-objects)$/.test(
              program,
            ),
        ),
      ).toEqual([]);

      const data = join(world.folder, 'data');
      for (const folder of [world.folder, tmpdir(), process.cwd(), '/']) {
        expect((await readdir(folder)).filter((name) => name.includes(MARK))).toEqual([]);
      }
      const stored = await readdir(data, { recursive: true, withFileTypes: true });
      expect(stored.filter(({ name }) => name.includes(MARK))).toEqual([]);

      for (const path of [
        '/api/v1/rollbacks?limit=100',
        '/api/v1/analyses',
        '/api/v1/switches',
        '/api/v1/journal',
        '/api/v1/applications/shop/ledger',
      ]) {
        await call('GET', path);
      }
      const { items } = (await api.call<{ items: Rollback[] }>('GET', '/api/v1/rollbacks?limit=100')).body;
      for (const { id } of items) await call('GET', `/api/v1/rollbacks/${id}/journal`);
      const outputs: Record<string, string> = {
        'answers and notices': heard.join('\n'),
        log: JSON.stringify(service.log),
        metrics: await (await fetch(`${service.address}/metrics`)).text(),
        'arguments of programs': traced + JSON.stringify(started),
      };
      for (const repository of [world.git.repository, ...(await mirrors(data))]) {
        const objects = ['--git-dir', repository, 'cat-file', '--batch-all-objects', '--unordered', '--batch'];
        outputs[`objects of ${repository}`] = execFileSync('git', objects, { maxBuffer: 256 * 1024 * 1024 }).toString('latin1');
      }
      for (const { parentPath, name } of stored.filter((entry) => entry.isFile())) {
        // git's lock files come and go.
        outputs[name] = await readFile(join(parentPath, name), 'latin1').catch(() => '');
      }
      const found = Object.entries(outputs).filter(([, text]) => SECRETS.some((secret) => text.includes(secret)));
      expect(found.map(([where]) => where)).toEqual([]);
      expect(outputs['answers and notices']).toContain('no *** ');
    },
  );
});

async function mirrors(data: string): Promise<string[]> {
  const folder = join(data, 'git', 'deploy');
  return (await readdir(folder)).filter((name) => name.endsWith('.git')).map((name) => join(folder, name));
}
