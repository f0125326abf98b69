import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/clock.ts';
import { createEmbeddedQueue } from '../../src/queue/embedded/queue.ts';
import type { QueueTimes } from '../../src/queue/times.ts';
import { openEmbedded } from '../../src/store/embedded/database.ts';
import { createEmbeddedStore } from '../../src/store/embedded/store.ts';
import { compiledChild } from './killed.ts';

/** A folder for the embedded adapters, as both suites want it. */
export async function embeddedPlace() {
  const folder = await mkdtemp(join(tmpdir(), 'davylamp-conformance-'));
  return {
    child: { adapter: compiledChild('embedded.js'), place: folder },
    remove: () => rm(folder, { recursive: true }),

    async openStore() {
      const database = await openEmbedded({ folder, clock: systemClock });
      const store = createEmbeddedStore(database);
      return {
        store,
        async close() {
          await store.close();
          await database.close();
        },
      };
    },

    async openQueue(times: Partial<QueueTimes>) {
      const database = await openEmbedded({ folder, clock: systemClock });
      const queue = createEmbeddedQueue(database, { clock: systemClock, times });
      return {
        queue,
        async close() {
          await queue.close();
          await database.close();
        },
      };
    },
  };
}
