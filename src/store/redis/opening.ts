import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { CodedError } from '../../errors.ts';
import type { ChainEnd } from '../chain.ts';
import { evaluate } from './evaluate.ts';
import { layoutOf, SCHEMA_VERSION } from './layout.ts';
import type { RedisConnection } from './port.ts';
import { MIGRATED, OPEN } from './scripts.ts';

/** Brings a data set from one schema to the next one. It may be run again after it was interrupted. */
export type Migration = (connection: RedisConnection) => Promise<void>;

/** `MIGRATIONS[n]` leads from schema n + 1 to n + 2. A step that was released is never edited. */
const MIGRATIONS: readonly Migration[] = [];

const MIGRATION_PAUSE_MS = 200;
/** How long a process waits for another one that brings the schema up to date. */
const MIGRATION_WAIT_MS = 300_000;
const LOCK_MS = 30_000;

export interface DataSet {
  epoch: string;
  end: ChainEnd;
  /** How many calls of this process have written something, as far as it was told. */
  count: number;
}

type Opened =
  ['open', string, number, string, number] | ['restoring'] | ['newer', number, string] | ['migrate', number] | ['wait'];

/**
 * Reads the identity of the data set; gives an empty one its own, and brings an old one up to date. One of several
 * processes does so, the others wait for it.
 *
 * @param options.self tells this process from others
 * @param options.known the data set as this process knew it: one that has lost its end since becomes another one
 * @throws CodedError `store_newer`, `restore_incomplete`, `store_unavailable`, `store_full`
 */
export async function openDataSet(
  connection: RedisConnection,
  options: { version: string; self: string; known?: DataSet | undefined; migrations?: readonly Migration[] },
): Promise<DataSet> {
  const { version, self, known, migrations = MIGRATIONS } = options;
  const { base, meta } = layoutOf(connection.keyPrefix);
  const schema = migrations.length + SCHEMA_VERSION - MIGRATIONS.length;
  const deadline = performance.now() + MIGRATION_WAIT_MS;
  for (;;) {
    const args = [base, randomUUID(), schema, version, known?.epoch ?? '', known?.count ?? 0, self];
    const opened = await evaluate<Opened>(connection, OPEN, [meta], args);
    switch (opened[0]) {
      case 'open':
        return { epoch: opened[1], end: { number: opened[2], hash: opened[3] }, count: opened[4] };
      case 'restoring':
        throw new CodedError(
          'restore_incomplete',
          `A restore into the Redis under ${connection.keyPrefix} did not come to its end. Remove the keys that begin with ` +
            `${base} and run davylamp restore again.`,
          { details: { prefix: connection.keyPrefix } },
        );
      case 'newer':
        throw newer(connection.keyPrefix, { found: opened[1], known: schema, writtenBy: opened[2] });
      case 'migrate':
        await migrate(connection, { from: opened[1], self, step: migrations[opened[1] - 1] });
        break;
      case 'wait':
        if (performance.now() > deadline) {
          throw new CodedError('store_unavailable', 'Another davylamp is bringing the data set up to date. Try again later.', {
            retryable: true,
          });
        }
        await sleep(MIGRATION_PAUSE_MS);
    }
  }
}

export function newer(prefix: string, facts: { found: number; known: number; writtenBy: string }): CodedError {
  const { found, known, writtenBy } = facts;
  return new CodedError(
    'store_newer',
    `The data set in Redis under ${prefix} was written by a newer davylamp (${writtenBy === '' ? '' : `version ${writtenBy}, `}` +
      `schema ${found}; this one knows ${known}). Run that version or a later one, or put back the backup that was made ` +
      'before the update, or give this one a prefix of its own in storage.prefix.',
    { details: { prefix, ...facts } },
  );
}

async function migrate(
  connection: RedisConnection,
  { from, self, step }: { from: number; self: string; step: Migration | undefined },
): Promise<void> {
  if (step === undefined) throw new Error(`there is no migration from schema ${from}`);
  const { base, meta } = layoutOf(connection.keyPrefix);
  const renewal = setInterval(() => {
    // Not renewed is lost after a while, and seen at the end.
    connection.client.pexpire(`${base}migrating`, LOCK_MS).catch(() => {});
  }, LOCK_MS / 3);
  try {
    await step(connection);
  } finally {
    clearInterval(renewal);
  }
  const done = await evaluate<0 | 1>(connection, MIGRATED, [meta], [base, self, from + 1]);
  if (done === 0) {
    throw new CodedError('store_unavailable', 'Another davylamp took over bringing the data set up to date. Start again.', {
      retryable: true,
    });
  }
}
