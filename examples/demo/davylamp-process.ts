import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { packageRoot } from './package-root.ts';

export interface DavylampProcessSettings {
  config: string;
  log: string;
  /** Told of every process, so that somebody outlives us to end it. */
  onStarted(pid: number): void;
  onEnded(pid: number): void;
  /** The process ended without being told to. */
  onDeath(): void;
}

const READY_DEADLINE_MS = 20_000;
const STOP_DEADLINE_MS = 4_000;
const SHOWN_LOG_LINES = 5;

/** davylamp as its users run it: `davylamp serve --config FILE` as a process. */
export class DavylampProcess {
  readonly #settings: DavylampProcessSettings;
  readonly #log: WriteStream;
  #child: ChildProcess | null = null;
  #exited: Promise<void> = Promise.resolve();
  #stopping = false;

  constructor(settings: DavylampProcessSettings) {
    this.#settings = settings;
    this.#log = createWriteStream(settings.log, { flags: 'a' });
  }

  /**
   * Starts it and resolves when it says that it is ready.
   * @throws Error with the end of its log when it does not become ready
   */
  async start(crashAt: string | null = null): Promise<void> {
    const child = spawn(
      process.execPath,
      [join(packageRoot(), 'dist', 'src', 'main.js'), 'serve', '--config', this.#settings.config],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        // A group of its own: Ctrl-C on the terminal is for the demo, which then ends davylamp in order.
        detached: true,
        env: {
          ...process.env,
          NO_PROXY: '127.0.0.1',
          no_proxy: '127.0.0.1',
          ...(crashAt === null ? {} : { DAVYLAMP_CRASH_AT: crashAt }),
        },
      },
    );
    this.#child = child;
    const { pid } = child;
    if (pid !== undefined) this.#settings.onStarted(pid);
    child.stdout.pipe(this.#log, { end: false });
    child.stderr.pipe(this.#log, { end: false });
    this.#exited = new Promise((resolve) => {
      child.once('error', () => resolve());
      child.once('exit', () => {
        if (pid !== undefined) this.#settings.onEnded(pid);
        resolve();
      });
    });
    const isReady = await new Promise<boolean>((resolve) => {
      const deadline = setTimeout(() => resolve(false), READY_DEADLINE_MS);
      void this.#exited.then(() => resolve(false)).finally(() => clearTimeout(deadline));
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (saysReady(line)) resolve(true);
      });
    });
    if (!isReady && crashAt === null)
      throw new Error(`davylamp did not become ready. The end of its log:\n${await this.#lastLines()}`);
    void this.#exited.then(() => {
      if (!this.#stopping && this.#child === child) this.#settings.onDeath();
    });
  }

  /** kill -9, as a lost machine would. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    child?.kill('SIGTERM');
    const force = setTimeout(() => child?.kill('SIGKILL'), STOP_DEADLINE_MS);
    await this.#exited;
    clearTimeout(force);
    await new Promise<void>((resolve) => this.#log.end(() => resolve()));
  }

  async #lastLines(): Promise<string> {
    return (await readFile(this.#settings.log, 'utf8')).trimEnd().split('\n').slice(-SHOWN_LOG_LINES).join('\n');
  }
}

function saysReady(line: string): boolean {
  try {
    const entry: unknown = JSON.parse(line);
    return typeof entry === 'object' && entry !== null && 'msg' in entry && entry.msg === 'ready';
  } catch {
    // Not every line of the log has to be JSON.
    return false;
  }
}
