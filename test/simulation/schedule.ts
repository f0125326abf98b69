import { broken, brokenAtTheEnd } from './invariants.ts';
import { plotPeople } from './people.ts';
import type { Counts } from './scheduler.ts';
import { World } from './world.ts';

/** What one schedule came to. */
export interface Played {
  seed: number;
  counts: Counts;
  /** Pushes of ours on the branch, proposals, aborts. */
  pushes: number;
  proposals: number;
  aborts: number;
  /** How the rollbacks ended: `state` or `state/code` of what is held. */
  ends: string[];
  /** The rule that did not hold, and how; null: all held. */
  violation: string | null;
  trace: string[];
}

const MOST_STEPS = 30_000;
const LATE_MS = 1_500;
const HORIZON_MS = 3 * 3_600_000;

/** Plays the schedule of a seed: faults and people for a while, then calm until everything has come to its end. */
export async function play(seed: number, isTraced = false): Promise<Played> {
  const world = new World(seed);
  const { scheduler, setting } = world;
  if (isTraced) scheduler.trace = [JSON.stringify(setting)];
  plotPeople(world);
  const calmAt = scheduler.now + setting.busyMs;
  let isCalm = false;
  let violation: string | null = null;
  scheduler.at(calmAt, 'faults stop', () => {
    isCalm = true;
    world.calm();
  });
  const horizon = calmAt + HORIZON_MS;
  while (violation === null) {
    if (isCalm && scheduler.now > calmAt + LATE_MS && world.isSettled()) break;
    if (scheduler.step > MOST_STEPS)
      violation = `5.3 nothing is lost: still not at rest after ${MOST_STEPS} steps: ${open(world)}`;
    else if (!(await scheduler.next(horizon))) violation = `5.3 nothing is lost: still open after hours: ${open(world)}`;
    else violation = world.fault ?? broken(world);
  }
  violation ??= brokenAtTheEnd(world);
  const landed = world.deeds.filter((deed) => deed.kind === 'pushed');
  return {
    seed,
    counts: scheduler.counts,
    pushes: landed.filter(({ branch }) => branch === 'main').length,
    proposals: landed.filter(({ branch }) => branch !== 'main').length,
    aborts: world.deeds.filter(({ kind }) => kind === 'aborted').length,
    ends: world.rollbacks().map(({ state, code }) => (state === 'held' || state === 'refused' ? `${state}/${code}` : state)),
    violation,
    trace: scheduler.trace ?? [],
  };
}

function open(world: World): string {
  return world
    .rollbacks()
    .map(({ id, state, code, problem }) => `${id} ${state} ${code} ${problem?.code ?? ''}`)
    .join('; ');
}
