import { createHash } from 'node:crypto';
import { ALERT } from '../opening.ts';
import type { BadOne, GuardFacts } from './facts.ts';
import type { Held } from './held.ts';
import { durationText, fewOf } from './words.ts';

/** design 5.2: a shared fault never rolls back a release. */

/** Of fewer applications than these a share says nothing. */
const LEAST_FOR_SHARE = 4;
/** Where something smoulders, the others' next look is awaited, but no longer than this. */
const LONGEST_SETTLE_MS = 60_000;
/** Where nothing does, a few looks of others at the same thing are awaited that show nothing, but no longer than so many times. */
const ENOUGH_LOOKS = 2;
const CALM_SETTLES = 3;
/** What a look decides is stored shortly after it. */
const LOOK_MS = 500;

type Facts = Pick<GuardFacts, 'now' | 'rollback' | 'fleet' | 'crowd'>;

/** What turned bad together on one source, cluster or repository. */
interface Together {
  shared: string;
  /** One for each application, the first one first. */
  bad: BadOne[];
}

export function fleetBreaker(facts: Facts): Held | null {
  const { rollback, fleet, crowd } = facts;
  const { breaker } = fleet;
  const [worst] = breaker.isEnabled ? together(facts).filter((one) => isMuch(facts, one)) : [];
  const [first] = worst?.bad ?? [];
  if (rollback.trigger === 'manual' || worst === undefined || first === undefined) return null;
  const names = fewOf(worst.bad.map(({ application }) => application));
  return {
    code: 'fleet_breaker',
    sentence: `${worst.bad.length} applications on ${worst.shared} turned bad within ${durationText(breaker.within)} (${names}), which speaks for a shared fault; look at ${worst.shared}, then approve or refuse each`,
    approvable: true,
    incident: crowd.incident ?? incidentOf(first),
  };
}

/**
 * Until when a rollback waits for others to turn bad, too, so that the first one of a shared fault is held as well; null
 * when there is nothing to wait for. Most wait for nothing: only where enough applications are being analysed on the
 * same source, cluster or repository, a short time, in which two of them should be looked at; and longer only where some
 * of them look bad already.
 */
export function settlesUntil(facts: Facts): number | null {
  const { now, rollback, fleet, crowd } = facts;
  const { isEnabled, settle } = fleet.breaker;
  if (!isEnabled || settle === 0 || rollback.trigger === 'manual') return null;
  const decided = Date.parse(rollback.decidedAt);
  const bad = new Set(near(facts).map(({ application }) => application));
  const mine = new Set(fleet.shares.get(rollback.application));
  const others = crowd.analysed.filter(({ application }) => application !== rollback.application && !bad.has(application));
  // Alerts come without an analysis, and in bursts: whoever could send one counts as being looked at.
  const isAlert = rollback.requestedBy === ALERT && rollback.analysis === null;
  const watched = isAlert ? [...fleet.shares.keys()] : others.map(({ application }) => application);
  const isCrowded = [...mine].some((shared) => {
    const there = [rollback.application, ...bad, ...watched].filter((name) => fleet.shares.get(name)?.includes(shared) === true);
    return couldBeMuch(fleet.breaker.applications, new Set(there).size);
  });
  if (!isCrowded) return null;
  if (now < decided + settle) return decided + settle;
  const isNeighbour = (application: string) => fleet.shares.get(application)?.some((shared) => mine.has(shared)) === true;
  const neighbours = others.filter(({ application }) => isNeighbour(application));
  const smoulders =
    [...bad].some((application) => application !== rollback.application && isNeighbour(application)) ||
    neighbours.some(({ leans }) => leans);
  const looked = neighbours.filter(({ lastAt }) => (lastAt ?? -Infinity) >= decided).length;
  if (!smoulders && looked >= ENOUGH_LOOKS) return null;
  const last = decided + (smoulders ? Math.max(settle, LONGEST_SETTLE_MS) : settle * CALM_SETTLES);
  if (now >= last) return null;
  const looks = neighbours.flatMap(({ nextAt, lastAt }) =>
    nextAt === null || (lastAt ?? -Infinity) >= decided ? [] : [nextAt + LOOK_MS],
  );
  const next = looks.filter((at) => at <= last);
  return next.length === 0 ? null : Math.max(now + LOOK_MS, Math.min(...next));
}

/** Those that turned bad around the time of this one's decision. */
function near({ now, rollback, fleet, crowd }: Facts): BadOne[] {
  const decided = Date.parse(rollback.decidedAt);
  const { within } = fleet.breaker;
  return crowd.bad.filter(({ at }) => at <= now && Math.abs(at - decided) <= within);
}

/** For everything that is shared: the most that turned bad within the time, this decision in it; the worst first. */
function together(facts: Facts): Together[] {
  const { rollback, fleet } = facts;
  const decided = Date.parse(rollback.decidedAt);
  const { within } = fleet.breaker;
  const all = near(facts).toSorted((one, other) => one.at - other.at || (one.application < other.application ? -1 : 1));
  const groups = new Map<string, BadOne[]>();
  for (const one of all) {
    for (const shared of fleet.shares.get(one.application) ?? []) {
      groups.set(shared, [...(groups.get(shared) ?? []), one]);
    }
  }
  const found = [...groups].map(([shared, group]) => {
    const spans = group
      .filter(({ at }) => at <= decided)
      .map((first) => firsts(group.filter(({ at }) => at >= first.at && at - first.at <= within)));
    const most = spans.toSorted((one, other) => other.length - one.length).at(0) ?? [];
    return { shared, bad: most };
  });
  return found.toSorted((one, other) => other.bad.length - one.bad.length || (one.shared < other.shared ? -1 : 1));
}

/** The first one of each application. */
function firsts(bad: readonly BadOne[]): BadOne[] {
  const known = new Set<string>();
  return bad.filter(({ application }) => {
    if (known.has(application)) return false;
    known.add(application);
    return true;
  });
}

function isMuch({ fleet, crowd }: Facts, { shared, bad }: Together): boolean {
  const { applications, share } = fleet.breaker;
  if (bad.length >= applications) return true;
  // One commit that is bad for several applications explains itself.
  if (new Set(bad.map(({ commit }) => commit)).size < 2) return false;
  const there = crowd.analysed.filter(({ application }) => fleet.shares.get(application)?.includes(shared) === true);
  const all = new Set([...bad, ...there].map(({ application }) => application)).size;
  return all >= LEAST_FOR_SHARE && bad.length / all >= share;
}

function couldBeMuch(applications: number, there: number): boolean {
  return there >= applications || there >= LEAST_FOR_SHARE;
}

/** One event, one id: it follows from what turned bad first, so that every process finds the same one. */
function incidentOf({ application, commit, at }: BadOne): string {
  const text = JSON.stringify([application, commit, at]);
  return `fleet-${createHash('sha256').update(text).digest('hex').slice(0, 12)}`;
}
