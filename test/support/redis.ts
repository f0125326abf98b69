import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { programPath } from './programs.ts';

const READY = /Ready to accept connections/;
const READY_DEADLINE_MS = 20_000;
const ATTEMPTS = 5;
const SHOWN_LINES = 20;

/** `appendonly: 'no'` becomes `--appendonly no`; a list is given as it is, for example `save: ['']`. */
export type RedisConfig = Readonly<Record<string, string | readonly string[]>>;

/** A Redis of its own on a free port of 127.0.0.1, with an append-only file unless its settings say otherwise. */
export class RedisServer {
  readonly port: number;
  readonly folder: string;
  readonly #config: RedisConfig;
  #child: ChildProcess | undefined;

  constructor(port: number, folder: string, config: RedisConfig) {
    this.port = port;
    this.folder = folder;
    this.#config = config;
  }

  get url(): string {
    return `redis://127.0.0.1:${String(this.port)}`;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error('The Redis does not run.');
    return pid;
  }

  /** Starts it on the same port and the same data; resolves when it takes connections. */
  async start(): Promise<void> {
    const settings: RedisConfig = {
      bind: '127.0.0.1',
      ...('tls-cert-file' in this.#config ? { port: '0', 'tls-port': String(this.port) } : { port: String(this.port) }),
      dir: this.folder,
      save: '',
      appendonly: 'yes',
      appendfsync: 'everysec',
      ...this.#config,
    };
    const options = Object.entries(settings).flatMap(([name, value]) => [
      `--${name}`,
      ...(typeof value === 'string' ? [value] : value),
    ]);
    const child = spawn(await programPath('redis-server'), options, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    const lines: string[] = [];
    child.stderr.on('data', (chunk: Buffer) => lines.push(chunk.toString()));
    const ready = new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), READY_DEADLINE_MS);
      createInterface({ input: child.stdout }).on('line', (line) => {
        lines.push(line);
        lines.splice(0, lines.length - SHOWN_LINES);
        if (READY.test(line)) resolve(true);
      });
      child.once('close', () => resolve(false));
      child.once('error', (error) => lines.push(error.message));
      child.once('close', () => clearTimeout(timer));
    });
    if (await ready) return;
    await this.kill();
    throw new Error(`The Redis did not start:\n${lines.join('\n')}`);
  }

  /** kill -9, as a lost machine would; resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
  }

  /** Ends it and removes its data. */
  async stop(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** @throws Error with the end of its log, or the line to type where there is no redis-server */
export async function startRedis(config: RedisConfig = {}): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'davylamp-redis-'));
  for (let attempt = 1; ; attempt += 1) {
    const server = new RedisServer(await freePort(), folder, config);
    try {
      await server.start();
      return server;
    } catch (error) {
      // Another process may have taken the port meanwhile.
      if (attempt < ATTEMPTS && error instanceof Error && error.message.includes('Address already in use')) continue;
      await server.stop();
      throw error;
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
