import type { RevertResult } from '../git/port.ts';
import type { Rollback, RollbackState } from './record.ts';
import { short } from './transitions.ts';

/** A commit that may be pushed, or a state that makes it unnecessary or impossible. */
export type Outcome =
  | { kind: 'revert'; commit: string; head: string; changed: string[] }
  | { kind: 'done'; to: { state: RollbackState; code: string; sentence: string }; facts: Partial<Rollback> };

const SHOWN_PATHS = 3;

/**
 * What follows from the revert as it was computed on the present head. Content is the proof, our trailer only the
 * index: "done" means that the head no longer holds the bad content.
 *
 * @param own our commit for this rollback that is on the branch already, if there is one
 */
export function outcomeOf(
  result: RevertResult,
  own: string | undefined,
  about: { rollback: Rollback; application: string },
): Outcome {
  const { rollback, application } = about;
  const bad = short(rollback.badCommit);
  const done = (state: RollbackState, code: string, sentence: string, facts: Partial<Rollback> = {}): Outcome => ({
    kind: 'done',
    to: { state, code, sentence },
    facts,
  });
  switch (result.kind) {
    case 'nothing_to_revert': {
      if (own === undefined)
        return done(
          'refused',
          'already_reverted',
          `branch ${rollback.branch} no longer holds what ${bad} brought; nothing to do`,
        );
      const facts = { revertCommit: own, revertRef: `refs/heads/${rollback.branch}` };
      return done('pushed', 'pushed', `${short(own)} on ${rollback.branch} took ${bad} out`, facts);
    }
    case 'conflict':
      return done(
        'held',
        'conflict',
        `later commits changed the same lines in ${named(result.paths)}; revert ${bad} by hand or fix forward`,
      );
    case 'outside_paths': {
      const where = `commit ${bad} also changes ${named(result.paths)}, outside of ${application}`;
      return done('held', 'reaches_outside', `${where}; half of a commit is never reverted: do it by hand`);
    }
    case 'commit':
      // Content that is back although we took it out once is the business of the guard `came_back`.
      return { kind: 'revert', commit: result.commit, head: result.head, changed: result.changed };
  }
}

function named(paths: readonly string[]): string {
  const more = paths.length - SHOWN_PATHS;
  return paths.slice(0, SHOWN_PATHS).join(', ') + (more > 0 ? ` and ${more} more` : '');
}
