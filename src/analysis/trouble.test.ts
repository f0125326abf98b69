import { describe, expect, it } from 'vitest';
import type { DeliveryState } from '../delivery/port.ts';
import type { Judgement } from '../judges/judge.ts';
import type { Analysis, Measurements } from './record.ts';
import { undeployable, withTrouble } from './trouble.ts';

const revision = 'b'.repeat(40);
const analysis = { revision } as Analysis;
const nothing: Measurements = { series: {}, times: [], cursors: {}, resumed: [] };
const open: Judgement = {
  verdict: null,
  code: 'undecided',
  sentence: '',
  decidedBy: null,
  tick: null,
  confounded: true,
  metrics: [],
};
const state = (of: string | null): DeliveryState => ({
  canary: revision,
  stable: null,
  synced: null,
  phase: 'progressing',
  trouble: of === null ? null : { revision: of, code: 'crash_loop', sentence: '3 of 3 pods crash' },
});

const after = (...states: (DeliveryState | null)[]) =>
  states.reduce<Measurements>((known, seen) => withTrouble(known, analysis, seen), nothing);

describe('a revision that does not live', () => {
  it('fails when two looks in a row see it, by that evidence alone', () => {
    const dead = state(revision.slice(0, 10));
    expect(undeployable(open, after(dead), dead)).toBeNull();
    expect(undeployable(open, after(dead, dead), dead)).toMatchObject({
      verdict: 'fail',
      code: 'crash_loop',
      decidedBy: 'delivery',
      confounded: false,
    });
  });

  it('is not failed by the trouble of another revision, of the past, or by silence', () => {
    const dead = state(revision);
    expect(undeployable(open, after(state('c'.repeat(40)), state('c'.repeat(40))), state('c'.repeat(40)))).toBeNull();
    expect(undeployable(open, after(dead, state(null), dead), dead)).toBeNull();
    expect(undeployable(open, after(dead, null, dead), dead)).toBeNull();
    expect(undeployable(open, after(dead, dead, state(null)), state(null))).toBeNull();
  });

  it('leaves the evidence of the metrics alone where they failed it already', () => {
    const dead = state(revision);
    expect(undeployable({ ...open, verdict: 'fail', decidedBy: 'errors' }, after(dead, dead), dead)).toBeNull();
  });
});
