import { describe, expect, it } from 'vitest';
import { HOUR, NOW, rollbackOf } from '../../test/support/guard-facts.ts';
import { noted, stuckSince, troubled } from './transitions.ts';

const trouble = (code: string) => ({ code, sentence: 'a hook refused it', nextAt: null });

describe('a rollback with a problem', () => {
  it('5.11 is stuck after two minutes, told of once', () => {
    let rollback = troubled(rollbackOf(), trouble('git_push_refused'), NOW);
    expect(stuckSince(rollback, NOW + 119_000)).toBe(false);
    rollback = troubled(rollback, trouble('git_push_refused'), NOW + 120_000);
    expect(stuckSince(rollback, NOW + 120_000)).toBe(true);
    rollback = noted(rollback, 'stuck', 'a hook refused it', NOW + 120_000);
    expect(stuckSince(rollback, NOW + 9 * HOUR)).toBe(false);
  });

  it('is stuck as well where problems take turns, told of once in an hour', () => {
    let rollback = rollbackOf();
    let at = NOW;
    let times = 0;
    for (; at < NOW + 3 * HOUR; at += 60_000) {
      rollback = troubled(rollback, trouble(at % 120_000 === 0 ? 'git_timeout' : 'git_auth_failed'), at);
      if (!stuckSince(rollback, at)) continue;
      times += 1;
      rollback = noted(rollback, 'stuck', '', at);
    }
    expect(times).toBe(3);
  });
});

describe('a long history', () => {
  it('keeps its beginning and the newest of each decisive step', () => {
    const steps = ['approved', 'proposed', 'proposal_merged', 'pushed', 'pushed'];
    let rollback = steps.reduce((one, step, at) => noted(one, step, `${step} ${at}`, NOW + at), rollbackOf());
    for (let at = 0; at < 500; at += 1) rollback = noted(rollback, `trouble_${at % 7}`, 'again', NOW + 1_000 + at);
    expect(rollback.history).toHaveLength(200);
    expect(rollback.history.slice(0, 5).map(({ step, sentence }) => [step, sentence])).toEqual([
      ['decided', 'errors rose'],
      ['approved', 'approved 0'],
      ['proposed', 'proposed 1'],
      ['proposal_merged', 'proposal_merged 2'],
      ['pushed', 'pushed 4'],
    ]);
    expect(rollback.history.at(-1)?.at).toBe(new Date(NOW + 1_499).toISOString());
  });
});
