import { describe, expect, it } from 'vitest';
import { exactJudge } from '../judges/exact/exact.ts';
import type { ProportionSeries } from '../judges/series.ts';
import { blamedFor, confirmedTicks, judgeBeforeAfter, notOfThisRelease, windowsBefore } from './confirmation.ts';
import { planOf } from './plan.ts';
import type { Confirmation, Measurements } from './record.ts';

const MINUTE = 60_000;
const LIVE = Date.parse('2026-01-01T12:00:20.000Z');
const FIRST = Date.parse('2026-01-01T12:01:00.000Z');
const plan = planOf('t', {
  every: '1m',
  for: '30m',
  canary: { track: 'canary' },
  metrics: { errors: { type: 'proportion', source: 's', total: { counter: 't' }, events: { counter: 'e' } } },
});
const confirmation = (startsAt: number, comparison: Confirmation['comparison'] = 'before-after'): Confirmation => ({
  comparison,
  liveSince: new Date(LIVE).toISOString(),
  startKnown: true,
  alert: { name: 'HighErrorRate', fingerprint: 'f', startsAt: new Date(startsAt).toISOString() },
});

/** Requests and errors a minute, from 30 minutes before the release to `after` minutes after it. */
interface Story {
  after: number;
  requests?: (minute: number) => number;
  errors: (minute: number) => number;
  control?: (minute: number) => number;
  /** The control series were not measured. */
  blind?: boolean;
  warmup?: number;
}

function judgementOf({ after, requests = () => 6_000, errors, control, blind = false, warmup = 0 }: Story, ended = false) {
  const side = (minutes: number[], share: (minute: number) => number) => ({
    events: minutes.map((minute) => Math.round(requests(minute) * share(minute))),
    total: minutes.map(requests),
  });
  const series = (minutes: number[]): ProportionSeries => ({
    type: 'proportion',
    canary: side(minutes, errors),
    baseline:
      control === undefined
        ? null
        : blind
          ? { events: minutes.map(() => null), total: minutes.map(() => null) }
          : side(minutes, control),
  });
  const past = Array.from({ length: 30 }, (_, at) => at - 30);
  const since = Array.from({ length: after }, (_, at) => at);
  const measurements: Measurements = {
    series: { errors: series(since) },
    before: { errors: series(past) },
    times: since.map((minute) => FIRST + (minute + 1) * MINUTE),
    cursors: {},
    resumed: [],
  };
  const ticks = { planned: 30, done: after, warmup, everyMs: MINUTE };
  const task = { metrics: plan.metrics, falseRollbacks: 0.01, warmup, planned: 30, ended };
  return judgeBeforeAfter(exactJudge, task, measurements, { ticks, confirmation: confirmation(FIRST) });
}

describe('the time after a release against the time before it', () => {
  it('fails a release with which the errors began, and says that it is confounded', () => {
    const judgement = judgementOf({ after: 8, errors: (minute) => (minute < 0 ? 0.002 : 0.05) });
    expect(judgement).toMatchObject({ verdict: 'fail', confounded: true, decidedBy: 'errors' });
  });

  it('fails a release whose pods came one after the other, too', () => {
    const errors = (minute: number) => (minute < 0 ? 0.002 : 0.002 + 0.01 * Math.min(minute, 5));
    expect(judgementOf({ after: 10, errors })).toMatchObject({ verdict: 'fail' });
  });

  it('blames no release for an outage that began before it', () => {
    const judgement = judgementOf({ after: 10, errors: (minute) => (minute < -6 ? 0.002 : 0.05) });
    expect(judgement.verdict).not.toBe('fail');
  });

  it('blames no release for an outage that began ten minutes after it', () => {
    const judgement = judgementOf({ after: 16, errors: (minute) => (minute < 10 ? 0.002 : 0.08) });
    expect(judgement).toMatchObject({ verdict: 'inconclusive', code: 'not_at_release' });
  });

  it('blames no release for an outage at its very moment that the control series share', () => {
    const outage = (minute: number) => (minute < 0 ? 0.002 : 0.05);
    const judgement = judgementOf({ after: 8, errors: outage, control: outage });
    expect(judgement).toMatchObject({ verdict: 'inconclusive', code: 'environment_unhealthy' });
  });

  it('fails a release although there are control series, where they stay well', () => {
    const judgement = judgementOf({ after: 8, errors: (minute) => (minute < 0 ? 0.002 : 0.05), control: () => 0.002 });
    expect(judgement).toMatchObject({ verdict: 'fail', confounded: true });
  });

  it('is not impressed by a step of the traffic', () => {
    const requests = (minute: number) => (minute < 0 ? 3_000 : 12_000);
    const judgement = judgementOf({ after: 30, requests, errors: () => 0.004 }, true);
    expect(judgement.verdict).toBe('pass');
  });

  it('fails nobody where the control series are configured and were not measured', () => {
    const judgement = judgementOf({
      after: 8,
      errors: (minute) => (minute < 0 ? 0.002 : 0.05),
      control: () => 0.002,
      blind: true,
    });
    expect(judgement).toMatchObject({ verdict: 'inconclusive', code: 'control_missing' });
  });

  it('does not judge the warm-up', () => {
    const errors = (minute: number) => (minute >= 0 && minute < 3 ? 0.3 : 0.002);
    expect(judgementOf({ after: 3, errors, warmup: 5 }).verdict).toBeNull();
    expect(judgementOf({ after: 30, errors, warmup: 5 }, true).verdict).toBe('pass');
  });

  it('says nothing where nothing was measured before', () => {
    const judgement = judgementOf({ after: 30, requests: (minute) => (minute < 0 ? 0 : 6_000), errors: () => 0.05 }, true);
    expect(judgement).toMatchObject({ verdict: 'inconclusive', confounded: true });
  });
});

describe('the ticks of a confirmation', () => {
  it('begin with the first whole window of the revision, and some are still to come', () => {
    const now = LIVE + 10 * MINUTE;
    expect(confirmedTicks(plan, LIVE, now)).toEqual({ startedAt: FIRST, planned: 30 });
    expect(windowsBefore(plan, LIVE).at(-1)).toEqual({ from: FIRST - 2 * MINUTE, to: FIRST - MINUTE });
    expect(windowsBefore(plan, LIVE)).toHaveLength(30);
  });

  it('are the last ones of a revision that has lived for long', () => {
    const now = LIVE + 500 * MINUTE;
    const { startedAt, planned } = confirmedTicks(plan, LIVE, now);
    expect(now - startedAt).toBeLessThanOrEqual(25 * MINUTE);
    expect(planned).toBe(30);
  });

  it('are not even begun for an alert that came long after the release, but for a live canary', () => {
    const late = LIVE + 45 * MINUTE;
    expect(notOfThisRelease(plan, confirmation(late))).toMatchObject({
      code: 'not_at_release',
      sentence: expect.stringMatching(/45 min after/) as string,
    });
    expect(notOfThisRelease(plan, confirmation(late, 'baseline'))).toBeNull();
    expect(notOfThisRelease(plan, confirmation(LIVE + MINUTE))).toBeNull();
  });

  it('are not begun for a revision of which nobody knows when it went live', () => {
    const unknown = { ...confirmation(LIVE + MINUTE), startKnown: false };
    expect(notOfThisRelease(plan, unknown)?.code).toBe('release_time_unknown');
    expect(notOfThisRelease(plan, { ...unknown, comparison: 'baseline' })).toBeNull();
  });

  it('put a change down to the release for five ticks, five minutes at most and two ticks at least', () => {
    expect([1_000, 15_000, MINUTE, 10 * MINUTE].map(blamedFor)).toEqual([5_000, 75_000, 300_000, 1_200_000]);
  });
});
