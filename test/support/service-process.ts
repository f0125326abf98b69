import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageRoot } from './programs.ts';

const MAIN = join(packageRoot(dirname(fileURLToPath(import.meta.url))), 'dist', 'src', 'main.js');
const READY_MS = 30_000;

export interface LogLine {
  msg: string;
  level: string;
  [field: string]: unknown;
}

/** The service as a process of its own, which can be signalled and killed. */
export async function serve(config: string, environment: Record<string, string> = {}) {
  const child = spawn(process.execPath, [MAIN, 'serve', '--config', config], {
    env: { PATH: process.env['PATH'] ?? '', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log: LogLine[] = [];
  const waiting = new Set<() => void>();
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  createInterface({ input: child.stdout }).on('line', (line) => {
    log.push(JSON.parse(line) as LogLine);
    for (const look of waiting) look();
  });
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;

  /** The first line of the log that fits, from `from` on; waits for it. */
  async function logged(fits: (line: LogLine) => boolean, from = 0, deadlineMs = READY_MS): Promise<LogLine> {
    for (;;) {
      const found = log.slice(from).find(fits);
      if (found !== undefined) return found;
      let timer: NodeJS.Timeout | undefined;
      let look: (() => void) | undefined;
      const outcome = await Promise.race([
        new Promise<'line'>((done) => {
          look = () => done('line');
          waiting.add(look);
        }),
        exited.then(() => 'exit' as const),
        new Promise<'late'>((done) => {
          timer = setTimeout(() => done('late'), deadlineMs);
        }),
      ]);
      clearTimeout(timer);
      if (look !== undefined) waiting.delete(look);
      if (outcome !== 'line' && log.slice(from).find(fits) === undefined) {
        const tail = log.slice(-10).map((line) => JSON.stringify(line));
        throw new Error(`the line was not logged (${outcome}): ${stderr}\n${tail.join('\n')}`);
      }
    }
  }

  const ready = await logged(({ msg }) => msg === 'ready');
  return {
    address: String(ready['address']),
    pid: child.pid ?? 0,
    log,
    logged,
    signal: (name: NodeJS.Signals) => void child.kill(name),
    /** Waits for the end of the process. */
    async ended(): Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }> {
      const [code, signal] = await exited;
      return { code, signal, stderr };
    },
    async stop(): Promise<void> {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await exited;
    },
  };
}

export type ServiceProcess = Awaited<ReturnType<typeof serve>>;
