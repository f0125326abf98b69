import type { ClaimedJob, JobCounts, Operations } from './port.ts';
import { prepare, type Connection } from './sql.ts';

interface DueRow {
  key: string;
  not_before: number;
  attempt: number;
}

type Name = 'job.enqueue' | 'job.claim' | 'job.settle' | 'job.counts' | 'job.oldest';
type Handlers = { [Each in Name]: (input: Operations[Each]['input']) => Operations[Each]['output'] };

/**
 * The operations on jobs, inside the transaction that the thread has begun. A job with a claim runs, one without waits;
 * `again_at` is when it was asked for once more while it ran.
 */
export function jobHandlers(connection: Connection): Handlers {
  const enqueue = prepare(
    connection,
    `INSERT INTO jobs (kind, key, not_before, attempt) VALUES (?, ?, ?, 1)
     ON CONFLICT DO UPDATE SET
       not_before = CASE WHEN claim IS NULL THEN min(not_before, excluded.not_before) ELSE not_before END,
       again_at = CASE WHEN claim IS NULL THEN again_at ELSE min(coalesce(again_at, excluded.not_before), excluded.not_before) END`,
  );
  const due = prepare<DueRow>(
    connection,
    `SELECT key, not_before, attempt FROM jobs WHERE kind = ? AND claim IS NULL AND not_before <= ?
     ORDER BY not_before LIMIT ?`,
  );
  // What was asked for up to now is what this run does.
  const claim = prepare(
    connection,
    `UPDATE jobs SET claim = ?, again_at = CASE WHEN again_at <= ? THEN NULL ELSE again_at END WHERE kind = ? AND key = ?`,
  );
  const next = prepare<{ at: number | null }>(
    connection,
    'SELECT min(not_before) AS at FROM jobs WHERE kind = ? AND claim IS NULL',
  );
  const releaseOthers = prepare(
    connection,
    `UPDATE jobs SET claim = NULL
     WHERE kind = ? AND claim IS NOT NULL AND claim NOT IN (SELECT value FROM json_each(?))`,
  );

  const mine = 'WHERE kind = ? AND key = ? AND claim = ?';
  const end = prepare(connection, `DELETE FROM jobs ${mine} AND again_at IS NULL`);
  const runOnceMore = prepare(
    connection,
    `UPDATE jobs SET claim = NULL, attempt = 1, not_before = again_at, again_at = NULL ${mine}`,
  );
  const later = (attempt: string) =>
    prepare(
      connection,
      `UPDATE jobs SET claim = NULL, attempt = ${attempt}, not_before = min(?1, coalesce(again_at, ?1)), again_at = NULL
       WHERE kind = ?2 AND key = ?3 AND claim = ?4`,
    );
  const again = later('1');
  const retry = later('attempt + 1');
  const release = prepare(connection, `UPDATE jobs SET claim = NULL ${mine}`);
  const count = prepare<{ kind: keyof JobCounts; running: number; jobs: number }>(
    connection,
    'SELECT kind, claim IS NOT NULL AS running, count(*) AS jobs FROM jobs GROUP BY 1, 2',
  );

  const oldest = prepare<{ kind: keyof JobCounts; at: number }>(
    connection,
    'SELECT kind, min(not_before) AS at FROM jobs WHERE claim IS NULL GROUP BY kind',
  );

  // Claims are told apart within one opening only: the next one begins with none.
  let claims = 0;

  return {
    'job.enqueue': ({ kind, key, notBefore }) => {
      enqueue.run(kind, key, notBefore);
      return undefined;
    },
    'job.claim': ({ kind, now, limit, holding }) => {
      if (holding !== null) releaseOthers.run(kind, JSON.stringify(holding));
      const jobs: ClaimedJob[] = [];
      for (const { key, not_before, attempt } of due.all(kind, now, limit)) {
        claims += 1;
        claim.run(claims, now, kind, key);
        jobs.push({ key, notBefore: not_before, attempt, claim: claims });
      }
      return { jobs, next: next.get(kind)?.at ?? null };
    },
    'job.settle': ({ kind, key, claim: held, end: how }) => {
      if (how.as === 'release') release.run(kind, key, held);
      else if (how.as === 'again') again.run(how.at, kind, key, held);
      else if (how.as === 'retry') retry.run(how.at, kind, key, held);
      else if (end.run(kind, key, held) === 0) runOnceMore.run(kind, key, held);
      return undefined;
    },
    'job.counts': () => {
      const counts: JobCounts = {
        tick: { waiting: 0, running: 0 },
        rollback: { waiting: 0, running: 0 },
        webhook: { waiting: 0, running: 0 },
      };
      for (const { kind, running, jobs } of count.all()) counts[kind][running === 1 ? 'running' : 'waiting'] = jobs;
      return counts;
    },
    'job.oldest': () => Object.fromEntries(oldest.all().map(({ kind, at }) => [kind, at])),
  };
}

/** Jobs that ran when the process ended are due again, as their next attempt. @returns how many */
export function recoverJobs(connection: Connection, now: number): number {
  return prepare(
    connection,
    'UPDATE jobs SET claim = NULL, attempt = attempt + 1, not_before = min(not_before, ?) WHERE claim IS NOT NULL',
  ).run(now);
}
