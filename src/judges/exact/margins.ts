/**
 * Constants of the judge that are choices, not theorems. docs/judges.md says what was measured with them.
 */

/** Of a metric's bet, what goes on "worse than the baseline" when it has a limit, too; the rest goes on the limits. */
export const SHARE_OF_COMPARISON = 0.8;
/** A critical metric gets twice the bet of a normal one. */
export const BET = { critical: 2, normal: 1 } as const;
/** Marginal: a tenth of the evidence that a fail needs. */
export const MARGINAL_SHARE = 0.1;
/** One tick multiplies the evidence of a proportion, and of a histogram, by at most this. Pauses cluster slow requests. */
export const MOST_PER_TICK = { proportion: 8, histogram: 5 } as const;
/** Error of the interval that is shown. */
export const INTERVAL_ALPHA = 0.05;
/** Error of the one-sided bound at the end, on which a pass rests. */
export const PASS_ALPHA = 0.05;
/** A pass needs data in at least this share of the judged ticks. */
export const PASS_DATA_SHARE = 0.5;

/** A metric with an e-value of this or more does not pass. */
export const PASS_LOG_E = Math.log(2);

/** Pass: the canary's rate is surely less than this many times what is tolerated. */
export const PASS_RATE = 2;
/** Pass: the canary is surely less than this many times slower than what is tolerated. */
export const PASS_LATENCY = 1.25;
/** A share of slow requests that is surely below this passes, whatever its ratio to the baseline. */
export const NEGLIGIBLE_SLOW = 0.01;
/** Pass: the canary's gauge is surely less than this many times what is tolerated. */
export const PASS_GAUGE = 1.2;
/** Evidence for "above the limit" from which both sides together count as an unhealthy environment. */
export const UNHEALTHY_LOG_E = Math.log(20);

/** A limit of 0 is judged as this rate: one event of a million may always happen. */
export const LOWEST_LIMIT = 1e-6;
