import type { MetricJudgement } from '../judge.ts';

/** What a metric has shown up to a tick, in words and numbers. */
export interface Findings {
  effect: MetricJudgement['effect'];
  traffic: MetricJudgement['traffic'];
  /** Both sides in words: "canary 6.1 % against 2.0 % in the baseline, ..." */
  comparison: string;
  /** The canary against its limit in words; null without a limit. */
  aboveLimit: string | null;
  /** The canary is shown to be above its limit, and the baseline is above it, too. */
  bothAboveLimit: boolean;
  /** What the data would allow if the analysis ended now, and why, or what kept it from passing. */
  pass: { code: 'within_tolerance' | 'negligible' | null; sentence: string };
  /** Why data were missing, for a person; null when nothing was. */
  missing: string | null;
}

/**
 * One metric on trial. `look` takes in the ticks one after the other; the evidence is the log of an e-value and depends on
 * nothing but the ticks so far.
 */
export interface Trial {
  readonly type: MetricJudgement['type'];
  /** Takes in one judged tick. */
  look(tick: number): void;
  /** Against "no worse than tolerated"; null when there is no baseline. */
  readonly worse: number | null;
  /** Against "not above a limit that the baseline keeps"; null without a limit. */
  readonly above: number | null;
  /** @param logNeeded log evidence that this metric alone would need for a fail */
  findings(logNeeded: number): Findings;
}
