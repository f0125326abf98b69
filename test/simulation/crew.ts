import { parentPort, workerData } from 'node:worker_threads';
import { play, type Played } from './schedule.ts';

/** A thread that plays every `stride`th seed. */
export interface Share {
  from: number;
  until: number;
  stride: number;
}

/** What a thread has played since it told last. */
export interface Sum {
  schedules: number;
  steps: number;
  faults: number;
  crashes: number;
  pushes: number;
  proposals: number;
  aborts: number;
  ends: Record<string, number>;
  broken: { seed: number; violation: string }[];
}

const TOLD_AFTER = 500;

export function nothing(): Sum {
  return { schedules: 0, steps: 0, faults: 0, crashes: 0, pushes: 0, proposals: 0, aborts: 0, ends: {}, broken: [] };
}

export function add(sum: Sum, played: Played): void {
  sum.schedules += 1;
  sum.steps += played.counts.steps;
  sum.faults += played.counts.faults;
  sum.crashes += played.counts.crashes;
  sum.pushes += played.pushes;
  sum.proposals += played.proposals;
  sum.aborts += played.aborts;
  for (const end of played.ends) sum.ends[end] = (sum.ends[end] ?? 0) + 1;
  if (played.violation !== null) sum.broken.push({ seed: played.seed, violation: played.violation });
}

if (parentPort !== null) {
  const { from, until, stride } = workerData as Share;
  let sum = nothing();
  for (let seed = from; seed < until; seed += stride) {
    add(sum, await play(seed));
    if (sum.schedules < TOLD_AFTER) continue;
    parentPort.postMessage(sum);
    sum = nothing();
  }
  parentPort.postMessage(sum);
}
