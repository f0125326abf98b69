import { matchesGlob } from '../glob.ts';
import { short } from '../transitions.ts';
import type { Guard } from './facts.ts';
import { fewOf } from './words.ts';

const OPT_OUT = /^[ \t]*Rollback:[ \t]*never[ \t]*$/im;
/** As Chromium's commits write it. */
const FOREIGN_OPT_OUT = /\bNOAUTOREVERT[ \t]*=[ \t]*true\b/i;

/** Its author says that it must not be taken out by a program. */
export const optedOut: Guard = ({ bad, undone }) => {
  const one = [bad, ...undone].find(({ message }) => OPT_OUT.test(message) || FOREIGN_OPT_OUT.test(message));
  return one === undefined
    ? null
    : {
        code: 'opted_out',
        sentence: `the message of ${short(one.sha)} says that it must not be rolled back by itself; ask ${one.author.name}, then approve or refuse`,
        approvable: true,
      };
};

/** design 5.4: what was not part of what was judged is never undone without a person. */
export const newerCommits: Guard = ({ notJudged }) =>
  notJudged.length === 0
    ? null
    : {
        code: 'newer_commits',
        sentence: `it would also undo ${notJudged.length} ${notJudged.length === 1 ? 'commit' : 'commits'} that ${notJudged.length === 1 ? 'was' : 'were'} not part of what was judged (${fewOf(notJudged.map(({ sha, subject }) => `${short(sha)} ${subject.slice(0, 60)}`))}); approve it, or revert by hand`,
        approvable: true,
      };

/** design 5.10: a revert that makes the operator delete data needs an approval. */
export const destructivePrune: Guard = ({ plan }) =>
  plan.prunes.length === 0
    ? null
    : {
        code: 'destructive_prune',
        sentence: `it would make the operator delete ${fewOf(plan.prunes)}, and the data with it; make sure that nobody needs them, then approve it`,
        approvable: true,
      };

export const approvalPaths: Guard = ({ policy, plan }) => {
  const touched = plan.changed.filter((path) => policy.approvalPaths.some((glob) => matchesGlob(path, glob)));
  return touched.length === 0
    ? null
    : {
        code: 'approval_needed',
        sentence: `the revert changes ${fewOf(touched)}, which guards.approvalPaths names; approve it to go on`,
        approvable: true,
      };
};

/** One bad cluster says nothing about the others that deploy the same paths. */
export const sharedPaths: Guard = ({ policy, sharing }) =>
  sharing.length === 0 || policy.sharedPaths === 'rollback'
    ? null
    : {
        code: 'shared_paths',
        sentence: `${fewOf(sharing)} ${sharing.length === 1 ? 'deploys' : 'deploy'} the same paths and ${sharing.length === 1 ? 'was' : 'were'} not found bad; approve it for all of them, or set sharedPaths: rollback`,
        approvable: true,
      };
