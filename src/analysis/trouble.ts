import type { DeliveryState } from '../delivery/port.ts';
import type { Judgement } from '../judges/judge.ts';
import type { Analysis, Measurements } from './record.ts';
import { sameCommit } from './revision.ts';

/** So many looks in a row must see that the judged revision does not live: one may be a pod that is just being moved. */
const LOOKS_IN_A_ROW = 2;

/** Name of what decided where the delivery itself is the evidence; no metric can have it in a template of ours. */
export const DELIVERY_METRIC = 'delivery';

/** Counts the looks in a row at which the delivery said that exactly the judged revision does not live. */
export function withTrouble(measurements: Measurements, analysis: Analysis, state: DeliveryState | null): Measurements {
  const { trouble = null } = state ?? {};
  const theirs = trouble !== null && sameCommit(trouble.revision, analysis.revision);
  const troubled = theirs ? (measurements.troubled ?? 0) + 1 : 0;
  return troubled === (measurements.troubled ?? 0) ? measurements : { ...measurements, troubled };
}

/**
 * Positive evidence of death is a fail of its own (design 5.1), whatever the metrics say: who does not live is not
 * measured. What it leads to is the application's `onUndeployable`.
 */
export function undeployable(
  judgement: Judgement,
  { troubled = 0 }: Measurements,
  state: DeliveryState | null,
): Judgement | null {
  const trouble = state?.trouble ?? null;
  if (trouble === null || troubled < LOOKS_IN_A_ROW || judgement.verdict === 'fail') return null;
  return {
    ...judgement,
    verdict: 'fail',
    code: trouble.code,
    sentence: trouble.sentence,
    decidedBy: DELIVERY_METRIC,
    confounded: false,
  };
}
