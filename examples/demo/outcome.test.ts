import { describe, expect, it } from 'vitest';
import { outcomeOf, type Evidence } from './outcome.ts';
import { StoryFailure } from './story-failure.ts';

const time = (second: number): string => new Date(1_000_000_000_000 + second * 1_000).toISOString();

function evidence(): Evidence {
  return {
    goodContent: 'tree1',
    badCommit: 'bad',
    analysis: {
      id: 'a1',
      kind: 'release',
      revision: 'bad',
      phase: 'Failed',
      verdict: 'fail',
      code: 'worse_than_baseline',
      sentence: '',
      ticks: { planned: 25, done: 9, warmup: 3, everyMs: 1_000 },
      createdAt: time(0),
      endedAt: time(9),
    },
    rollbacks: [
      {
        id: 'r1',
        badCommit: 'bad',
        analysis: 'a1',
        state: 'recovered',
        code: 'recovered',
        sentence: '',
        verdictSentence: '',
        aborted: 'aborted',
        revertCommit: 'revert',
        problem: null,
        recovery: 'a2',
        updatedAt: time(16),
        history: [
          { at: time(9.5), step: 'pushed', sentence: '' },
          { at: time(16), step: 'recovered', sentence: '' },
        ],
      },
    ],
    remote: { head: 'revert', content: 'tree1', rollbackCommits: [{ commit: 'revert', rollback: 'r1' }] },
    firstBadRequestAt: Date.parse(time(8)),
  };
}

const partOf = (wrong: Evidence): string => {
  try {
    outcomeOf(wrong);
  } catch (error) {
    if (error instanceof StoryFailure) return error.part;
  }
  return 'none';
};

describe('the outcome of the demo', () => {
  it('counts both times from the first 5xx in the traffic log', () => {
    expect(outcomeOf(evidence())).toEqual({
      rolledBack: true,
      badCommit: 'bad',
      revertCommit: 'revert',
      verdict: 'fail',
      secondsToRevert: 1.5,
      secondsToRecover: 8,
    });
  });

  it('does not believe davylamp where the remote says something else', () => {
    const good = evidence();
    expect(partOf({ ...good, remote: { ...good.remote, head: 'other' } })).toBe('git');
    expect(partOf({ ...good, remote: { ...good.remote, content: 'tree2' } })).toBe('git');
    const twice = [...good.remote.rollbackCommits, { commit: 'again', rollback: 'r1' }];
    expect(partOf({ ...good, remote: { ...good.remote, rollbackCommits: twice } })).toBe('git');
    expect(partOf({ ...good, remote: { ...good.remote, rollbackCommits: [{ commit: 'revert', rollback: 'r2' }] } })).toBe('git');
  });

  it('names the part that did not do its work', () => {
    const good = evidence();
    expect(partOf({ ...good, firstBadRequestAt: null })).toBe('traffic');
    expect(partOf({ ...good, firstBadRequestAt: Date.parse(time(10)) })).toBe('judge');
    expect(partOf({ ...good, rollbacks: [] })).toBe('judge');
    expect(partOf({ ...good, rollbacks: [...good.rollbacks, ...good.rollbacks] })).toBe('git');
    expect(partOf({ ...good, rollbacks: good.rollbacks.map((rollback) => ({ ...rollback, state: 'not_recovered' })) })).toBe(
      'recovery',
    );
  });
});
