/**
 * How often does the judge, wired as in the demo, roll back healthy releases, and how many bad ones does it catch?
 * Run by `npm run bench:detection -- [--seed N] [--healthy N] [--bad N] [--scenario NAME]`.
 */
import { parseArgs } from 'node:util';
import { upperBoundOfShare } from '../src/statistics/binomial-bound.ts';
import { BASE_ERRORS, simulate, type Release } from './traffic.ts';
import { judgeAsItGoes, readWiring, type Wiring } from './wiring.ts';

const LIMITS = { healthyFailed: 0, badCaught: 0.95 };

interface Scenario {
  name: string;
  what: string;
  healthy: boolean;
  /** Whether missing the target makes the command fail. */
  required: boolean;
  release: Partial<Release>;
}

function scenariosOf({ warmup, planned }: Wiring): Scenario[] {
  const first = warmup;
  const late = warmup + Math.floor((planned - warmup) / 3);
  const bad = { healthy: false, required: false };
  const noisy = { healthy: true, required: false };
  return [
    { name: 'healthy', what: '2 % errors on both sides', healthy: true, required: true, release: {} },
    {
      name: 'bad',
      what: 'errors 2 % -> 6 % from the first judged tick',
      ...bad,
      required: true,
      release: { canaryErrors: 0.06, onset: first },
    },
    { name: 'bad-late', what: `errors 2 % -> 6 % from tick ${late}`, ...bad, release: { canaryErrors: 0.06, onset: late } },
    {
      name: 'bad-double',
      what: 'errors 2 % -> 4 % from the first judged tick',
      ...bad,
      release: { canaryErrors: 0.04, onset: first },
    },
    { name: 'bad-spike', what: `errors 2 % -> 30 % from tick ${late}`, ...bad, release: { canaryErrors: 0.3, onset: late } },
    { name: 'slow', what: 'latency x1.5 from the first judged tick', ...bad, release: { slower: 1.5, onset: first } },
    { name: 'slow-double', what: 'latency x2 from the first judged tick', ...bad, release: { slower: 2, onset: first } },
    {
      name: 'tolerated',
      what: 'errors x1.1 and latency x1.25: just what is tolerated',
      ...noisy,
      release: { canaryErrors: BASE_ERRORS * 1.1, slower: 1.25 },
    },
    {
      name: 'noisy-errors-0.3',
      what: 'healthy, error rates jump by 0.3 (sd of the log) a tick on each side',
      ...noisy,
      release: { errorNoise: 0.3 },
    },
    {
      name: 'noisy-errors-0.6',
      what: 'healthy, error rates jump by 0.6 a tick on each side',
      ...noisy,
      release: { errorNoise: 0.6 },
    },
    {
      name: 'noisy-errors-1.0',
      what: 'healthy, error rates jump by 1.0 a tick on each side',
      ...noisy,
      release: { errorNoise: 1 },
    },
    {
      name: 'noisy-latency-0.1',
      what: 'healthy, latencies jump by 0.1 a tick on each side',
      ...noisy,
      release: { latencyNoise: 0.1 },
    },
    {
      name: 'noisy-latency-0.3',
      what: 'healthy, latencies jump by 0.3 a tick on each side',
      ...noisy,
      release: { latencyNoise: 0.3 },
    },
    {
      name: 'pauses-0.05',
      what: 'healthy, each side pauses in 5 % of its ticks (a third of the requests wait 200 ms)',
      ...noisy,
      release: { pauses: 0.05 },
    },
    {
      name: 'pauses-0.15',
      what: 'healthy, each side pauses in 15 % of its ticks',
      ...noisy,
      release: { pauses: 0.15 },
    },
  ];
}

interface Outcome {
  runs: number;
  failed: number;
  verdicts: Record<string, number>;
  ticksToDetect: number[];
}

function run(scenario: Scenario, wiring: Wiring, runs: number, seed: number): Outcome {
  const outcome: Outcome = { runs, failed: 0, verdicts: {}, ticksToDetect: [] };
  const release: Release = {
    ticks: wiring.planned,
    canaryErrors: BASE_ERRORS,
    slower: 1,
    onset: 0,
    errorNoise: 0,
    latencyNoise: 0,
    pauses: 0,
    ...scenario.release,
  };
  for (let i = 0; i < runs; i++) {
    const judgement = judgeAsItGoes(wiring, simulate(release, seedOf(seed, scenario.name, i)));
    const verdict = judgement.verdict ?? 'undecided';
    outcome.verdicts[verdict] = (outcome.verdicts[verdict] ?? 0) + 1;
    if (verdict === 'fail') {
      outcome.failed += 1;
      outcome.ticksToDetect.push((judgement.tick ?? 0) - release.onset + 1);
    }
  }
  return outcome;
}

/** One seed a run, so that a scenario gives the same figures whether it runs alone or with the others (FNV-1a). */
function seedOf(seed: number, scenario: string, index: number): number {
  let hash = 0x811c9dc5;
  for (const character of `${seed}/${scenario}/${index}`)
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return hash;
}

function median(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted[Math.floor((sorted.length - 1) / 2)];
  return middle === undefined ? '-' : String(middle);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function report(scenario: Scenario, outcome: Outcome): boolean {
  const { runs, failed } = outcome;
  const shares = Object.entries(outcome.verdicts)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([verdict, count]) => `${verdict} ${percent(count / runs)}`)
    .join(', ');
  const upper = percent(upperBoundOfShare(failed, runs, 0.05));
  const result = scenario.healthy
    ? `rolled back ${failed} of ${runs} (95 % upper bound ${upper})`
    : `caught ${failed} of ${runs}, median ${median(outcome.ticksToDetect)} ticks from onset to verdict`;
  const holds = !scenario.required || (scenario.healthy ? failed <= LIMITS.healthyFailed : failed >= LIMITS.badCaught * runs);
  console.log(`${scenario.name}: ${scenario.what}\n  ${result}${holds ? '' : '   MISSED'}\n  ${shares}`);
  return holds;
}

function main(): void {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      healthy: { type: 'string', default: '300' },
      bad: { type: 'string', default: '100' },
      scenario: { type: 'string' },
    },
  });
  const wiring = readWiring();
  const scenarios = scenariosOf(wiring);
  const chosen = scenarios.filter(({ name }) => values.scenario === undefined || name === values.scenario);
  const [seed, healthy, bad] = [values.seed, values.healthy, values.bad].map(Number);
  if (chosen.length === 0 || seed === undefined || !(Number(healthy) > 0) || !(Number(bad) > 0) || Number.isNaN(seed)) {
    console.error(`options: --seed N --healthy N --bad N --scenario ${scenarios.map(({ name }) => name).join('|')}`);
    process.exitCode = 2;
    return;
  }
  console.log(
    `judge ${wiring.judge.name}, ${wiring.planned} ticks of which ${wiring.warmup} warm-up, ` +
      `stated false rollbacks ${percent(wiring.falseRollbacks)}, seed ${seed}`,
  );
  let holds = true;
  for (const scenario of chosen) {
    const runs = Number(scenario.healthy ? healthy : bad);
    holds = report(scenario, run(scenario, wiring, runs, seed)) && holds;
  }
  console.log(holds ? 'targets held' : 'a target was missed');
  if (!holds) process.exitCode = 1;
}

main();
