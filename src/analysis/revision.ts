import type { Delivery } from '../delivery/port.ts';
import { CodedError } from '../errors.ts';
import type { Repository } from '../git/port.ts';

const FULL_ID = /^([0-9a-f]{40}|[0-9a-f]{64})$/;

/**
 * The full id of the revision that a request means. A full id is taken as it is, so that an analysis can begin while
 * Git is away; an abbreviation is looked up; without either the delivery says what is being released.
 *
 * @throws CodedError `revision_unknown`
 */
export async function revisionOf(
  named: string | null,
  from: { application: string; repository: Repository | undefined; delivery: Delivery | undefined },
  signal: AbortSignal,
): Promise<string> {
  if (named !== null) return fullId(named, from, signal);
  if (from.delivery?.can.observe !== true) {
    throw unknown(from.application, 'its delivery cannot say what is being released; name the revision in the request');
  }
  let observed: string | null;
  try {
    observed = (await from.delivery.observe(signal)).canary;
  } catch (error) {
    throw unknown(
      from.application,
      'its delivery cannot be asked what is being released; name the revision in the request',
      error,
    );
  }
  if (observed === null)
    throw unknown(from.application, 'its delivery releases nothing at the moment; name the revision in the request');
  return fullId(observed, from, signal);
}

async function fullId(
  named: string,
  from: { application: string; repository: Repository | undefined },
  signal: AbortSignal,
): Promise<string> {
  if (FULL_ID.test(named)) return named;
  if (from.repository === undefined) throw unknown(from.application, `"${named}" is an abbreviation; name the full commit id`);
  try {
    return (await from.repository.commit(named, signal)).sha;
  } catch (error) {
    throw unknown(from.application, `commit "${named}" cannot be looked up; name the full commit id`, error);
  }
}

const SHORTEST = 7;

/** Whether two ids, of which either may be abbreviated, mean the same commit. */
export function sameCommit(one: string, other: string): boolean {
  const length = Math.min(one.length, other.length);
  return length >= SHORTEST && one.slice(0, length) === other.slice(0, length);
}

function unknown(application: string, why: string, cause?: unknown): CodedError {
  return new CodedError('revision_unknown', `which revision of ${application} is meant is not known: ${why}`, { cause });
}
