import { randomUUID } from 'node:crypto';
import { CodedError } from '../../errors.ts';
import { MAX_PAGE } from '../limits.ts';
import type { Archive, ArchivedPart, ChainedEntry, RecordIndex } from '../port.ts';
import { asking, evaluate } from './evaluate.ts';
import { indexArguments } from './lane.ts';
import { isKind, KINDS, layoutOf, SCHEMA_VERSION } from './layout.ts';
import type { RedisConnection } from './port.ts';
import { LOAD, SNAPSHOT_BEGIN, SNAPSHOT_END, SNAPSHOT_PAGE } from './scripts.ts';

/** What one page of a snapshot holds; Redis does nothing else while it reads it. */
const PAGE_LOOKS = 200;
const PAGE_BYTES = 2 * 1_048_576;

/** kind, id, v, c, a, s, o, j */
type Row = [string, string, string, string, string | null, string | null, string | null, string];

/**
 * Backup and restore of the data set in Redis.
 *
 * @param options.version of davylamp, for the data set that is made by a restore
 */
export function createRedisArchive(connection: RedisConnection, { version }: { version: string }): Archive {
  const layout = layoutOf(connection.keyPrefix);
  const { base, meta, journal, subjects } = layout;

  return {
    async isEmpty() {
      return asking(connection, async () => {
        const found = await connection.client.exists(journal, ...KINDS.map((kind) => `${base}x:${kind}`));
        const restoring = await connection.client.hget(meta, 'restoring');
        return found === 0 && restoring === null;
      });
    },

    async *snapshot() {
      const session = randomUUID();
      const [begun, end = 0] = await evaluate<[0 | 1, number?]>(connection, SNAPSHOT_BEGIN, [meta], [base, session]);
      if (begun === 0) {
        throw new CodedError('backup_running', 'Another backup is being read. Begin this one when that has ended.', {
          retryable: true,
        });
      }
      try {
        for (let more: 0 | 1 = 1; more === 1;) {
          const page = [base, session, PAGE_LOOKS, PAGE_BYTES];
          const answer = await evaluate<'interrupted' | [0 | 1, Row[]]>(connection, SNAPSHOT_PAGE, [meta], page);
          if (answer === 'interrupted') {
            throw new CodedError('backup_interrupted', 'The backup was not read for too long and has ended. Begin it again.', {
              retryable: true,
            });
          }
          more = answer[0];
          if (answer[1].length > 0) yield answer[1].map(toPart);
        }
      } finally {
        await evaluate(connection, SNAPSHOT_END, [meta], [base, session]);
      }
      for (let after = 0; after < end; after += MAX_PAGE) {
        const numbers = Array.from({ length: Math.min(MAX_PAGE, end - after) }, (_, n) => String(after + n + 1));
        const found = await asking(connection, () => connection.client.hmget(journal, ...numbers));
        yield found.flatMap((json) => (json === null ? [] : [{ entry: JSON.parse(json) as ChainedEntry }]));
      }
    },

    async load(parts) {
      const records = parts.flatMap((part) => ('record' in part ? [part.record] : []));
      const args: (string | number)[] = [base, SCHEMA_VERSION, version, records.length];
      for (const { kind, id, version: recordVersion, createdAt, index, value } of records) {
        args.push(kind, id, recordVersion, ...indexArguments(createdAt, index), JSON.stringify(value));
      }
      for (const part of parts) {
        if ('entry' in part) args.push(part.entry.number, part.entry.hash, part.entry.subject, JSON.stringify(part.entry));
      }
      await evaluate(connection, LOAD, [meta, journal, subjects], args);
    },

    async finish() {
      await asking(connection, async () => {
        await connection.client.multi().hset(meta, 'epoch', randomUUID()).hdel(meta, 'restoring').exec();
      });
    },
  };
}

function toPart([kind, id, version, createdAt, application, state, open, json]: Row): ArchivedPart {
  if (!isKind(kind)) throw new Error(`a record of an unknown kind ${kind}`);
  const index: RecordIndex = {};
  if (application !== null) index.application = application;
  if (state !== null) index.state = state;
  if (open !== null) index.open = open === '1';
  return { record: { kind, id, version: Number(version), createdAt: Number(createdAt), index, value: JSON.parse(json) } };
}
