import type { Clock } from '../clock.ts';
import type { ResolvedConfig } from '../config/defaults.ts';
import { CodedError } from '../errors.ts';
import type { Finding } from '../finding.ts';
import type { Logger } from '../observability/logger.ts';
import type { JobQueue } from '../queue/port.ts';
import type { Store } from '../store/port.ts';

/** Where records and jobs are kept, whatever it stands on. */
export interface Storage {
  readonly store: Store;
  readonly queue: JobQueue;
  /** Resolves when the storage is gone for good: the process should end, so that a supervisor starts it anew. */
  readonly lost: Promise<Error>;
  /** After the queue was closed. */
  close(): Promise<void>;
}

/**
 * Opens store and queue of the configured kind. The code of a kind is loaded when it is configured.
 *
 * @param deps.folder the data folder, absolute
 * @throws CodedError `store_locked` and the other codes of opening the store
 */
export async function openStorage(
  config: ResolvedConfig['storage'],
  deps: { folder: string; clock: Clock; log: Logger },
): Promise<Storage> {
  switch (config.kind) {
    case 'embedded':
      return openEmbeddedStorage(deps);
    case 'redis':
      throw new CodedError('adapter_not_available', 'storage redis comes with a later release');
  }
}

async function openEmbeddedStorage({ folder, clock, log }: { folder: string; clock: Clock; log: Logger }): Promise<Storage> {
  const [{ openEmbedded }, { createEmbeddedStore }, { createEmbeddedQueue }] = await Promise.all([
    import('../store/embedded/database.ts'),
    import('../store/embedded/store.ts'),
    import('../queue/embedded/queue.ts'),
  ]);
  const database = await openEmbedded({ folder, clock, log });
  const store = createEmbeddedStore(database);
  return {
    store,
    queue: createEmbeddedQueue(database, { clock, log }),
    lost: database.lost,
    async close() {
      await store.close();
      await database.close();
    },
  };
}

/** What can be said of the storage from outside, while a service may be using it; nothing is opened that would lock it. */
export async function examineStorage(
  config: ResolvedConfig['storage'],
  _deps: { configFolder: string; clock: Clock },
  _signal: AbortSignal,
): Promise<readonly Finding[]> {
  switch (config.kind) {
    case 'embedded':
      return [{ status: 'ok', code: 'embedded', sentence: 'embedded: everything stands in the data folder, for one process' }];
    case 'redis':
      return [{ status: 'fail', code: 'adapter_not_available', sentence: 'storage redis comes with a later release' }];
  }
}
