import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Place } from './storage.ts';

const WORKER = fileURLToPath(new URL('worker.js', import.meta.url));
const LINE_DEADLINE_MS = 30_000;

/** A child process that works on the queue. */
export class CrewMember {
  readonly refused: string[] = [];
  /** When it last said something, on the monotonic clock. */
  saidAt = 0;
  readonly #child: ChildProcess;
  readonly #waiting = new Set<{ wanted: string; seen: () => void }>();

  constructor(place: Place, ticks: number, effectMs: number) {
    const child = spawn(process.execPath, [WORKER, JSON.stringify(place), String(ticks), String(effectMs)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.saidAt = performance.now();
      if (line.startsWith('refused')) this.refused.push(line);
      for (const waiter of this.#waiting) {
        if (!line.startsWith(waiter.wanted)) continue;
        this.#waiting.delete(waiter);
        waiter.seen();
      }
    });
  }

  /** The next line that begins so. */
  async says(wanted: string, deadlineMs = LINE_DEADLINE_MS): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no process said "${wanted}"`)), deadlineMs);
      this.#waiting.add({
        wanted,
        seen: () => {
          clearTimeout(timer);
          resolve();
        },
      });
    });
  }

  signal(name: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    this.#child.kill(name);
  }

  /** @returns how long it took, in milliseconds */
  async stop(): Promise<number> {
    const from = performance.now();
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const closed = once(this.#child, 'close');
      this.#child.kill('SIGCONT');
      this.#child.kill('SIGTERM');
      await closed;
    }
    return performance.now() - from;
  }
}
