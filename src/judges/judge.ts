import { Type, type Static } from 'typebox';
import type { MetricSeries } from './series.ts';

/** What the user allows of one metric, in plain numbers (the template's "10%" and "500ms" are parsed before). */
export interface MetricParameters {
  /** Relative worsening that is accepted: 0.1 = the canary may be 10 % worse than the baseline. */
  tolerate: number;
  /** Absolute limit: a rate (proportion) or a value (gauge). Null: none. */
  limit: number | null;
  /** Limits on quantiles of a histogram, in the unit of its bounds: [{ quantile: 0.99, value: 0.5 }]. */
  quantileLimits: readonly { quantile: number; value: number }[];
  /** A rate (proportion) below which the canary passes whatever its ratio to the baseline. */
  passBelow: number;
  /** normal and critical metrics can fail the release; report-only ones never do. */
  role: 'critical' | 'normal' | 'report-only';
}

/** What a judge is asked. Pure data; the same task always gives the same judgement. */
export interface JudgeTask {
  metrics: readonly { name: string; parameters: MetricParameters; series: MetricSeries }[];
  /** Share of healthy releases that may be failed, over the whole analysis however often it is looked at (0.01 = 1 %). */
  falseRollbacks: number;
  /** Leading ticks that are measured but not judged. */
  warmup: number;
  /** Ticks that the whole analysis will have, warm-up included. */
  planned: number;
  /** No further measurement will come: the judge must end with a final verdict. */
  ended: boolean;
}

export const Verdict = Type.Enum(['pass', 'marginal', 'fail', 'inconclusive', 'error'], {
  description: 'pass, marginal, fail, inconclusive (not enough evidence), error (could not be evaluated)',
});
export type Verdict = Static<typeof Verdict>;

const figure = Type.Union([Type.Number(), Type.Null()]);

export const MetricJudgement = Type.Object(
  {
    name: Type.String(),
    type: Type.Enum(['proportion', 'histogram', 'gauge']),
    role: Type.Enum(['critical', 'normal', 'report-only']),
    verdict: Verdict,
    code: Type.String({
      description:
        'Machine-readable reason: worse_than_baseline, above_limit, within_tolerance, negligible, not_enough_data, no_data, environment_unhealthy, no_baseline',
    }),
    sentence: Type.String({ description: 'The evidence in one sentence for a person.' }),
    effect: Type.Object(
      {
        kind: Type.Enum(['rate-ratio', 'odds-ratio', 'ratio']),
        estimate: figure,
        low: figure,
        high: figure,
      },
      { description: 'Canary against baseline with its anytime-valid interval; null where it cannot be said.' },
    ),
    eValue: Type.Object(
      { value: figure, needed: figure },
      { description: 'Evidence against "no worse than tolerated" and what a fail needs.' },
    ),
    traffic: Type.Object({
      canary: Type.Object({ events: figure, total: figure }),
      baseline: Type.Object({ events: figure, total: figure }),
      ticks: Type.Integer({ description: 'Judged ticks with data on all sides that the metric needs.' }),
      missing: Type.Integer({ description: 'Judged ticks without.' }),
    }),
  },
  { additionalProperties: false },
);
export type MetricJudgement = Static<typeof MetricJudgement>;

export const Judgement = Type.Object(
  {
    verdict: Type.Union([Verdict, Type.Null()], { description: 'null: undecided so far, more measurements will come' }),
    code: Type.String(),
    sentence: Type.String(),
    decidedBy: Type.Union([Type.String(), Type.Null()], { description: 'The metric that decided.' }),
    tick: Type.Union([Type.Integer(), Type.Null()], { description: 'Index of the tick whose data decided.' }),
    confounded: Type.Boolean({ description: 'There was no live baseline: a shared fault cannot be told from a bad release.' }),
    metrics: Type.Array(MetricJudgement),
  },
  { additionalProperties: false },
);
export type Judgement = Static<typeof Judgement>;

/** A judge is a pure function from measurements to a judgement with evidence. */
export interface Judge {
  readonly name: string;
  judge(task: JudgeTask): Judgement;
}
