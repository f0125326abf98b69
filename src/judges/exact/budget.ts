import { logAddExp } from '../../statistics/log-space.ts';
import { SHARE_OF_COMPARISON } from './margins.ts';
import type { Trial } from './trial.ts';

/** log of the largest e-value that is written down; JSON knows no infinity. */
const LARGEST_LOG_E = 690;

/**
 * The e-value of a metric: weighted mean of "worse than the baseline" and "above a limit". A mean of e-values with weights fixed
 * in advance is an e-value, whatever their dependence, so no further correction is due.
 * @returns the log, and which of the two holds more of it; 0 when there is nothing to test
 */
export function evidenceOf(trial: Trial): { logE: number; mostly: 'worse' | 'above' } {
  const { worse, above } = trial;
  if (worse === null) return { logE: above ?? 0, mostly: 'above' };
  if (above === null) return { logE: worse, mostly: 'worse' };
  const fromWorse = worse + Math.log(SHARE_OF_COMPARISON);
  const fromAbove = above + Math.log(1 - SHARE_OF_COMPARISON);
  return { logE: logAddExp(fromWorse, fromAbove), mostly: fromAbove > fromWorse ? 'above' : 'worse' };
}

/** An e-value as a finite number. */
export function asFigure(logE: number): number {
  return Math.exp(Math.min(logE, LARGEST_LOG_E));
}
