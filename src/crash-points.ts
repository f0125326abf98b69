import { CONDUCTOR_POINTS } from './analysis/conductor.ts';
import { EXECUTOR_POINTS } from './rollback/context.ts';

/**
 * Places where a test can have the process killed (DAVYLAMP_CRASH_AT=NAME), in the order in which a rollback passes
 * them. Only names stand here; whoever passes such a place is given a function that knows what to do.
 */
export const CRASH_POINTS: readonly string[] = [...CONDUCTOR_POINTS, ...EXECUTOR_POINTS];
