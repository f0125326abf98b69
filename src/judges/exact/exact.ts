import { logSumExp } from '../../statistics/log-space.ts';
import type { Judge, Judgement, JudgeTask } from '../judge.ts';
import { evidenceOf } from './budget.ts';
import { GaugeTrial } from './gauge.ts';
import { HistogramTrial } from './histogram.ts';
import { BET } from './margins.ts';
import { ProportionTrial } from './proportion.ts';
import type { Trial } from './trial.ts';
import { conclude, type TriedMetric } from './verdict.ts';

/** Whatever is asked for, a release without any evidence against it does not fail. */
const LEAST_EVIDENCE = Math.log(2);

type Metric = JudgeTask['metrics'][number];

/**
 * Sequential judge with a stated rate of false rollbacks: of healthy releases at most `falseRollbacks` are failed, however often
 * and whenever it is looked at, provided that requests are independent of each other (docs/judges.md: what that leaves out).
 *
 * Each metric bets against "no worse than tolerated"; the weighted mean of the bets is an e-process, and the release fails at
 * the first tick where it reaches 1 / falseRollbacks. The ticks are taken one after the other and nothing looks ahead, so a
 * fail and its tick never change when ticks are appended. Cost O(ticks) a call, by running sums.
 */
export const exactJudge: Judge = {
  name: 'exact',
  judge(task: JudgeTask): Judgement {
    const ticks = Math.min(Math.max(0, ...task.metrics.map(lengthOf)), Math.max(0, task.planned));
    const warmup = Math.max(0, task.warmup);
    const metrics = onTrial(task, ticks, warmup);
    const deciding = metrics.filter(({ weight }) => weight > 0).sort((a, b) => (a.metric.name < b.metric.name ? -1 : 1));
    const logNeeded = Math.max(-Math.log(task.falseRollbacks), LEAST_EVIDENCE);
    const shares = new Float64Array(deciding.length);
    for (let tick = warmup; tick < ticks; tick++) {
      for (const { trial } of metrics) trial.look(tick);
      deciding.forEach(({ trial, weight }, i) => (shares[i] = Math.log(weight) + evidenceOf(trial).logE));
      if (logSumExp(shares) >= logNeeded) return conclude({ metrics, deciding, logNeeded, tick, judged: tick + 1, end: 'fail' });
    }
    const end = task.ended || ticks >= task.planned ? 'last' : 'open';
    return conclude({ metrics, deciding, logNeeded, tick: ticks > 0 ? ticks - 1 : null, judged: ticks, end });
  },
};

function onTrial(task: JudgeTask, ticks: number, warmup: number): TriedMetric[] {
  const starts = task.planned - warmup;
  const bets: number[] = task.metrics.map(({ parameters: { role } }) => (role === 'report-only' ? 0 : BET[role]));
  const all = bets.reduce((sum, bet) => sum + bet, 0);
  return task.metrics.map((metric, i) => ({
    metric,
    trial: trialOf(metric, ticks, warmup, starts),
    weight: all > 0 ? bets[i] / all : 0,
  }));
}

function trialOf({ series, parameters }: Metric, ticks: number, warmup: number, starts: number): Trial {
  switch (series.type) {
    case 'proportion':
      return new ProportionTrial(series, parameters, starts);
    case 'histogram':
      return new HistogramTrial(series, parameters, warmup, ticks, starts);
    case 'gauge':
      return new GaugeTrial(series, parameters);
  }
}

/** Ticks measured so far; a side or a part that is shorter lacks the last ones. */
function lengthOf({ series }: Metric): number {
  switch (series.type) {
    case 'proportion':
      return Math.max(
        ...[series.canary, series.baseline].map((side) => Math.max(side?.events.length ?? 0, side?.total.length ?? 0)),
      );
    case 'histogram':
      return Math.max(series.canary.counts.length, series.baseline?.counts.length ?? 0);
    case 'gauge':
      return Math.max(series.canary.length, series.baseline?.length ?? 0);
  }
}
