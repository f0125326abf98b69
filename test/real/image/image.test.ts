import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildContext, dockerfile, isCopy } from '../../support/dockerfile.ts';

/**
 * The Dockerfile's steps, done in folders instead of images: what is copied, what is run, what is started. What a
 * builder would do beside that (the base image, the packages of the system) is left out.
 */
const run = promisify(execFile);
const root = fileURLToPath(new URL('../../..', import.meta.url));
const REPLAY_MS = 400_000;
const MOST_OUTPUT = 50_000_000;

let world = '';
let entry: string[] = [];

beforeAll(async () => {
  world = await mkdtemp(join(tmpdir(), 'davylamp-image-'));
  entry = await replay(world);
}, REPLAY_MS);
afterAll(() => rm(world, { recursive: true, force: true }));

/** @returns the command that the image would run */
async function replay(folder: string): Promise<string[]> {
  const context = await contextIn(join(folder, 'context'));
  const stages = new Map<string, string>();
  let stage = '';
  let workdir = '/';
  let command: string[] = [];
  for (const instruction of dockerfile()) {
    const within = (path: string) => join(stage, resolve(workdir, path));
    if (isCopy(instruction)) {
      const { from, sources, target } = instruction;
      const origin = from === null ? context : (stages.get(from) ?? '');
      for (const source of sources) {
        const path = join(origin, source);
        const into = target.endsWith('/') && !(await stat(path)).isDirectory() ? join(target, basename(source)) : target;
        await cp(path, within(into), { recursive: true, verbatimSymlinks: true });
      }
      continue;
    }
    const { name, text } = instruction;
    if (name === 'FROM') {
      stage = join(folder, `stage-${stages.size}`);
      workdir = '/';
      stages.set(/ AS (\S+)$/.exec(text)?.[1] ?? 'final', stage);
    }
    if (name === 'WORKDIR') {
      workdir = text;
      await mkdir(within('.'), { recursive: true });
    }
    // Packages of the system belong to the machine.
    if (name === 'RUN' && !text.startsWith('apt-get')) {
      const done = spawnSync('sh', ['-c', text], {
        cwd: within('.'),
        env: environment(),
        encoding: 'utf8',
        maxBuffer: MOST_OUTPUT,
      });
      if (done.status !== 0) throw new Error(`RUN ${text} failed:\n${done.stdout}${done.stderr}`);
    }
    if (name === 'ENTRYPOINT')
      command = (JSON.parse(text) as string[]).map((word) => (word.startsWith('/') ? join(stage, word) : word));
  }
  return command;
}

/** The files of the work tree that a builder would be sent. */
async function contextIn(folder: string): Promise<string> {
  const listed = await run('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    maxBuffer: MOST_OUTPUT,
  });
  const files = listed.stdout.split('\0').filter(Boolean);
  for (const file of buildContext(files)) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await cp(join(root, file), join(folder, file)).catch((error: NodeJS.ErrnoException) => {
      // Deleted, and not yet committed.
      if (error.code !== 'ENOENT') throw error;
    });
  }
  return folder;
}

/** What a fresh machine has, and where npm keeps what it fetched before. */
function environment(): Record<string, string> {
  const { PATH = '', HOME = world } = process.env;
  return { PATH, HOME };
}

describe('what the Dockerfile builds', () => {
  it('has every package that it needs, and none that only builds', async () => {
    const { stdout } = await run(entry[0] ?? '', [...entry.slice(1), 'version'], { cwd: world, env: environment() });
    expect(stdout.trim()).toMatch(/^\d+\.\d+\.\d+$/);
    const modules = join(world, 'stage-1/app/node_modules');
    for (const name of ['fastify', 'libsql', 'bullmq', '@kubernetes/client-node', '@elastic/elasticsearch'])
      await stat(join(modules, name));
    for (const name of ['typescript', 'vitest', 'oxlint']) await expect(stat(join(modules, name))).rejects.toThrow('ENOENT');
  });

  it('serves, answers its health check, and ends when it is told to', async () => {
    const config = join(world, 'davylamp.yaml');
    await writeFile(
      config,
      `server: { listen: '127.0.0.1:0', drainDelay: 1ms }\nstorage: { kind: embedded, path: ${join(world, 'data')} }\n`,
    );
    const child = spawn(entry[0] ?? '', [...entry.slice(1), 'serve', '--config', config], {
      cwd: world,
      env: { ...environment(), NODE_ENV: 'production', HOME: join(world, 'data') },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    try {
      let address = '';
      for await (const line of createInterface({ input: child.stdout })) {
        const said = JSON.parse(line) as { msg: string; address?: string };
        if (said.msg === 'ready') address = said.address ?? '';
        if (address !== '') break;
      }
      for (const path of ['/livez', '/readyz', '/openapi.json', '/docs']) {
        expect((await fetch(`${address}${path}`)).status, path).toBe(200);
      }
    } finally {
      child.kill('SIGTERM');
    }
    expect(await exited).toEqual([0, null]);
  });
});
