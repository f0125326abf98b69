import { logSumExp } from '../../statistics/log-space.ts';
import type { Judgement, JudgeTask, MetricJudgement, Verdict } from '../judge.ts';
import { asFigure, evidenceOf } from './budget.ts';
import { MARGINAL_SHARE, PASS_LOG_E } from './margins.ts';
import type { Findings, Trial } from './trial.ts';

/** A metric of the task, its trial so far, and its share of the one budget of false alarms (0: report-only). */
export interface TriedMetric {
  metric: JudgeTask['metrics'][number];
  trial: Trial;
  weight: number;
}

/** Where the walk over the ticks stopped: at a fail, at the last tick there will be, or at the newest one. */
interface Walk {
  metrics: readonly TriedMetric[];
  deciding: readonly TriedMetric[];
  logNeeded: number;
  tick: number | null;
  judged: number;
  end: 'fail' | 'last' | 'open';
}

interface Ruling {
  verdict: Verdict;
  code: string;
  sentence: string;
}

/** The judgement at the tick where the walk stopped. */
export function conclude(walk: Walk): Judgement {
  const { metrics, deciding, logNeeded, tick, end } = walk;
  const strongest = end === 'fail' ? strongestOf(deciding) : null;
  const judged = metrics.map((tried) => judgeMetric(tried, tried === strongest, logNeeded, end));
  // By name, so that the order in which metrics are written decides nothing, not even which one is named.
  const decisive = judged.filter((_, i) => metrics[i].weight > 0).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const ruling = rule(walk, decisive, strongest?.metric.name ?? null);
  return {
    verdict: end === 'open' ? null : ruling.verdict,
    code: ruling.code,
    sentence: ruling.sentence,
    decidedBy: ruling.decidedBy,
    tick: end === 'open' || ruling.code === 'no_data' ? null : tick,
    confounded: isConfounded(deciding, logNeeded, end),
    metrics: judged,
  };
}

function rule(walk: Walk, metrics: readonly MetricJudgement[], strongest: string | null): Ruling & { decidedBy: string | null } {
  const worst = (matches: (metric: MetricJudgement) => boolean): MetricJudgement | undefined => metrics.find(matches);
  const failed = worst(({ name }) => name === strongest);
  if (failed !== undefined) return { verdict: 'fail', code: failed.code, sentence: failed.sentence, decidedBy: failed.name };
  if (metrics.length === 0) {
    return { verdict: 'inconclusive', code: 'no_data', sentence: 'there is no metric that may decide', decidedBy: null };
  }
  if (walk.end === 'open') {
    return { verdict: 'inconclusive', code: 'undecided', sentence: undecided(walk, metrics), decidedBy: null };
  }
  if (metrics.every(({ code }) => code === 'no_data')) {
    return {
      verdict: 'inconclusive',
      code: 'no_data',
      sentence: metrics.map(({ sentence }) => sentence).join('; '),
      decidedBy: null,
    };
  }
  const unhealthy = worst(({ code }) => code === 'environment_unhealthy');
  if (unhealthy !== undefined) return { ...unhealthy, decidedBy: unhealthy.name };
  const total = logSumExp(walk.deciding.map(({ trial, weight }) => Math.log(weight) + evidenceOf(trial).logE));
  if (total >= walk.logNeeded + Math.log(MARGINAL_SHARE)) {
    const most = strongestOf(walk.deciding);
    const marginal = worst(({ name }) => name === most?.metric.name);
    if (marginal !== undefined) {
      return { verdict: 'marginal', code: leadingCode(most), sentence: marginal.sentence, decidedBy: marginal.name };
    }
  }
  const open = metrics.filter(({ verdict }) => verdict !== 'pass');
  const [first] = open;
  if (first !== undefined) {
    return {
      verdict: 'inconclusive',
      code: first.code,
      sentence: open.map(({ sentence }) => sentence).join('; '),
      decidedBy: first.name,
    };
  }
  return {
    verdict: 'pass',
    code: metrics.every(({ code }) => code === 'negligible') ? 'negligible' : 'within_tolerance',
    sentence: metrics.map(({ sentence }) => sentence).join('; '),
    decidedBy: null,
  };
}

function judgeMetric(tried: TriedMetric, isDecisive: boolean, logNeeded: number, end: Walk['end']): MetricJudgement {
  const { metric, trial, weight } = tried;
  const logAlone = weight > 0 ? logNeeded - Math.log(weight) : logNeeded;
  const findings = trial.findings(logAlone);
  const { logE } = evidenceOf(trial);
  const fails = isDecisive || (weight > 0 && logE >= logAlone);
  const ruling = ruleMetric(tried, findings, fails, logE >= logAlone + Math.log(MARGINAL_SHARE), end);
  return {
    name: metric.name,
    type: trial.type,
    role: metric.parameters.role,
    verdict: ruling.verdict,
    code: ruling.code,
    sentence: `${metric.name}: ${ruling.sentence}`,
    effect: findings.effect,
    eValue: {
      value: asFigure(logE),
      needed: weight > 0 && Number.isFinite(logAlone) ? asFigure(logAlone) : null,
    },
    traffic: findings.traffic,
  };
}

function ruleMetric(tried: TriedMetric, findings: Findings, fails: boolean, isMarginal: boolean, end: Walk['end']): Ruling {
  const { trial } = tried;
  const { traffic, comparison, pass } = findings;
  if (fails) return { verdict: 'fail', code: leadingCode(tried), sentence: leadingWords(tried, findings) };
  if (trial.worse === null && trial.above === null) {
    return {
      verdict: 'inconclusive',
      code: 'no_baseline',
      sentence: 'no baseline and no limit, so there is nothing to judge it by',
    };
  }
  if (traffic.ticks === 0) {
    const why = findings.missing === null ? '' : `: ${findings.missing}`;
    return { verdict: 'inconclusive', code: 'no_data', sentence: `no data${why}` };
  }
  if (findings.bothAboveLimit) {
    return {
      verdict: 'inconclusive',
      code: 'environment_unhealthy',
      sentence: `${findings.aboveLimit ?? comparison}: both are above it, so it is not this release alone`,
    };
  }
  if (isMarginal) {
    return {
      verdict: 'marginal',
      code: leadingCode(tried),
      sentence: `${leadingWords(tried, findings)}; suspicious, not enough for a fail`,
    };
  }
  if (end === 'open') return { verdict: 'inconclusive', code: 'not_enough_data', sentence: comparison };
  // Passing is decided at the end only: its bound holds for one look.
  const isClean = evidenceOf(trial).logE < PASS_LOG_E;
  if (pass.code !== null && isClean) return { verdict: 'pass', code: pass.code, sentence: `${comparison}; ${pass.sentence}` };
  const why =
    pass.code === null ? pass.sentence : `something speaks against it (e-value ${asFigure(evidenceOf(trial).logE).toFixed(1)})`;
  return { verdict: 'inconclusive', code: 'not_enough_data', sentence: `${comparison}; not enough for a pass: ${why}` };
}

function undecided({ judged, deciding }: Walk, metrics: readonly MetricJudgement[]): string {
  const strongest = strongestOf(deciding);
  const words = metrics.find(({ name }) => name === strongest?.metric.name)?.sentence ?? '';
  return `undecided after ${judged} ${judged === 1 ? 'tick' : 'ticks'}; ${words}`;
}

/** The metric with the largest part of the evidence; the first by name among equals. */
function strongestOf(deciding: readonly TriedMetric[]): TriedMetric | null {
  let strongest: TriedMetric | null = null;
  let most = -Infinity;
  for (const tried of deciding) {
    const part = Math.log(tried.weight) + evidenceOf(tried.trial).logE;
    if (strongest === null || part > most) [strongest, most] = [tried, part];
  }
  return strongest;
}

function leadingCode(tried: TriedMetric | null): string {
  return tried !== null && evidenceOf(tried.trial).mostly === 'above' ? 'above_limit' : 'worse_than_baseline';
}

function leadingWords(tried: TriedMetric, findings: Findings): string {
  return evidenceOf(tried.trial).mostly === 'above' ? (findings.aboveLimit ?? findings.comparison) : findings.comparison;
}

/** Without a live baseline a shared fault cannot be told from a bad release; a fail that stands without such metrics is clear. */
function isConfounded(deciding: readonly TriedMetric[], logNeeded: number, end: Walk['end']): boolean {
  const blind = deciding.filter(({ metric }) => metric.series.baseline === null);
  if (blind.length === 0 || end !== 'fail') return blind.length > 0;
  const clear = deciding.filter((tried) => !blind.includes(tried));
  return logSumExp(clear.map(({ trial, weight }) => Math.log(weight) + evidenceOf(trial).logE)) < logNeeded;
}
