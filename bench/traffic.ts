import type { MetricSeries } from '../src/judges/series.ts';
import { Generator } from './generator.ts';

/** What the traffic of the demo looks like, and how a release may differ from it. */
export interface Release {
  /** Ticks (1 s each), warm-up included. */
  ticks: number;
  /** Chance of an error, canary, from `onset` on. */
  canaryErrors: number;
  /** Canary's latency against the baseline's, from `onset` on. */
  slower: number;
  /** First bad tick, warm-up included. */
  onset: number;
  /** Spread (sd of the log) of each side's error rate from tick to tick: errors that are NOT independent of each other. */
  errorNoise: number;
  /** Spread (sd of the log) of each side's latency from tick to tick. */
  latencyNoise: number;
  /** Chance per tick and side of a pause that makes a third of the tick's requests wait. */
  pauses: number;
}

export const BUCKETS: readonly number[] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
export const BASE_ERRORS = 0.02;
const REQUESTS = 600;
const CANARY_SHARE = 0.1;
/** The load moves from second to second; both sides feel it, and each its own jitter. */
const LOAD_JITTER = 0.1;
const SIDE_JITTER = 0.05;
const MEDIAN_SECONDS = 0.03;
const LATENCY_SPREAD = 0.5;
const PAUSE = { share: 1 / 3, seconds: 0.2 };

/** One release as the service would measure it: a proportion and a histogram, tick by tick. */
export function simulate(release: Release, seed: number): { errors: MetricSeries; latency: MetricSeries } {
  const random = new Generator(seed);
  const sides = { canary: emptySide(), baseline: emptySide() };
  for (let tick = 0; tick < release.ticks; tick++) {
    const load = REQUESTS * random.noise(LOAD_JITTER);
    const bad = tick >= release.onset;
    serve(sides.canary, random, release, {
      requests: load * CANARY_SHARE,
      errors: bad ? release.canaryErrors : BASE_ERRORS,
      slower: bad ? release.slower : 1,
    });
    serve(sides.baseline, random, release, { requests: load * (1 - CANARY_SHARE), errors: BASE_ERRORS, slower: 1 });
  }
  const { canary, baseline } = sides;
  return {
    errors: {
      type: 'proportion',
      canary: { events: canary.events, total: canary.total },
      baseline: { events: baseline.events, total: baseline.total },
    },
    latency: {
      type: 'histogram',
      bounds: [...BUCKETS],
      canary: { counts: canary.counts },
      baseline: { counts: baseline.counts },
    },
  };
}

interface Side {
  events: number[];
  total: number[];
  counts: number[][];
}

function emptySide(): Side {
  return { events: [], total: [], counts: [] };
}

function serve(side: Side, random: Generator, release: Release, now: { requests: number; errors: number; slower: number }): void {
  const requests = random.poisson(now.requests * random.noise(SIDE_JITTER));
  const chance = Math.min(1, now.errors * random.noise(release.errorNoise));
  const median = Math.log(MEDIAN_SECONDS * now.slower * random.noise(release.latencyNoise));
  const counts = Array.from({ length: BUCKETS.length + 1 }, () => 0);
  const isPaused = release.pauses > 0 && random.uniform() < release.pauses;
  let errors = 0;
  for (let i = 0; i < requests; i++) {
    if (random.uniform() < chance) errors += 1;
    const wait = isPaused && random.uniform() < PAUSE.share ? PAUSE.seconds : 0;
    const seconds = wait + Math.exp(median + LATENCY_SPREAD * random.normal());
    const bucket = BUCKETS.findIndex((bound) => seconds <= bound);
    const index = bucket < 0 ? BUCKETS.length : bucket;
    counts[index] = (counts[index] ?? 0) + 1;
  }
  side.events.push(errors);
  side.total.push(requests);
  side.counts.push(counts);
}
