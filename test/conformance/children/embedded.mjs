import { createEmbeddedQueue } from '../../../dist/src/queue/embedded/queue.js';
import { openEmbedded } from '../../../dist/src/store/embedded/database.js';
import { createEmbeddedStore } from '../../../dist/src/store/embedded/store.js';

const clock = { now: () => Date.now() };

/** The adapter under test, as a process opens it that will be killed. */
export async function open(folder) {
  const database = await openEmbedded({ folder, clock });
  return { store: createEmbeddedStore(database), queue: createEmbeddedQueue(database, { clock }) };
}
