import type { ProposalState } from './port.ts';

/**
 * The proposal that speaks for a branch, when there were several: one that is open, else one that was merged, else the one that
 * was ended last.
 */
export function speaking<T>(proposals: readonly T[], facts: (one: T) => { state: ProposalState; number: number }): T | null {
  const rank = (one: T) => ['open', 'merged', 'closed'].indexOf(facts(one).state);
  const [first] = proposals.toSorted((one, other) => rank(one) - rank(other) || facts(other).number - facts(one).number);
  return first ?? null;
}
