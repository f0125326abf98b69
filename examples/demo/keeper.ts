import { rm } from 'node:fs/promises';
import type { Running } from './parts.ts';

export interface KeeperSettings {
  /** Temporary folder of this run; removed at the end. */
  folder: string;
}

/** Processes that are not parts of the demo and so do not end with it by themselves. */
export type KeeperOrder = { type: 'watch'; pid: number } | { type: 'forget'; pid: number };

/**
 * Outlives the demo by a moment: however the demo ends, even by kill -9, this ends the processes that it was told of and
 * removes the temporary folder.
 */
export function startKeeper(settings: KeeperSettings): Running {
  const watched = new Set<number>();
  return {
    ports: {},
    receive: (order) => {
      if (order.type === 'watch') watched.add(order.pid);
      else watched.delete(order.pid);
    },
    close: async () => {
      for (const pid of watched) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It has ended in the meantime, which is what is wanted.
        }
      }
      await rm(settings.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
}
