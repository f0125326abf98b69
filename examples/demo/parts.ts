import { fork } from 'node:child_process';
import { join } from 'node:path';
import type { LoopEvent, LoopSettings } from './gitops-loop.ts';
import type { KeeperOrder, KeeperSettings } from './keeper.ts';
import { packageRoot } from './package-root.ts';
import type { RouterSettings } from './router.ts';
import type { ShopSettings } from './shop.ts';
import type { TrafficReport, TrafficSettings } from './traffic.ts';

/** The parts of the demo that run as processes of their own. */
export type PartOrder =
  | { name: 'shop'; settings: ShopSettings }
  | { name: 'router'; settings: RouterSettings }
  | { name: 'traffic'; settings: TrafficSettings }
  | { name: 'loop'; settings: LoopSettings }
  | { name: 'keeper'; settings: KeeperSettings };

/** What a part tells the process that started it. */
export type PartEvent =
  | { type: 'ready'; ports: Record<string, number> }
  | { type: 'failed'; reason: string }
  | { type: 'loop'; event: LoopEvent }
  | { type: 'traffic'; report: TrafficReport };

/** What every part gives to its process: the ports that it listens on, and its orderly end. */
export interface Running {
  ports: Record<string, number>;
  close(): Promise<void>;
  receive?: (order: KeeperOrder) => void;
}

export interface Part {
  pid: number;
  ports: Record<string, number>;
  /** Resolves when the process has ended. */
  exited: Promise<void>;
  send(order: KeeperOrder): void;
  stop(): Promise<void>;
}

const START_DEADLINE_MS = 20_000;
const STOP_DEADLINE_MS = 4_000;

/**
 * Starts a part as a process. It ends when this process ends, however that happens: it watches the channel between them.
 * @throws Error with the part's own reason when it cannot start
 */
export async function startPart(order: PartOrder, onEvent: (event: PartEvent) => void = () => {}): Promise<Part> {
  const child = fork(join(packageRoot(), 'dist', 'examples', 'demo', 'part.js'), [JSON.stringify(order)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: [],
  });
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const ports = await new Promise<Record<string, number>>((resolve, reject) => {
    const give = (reason: string): void => {
      clearTimeout(deadline);
      child.kill('SIGKILL');
      reject(new Error(`The ${order.name} of the demo did not start: ${reason}`));
    };
    const deadline = setTimeout(() => give(`no answer within ${String(START_DEADLINE_MS / 1_000)} s`), START_DEADLINE_MS);
    child.on('message', (message) => {
      const event = message as PartEvent;
      if (event.type === 'ready') {
        clearTimeout(deadline);
        resolve(event.ports);
      } else if (event.type === 'failed') give(event.reason);
      else onEvent(event);
    });
    void exited.then(() => give('it ended'));
  });
  return {
    pid: child.pid ?? 0,
    ports,
    exited,
    send: (sent) => {
      if (child.connected) child.send(sent);
    },
    stop: async () => {
      child.kill('SIGTERM');
      const force = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
      await exited;
      clearTimeout(force);
    },
  };
}
