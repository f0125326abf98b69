import type { Clock } from '../clock.ts';
import type { ResolvedConfig } from '../config/defaults.ts';
import { readSecret } from '../config/secrets.ts';
import type { Finding } from '../finding.ts';
import type { Logger } from '../observability/logger.ts';
import type { JobQueue } from '../queue/port.ts';
import type { RedisSettings } from '../store/redis/connection.ts';
import type { Archive, Store } from '../store/port.ts';

type StorageConfig = ResolvedConfig['storage'];
type RedisConfig = Extract<StorageConfig, { kind: 'redis' }>;

/** Where records and jobs are kept, whatever it stands on. */
export interface Storage {
  readonly store: Store;
  readonly queue: JobQueue;
  /** The whole data set, for backups. */
  readonly archive: Archive;
  /** Resolves when the storage is gone for good: the process should end, so that a supervisor starts it anew. */
  readonly lost: Promise<Error>;
  /** After the queue was closed. */
  close(): Promise<void>;
}

export interface StorageDependencies {
  /** The data folder, absolute. */
  dataFolder: string;
  /** Where relative paths of secrets start. */
  configFolder: string;
  version: string;
  clock: Clock;
  log: Logger;
}

/**
 * Opens store and queue of the configured kind. The code of a kind is loaded when it is configured.
 *
 * @throws CodedError `store_locked`, `store_unavailable`, `redis_policy` and the other codes of opening the store
 */
export async function openStorage(config: StorageConfig, deps: StorageDependencies): Promise<Storage> {
  return config.kind === 'embedded' ? openEmbeddedStorage(deps) : openRedisStorage(config, deps);
}

async function openEmbeddedStorage({ dataFolder, clock, log, version }: StorageDependencies): Promise<Storage> {
  const [{ openEmbedded }, { createEmbeddedStore }, { createEmbeddedArchive }, { createEmbeddedQueue }] = await Promise.all([
    import('../store/embedded/database.ts'),
    import('../store/embedded/store.ts'),
    import('../store/embedded/archive.ts'),
    import('../queue/embedded/queue.ts'),
  ]);
  const database = await openEmbedded({ folder: dataFolder, clock, log, version });
  const store = createEmbeddedStore(database);
  return {
    store,
    queue: createEmbeddedQueue(database, { clock, log }),
    archive: createEmbeddedArchive(database, { clock }),
    lost: database.lost,
    async close() {
      await store.close();
      await database.close();
    },
  };
}

async function openRedisStorage(config: RedisConfig, deps: StorageDependencies): Promise<Storage> {
  const { clock, log, version } = deps;
  const [{ openRedis }, { createRedisStore }, { createRedisArchive }, { createBullQueue }] = await Promise.all([
    import('../store/redis/connection.ts'),
    import('../store/redis/store.ts'),
    import('../store/redis/archive.ts'),
    import('../queue/bullmq/queue.ts'),
  ]);
  const connection = await openRedis(settingsOf(config, deps.configFolder), { log });
  try {
    const store = await createRedisStore(connection, { version });
    return {
      store,
      queue: createBullQueue(connection, { clock, log }),
      archive: createRedisArchive(connection, { version }),
      // A Redis that went away is waited for: it comes back without a restart of ours.
      lost: new Promise(() => undefined),
      async close() {
        await store.close();
        await connection.close();
      },
    };
  } catch (error) {
    await connection.close();
    throw error;
  }
}

export function settingsOf(config: RedisConfig, folder: string): RedisSettings {
  const { url, username, passwordFile, tls, prefix, acceptNotDurable, acceptUnverified } = config;
  const { caFile } = tls;
  return {
    url,
    username,
    prefix,
    acceptNotDurable,
    acceptUnverified,
    readPassword: passwordFile === undefined ? undefined : () => readSecret(folder, passwordFile, 'storage.passwordFile'),
    readCa: caFile === undefined ? undefined : () => readSecret(folder, caFile, 'storage.tls.caFile'),
  };
}

/** The clocks of machines that share a Redis must agree: windows and due times are compared between them. */
const CLOCK_TOLERANCE_MS = 2_000;

/**
 * What can be said of the storage from outside, while a service may be using it: nothing is opened that would lock it,
 * and nothing is written.
 *
 * @throws CodedError what opening a Redis refuses: `redis_policy`, `store_unavailable`, …
 */
export async function examineStorage(
  config: StorageConfig,
  { configFolder, clock }: Pick<StorageDependencies, 'configFolder' | 'clock'>,
): Promise<readonly Finding[]> {
  if (config.kind === 'embedded') {
    return [{ status: 'ok', code: 'embedded', sentence: 'embedded: everything stands in the data folder, for one process' }];
  }
  const { openRedis } = await import('../store/redis/connection.ts');
  const connection = await openRedis(settingsOf(config, configFolder));
  try {
    const { code, sentence } = connection.condition();
    const began = clock.now();
    const [seconds = 0, microseconds = 0] = (await connection.client.time()).map(Number);
    const off = (began + clock.now()) / 2 - (seconds * 1_000 + microseconds / 1_000);
    const shown = `${Math.abs(off / 1_000).toFixed(1)} s ${off > 0 ? 'ahead' : 'behind'}`;
    return [
      { status: code === 'ok' ? 'ok' : 'warn', code, sentence: `Redis, keys under ${connection.keyPrefix}: ${sentence}` },
      Math.abs(off) <= CLOCK_TOLERANCE_MS
        ? { status: 'ok', code: 'clock', sentence: 'the clock of Redis agrees' }
        : {
            status: 'warn',
            code: 'clock_skew',
            sentence: `the clock of this machine is ${shown} of the clock of Redis; synchronise both (NTP)`,
          },
    ];
  } finally {
    await connection.close();
  }
}
