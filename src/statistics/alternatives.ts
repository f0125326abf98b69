/**
 * How many times beyond the null's boundary a bad release may be, and how much is bet on each.
 * Dense near the boundary, where only much traffic decides; thin far out, where any bet wins.
 */
export const TIMES_WORSE: readonly number[] = [1.05, 1.15, 1.3, 1.6, 2, 2.7, 4, 7, 16, 50];
export const WEIGHTS: readonly number[] = [0.04, 0.07, 0.12, 0.17, 0.17, 0.16, 0.12, 0.08, 0.05, 0.02];
