/**
 * The one thread that holds the database file: SQLite's calls block, and a commit waits for the disk.
 *
 * Everything that has been requested while the last commit ran arrives as one batch and shares one commit, each request
 * in a savepoint of its own; the answers leave after the commit.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { jobHandlers, recoverJobs } from './jobs.ts';
import { journalHandlers } from './journal.ts';
import { toFailure, type FromThread, type Reply, type Request, type ThreadStart, type ToThread } from './messages.ts';
import { openConnection } from './opening.ts';
import type { OperationName, Operations } from './port.ts';
import { recordHandlers } from './records.ts';
import { explained, prepare, type Connection } from './sql.ts';

const READS: ReadonlySet<OperationName> = new Set(['record.get', 'record.list', 'journal.read', 'job.counts', 'job.oldest']);

type Handlers = { [Name in OperationName]: (input: Operations[Name]['input']) => Operations[Name]['output'] };

function batchRunner(connection: Connection, folder: string): (batch: readonly Request[]) => Reply[] {
  const { write, ...records } = recordHandlers(connection);
  const journal = journalHandlers(connection);
  const handlers: Handlers = {
    ...records,
    ...journal,
    ...jobHandlers(connection),
    'record.commit': ({ writes, entries }) => {
      write(writes);
      return entries.map((json) => journal['journal.append']({ json }));
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
      commit.run();
      return replies;
    } catch (error) {
      if (connection.inTransaction) rollback.run();
      const failure = toFailure(explained(error, folder));
      return batch.map(() => ({ failure }));
    }
  };
}

function serve(): void {
  const port = parentPort;
  if (port === null) throw new Error('worker.ts runs as a worker thread only');
  const send = (message: FromThread) => port.postMessage(message);
  const { folder, now } = workerData as ThreadStart;
  try {
    const connection = openConnection(folder);
    const run = batchRunner(connection, folder);
    const recoveredJobs = recoverJobs(connection, now);
    port.on('message', (message: ToThread) => {
      if ('batch' in message) send({ replies: run(message.batch) });
      else {
        connection.close();
        port.close();
      }
    });
    send({ opened: { recoveredJobs } });
  } catch (error) {
    send({ refused: toFailure(explained(error, folder)) });
    port.close();
  }
}

serve();
