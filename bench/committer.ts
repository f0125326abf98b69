import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Colleague } from '../test/git/colleague.ts';

const MOST_TRIES = 1_000;

/**
 * Somebody who commits to the same branch, outside of every application, so and so often a second: with a clone of their
 * own, a plain push, and when that is rejected a fetch, a rebase and the next try.
 *
 * @param rate pushes a second that are wanted; where git does not go that fast, the next one follows at once
 */
export function startCommitter(colleague: Colleague, rate: number) {
  let isStopped = false;
  let count = 0;
  let rejected = 0;
  const began = performance.now();

  async function once(): Promise<void> {
    await colleague.commit(`change ${count} of somebody else`, { [`elsewhere/file-${count % 50}.txt`]: `change ${count}\n` });
    for (let attempt = 1; ; attempt += 1) {
      try {
        await colleague.push();
        break;
      } catch (error) {
        if (attempt === MOST_TRIES) throw error;
        rejected += 1;
        await colleague.git('fetch', '--quiet', 'origin');
        await colleague.git('rebase', '--quiet', `origin/${colleague.branch}`);
      }
    }
    count += 1;
  }

  const running = (async () => {
    for (let turn = 1; !isStopped; turn += 1) {
      await once();
      await sleep(Math.max(0, began + (turn * 1_000) / rate - performance.now()));
    }
  })();
  return {
    /** Ends it. @returns commits that were pushed, tries that were rejected, and pushes a second */
    async stop(): Promise<{ count: number; rejected: number; perSecond: number }> {
      isStopped = true;
      await running;
      return { count, rejected, perSecond: count / ((performance.now() - began) / 1_000) };
    },
  };
}
