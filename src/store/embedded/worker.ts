/**
 * The one thread that holds the database file: SQLite's calls block, and a commit waits for the disk.
 *
 * Everything that has been requested while the last commit ran arrives as one batch and shares one commit, each request
 * in a savepoint of its own; the answers leave after the commit.
 */
import { statSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { CodedError, sentenceOf } from '../../errors.ts';
import { stateLost } from '../limits.ts';
import { jobHandlers, recoverJobs } from './jobs.ts';
import { journalHandlers } from './journal.ts';
import { toFailure, type FromThread, type Reply, type Request, type ThreadStart, type ToThread } from './messages.ts';
import { databaseFile, openConnection } from './opening.ts';
import type { OperationName, Operations } from './port.ts';
import { recordHandlers } from './records.ts';
import { archiveHandlers, forgetSnapshot } from './snapshot.ts';
import { explained, prepare, type Connection } from './sql.ts';

const READS: ReadonlySet<OperationName> = new Set([
  'record.get',
  'record.getMany',
  'record.list',
  'store.epoch',
  'journal.read',
  'job.counts',
  'job.oldest',
  'archive.isEmpty',
]);

type Handlers = { [Name in OperationName]: (input: Operations[Name]['input']) => Operations[Name]['output'] };

function batchRunner(connection: Connection, { folder, commitDelayMs }: ThreadStart): (batch: readonly Request[]) => Reply[] {
  const { write, ...records } = recordHandlers(connection);
  const { append, ...journal } = journalHandlers(connection);
  const storedEpoch = prepare<{ value: string }>(connection, "SELECT value FROM meta WHERE key = 'epoch'");
  const epochNow = () => storedEpoch.get()?.value ?? '';
  const handlers: Handlers = {
    ...records,
    ...journal,
    ...jobHandlers(connection),
    ...archiveHandlers(connection),
    'store.epoch': epochNow,
    'record.commit': ({ writes, entries, epoch }) => {
      if (epochNow() !== epoch) throw stateLost(folder, 'it has another identity');
      write(writes);
      return entries.map(append);
    },
  };
  const begin = prepare(connection, 'BEGIN');
  const commit = prepare(connection, 'COMMIT');
  const rollback = prepare(connection, 'ROLLBACK');
  const savepoint = prepare(connection, 'SAVEPOINT request');
  const release = prepare(connection, 'RELEASE request');
  const undo = prepare(connection, 'ROLLBACK TO request');

  const call = <Name extends OperationName>(name: Name, input: Operations[Name]['input']) => handlers[name](input);

  const answer = (request: Request): Reply => {
    if (READS.has(request.name)) return { output: call(request.name, request.input) };
    savepoint.run();
    const output = call(request.name, request.input);
    release.run();
    return { output };
  };

  return (batch) => {
    try {
      begin.run();
      const replies = batch.map((request) => {
        try {
          return answer(request);
        } catch (error) {
          // A full disk or a failed read may have ended the whole transaction: then no request of the batch was done.
          if (!connection.inTransaction) throw error;
          if (!READS.has(request.name)) {
            undo.run();
            release.run();
          }
          return { failure: toFailure(explained(error, folder)) };
        }
      });
      if (commitDelayMs > 0) wait(commitDelayMs);
      commit.run();
      return replies;
    } catch (error) {
      if (connection.inTransaction) rollback.run();
      const failure = toFailure(explained(error, folder));
      return batch.map(() => ({ failure }));
    }
  };
}

/** Blocks the thread, as a slow disk does. */
function wait(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/**
 * A file that was removed or replaced goes on working for who has it open, and everything is gone with the process: so
 * its place is looked at before each batch. `stat` opens nothing, which would drop the lock.
 *
 * @returns a check that throws `state_lost`
 */
function placeCheck(folder: string): () => void {
  const path = databaseFile(folder);
  const { dev, ino } = statSync(path);
  return () => {
    let found: { dev: number; ino: number };
    try {
      found = statSync(path);
    } catch (error) {
      throw stateLost(folder, `its file cannot be seen any more (${sentenceOf(error)})`);
    }
    if (found.dev !== dev || found.ino !== ino) throw stateLost(folder, 'its file was replaced');
  };
}

function serve(): void {
  const port = parentPort;
  if (port === null) throw new Error('worker.ts runs as a worker thread only');
  const send = (message: FromThread) => port.postMessage(message);
  const start = workerData as ThreadStart;
  const { folder } = start;
  try {
    const { connection, epoch } = openConnection(start);
    forgetSnapshot(connection);
    const run = batchRunner(connection, start);
    const checkPlace = placeCheck(folder);
    const recoveredJobs = recoverJobs(connection, start.now);
    port.on('message', (message: ToThread) => {
      if ('close' in message) {
        connection.close();
        port.close();
        return;
      }
      try {
        checkPlace();
      } catch (error) {
        if (!(error instanceof CodedError)) throw error;
        send({ lost: toFailure(error) });
        return;
      }
      send({ replies: run(message.batch) });
    });
    send({ opened: { epoch, recoveredJobs } });
  } catch (error) {
    send({ refused: toFailure(explained(error, folder)) });
    port.close();
  }
}

serve();
