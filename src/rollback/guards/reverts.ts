import { short } from '../transitions.ts';
import type { Guard } from './facts.ts';

/** Branches of ours begin so, followed by the id of the rollback. */
export const OWN_BRANCHES = 'davylamp/';

/** The branch of the first proposal of a rollback, or of a later one. */
export function branchOf(rollback: string, number: number): string {
  return `${OWN_BRANCHES}${rollback}${number === 1 ? '' : `-${number}`}`;
}

/** The rollback that a branch of ours proposes, and which of its proposals that is; null for everybody else's branches. */
export function proposedBy(branch: string): { rollback: string; number: number } | null {
  const [, rollback, number = '1'] = /^davylamp\/(rb-[0-9a-f]+)(?:-([2-9]|[1-9][0-9]{1,3}))?$/.exec(branch) ?? [];
  return rollback === undefined ? null : { rollback, number: Number(number) };
}

/**
 * How a revert tells itself: git's own words and subject, our trailers, `revert: …` of the Conventional Commits; and, of a
 * merge, the title of what was merged (a line of its own at GitHub and GitLab, quoted at Gitea), or our branch.
 */
const SAYS_REVERT: readonly RegExp[] = [
  // Since 2.43 git calls the revert of a revert a reapplication.
  /^(Revert|Reapply) "/m,
  /^Merge pull request '(Revert|Reapply) "/,
  /^revert(\([^)]*\))?!?: /i,
  /^(Reverts|Davylamp-Rollback): /m,
  /^This reverts commit [0-9a-f]{7,}/m,
  /^Merge[^\n]*[\s'/]davylamp\/rb-[0-9a-f]+/,
];

/** design 5.5: our own revert and anybody's revert are never reverted without a person. */
export const revertsARevert: Guard = ({ bad }) =>
  SAYS_REVERT.some((sign) => sign.test(bad.message) || sign.test(bad.subject))
    ? {
        code: 'reverts_a_revert',
        sentence: `the bad commit is itself a revert ("${bad.subject.slice(0, 120)}"); reverting it would bring back what was taken out: approve it, or fix forward`,
        approvable: true,
      }
    : null;

/** What we took out once and somebody brought back is theirs. */
export const cameBack: Guard = ({ reverts, rollback }) =>
  reverts.own === null
    ? null
    : {
        code: 'came_back',
        sentence: `${short(reverts.own)} took it out, and somebody brought it back since; ask who and why, then approve it to take it out again`,
        // A push whose answer was lost has used up the approval that it was made with.
        approvable: rollback.pushStarted === null,
      };

/** A person's revert that is on the branch while the content is there, too: somebody wanted it back, or kept half of it. */
export const revertedBefore: Guard = ({ reverts, bad }) => {
  const [latest] = reverts.byOthers;
  return latest === undefined
    ? null
    : {
        code: 'reverted_before',
        sentence: `${short(latest.commit)} by ${latest.author.name} says that it reverts ${short(bad.sha)}, and the content is on the branch all the same; look at both, then approve or refuse`,
        approvable: true,
      };
};

/** A human's no is a no; a person who asks for the rollback is another human, and may. */
export const revertRefused: Guard = ({ reverts, rollback }) => {
  const no = reverts.proposals.find(({ state, branch, endedBy }) => {
    if (state !== 'closed') return false;
    // Of our own ones only those count that somebody else closed; those of another application's are not about this.
    return proposedBy(branch)?.rollback === rollback.id ? endedBy !== null : !branch.startsWith(OWN_BRANCHES);
  });
  return no === undefined
    ? null
    : {
        code: 'revert_refused',
        sentence: `${no.endedBy ?? 'somebody'} closed the proposal ${no.url} to revert it without merging, which is a no; ask for the rollback to have it all the same`,
        approvable: false,
        isFinal: true,
      };
};

/** Two reverts of one commit are one too many. */
export const revertOpen: Guard = ({ reverts }) => {
  const open = reverts.proposals.find(({ state, branch }) => state === 'open' && !branch.startsWith(OWN_BRANCHES));
  return open === undefined
    ? null
    : {
        code: 'revert_open',
        sentence: `a proposal to revert it is open already: ${open.url}; merge that one, or approve this rollback`,
        approvable: true,
      };
};
