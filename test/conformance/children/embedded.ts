import { createEmbeddedQueue } from '../../../src/queue/embedded/queue.ts';
import type { JobQueue } from '../../../src/queue/port.ts';
import { openEmbedded } from '../../../src/store/embedded/database.ts';
import { createEmbeddedStore } from '../../../src/store/embedded/store.ts';
import type { Store } from '../../../src/store/port.ts';

const clock = { now: () => Date.now() };

/** The embedded adapters, as a process opens them that will be killed. */
export async function open(folder: string): Promise<{ store: Store; queue: JobQueue }> {
  const database = await openEmbedded({ folder, clock });
  return { store: createEmbeddedStore(database), queue: createEmbeddedQueue(database, { clock }) };
}
