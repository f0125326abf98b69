import { fleetBreaker } from './fleet.ts';
import { isReleased, releasedOther } from './approval.ts';
import type { Guard, GuardFacts } from './facts.ts';
import { frozen } from './freeze.ts';
import type { Held } from './held.ts';
import {
  coolDown,
  dayLimit,
  dayLimitEverywhere,
  dayLimitOfRepository,
  lastOneDidNotHelp,
  loop,
  proposedAlready,
  refusedAlready,
} from './past.ts';
import { approvalPaths, destructivePrune, newerCommits, optedOut, sharedPaths } from './plan.ts';
import { cameBack, revertOpen, revertRefused, revertedBefore, revertsARevert } from './reverts.ts';
import { whatRuns } from './running.ts';
import { markedGood, suspect, tooOld } from './standing.ts';
import { stoppedBy } from './stopping.ts';

/** About the verdict, or the habit of doing it by itself: a person who asks for the rollback has decided that. */
const unlessAsked =
  (guard: Guard): Guard =>
  (facts) =>
    facts.rollback.trigger === 'manual' ? null : guard(facts);

/**
 * All guards, in the order in which they are asked: what stops everything, what people said already, what is shared,
 * what runs, the commit, the plan, the limits. After the order of checks of LUCI Bisection (luci-go, revertculprit).
 */
const GUARDS: readonly Guard[] = [
  ({ fleet, policy, stopped }) => stoppedBy(fleet, policy, stopped),
  unlessAsked(revertRefused),
  unlessAsked(refusedAlready),
  unlessAsked(fleetBreaker),
  unlessAsked(whatRuns),
  frozen,
  optedOut,
  revertsARevert,
  cameBack,
  revertedBefore,
  revertOpen,
  unlessAsked(proposedAlready),
  unlessAsked(markedGood),
  unlessAsked(suspect),
  lastOneDidNotHelp,
  unlessAsked(tooOld),
  loop,
  unlessAsked(coolDown),
  newerCommits,
  destructivePrune,
  sharedPaths,
  approvalPaths,
  dayLimit,
  dayLimitOfRepository,
  dayLimitEverywhere,
];

/** Every guard that holds, in their order; what people released is left out. */
export function allHolding(facts: GuardFacts): Held[] {
  const { rollback, plan, policy, now } = facts;
  const isFree = isReleased(rollback, plan.hash, policy, now);
  return GUARDS.flatMap((guard) => {
    const held = guard(facts);
    return held === null || (isFree && held.approvable) ? [] : [held];
  });
}

/**
 * The first guard that holds, or null. People's approval releases those that can be released; it was given for one plan,
 * and is none for another.
 */
export function heldBy(facts: GuardFacts): Held | null {
  const { rollback, plan, policy, now } = facts;
  const [first, ...others] = allHolding(facts);
  if (first === undefined) return null;
  // Who approves for one reason has to see what else that lets pass: data may be deleted.
  const also = first.approvable ? others.filter(({ approvable }) => approvable).map(({ code }) => code) : [];
  const more = also.length === 0 ? '' : `; an approval releases these, too: ${also.join(', ')}`;
  const held: Held = { ...first, sentence: first.sentence + more };
  const before = held.approvable ? releasedOther(rollback, plan, policy, now) : null;
  return before === null
    ? held
    : { ...held, code: 'plan_changed', sentence: `${before}; it needs that because ${held.sentence}` };
}
