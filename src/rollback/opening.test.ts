import { describe, expect, it } from 'vitest';
import { NOW, POLICY, rollbackOf } from '../../test/support/guard-facts.ts';
import type { Analysis } from '../analysis/record.ts';
import { EXAMPLES } from '../http/examples.ts';
import { causeOf, reopened, type Cause } from './opening.ts';
import type { Rollback } from './record.ts';

const asked: Cause = {
  badCommit: rollbackOf().badCommit,
  trigger: 'manual',
  analysis: null,
  requestedBy: 'ada',
  confounded: false,
  sentence: 'it is bad after all',
  details: {},
};
const judged: Cause = { ...asked, trigger: 'analysis', analysis: 'an-2', requestedBy: 'analysis' };
const again = (known: Partial<Rollback>, cause: Cause) => reopened(rollbackOf(known), POLICY, cause, NOW);

describe('a rollback that ended without taking the bad revision out', () => {
  it.each(['refused', 'proposal_closed', 'revert_refused', 'already_reverted'])('as %s is decided anew for a person', (code) => {
    expect(again({ state: 'refused', code }, asked)).toMatchObject({ state: 'planned', code: 'decided', trigger: 'manual' });
    expect(again({ state: 'refused', code }, judged)).toBeNull();
  });

  it('because it came back is decided anew for a person, and nothing of its first life counts', () => {
    const before = { told: true, returnedAt: new Date(NOW).toISOString(), recovery: 'an-9', revertCommit: 'c'.repeat(40) };
    const next = again({ state: 'failed', code: 'came_back', ...before }, asked);
    expect(next).toMatchObject({ state: 'planned', told: false, returnedAt: null, recovery: null, revertCommit: null });
    expect(again({ state: 'failed', code: 'came_back', ...before }, judged)).toBeNull();
  });

  it('goes to another branch where it was proposed before', () => {
    const proposed = { state: 'refused', code: 'proposal_closed', mode: 'propose', revertCommit: 'c'.repeat(40) } as const;
    expect(again({ ...proposed, revertRef: 'refs/heads/davylamp/rb-1' }, asked)).toMatchObject({ proposes: 2 });
    expect(again({ ...proposed, revertRef: 'refs/heads/davylamp/rb-1-2' }, asked)).toMatchObject({ proposes: 3 });
    expect(again({ ...proposed, revertRef: null }, asked)?.proposes).toBeUndefined();
  });
});

describe('a rollback that the fleet breaker holds', () => {
  const held = { state: 'held', code: 'fleet_breaker', incident: 'fleet-1' } as const;

  it('5.2 is decided anew by another verdict about its revision, and not by the same one', () => {
    const next = again(held, judged);
    expect(next).toMatchObject({ state: 'planned', code: 'decided', analysis: 'an-2', decidedAt: new Date(NOW).toISOString() });
    expect(next?.incident).toBeUndefined();
    expect(again(held, { ...judged, analysis: 'an-1' })).toBeNull();
    expect(again(held, { ...judged, trigger: 'alert', analysis: null })).toBeNull();
  });

  it('is the only hold that a verdict ends', () => {
    for (const code of ['opted_out', 'newer_commits', 'stopped_globally', 'last_rollback_did_not_help', 'frozen']) {
      expect(again({ state: 'held', code }, judged)).toBeNull();
    }
  });
});

describe('a rollback that took the bad revision out, or is under way', () => {
  it.each(['planned', 'executing', 'pushed', 'synced', 'recovered', 'not_recovered'] as const)('as %s stays', (state) => {
    expect(again({ state, code: state }, asked)).toBeNull();
    expect(again({ state, code: state }, judged)).toBeNull();
  });
});

describe('an analysis', () => {
  const analysis = EXAMPLES['Analysis'] as Analysis;

  it('5.1 that could not be measured, or not be evaluated, leads to nothing', () => {
    const failed: Analysis = { ...analysis, kind: 'release', phase: 'Failed', verdict: 'fail' };
    expect(causeOf(failed)).toMatchObject({ trigger: 'analysis', badCommit: analysis.revision });
    for (const phase of ['Pending', 'Running', 'Successful', 'Inconclusive', 'Error', 'Cancelled'] as const) {
      for (const verdict of ['pass', 'marginal', 'inconclusive', 'error', 'fail', null] as const) {
        expect(causeOf({ ...failed, phase, verdict }), `${phase} ${String(verdict)}`).toBeNull();
      }
    }
    for (const verdict of ['pass', 'marginal', 'inconclusive', 'error', null] as const) {
      expect(causeOf({ ...failed, verdict })).toBeNull();
    }
    expect(causeOf({ ...failed, kind: 'recovery' })).toBeNull();
  });
});
