import { createHash } from 'node:crypto';

/**
 * The id of a rollback follows from what it is about, so that the same bad revision of the same application can only
 * ever have one, whoever asks and however often.
 */
export function rollbackId(about: { repository: string; branch: string; application: string; badCommit: string }): string {
  const text = JSON.stringify([about.repository, about.branch, about.application, about.badCommit]);
  return `rb-${createHash('sha256').update(text).digest('hex').slice(0, 20)}`;
}
