import type { Analysis, Rollback } from './davylamp-client.ts';
import type { RemoteState } from './deployment-repository.ts';
import { StoryFailure, type StoryPart } from './story-failure.ts';

/** The last line of `--once`. */
export interface Outcome {
  rolledBack: boolean;
  badCommit: string | null;
  revertCommit: string | null;
  verdict: string | null;
  /** From the first 5xx of the bad release in the traffic log to its revert on the remote. */
  secondsToRevert: number | null;
  /** From the same moment to the end of a recovery check that passed. */
  secondsToRecover: number | null;
  failed?: StoryPart;
}

export const NOTHING_ROLLED_BACK: Outcome = {
  rolledBack: false,
  badCommit: null,
  revertCommit: null,
  verdict: null,
  secondsToRevert: null,
  secondsToRecover: null,
};

/** What is known at the end of the bad release, each from its own witness. */
export interface Evidence {
  goodContent: string;
  badCommit: string;
  analysis: Analysis;
  rollbacks: readonly Rollback[];
  remote: RemoteState;
  firstBadRequestAt: number | null;
}

function when(rollback: Rollback, step: string): number {
  const entry = rollback.history.find((candidate) => candidate.step === step);
  if (entry === undefined) throw new StoryFailure('git', `davylamp's record of the rollback has no step "${step}".`);
  return Date.parse(entry.at);
}

const seconds = (from: number, to: number): number => Math.round((to - from) / 10) / 100;

/** Compares what davylamp says with what the remote and the customers say. @throws StoryFailure where they do not agree */
export function outcomeOf(evidence: Evidence): Outcome {
  const { analysis, badCommit, remote, firstBadRequestAt } = evidence;
  const [rollback, ...others] = evidence.rollbacks;
  const must = (holds: boolean, part: StoryPart, sentence: string): void => {
    if (!holds) throw new StoryFailure(part, sentence);
  };
  if (rollback === undefined) throw new StoryFailure('judge', 'davylamp has no rollback of the bad release.');
  must(others.length === 0, 'git', `davylamp has ${String(others.length + 1)} rollbacks where one is right.`);
  must(analysis.revision === badCommit, 'judge', `the analysis was about ${analysis.revision}, not about the bad commit.`);
  must(analysis.verdict === 'fail', 'judge', `the verdict is ${String(analysis.verdict)}, not fail.`);
  must(rollback.badCommit === badCommit, 'git', `the rollback is about ${rollback.badCommit}, not about the bad commit.`);
  must(rollback.state === 'recovered', 'recovery', `the rollback ended as ${rollback.state}: ${rollback.sentence}`);
  must(
    remote.head === rollback.revertCommit,
    'git',
    `the head of the branch is ${remote.head}, not the revert ${String(rollback.revertCommit)}.`,
  );
  must(
    remote.content === evidence.goodContent,
    'git',
    'the application on the branch is not what it was before the bad release.',
  );
  const marked = remote.rollbackCommits;
  must(marked.length === 1, 'git', `${String(marked.length)} commits carry the Davylamp-Rollback trailer where one is right.`);
  must(
    marked[0]?.commit === rollback.revertCommit && marked[0]?.rollback === rollback.id,
    'git',
    'the Davylamp-Rollback trailer does not name this rollback.',
  );
  if (firstBadRequestAt === null) throw new StoryFailure('traffic', 'no customer got a 5xx from the bad release.');
  const pushedAt = when(rollback, 'pushed');
  must(pushedAt >= firstBadRequestAt, 'judge', 'the release was rolled back before any customer got an error from it.');
  return {
    rolledBack: true,
    badCommit,
    revertCommit: rollback.revertCommit,
    verdict: analysis.verdict,
    secondsToRevert: seconds(firstBadRequestAt, pushedAt),
    secondsToRecover: seconds(firstBadRequestAt, when(rollback, 'recovered')),
  };
}
